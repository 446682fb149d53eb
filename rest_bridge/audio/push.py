"""Speech that another program pushes over ZeroMQ: text-to-speech, a game, another microphone.

A receive thread owns the PULL socket and fills a queue; the reader takes from it at the pace of
the clock and gets silence where there is nothing. Speech may come faster than real time (a whole
sentence at once) or slower. The queue is bounded: when it is full, no more is received until there
is room, ZeroMQ holds the rest, and the sender's `send` waits. Nothing is lost.

Speech that is there in advance need not wait for the generator's look-ahead: where it begins after
silence, and where it is cut, the source goes ahead in time (`AudioChunk.advance`).
"""

import contextlib
import logging
import threading
from collections.abc import Sequence
from typing import Final

import zmq

from rest_bridge.audio.closing import ClosingSource
from rest_bridge.audio.pcm import MAX_MESSAGE_BYTES, decode_pcm
from rest_bridge.audio.speech_queue import MAX_QUEUED_S, PREFILL_S, SpeechQueue
from rest_bridge.clock import NS_PER_S, Clock, MonotonicClock
from rest_bridge.endpoint import Security, bind
from rest_bridge.errors import SourceClosed, SourceError, SourceTimeout, WireError
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk, StreamEvent

DEFAULT_ENDPOINT: Final = "tcp://127.0.0.1:5573"
SETTLED_S: Final = 0.5
"""After so much silence all speech has been shown and the mouth is at rest: the silence that is
still in flight may be skipped for speech that is there already."""
_MAX_BEHIND_NS: Final = 2 * NS_PER_S
_POLL_MS: Final = 50
_MAX_WARNINGS: Final = 8
_RECEIVE_HIGH_WATER_MARK: Final = 32

_log = logging.getLogger(__name__)


class PushSource(ClosingSource):
    """A PULL socket as a voice source: live, endless, silent where nothing was pushed.

    Args:
        endpoint: where to bind; port "*" takes any free one.
        security: what protects the socket; None for this computer only.
        max_queued_s: see SpeechQueue.
        prefill_s: see SpeechQueue.
        clock: paces; a test gives its own.

    Raises:
        SourceError: the endpoint cannot be bound; the message says why.
    """

    name = "pushed speech"
    sample_rate_hz = VOICE_RATE_HZ
    live = True

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        *,
        security: Security | None = None,
        max_queued_s: float = MAX_QUEUED_S,
        prefill_s: float = PREFILL_S,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or MonotonicClock()
        self.queue = SpeechQueue(clock=self._clock, max_queued_s=max_queued_s, prefill_s=prefill_s)
        self.advance_samples = 0
        self._settled = int(SETTLED_S * VOICE_RATE_HZ)
        self._quiet_since = 0
        self.num_messages = 0
        self.num_refused = 0
        self._causes: set[str] = set()
        self._stop = threading.Event()
        self._next_index = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PULL)
        self._socket.linger = 0
        self._socket.rcvhwm = _RECEIVE_HIGH_WATER_MARK
        self._socket.maxmsgsize = MAX_MESSAGE_BYTES
        try:
            self.endpoint = bind(
                self._socket,
                endpoint,
                key="endpoints.audio_in",
                security=security,
                error=SourceError,
            )
        except SourceError:
            self._context.destroy(linger=0)
            raise
        self._origin_ns = self._clock.now_ns()
        self._thread = threading.Thread(target=self._receive, name="audio-in", daemon=True)
        self._thread.start()

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        """Return the next samples when their time has come (see `AudioSource.read`).

        Args:
            num_samples: exactly so many.
            timeout_s: how long to wait for their time.

        Returns:
            The chunk.

        Raises:
            SourceTimeout: they are not due within `timeout_s`.
            SourceClosed: the source was closed.
        """
        now_ns = self._clock.now_ns()
        end_index = self._next_index + num_samples
        due_ns = self._origin_ns + end_index * NS_PER_S // VOICE_RATE_HZ
        late = now_ns - due_ns > _MAX_BEHIND_NS
        if late:  # the computer slept: go on from now instead of hurrying through the past
            self._origin_ns += now_ns - due_ns
            due_ns = now_ns
        deadline_ns = now_ns + int(timeout_s * NS_PER_S)
        if not self._clock.wait_until(min(due_ns, deadline_ns), self._stop):
            raise SourceClosed(f"{self.name} was closed.")
        if due_ns > deadline_ns:
            raise SourceTimeout(f"{self.name}: the samples are not due within {timeout_s:.1f} s.")
        cut = self.queue.take_cut()
        advance = self._go_ahead() if cut or self._may_skip_silence() else 0
        hold = self.advance_samples if self._is_settled else 0
        samples, events = self.queue.take(num_samples, hold=hold, in_flight=self._settled)
        first_index, self._next_index = self._next_index, end_index
        if samples.any():
            self._quiet_since = end_index
        return AudioChunk(
            samples,
            VOICE_RATE_HZ,
            first_index,
            due_ns - advance * NS_PER_S // VOICE_RATE_HZ,
            late,
            advance=advance,
            cut=cut,
            events=events,
        )

    def _may_skip_silence(self) -> bool:
        """Return whether speech begins after a silence that nobody needs to see to its end."""
        return self._is_settled and self.queue.may_begin(self.advance_samples)

    @property
    def _is_settled(self) -> bool:
        return self._next_index - self._quiet_since >= self._settled

    def _go_ahead(self) -> int:
        """Move time ahead by the generator's look-ahead; return the samples."""
        self._origin_ns -= self.advance_samples * NS_PER_S // VOICE_RATE_HZ
        return self.advance_samples

    def flush(self, utterances: Sequence[str] | None = None) -> list[str]:
        """Forget speech; what is being spoken of it is cut with the next chunk (barge-in).

        Args:
            utterances: see SpeechQueue.flush.

        Returns:
            The names of those that were here.
        """
        return self.queue.flush(utterances)

    def last_events(self) -> tuple[StreamEvent, ...]:
        """Receive nothing more; return the ends of all utterances (see `LastWordSource`)."""
        self._stop.set()
        self._thread.join()
        return self.queue.end()

    def close(self) -> None:
        """Close the socket; idempotent."""
        self._stop.set()
        self._thread.join()
        self._context.term()

    def _receive(self) -> None:
        """Thread body; the socket belongs to it from here on."""
        with contextlib.closing(self._socket):
            while not self._stop.is_set():
                if self.queue.is_full:
                    self._stop.wait(_POLL_MS / 1000)
                elif self._socket.poll(_POLL_MS):
                    self._accept(self._socket.recv_multipart())
            # What has come and was not looked at yet belongs to lines whose end is told, too.
            for _ in range(_RECEIVE_HIGH_WATER_MARK):
                if not self._socket.poll(0):
                    break
                self._accept(self._socket.recv_multipart())

    def _accept(self, parts: list[bytes]) -> None:
        try:
            if len(parts) != 1:
                raise WireError(f"Pushed speech has one message part, not {len(parts)}.")
            message = decode_pcm(parts[0])
        except WireError as error:
            self.num_refused += 1
            cause = str(error)
            self.queue.refuse(cause)
            if cause not in self._causes and len(self._causes) < _MAX_WARNINGS:
                self._causes.add(cause)
                _log.warning("A message on %s was refused: %s", self.endpoint, cause)
            return
        self.num_messages += 1
        self.queue.put(message)
