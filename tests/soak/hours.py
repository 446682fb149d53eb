"""Hours of stream by virtual time, with everything that happens to devices in a day.

Two crystals 300 ppm apart that wander by 40 ppm; about every quarter of an hour the microphone is
unplugged, comes back with another rate, the card stalls, or the computer sleeps.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tests.soak.gauge import held
from tests.support.virtual_stream import VirtualStream

LIMIT_MS = 20.0
_AFTER_EVENT_S = 6.0
_EVENTS = ("unplug", "another rate", "card stalls", "sleep")


@dataclass(frozen=True, slots=True)
class Hour:
    """What one hour brought.

    Attributes:
        hour: from 1.
        num_pairs: humps heard and seen.
        worst_ms: largest distance of sound and picture, more than six seconds after an event.
        worst_near_event_ms: the same within those six seconds.
        num_late: humps beyond 20 ms, anywhere.
        median_ms: of all.
        mic_ppm: estimated.
        card_ppm: estimated.
        rss_mb: memory.
        num_fds: file descriptors.
        num_threads: threads.
    """

    hour: int
    num_pairs: int
    worst_ms: float
    worst_near_event_ms: float
    num_late: int
    median_ms: float
    mic_ppm: float
    card_ppm: float
    rss_mb: float
    num_fds: int
    num_threads: int


class Day:
    """One run."""

    def __init__(self, hours: int, *, seed: int = 1) -> None:
        self.hours = hours
        self.stream = VirtualStream(150.0, -150.0, wander_ppm=40.0, block_s=0.04, seed=seed)
        self.events: list[tuple[float, str]] = []
        self._rng = np.random.default_rng(seed)
        self._slept_s = 0.0

    def run(self) -> list[Hour]:
        rows = []
        for hour in range(self.hours):
            self._plan(hour)
            begun_s = time.monotonic()
            self.stream.run_to((hour + 1) * 3600.0 + self._slept_s)
            rows.append(self._row(hour + 1))
            took_s = time.monotonic() - begun_s
            sys.stderr.write(f"hour {hour + 1} in {took_s:.0f} s: {rows[-1]}\n")
        return rows

    def _plan(self, hour: int) -> None:
        times = np.sort(self._rng.uniform(hour * 3600 + 30, hour * 3600 + 3500, 4))
        kinds = self._rng.permutation(_EVENTS)
        asleep_s = 0.0
        for at_s, kind in zip(times, kinds, strict=True):
            when_s = float(at_s) + self._slept_s + asleep_s
            self.events.append((when_s, str(kind)))
            match kind:
                case "unplug":
                    seconds = float(self._rng.uniform(1, 60))
                    self.stream.at(when_s, lambda s=seconds: self.stream.unplug_microphone(s))
                    self.events.append((when_s + seconds, "plugged in"))
                case "another rate":
                    rate_hz = int(self._rng.choice((16_000, 44_100, 48_000)))
                    self.stream.at(when_s, lambda r=rate_hz: self.stream.microphone_returns_at(r))
                case "card stalls":
                    seconds = float(self._rng.uniform(0.1, 3))
                    self.stream.at(when_s, lambda s=seconds: self.stream.stall_card(s))
                case _:
                    seconds = float(self._rng.uniform(5, 3600))
                    self.stream.at(when_s, lambda s=seconds: self.stream.sleep(s))
                    self.events.append((when_s + seconds, "woke"))
                    asleep_s += seconds
        self._slept_s += asleep_s

    def _row(self, hour: int) -> Hour:
        pairs = np.array(self.stream.offsets_ms()).reshape(-1, 2)
        self.stream.shown.clear()
        self.stream.heard.clear()
        near = np.zeros(len(pairs), bool)
        for at_s, _ in self.events:
            near |= (pairs[:, 0] >= at_s - 1) & (pairs[:, 0] < at_s + _AFTER_EVENT_S)
        away_ms = np.abs(pairs[:, 1])
        now, health = held(), self.stream.feed.health("mic", lost=False, losses=0)
        return Hour(
            hour,
            len(pairs),
            round(float(away_ms[~near].max(initial=0.0)), 2),
            round(float(away_ms[near].max(initial=0.0)), 2),
            int((away_ms > LIMIT_MS).sum()),
            round(float(np.median(pairs[:, 1])), 2),
            health.ppm,
            round(self.stream.playout.ppm, 1),
            now.rss_mb,
            now.num_fds,
            now.num_threads,
        )


def report(day: Day, rows: list[Hour]) -> dict[str, Any]:
    """Return what is printed, and whether all of it is within bounds."""
    first, last = rows[0], rows[-1]
    problems = [
        f"hour {row.hour}: sound {row.worst_ms} ms from the picture"
        for row in rows
        if row.worst_ms > LIMIT_MS
    ]
    if last.rss_mb > first.rss_mb + 20:
        problems.append(f"memory grew from {first.rss_mb} to {last.rss_mb} MB")
    if (last.num_fds, last.num_threads) != (first.num_fds, first.num_threads):
        problems.append("file descriptors or threads were left behind")
    stream = day.stream
    return {
        "hours": len(rows),
        "rows": [asdict(row) for row in rows],
        "events": len(day.events),
        "frames": stream.num_frames,
        "repeated": stream.metrics.counter("repeated"),
        "microphone": asdict(stream.feed.health("mic", lost=False, losses=0)),
        "card": {
            "underruns": stream.playout.num_underruns,
            "jumps": stream.playout.num_jumps,
            "late_s": stream.playout.late_s,
        },
        "problems": problems,
    }


def main(hours: int) -> int:
    """Run and print; returns the exit code."""
    day = Day(hours)
    found = report(day, day.run())
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 1 if found["problems"] else 0
