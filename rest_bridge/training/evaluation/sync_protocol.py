"""Sync-C and Sync-D by the SyncNet protocol: distance of sound and picture at each offset.

For each window the distance of its picture to the sound shifted by -15 to 15 frames; the mean over
windows makes a curve. Sync-D is its minimum, Sync-C its median minus its minimum, the offset is
where the minimum lies (> 0: the picture is late). A constant offset lowers neither score, so it is
always reported (REST.md section 7.1). Shape letters: W windows, D features.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from rest_bridge.types import FRAME_RATE_HZ, FloatArray

MOST_SHIFT: Final = 15


@dataclass(frozen=True, slots=True)
class SyncScore:
    """Of one clip.

    Attributes:
        confidence: Sync-C.
        distance: Sync-D.
        offset_ms: > 0: the picture comes late.
        curve: float32 [31], mean distance at each offset from -15 to 15 frames.
    """

    confidence: float
    distance: float
    offset_ms: float
    curve: FloatArray


def sync_score(seen: FloatArray, heard: FloatArray) -> SyncScore:
    """Score a clip.

    Args:
        seen: float32 [W, D], a window a video frame.
        heard: float32 [W, D], the sound of the same windows.

    Returns:
        The score.

    Raises:
        ValueError: the clip is too short for any shift.
    """
    curve = offset_curve(seen, heard)
    best = int(np.argmin(curve))
    return SyncScore(
        confidence=float(np.median(curve) - curve[best]),
        distance=float(curve[best]),
        offset_ms=(best - MOST_SHIFT) * 1000.0 / FRAME_RATE_HZ,
        curve=curve,
    )


def offset_curve(seen: FloatArray, heard: FloatArray) -> FloatArray:
    """Return the mean distance at each offset, float32 [31].

    Offset k pairs picture f with sound f - k: what is said at f - k shows at f, k frames late. Only
    windows that have a partner at every offset count, so that all offsets judge the same pictures.
    """
    count = min(len(seen), len(heard))
    inner = np.arange(MOST_SHIFT, count - MOST_SHIFT)
    if not len(inner):
        raise ValueError(f"a clip of {count} windows is too short for shifts of {MOST_SHIFT}")
    shifts = range(-MOST_SHIFT, MOST_SHIFT + 1)
    return np.array(
        [np.linalg.norm(seen[inner] - heard[inner - k], axis=1).mean() for k in shifts], np.float32
    )
