"""Stage timers and counters with fixed memory, read once a second for the status line.

Any thread may record; nothing here allocates after construction of a timer.
"""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

_NS_PER_MS: Final = 1e6
_DEFAULT_WINDOW: Final = 1024


@dataclass(frozen=True, slots=True)
class Summary:
    """What a timer says: milliseconds over its window, and totals since the start."""

    count: int
    p50_ms: float
    p95_ms: float
    max_ms: float
    total_s: float
    p99_ms: float = 0.0


class Timer:
    """The last durations of one stage in a ring, with the maximum and the sum of all of them."""

    def __init__(self, window: int = _DEFAULT_WINDOW) -> None:
        """Make an empty timer.

        Args:
            window: durations that count for the percentiles.
        """
        self._ring = np.zeros(window, np.int64)
        self._lock = threading.Lock()
        self._count = 0
        self._max_ns = 0
        self._total_ns = 0

    def record(self, duration_ns: int) -> None:
        """Add one duration."""
        with self._lock:
            self._ring[self._count % len(self._ring)] = duration_ns
            self._count += 1
            self._max_ns = max(self._max_ns, duration_ns)
            self._total_ns += duration_ns

    @contextmanager
    def measure(self) -> Generator[None, None, None]:
        """Record how long the body takes (also when it raises)."""
        begin_ns = time.perf_counter_ns()
        try:
            yield
        finally:
            self.record(time.perf_counter_ns() - begin_ns)

    def last_ns(self) -> int:
        """Return the newest duration; 0 if there is none."""
        with self._lock:
            return int(self._ring[(self._count - 1) % len(self._ring)]) if self._count else 0

    def window_ms(self) -> list[float]:
        """Return the durations of the window in milliseconds, oldest first."""
        with self._lock:
            count, size = self._count, len(self._ring)
            first = count % size if count > size else 0
            durations = np.roll(self._ring, -first)[: min(count, size)]
        return [float(duration) / _NS_PER_MS for duration in durations]

    def summary(self) -> Summary:
        """Return percentiles of the window; zeros while nothing was recorded."""
        with self._lock:
            count, max_ns, total_ns = self._count, self._max_ns, self._total_ns
            durations = self._ring[: min(count, len(self._ring))].copy()
        p50, p95, p99 = np.percentile(durations, (50, 95, 99)) if count else (0.0, 0.0, 0.0)
        return Summary(
            count=count,
            p50_ms=float(p50) / _NS_PER_MS,
            p95_ms=float(p95) / _NS_PER_MS,
            max_ms=max_ns / _NS_PER_MS,
            total_s=total_ns / 1e9,
            p99_ms=float(p99) / _NS_PER_MS,
        )


class Metrics:
    """Named timers and counters of one stream."""

    def __init__(self) -> None:
        """Make an empty set."""
        self._timers: dict[str, Timer] = {}
        self._counters: dict[str, int] = {}
        self._lock = threading.Lock()

    def timer(self, name: str) -> Timer:
        """Return the timer of a stage, made on first use."""
        with self._lock:
            return self._timers.setdefault(name, Timer())

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counters[name] = self._counters.get(name, 0) + amount

    def counter(self, name: str) -> int:
        """Return a counter; 0 if nothing was counted."""
        with self._lock:
            return self._counters.get(name, 0)

    def summaries(self) -> dict[str, Summary]:
        """Return the summary of every timer, by name."""
        with self._lock:
            timers = dict(self._timers)
        return {name: timer.summary() for name, timer in timers.items()}

    def counters(self) -> dict[str, int]:
        """Return a copy of all counters."""
        with self._lock:
            return dict(self._counters)
