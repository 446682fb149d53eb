"""Time: one monotonic clock, and the media clock that the audio sample index drives.

The audio sample index is the master. `MediaClock` learns from the source when samples were
captured and answers when a media instant happened on the monotonic clock; the presenter paces on
it. All values are int64 nanoseconds; `time.monotonic_ns`, never `time.time`.
"""

import threading
import time
from typing import Final, Protocol

from rest_bridge.types import VOICE_RATE_HZ

NS_PER_S: Final = 1_000_000_000
_TIME_CONSTANT_NS: Final = 10 * NS_PER_S
_MAX_SLEW: Final = 500e-6
"""The media clock follows a device clock by at most 500 ppm; crystals differ by under 200."""
_FRESH_SLEW: Final = 2500e-6
_FRESH_NS: Final = 20 * NS_PER_S
"""After a jump what is believed may be 30 ms wrong, and the source puts its times right after four
seconds: it is followed by more then. The voice keeps up, in its pauses (`sinks.playout`)."""
JUMP_NS: Final = NS_PER_S // 2
"""A source whose times move by more than this has slept: the media clock moves with it at once."""


class Clock(Protocol):
    """Something that tells the time and waits; tests give a fake one."""

    def now_ns(self) -> int:
        """Return the monotonic time."""
        ...

    def wait_until(self, when_ns: int, stop: threading.Event) -> bool:
        """Wait; return False at once when `stop` is set, True when the time has come."""
        ...


class MonotonicClock:
    """The real clock."""

    def now_ns(self) -> int:
        """Return `time.monotonic_ns`."""
        return time.monotonic_ns()

    def wait_until(self, when_ns: int, stop: threading.Event) -> bool:
        """Sleep until the time has come or `stop` is set; returns False if it is."""
        while (left_ns := when_ns - time.monotonic_ns()) > 0:
            if stop.wait(left_ns / NS_PER_S):
                return False
        return not stop.is_set()


class MediaClock:
    """Maps media time (0 = first sample of the source) to monotonic time, following its drift.

    A device's 48 kHz is not the computer's: the mapping follows what the source reports with a
    time constant of ten seconds and a bounded slew, so that jitter of single chunks moves nothing.
    A jump (the computer slept, the process was stopped) is taken over at once: what nobody could
    hear or see is cut out of the stream, and for 20 s after it what is wrong is followed sooner.
    """

    def __init__(self, *, rate_hz: int = VOICE_RATE_HZ) -> None:
        """Make a clock without an origin; `observe` sets it.

        Args:
            rate_hz: rate of the sample index.
        """
        self._rate_hz = rate_hz
        self._lock = threading.Lock()
        self._origin_ns: int | None = None
        self._last_ns = self._fresh_until_ns = 0
        self.num_jumps = 0

    @property
    def started(self) -> bool:
        """True once the first samples were observed."""
        return self._origin_ns is not None

    def observe(self, end_index: int, captured_ns: int) -> None:
        """Learn that the sample before `end_index` was captured at `captured_ns`."""
        implied_ns = captured_ns - end_index * NS_PER_S // self._rate_hz
        with self._lock:
            if self._origin_ns is None:
                self._origin_ns, self._last_ns = implied_ns, captured_ns
                return
            if abs(implied_ns - self._origin_ns) > JUMP_NS:
                self._origin_ns, self._last_ns = implied_ns, captured_ns
                self._fresh_until_ns = captured_ns + _FRESH_NS
                self.num_jumps += 1
                return
            elapsed_ns = max(0, captured_ns - self._last_ns)
            step = (implied_ns - self._origin_ns) * min(1.0, elapsed_ns / _TIME_CONSTANT_NS)
            fresh = captured_ns < self._fresh_until_ns
            limit = elapsed_ns * (_FRESH_SLEW if fresh else _MAX_SLEW)
            self._origin_ns += int(max(-limit, min(limit, step)))
            self._last_ns = captured_ns

    def shift(self, by_ns: int) -> None:
        """Move everything that is to come: whoever paces found itself so much too late."""
        with self._lock:
            if self._origin_ns is not None:
                self._origin_ns += by_ns
                self.num_jumps += abs(by_ns) > JUMP_NS

    def at(self, media_ns: int) -> int:
        """Return the monotonic time of a media instant; the clock must have started."""
        with self._lock:
            assert self._origin_ns is not None, "MediaClock.at before the first observe"
            return self._origin_ns + media_ns
