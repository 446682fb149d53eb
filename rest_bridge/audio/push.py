"""Speech that another program pushes over ZeroMQ: text-to-speech, a game, another microphone.

A receive thread owns the PULL socket and fills a queue; the reader takes from it at the pace of
the clock and gets silence where there is nothing. Speech may come faster than real time (a whole
sentence at once) or slower. The queue is bounded: when it is full, no more is received until there
is room, ZeroMQ holds the rest, and the sender's `send` waits. Nothing is lost.
"""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import urlsplit

import numpy as np
import zmq

from rest_bridge.audio.pcm import MAX_MESSAGE_BYTES, PcmMessage, decode_pcm
from rest_bridge.audio.resample import Resampler, make_resampler
from rest_bridge.clock import NS_PER_S, Clock, MonotonicClock
from rest_bridge.errors import SourceClosed, SourceError, SourceTimeout, WireError
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk, FloatArray

DEFAULT_ENDPOINT: Final = "tcp://127.0.0.1:5573"
MAX_QUEUED_S: Final = 60.0
PREFILL_S: Final = 0.06
"""Speech waits until so much of it is there (or its end, or so much time has passed), so that a
sender in real time does not run dry between two messages."""
_MAX_BEHIND_NS: Final = 2 * NS_PER_S
_POLL_MS: Final = 50
_MAX_WARNINGS: Final = 8
_RECEIVE_HIGH_WATER_MARK: Final = 32
_LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})

UtteranceEvent = Literal["started", "finished", "flushed"]
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Piece:
    """Samples at the media rate, of one utterance."""

    samples: FloatArray
    utterance: str
    last: bool


class SpeechQueue:
    """Pushed speech on its way from the receive thread to the reader.

    Args:
        clock: the time.
        on_utterance: called by the reader's thread with the event, the utterance, and the sample
            index (media clock) at which it happened. An utterance that runs dry has finished, and
            starts again when more of it comes.
        max_queued_s: when so much waits, the queue is full.
        prefill_s: see PREFILL_S.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        on_utterance: Callable[[UtteranceEvent, str, int], None] | None = None,
        max_queued_s: float = MAX_QUEUED_S,
        prefill_s: float = PREFILL_S,
    ) -> None:
        self._clock = clock
        self._on_utterance = on_utterance
        self._capacity = int(max_queued_s * VOICE_RATE_HZ)
        self._prefill = int(prefill_s * VOICE_RATE_HZ)
        self._prefill_ns = int(prefill_s * NS_PER_S)
        self._lock = threading.Lock()
        self._pieces: deque[_Piece] = deque()
        self._num_queued = 0
        self._waiting_since_ns: int | None = None  # first piece that waits for its prefill
        self._speaking: str | None = None
        self._rate_hz = 0
        self._resampler: Resampler | None = None
        self._flushed: list[str] = []
        self.num_underruns = 0

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

    def put(self, message: PcmMessage) -> None:
        """Append a message's samples, after flushing if it says so."""
        if message.flush:
            self.flush()
        mono = message.samples.mean(axis=1, dtype=np.float32)
        with self._lock:
            if self._resampler is None or message.rate_hz != self._rate_hz:
                self._rate_hz = message.rate_hz
                self._resampler = make_resampler(message.rate_hz, low_delay=True)
            samples = self._resampler.process(mono)
            if message.last:
                samples = np.concatenate((samples, self._resampler.flush()))
                self._resampler = None
            if len(samples) == 0 and not message.last:
                return
            if self._speaking is None and self._waiting_since_ns is None:
                self._waiting_since_ns = self._clock.now_ns()
            self._pieces.append(_Piece(samples, message.utterance, message.last))
            self._num_queued += len(samples)

    def flush(self) -> None:
        """Forget everything that waits; what is being spoken stops at once."""
        with self._lock:
            names = [self._speaking] if self._speaking is not None else []
            names += [piece.utterance for piece in self._pieces]
            self._flushed += list(dict.fromkeys(names))
            self._pieces.clear()
            self._num_queued = 0
            self._speaking = self._waiting_since_ns = self._resampler = None

    def take(self, num_samples: int, first_index: int) -> FloatArray:
        """Return the next samples of the voice, silence where nothing is queued.

        Args:
            num_samples: how many.
            first_index: media clock of the first one.

        Returns:
            float32 [num_samples].
        """
        out = np.zeros(num_samples, np.float32)
        events: list[tuple[UtteranceEvent, str, int]] = []
        with self._lock:
            events.extend(("flushed", name, first_index) for name in self._flushed)
            self._flushed = []
            self._take_into(out, first_index, events)
        if self._on_utterance is not None:
            for event in events:
                self._on_utterance(*event)
        return out

    def _take_into(
        self, out: FloatArray, first_index: int, events: list[tuple[UtteranceEvent, str, int]]
    ) -> None:
        position = 0
        while self._pieces and (self._speaking is not None or self._is_prefilled()):
            piece = self._pieces[0]
            if piece.utterance != self._speaking:
                if self._speaking is not None:
                    events.append(("finished", self._speaking, first_index + position))
                events.append(("started", piece.utterance, first_index + position))
                self._speaking, self._waiting_since_ns = piece.utterance, None
            taken = piece.samples[: len(out) - position]
            out[position : position + len(taken)] = taken
            position += len(taken)
            self._num_queued -= len(taken)
            piece.samples = piece.samples[len(taken) :]
            if len(piece.samples):
                return
            self._pieces.popleft()
            if piece.last:
                events.append(("finished", piece.utterance, first_index + position))
                self._speaking = None
                self._waiting_since_ns = self._clock.now_ns() if self._pieces else None
        if position == len(out) or self._speaking is None:
            return
        # Dry in mid-utterance: collect some speech again before going on. What the resampler
        # holds back belongs to a past that was not spoken.
        self.num_underruns += 1
        events.append(("finished", self._speaking, first_index + position))
        self._speaking = self._resampler = None

    def _is_prefilled(self) -> bool:
        since_ns = self._waiting_since_ns
        waited = since_ns is not None and self._clock.now_ns() - since_ns >= self._prefill_ns
        return (
            waited or self._num_queued >= self._prefill or any(piece.last for piece in self._pieces)
        )


class PushSource:
    """A PULL socket as a voice source: live, endless, silent where nothing was pushed.

    Args:
        endpoint: where to bind; port "*" takes any free one.
        insecure: allow addresses that other computers can reach.
        on_utterance: see SpeechQueue.
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
        insecure: bool = False,
        on_utterance: Callable[[UtteranceEvent, str, int], None] | None = None,
        max_queued_s: float = MAX_QUEUED_S,
        prefill_s: float = PREFILL_S,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or MonotonicClock()
        self.queue = SpeechQueue(
            clock=self._clock,
            on_utterance=on_utterance,
            max_queued_s=max_queued_s,
            prefill_s=prefill_s,
        )
        self.num_messages = 0
        self.num_refused = 0
        self._causes: set[str] = set()
        self._stop = threading.Event()
        self._next_index = 0
        self._socket = _bind(endpoint, insecure)
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
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
        samples = self.queue.take(num_samples, self._next_index)
        first_index, self._next_index = self._next_index, end_index
        return AudioChunk(samples, VOICE_RATE_HZ, first_index, due_ns, late)

    def flush(self) -> None:
        """Forget all speech that waits (barge-in).

        What ZeroMQ still holds of a sender that is more than `max_queued_s` ahead comes after.
        """
        self.queue.flush()

    def close(self) -> None:
        """Close the socket; idempotent."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> Self:
        """Return the source."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the socket."""
        self.close()

    def _receive(self) -> None:
        """Thread body; the socket belongs to it from here on."""
        with contextlib.closing(self._socket):
            while not self._stop.is_set():
                if self.queue.is_full:
                    self._stop.wait(_POLL_MS / 1000)
                elif self._socket.poll(_POLL_MS):
                    self._accept(self._socket.recv_multipart())

    def _accept(self, parts: list[bytes]) -> None:
        try:
            if len(parts) != 1:
                raise WireError(f"Pushed speech has one message part, not {len(parts)}.")
            message = decode_pcm(parts[0])
        except WireError as error:
            self.num_refused += 1
            cause = str(error)
            if cause not in self._causes and len(self._causes) < _MAX_WARNINGS:
                self._causes.add(cause)
                _log.warning("A message on %s was refused: %s", self.endpoint, cause)
            return
        self.num_messages += 1
        self.queue.put(message)


def _bind(endpoint: str, insecure: bool) -> "zmq.Socket[bytes]":
    parts = urlsplit(endpoint)
    if not insecure and parts.scheme == "tcp" and parts.hostname not in _LOOPBACK_HOSTS:
        raise SourceError(
            f"{endpoint} can be reached from other computers; use 127.0.0.1 in "
            "endpoints.audio_in, or set endpoints.insecure = true if that is what you want."
        )
    socket = zmq.Context.instance().socket(zmq.PULL)
    socket.linger = 0
    socket.rcvhwm = _RECEIVE_HIGH_WATER_MARK
    socket.maxmsgsize = MAX_MESSAGE_BYTES
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        if error.errno == zmq.EADDRINUSE:
            raise SourceError(
                f"{endpoint} is already in use, perhaps by another rest_bridge: stop that program "
                "or choose another port with endpoints.audio_in."
            ) from error
        raise SourceError(
            f"{endpoint} cannot be bound ({error.strerror}); correct endpoints.audio_in."
        ) from error
    return socket
