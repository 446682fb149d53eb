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
JUMP_NS: Final = NS_PER_S // 2
"""A source whose times move by more than this has slept: the media clock moves with it at once."""
_STEP_NS: Final = 12_000_000
_STEP_AFTER_NS: Final = 5 * NS_PER_S
_FRESH_NS: Final = 10 * NS_PER_S
"""Times that are off by more, to one side, for so long are no jitter: what was believed right at
first, or right after a sleep, was wrong. By drift alone 30 ms would take a minute, in which every
picture comes late. A source that knows its rate puts its samples right four seconds after a sleep
(`audio.live`); this is for the one that does not."""


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
    hear or see is cut out of the stream. What stays off by 12 ms and more in the first seconds
    after it is taken over, too.
    """

    def __init__(self, *, rate_hz: int = VOICE_RATE_HZ) -> None:
        """Make a clock without an origin; `observe` sets it.

        Args:
            rate_hz: rate of the sample index.
        """
        self._rate_hz = rate_hz
        self._lock = threading.Lock()
        self._origin_ns: int | None = None
        self._last_ns = 0
        self._off_ns = 0  # the least that times have been off to one side, and since when
        self._off_since_ns = 0
        self._begun_ns = 0
        self.num_jumps = 0

    @property
    def started(self) -> bool:
        """True once the first samples were observed."""
        return self._origin_ns is not None

    def observe(self, end_index: int, captured_ns: int) -> None:
        """Learn that the sample before `end_index` was captured at `captured_ns`."""
        implied_ns = captured_ns - end_index * NS_PER_S // self._rate_hz
        with self._lock:
            origin_ns = self._origin_ns
            if origin_ns is None or abs(implied_ns - origin_ns) > JUMP_NS:
                self._origin_ns = implied_ns
                self._last_ns = self._begun_ns = captured_ns
                self.num_jumps += origin_ns is not None
                return
            if self._is_off(implied_ns - origin_ns, captured_ns):
                self._origin_ns, self._last_ns = origin_ns + self._off_ns, captured_ns
                self._off_ns = 0
                return
            elapsed_ns = max(0, captured_ns - self._last_ns)
            step = (implied_ns - origin_ns) * min(1.0, elapsed_ns / _TIME_CONSTANT_NS)
            limit = elapsed_ns * _MAX_SLEW
            self._origin_ns = origin_ns + int(max(-limit, min(limit, step)))
            self._last_ns = captured_ns

    def _is_off(self, off_ns: int, now_ns: int) -> bool:
        """Whether times have been off by more than jitter, to one side, for long enough."""
        if abs(off_ns) < _STEP_NS or off_ns * self._off_ns <= 0:
            self._off_ns = off_ns if abs(off_ns) >= _STEP_NS else 0
            self._off_since_ns = now_ns
            return False
        self._off_ns = min(self._off_ns, off_ns, key=abs)
        lasted_ns, fresh_ns = now_ns - self._off_since_ns, now_ns - self._begun_ns
        return lasted_ns > _STEP_AFTER_NS and fresh_ns < _FRESH_NS

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
