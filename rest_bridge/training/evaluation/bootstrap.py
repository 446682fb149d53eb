"""Means with confidence intervals, resampled clip by clip.

Frames of one clip are not independent, nor are two portraits that speak the same clip: a clip's
rows are averaged first, then whole clips are drawn with replacement (Efron's percentile interval).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.training.evaluation.jobs import Row

NUM_DRAWS: Final = 2000
LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over clips.

    Attributes:
        mean: over the clips that have a value; NaN if none has.
        low: lower end of the 95 % interval; NaN with fewer than two clips.
        high: upper end.
        num_clips: how many have a value.
    """

    mean: float
    low: float
    high: float
    num_clips: int


def estimate(values: Sequence[float], *, seed: int = 0, num_draws: int = NUM_DRAWS) -> Estimate:
    """Average one value a clip, with a bootstrap interval.

    Args:
        values: one a clip; NaN are left out.
        seed: of the resampling.
        num_draws: resamplings.

    Returns:
        Mean and interval.
    """
    known = np.array([v for v in values if math.isfinite(v)], np.float64)
    if not len(known):
        return Estimate(math.nan, math.nan, math.nan, 0)
    if len(known) == 1:
        return Estimate(float(known[0]), math.nan, math.nan, 1)
    picks = np.random.default_rng(seed).integers(0, len(known), (num_draws, len(known)))
    low, high = np.quantile(known[picks].mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(known.mean()), float(low), float(high), len(known))


def estimate_ratio(
    numerators: Sequence[float], denominators: Sequence[float], *, seed: int = 0
) -> Estimate:
    """Divide two sums over clips, with a bootstrap interval over the clips.

    For ratios whose parts are small in single clips, where a mean of ratios would be all noise.

    Args:
        numerators: one a clip.
        denominators: one a clip, at the same places.
        seed: of the resampling.

    Returns:
        Ratio of the sums and its interval.
    """
    above = np.array(numerators, np.float64)
    below = np.array(denominators, np.float64)
    known = np.isfinite(above) & np.isfinite(below)
    above, below = above[known], below[known]
    if not len(above) or below.sum() == 0:
        return Estimate(math.nan, math.nan, math.nan, len(above))
    picks = np.random.default_rng(seed).integers(0, len(above), (NUM_DRAWS, len(above)))
    drawn = above[picks].sum(1) / np.maximum(below[picks].sum(1), 1e-12)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if len(above) == 1:
        low = high = math.nan
    return Estimate(float(above.sum() / below.sum()), float(low), float(high), len(above))


def by_clip(rows: Iterable[Row], measure: str) -> list[float]:
    """Average a measure over the rows of each clip; one value a clip, in order of appearance."""
    found: dict[str, list[float]] = {}
    for row in rows:
        value = row.values.get(measure, math.nan)
        if math.isfinite(value):
            found.setdefault(row.clip, []).append(value)
    return [float(np.mean(values)) for values in found.values()]


def slope_per_hour(
    times_s: npt.NDArray[np.float64], values: npt.NDArray[np.float64], *, seed: int = 0
) -> Estimate:
    """Fit a straight line through a slow curve.

    Args:
        times_s: float64 [N].
        values: float64 [N]; neighbours should be independent (averages over a minute are).
        seed: of the resampling.

    Returns:
        Change over an hour with its interval (resampled pairs).
    """
    hours = times_s / 3600
    picks = np.random.default_rng(seed).integers(0, len(hours), (NUM_DRAWS, len(hours)))
    slopes = [_slope(hours[rows], values[rows]) for rows in picks]
    low, high = np.quantile(slopes, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(_slope(hours, values), float(low), float(high), len(hours))


def _slope(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    x = x - x.mean()
    return float((x * (y - y.mean())).sum() / max(float((x * x).sum()), 1e-12))
