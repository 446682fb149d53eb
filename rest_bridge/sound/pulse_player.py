"""Plays to one sink of PulseAudio, or of PipeWire's stand-in, and knows when each sample sounds.

The server's own client library (`libpulse-simple`, which comes with its tools) in place of
PortAudio's way through ALSA's plug-in, which has to be installed beside it: one queue less, the
server itself says how long a sample takes, and after it ran dry it begins anew.
A `PulsePlayer` behaves as an output stream of `sounddevice` does.
"""

import ctypes
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

_PLAYBACK: Final = 1
_FLOAT32_LE: Final = 5
_BYTES: Final = 4
_DEFAULT: Final = 0xFFFF_FFFF
_LIBRARY: Final = "libpulse-simple.so.0"


class _Spec(ctypes.Structure):
    _fields_ = (
        ("format", ctypes.c_int),
        ("rate", ctypes.c_uint32),
        ("channels", ctypes.c_uint8),
    )


class _Attributes(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint32) for name in ("maxlength", "tlength", "prebuf", "minreq", "fragsize")
    )


def load() -> Any:
    """Return the client library; None where there is none."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    library.pa_simple_new.restype = ctypes.c_void_p
    library.pa_simple_get_latency.restype = ctypes.c_uint64
    for name in ("pa_simple_free", "pa_simple_get_latency", "pa_simple_write"):
        getattr(library, name).argtypes = {
            "pa_simple_free": [ctypes.c_void_p],
            "pa_simple_get_latency": [ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)],
            "pa_simple_write": [
                ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int),
            ],
        }[name]  # fmt: skip
    return library


class PulsePlayer:
    """One stream to one sink.

    Args:
        library: from `load`.
        device: name of the sink; empty for the server's default, whichever that is.
        rate_hz: of the samples; the server converts.
        channels: how many.
        blocksize: samples asked for at a time.
        latency_s: asked of the server.
        callback: as of `sounddevice`: (out, num_samples, times, status), in a thread of its own.
        error: what to raise.
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
    ) -> None:
        self._library, self._device, self._callback = library, device, callback
        self._rate_hz, self._channels, self._blocksize = rate_hz, channels, blocksize
        self._error = error
        self._latency_s = latency_s
        self._stop = threading.Event()
        self._ended = False
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
        size = self._blocksize * self._channels * _BYTES
        target = round(self._latency_s * self._rate_hz) * self._channels * _BYTES
        spec = _Spec(_FLOAT32_LE, self._rate_hz, self._channels)
        attributes = _Attributes(_DEFAULT, target, _DEFAULT, size, _DEFAULT)
        code = ctypes.c_int(0)
        stream = self._library.pa_simple_new(
            None, b"rest_bridge", _PLAYBACK, self._device.encode() or None, b"voice",
            ctypes.byref(spec), None, ctypes.byref(attributes), ctypes.byref(code),
        )  # fmt: skip
        if not stream:
            raise self._error(f"the sound server refuses (error {code.value})")
        self._thread = threading.Thread(
            target=self._play, args=(ctypes.c_void_p(stream),), name="pulse player", daemon=True
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

    def _play(self, stream: ctypes.c_void_p) -> None:
        """Thread body: ask for a block, hand it over, as long as the server takes them."""
        library, code = self._library, ctypes.c_int(0)
        block = np.zeros((self._blocksize, self._channels), np.float32)
        failed = ctypes.c_uint64(-1).value
        try:
            while not self._stop.is_set():
                waits_us = library.pa_simple_get_latency(stream, ctypes.byref(code))
                if waits_us == failed:
                    break
                now_s = time.monotonic()
                self.latency = waits_us / 1e6
                times = SimpleNamespace(
                    currentTime=now_s, outputBufferDacTime=now_s + max(1e-6, self.latency)
                )
                self._callback(block, self._blocksize, times, None)
                data = block.ctypes.data_as(ctypes.c_void_p)
                if library.pa_simple_write(stream, data, block.nbytes, ctypes.byref(code)) < 0:
                    break
        finally:
            self._ended = True
            library.pa_simple_free(stream)
