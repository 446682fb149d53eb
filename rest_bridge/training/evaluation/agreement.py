"""How well a made mouth agrees with a real one: pure functions of curves at 25 frames a second.

Terms: `r` Pearson's correlation at zero lag; lag > 0: the made curve is late; `rest` frames inside
a silence and 100 ms away from speech. Silence alone gives r = 0.5 to 0.7 over a whole clip, so `r`
counts only beside its value within the sentence and against another sentence (STUDY-AUDIO 0, 7).
Shape letters: F video frames.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.types import FRAME_RATE_HZ, FloatArray

Mask = npt.NDArray[np.bool_]
Span = tuple[float, float]
"""Start and end of a phone in seconds."""

LARGEST_LAG_MS: Final = 200.0
LAG_STEP_MS: Final = 10.0
CLOSURE_SLACK_S: Final = 0.04
"""A closure may come this much before or after its phone's span: one frame."""
CLOSED_SHARE: Final = 0.25
"""Lips count as closed in the lowest quarter of their own range (STUDY-AUDIO section 7)."""
_LEAST_FRAMES: Final = 5


def pearson(a: FloatArray, b: FloatArray) -> float:
    """Return the correlation of two curves; 0 where one does not move, NaN for too short ones."""
    if len(a) < _LEAST_FRAMES:
        return math.nan
    x, y = a.astype(np.float64), b.astype(np.float64)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum() / scale) if scale > 1e-9 else 0.0


def best_lag_ms(real: FloatArray, made: FloatArray) -> float:
    """Return by how much the made curve is late, by the best correlation within 200 ms."""
    times_ms = np.arange(len(real)) * 1000.0 / FRAME_RATE_HZ
    lags_ms = np.arange(-LARGEST_LAG_MS, LARGEST_LAG_MS + 1, LAG_STEP_MS)
    inner = slice(*np.searchsorted(times_ms, [LARGEST_LAG_MS, times_ms[-1] - LARGEST_LAG_MS]))
    if inner.stop - inner.start < _LEAST_FRAMES:
        return math.nan
    scores = [
        pearson(real[inner], np.interp(times_ms + lag, times_ms, made).astype(np.float32)[inner])
        for lag in lags_ms
    ]
    return float(lags_ms[int(np.argmax(scores))])


def other_sentence(
    made: FloatArray, sentence: Mask, real: FloatArray, real_sentence: Mask
) -> float:
    """Correlate a sentence with another one, both from their first spoken frame on.

    Aligning the starts gives the mismatched pair its best chance; what remains above it is owed to
    what is said, not to that something is said.

    Args:
        made: float32 [F], of this clip.
        sentence: bool [F].
        real: float32 [G], of another clip.
        real_sentence: bool [G].

    Returns:
        Correlation over the common length.
    """
    a, b = made[: len(sentence)][sentence], real[: len(real_sentence)][real_sentence]
    count = min(len(a), len(b))
    return pearson(a[:count], b[:count])


def opening_range(curve: FloatArray) -> float:
    """Return the 5 % to 95 % range of a curve, in its own unit."""
    low, high = np.percentile(curve, [5, 95])
    return float(high - low)


def closed_share(curve: FloatArray, closures: Sequence[Span]) -> float:
    """Return the share of p, b, m at which the lips meet.

    Args:
        curve: float32 [F], lip gap.
        closures: spans of these phones.

    Returns:
        0..1; NaN without such phones.
    """
    low, high = np.percentile(curve, [5, 95])
    limit = low + CLOSED_SHARE * (high - low)
    hits: list[bool] = []
    for start_s, end_s in closures:
        near = frames_within(len(curve), start_s - CLOSURE_SLACK_S, end_s + CLOSURE_SLACK_S)
        if near.any():
            hits.append(bool(curve[near].min() < limit))
    return float(np.mean(hits)) if hits else math.nan


def rest_spread(curve: FloatArray, rest: Mask, speaking: Mask) -> float:
    """Return how much the mouth moves in silence, as a share of its movement in speech.

    Args:
        curve: float32 [F].
        rest: bool [F].
        speaking: bool [F].

    Returns:
        Ratio of standard deviations; NaN where either has too few frames.
    """
    if rest.sum() < _LEAST_FRAMES or speaking.sum() < _LEAST_FRAMES:
        return math.nan
    return float(curve[rest].std() / max(float(curve[speaking].std()), 1e-9))


def contrast(
    curve: FloatArray, ones: Sequence[Span], others: Sequence[Span], speaking: Mask
) -> float:
    """Return how far a curve lies apart at two kinds of phones, in its deviations while speaking.

    With the mouth's width, spread phones and rounded ones: 0 for a mouth that does not round.

    Args:
        curve: float32 [F].
        ones: spans where it should be high.
        others: spans where it should be low.
        speaking: bool [F].

    Returns:
        Difference of the means over the standard deviation; NaN if either kind is absent.
    """
    means = []
    for spans in (ones, others):
        frames = np.zeros(len(curve), bool)
        for start_s, end_s in spans:
            frames |= frames_within(len(curve), start_s, end_s)
        means.append(float(curve[frames].mean()) if frames.any() else math.nan)
    return (means[0] - means[1]) / max(float(curve[speaking].std()), 1e-9)


def frames_within(num_frames: int, start_s: float, end_s: float) -> Mask:
    """Return bool [F]: frames whose centre lies in a span; at least the nearest one."""
    centres_s = (np.arange(num_frames) + 0.5) / FRAME_RATE_HZ
    inside = (centres_s >= start_s) & (centres_s <= end_s)
    if not inside.any() and 0 <= start_s <= num_frames / FRAME_RATE_HZ:
        inside[int(np.abs(centres_s - 0.5 * (start_s + end_s)).argmin())] = True
    return inside


def count_events(closure: FloatArray, threshold: float) -> int:
    """Count how often a curve rises past a threshold, such as lids that shut; float32 [F]."""
    above = (closure > threshold).astype(np.int8)
    return int((np.diff(np.concatenate([[0], above])) == 1).sum())
