"""One stream into a sink of PulseAudio (or PipeWire's stand-in) through the server's own library.

The library's simple interface says how long a sample takes only by a guess that it smooths over
seconds: off by tens of milliseconds in its first ones. Here the server is asked itself, again and
again: how much of ours it has taken, how much of that has not sounded, and at which moment that
was so. For one thread; knows no voice.
"""

import contextlib
import ctypes
import time
from typing import Any, Final

_LIBRARY: Final = "libpulse.so.0"
_FLOAT32_LE: Final = 5
BYTES: Final = 4
_DEFAULT: Final = 0xFFFF_FFFF
_ADJUST_LATENCY: Final = 0x2000
_CONTEXT_READY, _CONTEXT_FAILED = 4, 5
_STREAM_READY, _STREAM_FAILED = 2, 3
_RUNNING: Final = 0
_OPEN_S: Final = 5.0
_OLDEST_S: Final = 1.0
"""A report that claims to be older comes from a clock that was set meanwhile."""
_LEARNING_S: Final = 1.0
_ASK_SOON_S: Final = 0.01
_ASK_S: Final = 0.05
"""Between two questions, once the first second is over and the answer is known. Each answer wakes
whoever waits, so without a limit every answer would bring the next question, thousands in a
second."""
_FAILED_SIZE: Final = ctypes.c_size_t(-1).value


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


class Timing(ctypes.Structure):
    """`pa_timing_info`: what the server said last of a stream; indices in bytes."""

    _fields_ = (
        ("seconds", ctypes.c_long),
        ("microseconds", ctypes.c_long),
        ("synchronized_clocks", ctypes.c_int),
        ("sink_usec", ctypes.c_uint64),
        ("source_usec", ctypes.c_uint64),
        ("transport_usec", ctypes.c_uint64),
        ("playing", ctypes.c_int),
        ("write_index_corrupt", ctypes.c_int),
        ("write_index", ctypes.c_int64),
        ("read_index_corrupt", ctypes.c_int),
        ("read_index", ctypes.c_int64),
        ("configured_sink_usec", ctypes.c_uint64),
        ("configured_source_usec", ctypes.c_uint64),
        ("since_underrun", ctypes.c_int64),
    )


_POINTERS: Final = (
    "pa_mainloop_new", "pa_mainloop_get_api", "pa_context_new", "pa_stream_new",
    "pa_stream_update_timing_info",
)  # fmt: skip
_VOID, _INT = ctypes.c_void_p, ctypes.c_int
_ARGUMENTS: Final[dict[str, list[Any]]] = {
    "pa_mainloop_new": [],
    "pa_mainloop_get_api": [_VOID],
    "pa_mainloop_prepare": [_VOID, _INT],
    "pa_mainloop_poll": [_VOID],
    "pa_mainloop_dispatch": [_VOID],
    "pa_mainloop_free": [_VOID],
    "pa_context_new": [_VOID, ctypes.c_char_p],
    "pa_context_connect": [_VOID, ctypes.c_char_p, _INT, _VOID],
    "pa_context_get_state": [_VOID],
    "pa_context_errno": [_VOID],
    "pa_context_disconnect": [_VOID],
    "pa_context_unref": [_VOID],
    "pa_stream_new": [_VOID, ctypes.c_char_p, _VOID, _VOID],
    "pa_stream_connect_playback": [_VOID, ctypes.c_char_p, _VOID, _INT, _VOID, _VOID],
    "pa_stream_get_state": [_VOID],
    "pa_stream_writable_size": [_VOID],
    "pa_stream_write": [_VOID, _VOID, ctypes.c_size_t, _VOID, ctypes.c_int64, _INT],
    "pa_stream_update_timing_info": [_VOID, _VOID, _VOID],
    "pa_stream_get_timing_info": [_VOID],
    "pa_stream_get_device_index": [_VOID],
    "pa_stream_disconnect": [_VOID],
    "pa_stream_unref": [_VOID],
    "pa_operation_get_state": [_VOID],
    "pa_operation_unref": [_VOID],
    "pa_strerror": [_INT],
}


_WAITING: Final = ("pa_mainloop_poll", "pa_context_connect")


def load() -> Any:
    """Return the client library; None where there is none.

    Only calls that may wait let other threads run meanwhile: each of them gets Python's lock back
    when the others please, up to 5 ms later, and a block of 10 ms takes a dozen calls.
    """
    try:
        library: Any = ctypes.PyDLL(_LIBRARY)
        waiting = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    for name in _WAITING:
        setattr(library, name, getattr(waiting, name))
    for name, arguments in _ARGUMENTS.items():
        getattr(library, name).argtypes = arguments
    for name in _POINTERS:
        getattr(library, name).restype = _VOID
    library.pa_strerror.restype = ctypes.c_char_p
    library.pa_stream_writable_size.restype = ctypes.c_size_t
    library.pa_stream_get_timing_info.restype = ctypes.POINTER(Timing)
    library.pa_stream_get_device_index.restype = ctypes.c_uint32
    return library


class PulseStream:
    """A connection of its own and one stream.

    Args:
        library: from `load`.
        device: name of the sink; empty for the server's default, whichever that is.
        rate_hz: of the samples; the server converts.
        channels: how many.
        target_bytes: that wait in the server.
        least_bytes: asked for at a time.

    Raises:
        OSError: no server, no such sink, or it refuses.
    """

    def __init__(
        self,
        library: Any,
        device: str,
        *,
        rate_hz: int,
        channels: int,
        target_bytes: int,
        least_bytes: int,
    ) -> None:
        self._library = library
        self._bytes_a_second = rate_hz * channels * BYTES
        self._operation: int | None = None
        self._stream: int | None = None
        self._context: int | None = None
        self._loop = library.pa_mainloop_new()
        try:
            self._connect()
            spec = _Spec(_FLOAT32_LE, rate_hz, channels)
            wanted = _Attributes(_DEFAULT, target_bytes, _DEFAULT, least_bytes, _DEFAULT)
            self._open(device, spec, wanted)
        except OSError:
            self.close()
            raise
        self._place = (0, int(library.pa_stream_get_device_index(self._stream)))
        """Bytes played since it last ran dry, as was last said, and into which sink."""
        self._opened_s, self._ask_at_s = time.monotonic(), 0.0

    @property
    def connected(self) -> bool:
        """Whether the server still takes samples."""
        library = self._library
        return (
            library.pa_context_get_state(self._context) == _CONTEXT_READY
            and library.pa_stream_get_state(self._stream) == _STREAM_READY
        )

    def wait(self, seconds: float) -> None:
        """Let the library work until something happened, so many seconds at most."""
        library = self._library
        if library.pa_mainloop_prepare(self._loop, round(seconds * 1e6)) >= 0:
            library.pa_mainloop_poll(self._loop)
            library.pa_mainloop_dispatch(self._loop)

    def room(self) -> int:
        """Return how many bytes the server asks for."""
        size = int(self._library.pa_stream_writable_size(self._stream))
        return 0 if size == _FAILED_SIZE else size

    def write(self, address: Any, num_bytes: int) -> bool:
        """Hand samples over; they are copied. False where the server refuses."""
        end = self._library.pa_stream_write(self._stream, address, num_bytes, None, 0, 0)
        return end >= 0

    def ask(self) -> None:
        """Ask the server how far it is, unless that was asked a moment ago; call it often."""
        library, now_s = self._library, time.monotonic()
        if now_s < self._ask_at_s:
            return
        if self._operation:
            if library.pa_operation_get_state(self._operation) == _RUNNING:
                return
            library.pa_operation_unref(self._operation)
        soon = now_s < self._opened_s + _LEARNING_S or self.waits_s() is None
        self._ask_at_s = now_s + (_ASK_SOON_S if soon else _ASK_S)
        self._operation = library.pa_stream_update_timing_info(self._stream, None, None)

    def waits_s(self) -> float | None:
        """Return after how many seconds what is written next will sound; None while unknown.

        Unknown means that the server has not said anything yet, or does not play yet: at first, and
        after it ran dry until it has enough. It has run dry, too, where its word is so old that all
        it held must have sounded since.
        """
        found = self._library.pa_stream_get_timing_info(self._stream)
        if not found:
            return None
        timing: Timing = found.contents
        corrupt = timing.write_index_corrupt or timing.read_index_corrupt
        if corrupt or not timing.playing or timing.since_underrun <= 0:
            return None
        said_s = timing.seconds + timing.microseconds / 1e6
        age_s = time.time() - said_s
        if not 0.0 <= age_s <= _OLDEST_S:
            age_s = 0.0
        queued = timing.write_index - timing.read_index
        waits_s = queued / self._bytes_a_second + timing.sink_usec / 1e6 - age_s
        return waits_s if waits_s > 0.0 else None

    def stepped(self) -> bool:
        """Whether the count of samples has broken off since the last call.

        That is so where the server ran dry, or the stream was moved to another sink.
        """
        found = self._library.pa_stream_get_timing_info(self._stream)
        played = int(found.contents.since_underrun) if found else 0
        device = int(self._library.pa_stream_get_device_index(self._stream))
        (played_before, device_before), self._place = self._place, (played, device)
        return played < played_before or device != device_before

    def close(self) -> None:
        """Disconnect; idempotent."""
        library = self._library
        if self._operation:
            library.pa_operation_unref(self._operation)
        if self._stream:
            library.pa_stream_disconnect(self._stream)
            library.pa_stream_unref(self._stream)
        if self._context:
            library.pa_context_disconnect(self._context)
            library.pa_context_unref(self._context)
        if self._loop:
            library.pa_mainloop_free(self._loop)
        self._operation = self._stream = self._context = self._loop = None

    def _connect(self) -> None:
        library = self._library
        self._context = library.pa_context_new(
            library.pa_mainloop_get_api(self._loop), b"rest_bridge"
        )
        if library.pa_context_connect(self._context, None, 0, None) < 0:
            raise OSError(self._reason())
        self._until(
            lambda: library.pa_context_get_state(self._context), _CONTEXT_READY, _CONTEXT_FAILED
        )

    def _open(self, device: str, spec: _Spec, wanted: _Attributes) -> None:
        library = self._library
        self._stream = library.pa_stream_new(self._context, b"voice", ctypes.byref(spec), None)
        if not self._stream:
            raise OSError(self._reason())
        code = library.pa_stream_connect_playback(
            self._stream, device.encode() or None, ctypes.byref(wanted), _ADJUST_LATENCY, None, None
        )
        if code < 0:
            raise OSError(self._reason())
        self._until(
            lambda: library.pa_stream_get_state(self._stream), _STREAM_READY, _STREAM_FAILED
        )

    def _until(self, state: Any, ready: int, failed: int) -> None:
        deadline_s = time.monotonic() + _OPEN_S
        while (now := state()) != ready:
            if now >= failed:
                raise OSError(self._reason())
            if time.monotonic() > deadline_s:
                raise OSError(f"no answer for {_OPEN_S:.0f} s")
            self.wait(0.1)

    def _reason(self) -> str:
        library = self._library
        text = None
        with contextlib.suppress(OSError):
            text = library.pa_strerror(library.pa_context_errno(self._context))
        return text.decode(errors="replace") if text else "no reason given"
