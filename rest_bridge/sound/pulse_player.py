"""Plays to one sink of PulseAudio, or of PipeWire's stand-in, and knows when each sample sounds.

The server's own client library (which comes with its tools) in place of PortAudio's way through
ALSA's plug-in, which has to be installed beside it: one queue less, the server itself says how long
a sample takes, and after it ran dry it begins anew. The server, which is served before other
programs, holds as much as is known already: this thread may stand still so long and is not heard.
A `PulsePlayer` behaves as an output stream of `sounddevice` does.
"""

import ctypes
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from rest_bridge.sound.pulse_stream import BYTES, PulseStream, load

__all__ = ["PulsePlayer", "load"]

_WAIT_S: Final = 0.01
MOST_AHEAD_S: Final = 0.1
"""What is known already is handed over so long before it sounds; more than the server asks for."""
_MOST_UNKNOWN: Final = 100
"""A server that takes so many blocks and never says when they sound is believed to keep what was
asked of it."""
_STEPPED: Final = SimpleNamespace(output_underflow=True, stepped=True)


class PulsePlayer:
    """One stream to one sink.

    Nothing is asked for until the server plays and has said how far it is: until then it gets
    silence, so that the first block that is asked for has its true time already.

    Args:
        library: from `load`.
        device: name of the sink; empty for the server's default, whichever that is.
        rate_hz: of the samples; the server converts.
        channels: how many.
        blocksize: samples asked for at a time.
        latency_s: asked of the server.
        callback: as of `sounddevice`: (out, num_samples, times, status), in a thread of its own.
        error: what to raise.
        ready: (num_samples) whether so many more are known already; those are handed over up to
            `MOST_AHEAD_S` early. Others are asked for when the server wants them.
    """

    def __init__(
        self,
        library: Any,
        device: str,
        *,
        rate_hz: int,
        channels: int,
        blocksize: int,
        latency_s: float,
        callback: Callable[[Any, int, Any, Any], None],
        error: type[Exception],
        ready: Callable[[int], bool] = lambda num_samples: False,
    ) -> None:
        self._ready = ready
        self._library, self._device, self._callback = library, device, callback
        self._rate_hz, self._channels, self._blocksize = rate_hz, channels, blocksize
        self._error = error
        self._latency_s = latency_s
        self._stop = threading.Event()
        self._ended = False
        self._unknown = 0
        self._thread: threading.Thread | None = None
        self.latency = latency_s

    @property
    def active(self) -> bool:
        """Whether samples are still asked for."""
        return self._thread is not None and not self._ended

    def start(self) -> None:
        """Connect and play.

        Raises:
            Exception: of the type given: no server, no such sink, or it refuses.
        """
        size = self._blocksize * self._channels * BYTES
        target = round(self._latency_s * self._rate_hz) * self._channels * BYTES
        try:
            stream = PulseStream(
                self._library,
                self._device,
                rate_hz=self._rate_hz,
                channels=self._channels,
                target_bytes=target,
                least_bytes=size,
            )
        except OSError as error:
            raise self._error(f"the sound server refuses ({error})") from error
        self._thread = threading.Thread(
            target=self._play, args=(stream,), name="pulse player", daemon=True
        )
        self._thread.start()

    def abort(self, ignore_errors: bool = True) -> None:
        """Stop; what was handed over may still sound for a moment."""
        del ignore_errors
        self._stop.set()

    def close(self, ignore_errors: bool = True) -> None:
        """Disconnect; a server that has stopped answering is left to its thread."""
        self.abort(ignore_errors)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(0.5)

    def _play(self, stream: PulseStream) -> None:
        """Thread body: hand blocks over, as long as the server takes them."""
        block = np.zeros((self._blocksize, self._channels), np.float32)
        address = block.ctypes.data_as(ctypes.c_void_p)
        try:
            while not self._stop.is_set() and stream.connected:
                stream.wait(_WAIT_S)
                while stream.connected and self._wants(stream, block.nbytes):
                    self._fill(stream, block)
                    if not stream.write(address, block.nbytes):
                        return
                if stream.connected:
                    stream.ask()
        finally:
            self._ended = True
            stream.close()

    def _wants(self, stream: PulseStream, num_bytes: int) -> bool:
        """Whether the next block is handed over now."""
        if stream.room() >= num_bytes:
            return True
        waits_s = stream.waits_s()
        return waits_s is not None and waits_s < MOST_AHEAD_S and self._ready(self._blocksize)

    def _fill(self, stream: PulseStream, block: Any) -> None:
        """Ask for the next block; silence while nobody knows when it will sound."""
        waits_s = stream.waits_s()
        self._unknown = 0 if waits_s is not None else self._unknown + 1
        if waits_s is None and self._unknown <= _MOST_UNKNOWN:
            block[:] = 0.0
            return
        waits_s = self._latency_s if waits_s is None else waits_s
        self.latency = max(0.0, waits_s)
        now_s = time.monotonic()
        times = SimpleNamespace(
            currentTime=now_s, outputBufferDacTime=now_s + max(1e-6, self.latency)
        )
        self._callback(block, self._blocksize, times, _STEPPED if stream.stepped() else None)
