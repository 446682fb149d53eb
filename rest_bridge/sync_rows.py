"""The figures of the click-and-flash test: clicks and flashes paired, and what that says.

Positive numbers: the sound comes after the picture. Knows no outlets; `sync_listeners` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

LIMIT_MS: Final = 20.0
_LONGEST_S: Final = 0.45
"""A click belongs to the flash nearest to it, if that is nearer than this."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What was heard and seen at one outlet.

    Attributes:
        outlet: which.
        how: where sound and picture were taken.
        clicks_s: when clicks were heard, in seconds of one clock.
        flashes_s: when flashes were seen, of the same clock.
        problem: why there is nothing, one sentence; else empty.
    """

    outlet: str
    how: str
    clicks_s: Sequence[float] = ()
    flashes_s: Sequence[float] = ()
    problem: str = ""

    def between(self, begin_s: float, end_s: float) -> "Taken":
        """Return what was taken so long after the first flash."""
        first_s = min(self.flashes_s, default=0.0)
        kept = [at for at in self.flashes_s if begin_s <= at - first_s < end_s]
        return replace(self, flashes_s=kept)

    def without(self, inside: Sequence[tuple[float, float]]) -> "Taken":
        """Take out how far into its frame each click begins: only our own click track fits.

        Args:
            inside: when each click was heard somewhere, in seconds of the same clock, and how far
                into its frame it began.
        """
        if not inside:
            return self
        at_s, into_s = np.array(inside).T
        moved = [at - float(into_s[np.abs(at_s - at).argmin()]) for at in self.clicks_s]
        return replace(self, clicks_s=moved)


@dataclass(frozen=True, slots=True)
class SyncRow:
    """What was measured at one outlet.

    Attributes:
        outlet: which.
        how: where sound and picture were taken.
        num_pairs: clicks with their flash.
        median_ms: sound after picture.
        least_ms: the smallest.
        most_ms: the largest.
        problem: why there is no figure, one sentence; else empty.
    """

    outlet: str
    how: str
    num_pairs: int = 0
    median_ms: float = 0.0
    least_ms: float = 0.0
    most_ms: float = 0.0
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether sound and picture are together within 20 ms."""
        return not self.problem and abs(self.median_ms) <= LIMIT_MS


def pair(clicks_s: Sequence[float], flashes_s: Sequence[float]) -> list[float]:
    """Return for each flash how long after it its click came, in seconds."""
    if not clicks_s:
        return []
    clicks = np.asarray(clicks_s)
    nearest = [float(clicks[np.abs(clicks - flash).argmin()] - flash) for flash in flashes_s]
    return [offset for offset in nearest if abs(offset) < _LONGEST_S]


def row(taken: Taken) -> SyncRow:
    """Return the row of an outlet."""
    outlet, how = taken.outlet, taken.how
    if taken.problem:
        return SyncRow(outlet, how, problem=taken.problem)
    offsets_ms = np.array(pair(taken.clicks_s, taken.flashes_s)) * 1000
    if len(offsets_ms) < 3:
        seen = f"{len(taken.clicks_s)} clicks and {len(taken.flashes_s)} flashes came out"
        return SyncRow(outlet, how, len(offsets_ms), problem=f"{seen}, too few to compare")
    return SyncRow(
        outlet,
        how,
        len(offsets_ms),
        round(float(np.median(offsets_ms)), 2),
        round(float(offsets_ms.min()), 2),
        round(float(offsets_ms.max()), 2),
    )
