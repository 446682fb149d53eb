"""Utterances that were pushed and wait to be spoken, in order, each with its marks and its end.

Place in the flow: the receive thread of `push.PushSource` puts messages in, the source's reader
takes samples out at the pace of the clock, silence where nothing is there, and with them the events
of what happened (started, mark, underrun, resumed, finished). Knows nothing of sockets.
Shape letters: S samples.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from rest_bridge.audio.pcm import PcmMessage
from rest_bridge.audio.utterance import Utterance, pass_marks
from rest_bridge.clock import NS_PER_S, Clock
from rest_bridge.types import VOICE_RATE_HZ, FloatArray, StreamEvent

MAX_QUEUED_S: Final = 60.0
PREFILL_S: Final = 0.06
"""Speech waits until so much of it is there (or its end, or so much time has passed), so that a
sender in real time does not run dry between two messages."""
DRY_END_S: Final = 5.0
"""An utterance that ran dry and gets nothing more for so long is over."""
MAX_UTTERANCES: Final = 256
_MAX_CLOSED: Final = 1024


class SpeechQueue:
    """Utterances in the order in which they were begun; safe from several threads.

    Args:
        clock: the time.
        max_queued_s: when so much waits, the queue is full.
        prefill_s: see PREFILL_S.
        dry_end_s: see DRY_END_S.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        max_queued_s: float = MAX_QUEUED_S,
        prefill_s: float = PREFILL_S,
        dry_end_s: float = DRY_END_S,
    ) -> None:
        self._clock = clock
        self._capacity = int(max_queued_s * VOICE_RATE_HZ)
        self._prefill = int(prefill_s * VOICE_RATE_HZ)
        self._prefill_ns = int(prefill_s * NS_PER_S)
        self._dry_end_ns = int(dry_end_s * NS_PER_S)
        self._lock = threading.Lock()
        self._utterances: deque[Utterance] = deque()  # guarded by _lock, as all below
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._num_queued = 0
        self._news: list[dict[str, Any]] = []
        self._cut = False
        self._in_flight = 0
        self.num_underruns = 0
        self.num_dropped = 0
        """Messages for utterances that were over, and utterances beyond the limit."""

    @property
    def queued_s(self) -> float:
        """Seconds of speech that wait."""
        with self._lock:
            return self._num_queued / VOICE_RATE_HZ

    @property
    def is_full(self) -> bool:
        """Whether no more should be received for now."""
        with self._lock:
            return self._num_queued >= self._capacity

    def status(self) -> dict[str, Any]:
        """Return what waits: numbers and texts for a control client."""
        with self._lock:
            return {
                "speaking": next((u.name for u in self._utterances if u.started), ""),
                "utterances": [
                    {
                        "utt": utterance.name,
                        "queued_s": round(utterance.num_queued / VOICE_RATE_HZ, 3),
                        "started": utterance.started,
                        "ended": utterance.ended,
                    }
                    for utterance in self._utterances
                ],
                "queued_s": round(self._num_queued / VOICE_RATE_HZ, 3),
                "room_s": round(max(0, self._capacity - self._num_queued) / VOICE_RATE_HZ, 3),
                "underruns": self.num_underruns,
                "dropped": self.num_dropped,
            }

    def put(self, message: PcmMessage) -> None:
        """Append a message to its utterance, after flushing everything if it says so."""
        if message.flush:
            self.flush()
        if not (len(message.samples) or message.last or message.begin or message.marks):
            return
        with self._lock:
            utterance = self._find(message)
            if utterance is None:
                self.num_dropped += 1
                return
            before = utterance.num_queued
            if utterance.waiting_since_ns is None and len(message.samples):
                utterance.waiting_since_ns = self._clock.now_ns()
            utterance.append(message)
            self._num_queued += utterance.num_queued - before

    def refuse(self, reason: str) -> None:
        """Let listeners of the events know that a message was no speech."""
        with self._lock:
            if len(self._news) < MAX_UTTERANCES:
                self._news.append({"event": "refused", "utt": "", "reason": reason[:300]})

    def flush(self, names: Sequence[str] | None = None) -> list[str]:
        """Forget utterances; what is being spoken of them stops at once (barge-in).

        Args:
            names: which ones; None for all that are here. Named ones take nothing more from now on,
                whether they are here yet or still on their way.

        Returns:
            The names of those that were here.
        """
        with self._lock:
            gone = [u for u in self._utterances if names is None or u.name in names]
            for utterance in gone:
                self._utterances.remove(utterance)
                self._num_queued -= utterance.num_queued
                self._cut |= utterance.started
                self._close(utterance, interrupted=True, out=self._news)
            for name in names or ():
                self._remember(name)
            # The end of an utterance may be delivered and not be seen yet.
            self._cut |= names is None and self._in_flight > 0
            return [utterance.name for utterance in gone]

    def end(self) -> tuple[StreamEvent, ...]:
        """Forget all there is; return the ends of the utterances, and what waited to be told."""
        self.flush()
        with self._lock:
            news, self._news = self._news, []
            return tuple(StreamEvent("speech", 0, body) for body in news)

    def take_cut(self) -> bool:
        """Return whether speech was cut since the last call."""
        with self._lock:
            cut, self._cut = self._cut, False
            return cut

    def may_begin(self, num_samples: int) -> bool:
        """Return whether an utterance could begin now and deliver so many samples at once."""
        with self._lock:
            if not self._utterances or self._utterances[0].started:
                return False
            first = self._utterances[0]
            return first.ended or first.num_queued >= num_samples + self._prefill

    def take(
        self, num_samples: int, *, hold: int = 0, in_flight: int = 0
    ) -> tuple[FloatArray, tuple[StreamEvent, ...]]:
        """Return the next samples of the voice, silence where nothing is queued.

        Args:
            num_samples: how many.
            hold: an utterance begins with no less than this queued behind its prefill, unless it
                has ended or has waited for the prefill's time.
            in_flight: samples of silence until a later `flush` finds nothing to cut.

        Returns:
            float32 [num_samples], and what happened in them.
        """
        out = np.zeros(num_samples, np.float32)
        events: list[StreamEvent] = []
        with self._lock:
            events += [StreamEvent("speech", 0, body) for body in self._news]
            self._news = []
            spoken = self._take_into(out, events, hold)
            self._in_flight = in_flight if spoken else max(0, self._in_flight - num_samples)
        return out, tuple(events)

    def _take_into(self, out: FloatArray, events: list[StreamEvent], hold: int) -> bool:
        """Speak utterance after utterance; return whether anything was spoken."""
        position, spoken = 0, False
        while self._utterances and self._is_ready(self._utterances[0], hold):
            utterance = self._utterances[0]
            if not utterance.started:
                events.append(_event("started", utterance, position))
            elif utterance.dry_since_ns is not None and utterance.pieces:
                events.append(_event("resumed", utterance, position))
            utterance.started, utterance.dry_since_ns = True, None
            utterance.waiting_since_ns = None
            first = utterance.num_spoken
            taken = utterance.take_into(out[position:])
            self._num_queued -= taken
            spoken |= taken > 0
            pass_marks(utterance, first, position, events)
            position += taken
            if utterance.pieces:
                break
            if utterance.ended or (not utterance.name and position < len(out)):
                self._end(events, position, interrupted=False)
            elif position < len(out):
                utterance.waiting_since_ns = None
                self.num_underruns += 1
                utterance.dry_since_ns = self._clock.now_ns()
                events.append(_event("underrun", utterance, position))
            if position == len(out):
                break
        self._give_up(events)
        return spoken

    def _give_up(self, events: list[StreamEvent]) -> None:
        """End an utterance that has been dry, or was only opened, for too long."""
        first = self._utterances[0] if self._utterances else None
        if first is None or first.pieces or first.ended:
            return
        if first.dry_since_ns is None:  # it is the first one's turn, and nothing of it has come
            first.dry_since_ns = None if first.started else self._clock.now_ns()
        elif self._clock.now_ns() - first.dry_since_ns >= self._dry_end_ns:
            self._end(events, 0, interrupted=True)

    def _end(self, events: list[StreamEvent], offset: int, *, interrupted: bool) -> None:
        utterance = self._utterances.popleft()
        bodies: list[dict[str, Any]] = []
        self._close(utterance, interrupted=interrupted, out=bodies)
        events += [StreamEvent("speech", offset, body) for body in bodies]

    def _close(self, utterance: Utterance, *, interrupted: bool, out: list[dict[str, Any]]) -> None:
        event = _event("finished", utterance, 0)
        out.append(dict(event.body) | {"interrupted": interrupted})
        if not any(other.name == utterance.name for other in self._utterances):
            self._remember(utterance.name)

    def _remember(self, name: str) -> None:
        if name:
            self._closed[name] = None
            self._closed.move_to_end(name)
            if len(self._closed) > _MAX_CLOSED:
                self._closed.popitem(last=False)

    def _find(self, message: PcmMessage) -> Utterance | None:
        """Return the open utterance that a message belongs to, a new one, or None if it is over."""
        name = message.utterance
        for utterance in self._utterances:
            if utterance.name == name and not utterance.ended:
                if not message.begin or utterance.num_received == 0:
                    return utterance
                utterance.ended = True
        if message.begin:
            self._closed.pop(name, None)
        if name in self._closed or len(self._utterances) >= MAX_UTTERANCES:
            return None
        self._utterances.append(Utterance(name))
        return self._utterances[-1]

    def _is_ready(self, utterance: Utterance, hold: int) -> bool:
        if utterance.started and utterance.dry_since_ns is None:
            return True
        if utterance.ended:
            return True
        if not utterance.pieces or utterance.waiting_since_ns is None:
            return False
        wanted = self._prefill + (0 if utterance.started else hold)
        waited_ns = self._clock.now_ns() - utterance.waiting_since_ns
        return utterance.num_queued >= wanted or waited_ns >= self._prefill_ns


def _event(word: str, utterance: Utterance, offset: int) -> StreamEvent:
    body = {
        "event": word,
        "utt": utterance.name,
        "position": utterance.num_spoken * NS_PER_S // VOICE_RATE_HZ,
    }
    return StreamEvent("speech", offset, body)
