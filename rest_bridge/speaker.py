"""Makes a daemon speak: lines of PCM, pushed as fast as they come, with marks and an end.

    with Speaker() as speaker, speaker.utterance("greeting", rate_hz=22050) as line:
        for pcm in text_to_speech("Hello there!"):
            line.push(pcm)

The daemon must run with `--audio push`. What becomes of a line (started, mark, underrun, resumed,
finished) comes as events of kind "speech" to a `BridgeClient`, whose request "flush" interrupts.
Shape letters: S samples, C channels.
"""

import itertools
import secrets
import threading
from typing import Final

import numpy as np
import zmq

from rest_bridge.audio.pcm import PcmMessage, SampleFormat, encode_pcm
from rest_bridge.audio.push import DEFAULT_ENDPOINT
from rest_bridge.endpoint import Keys
from rest_bridge.errors import SinkError, WireError
from rest_bridge.types import Array

_PIECE_S: Final = 1.0
"""What one message holds at most; small enough that a flush finds little on its way."""
_HIGH_WATER_MARK: Final = 8


class Utterance:
    """One line on its way to the daemon; a context manager that ends it.

    Made by `Speaker.utterance`. Each message leaves at once; the daemon begins to speak when 60 ms
    and what it looks ahead have come (180 ms or so), or the end.
    """

    def __init__(self, speaker: "Speaker", name: str, rate_hz: int, channels: int) -> None:
        """Begin; see `Speaker.utterance`."""
        self.name = name
        self._speaker = speaker
        self._rate_hz = rate_hz
        self._channels = channels
        self._begin = True
        self._ended = False
        self._marks: list[str] = []

    def __enter__(self) -> "Utterance":
        """Return the utterance."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.end()

    def mark(self, name: str) -> None:
        """Ask for an event when the speech has come to here.

        Args:
            name: at most 128 characters; comes back in the event.
        """
        self._marks.append(name)

    def push(self, pcm: "bytes | Array") -> None:
        """Send speech.

        Args:
            pcm: bytes of 16-bit little-endian samples, channels interleaved; or an array [S] or
                [S, C], int16, or floats in -1..1.

        Raises:
            SinkError: the utterance has ended, or the daemon takes no more: it is not running, or
                a minute of speech waits there.
            WireError: `pcm` is no whole number of samples, or no number at all.
        """
        samples, kind = self._samples(pcm)
        step = int(_PIECE_S * self._rate_hz)
        for start in range(0, len(samples), step):
            self._send(samples[start : start + step], kind)

    def end(self) -> None:
        """Say that nothing more comes; idempotent."""
        if not self._ended:
            self._send(np.zeros((0, self._channels), np.float32), "s16le", last=True)
            self._ended = True

    def _samples(self, pcm: "bytes | Array") -> tuple[Array, SampleFormat]:
        """Return float32 [S, C] and how it travels."""
        if isinstance(pcm, bytes | bytearray | memoryview):
            if len(pcm) % (2 * self._channels):
                raise WireError(f"{len(pcm)} bytes are no whole number of 16-bit samples.")
            array = np.frombuffer(pcm, "<i2")
        else:
            array = np.asarray(pcm)
        shaped = array.reshape(-1, self._channels)
        if shaped.dtype.kind == "i":
            return shaped.astype(np.float32) / 32767.0, "s16le"
        return shaped.astype(np.float32), "f32le"

    def _send(self, samples: Array, kind: SampleFormat, *, last: bool = False) -> None:
        if self._ended:
            raise SinkError(f"The utterance {self.name!r} has ended; open another one.")
        marks = tuple((0, name) for name in self._marks)
        message = PcmMessage(
            samples, self._rate_hz, kind, self.name, last=last, begin=self._begin, marks=marks
        )
        self._speaker.send(encode_pcm(message))
        self._begin = False
        self._marks.clear()


class Speaker:
    """A connection to a daemon's speech socket; a context manager, safe from several threads.

    Args:
        endpoint: the daemon's `endpoints.audio_in`.
        keys: this client's keys, where the daemon wants some.
        timeout_s: how long a message may wait for room before `SinkError`.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        *,
        keys: Keys | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._prefix = secrets.token_hex(3)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, _HIGH_WATER_MARK)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.SNDTIMEO, int(timeout_s * 1000))
        self._socket.setsockopt(zmq.LINGER, 1000)
        if keys is not None:
            keys.protect(self._socket)
        self._socket.connect(endpoint)

    def __enter__(self) -> "Speaker":
        """Return the speaker."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def utterance(self, name: str = "", *, rate_hz: int, channels: int = 1) -> Utterance:
        """Open an utterance; those that are open or wait are spoken in the order of their opening.

        Args:
            name: what events call it; must differ from the others that wait. Empty: a new one.
            rate_hz: of the samples, 8,000 to 192,000.
            channels: 1 or 2.

        Returns:
            The utterance; push into it, then end it.
        """
        return Utterance(self, name or f"{self._prefix}-{next(self._numbers)}", rate_hz, channels)

    def send(self, data: bytes) -> None:
        """Send one encoded message.

        Args:
            data: see `audio.pcm`.

        Raises:
            SinkError: no room within the time.
        """
        with self._lock:
            try:
                self._socket.send(data)
            except zmq.Again as error:
                raise SinkError(
                    f"The daemon at {self._endpoint} took no speech for {self._timeout_s:.0f} s: "
                    "either it does not run with --audio push, or a minute of speech waits there."
                ) from error

    def close(self) -> None:
        """Send what waits, for at most a second, and close; idempotent."""
        with self._lock:
            if not self._context.closed:
                self._socket.close()
                self._context.term()
