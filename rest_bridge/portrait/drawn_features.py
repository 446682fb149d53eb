"""Moves eyes and mouth of a drawn face from where the network sees them to where the lines are.

Place in the flow: landmark net -> here (drawings only) -> head fit. The net has seen few drawings:
of tall eyes it marks the iris, and a mouth of one short line it puts a lip too low. In a drawing
the truth is plain to see: an eye ends where flat skin begins, a lid is its darkest line, a mouth is
the dark line below the nose, open if no skin follows. Lengths in eye distances unless said
otherwise.
Shape letters: N canvas pixels, C columns across an eye, R rows of a strip.
"""

from typing import Final

import numpy as np

from rest_bridge.portrait.contours import EYES, MOUTH_LEFT, MOUTH_RIGHT, Axes, sample_picture
from rest_bridge.types import Array, ByteArray

_COLUMNS: Final = 15
_UP: Final = 0.42
_DOWN: Final = 0.42
_STEP: Final = 0.008
_LIKE_SKIN: Final = 26.0
"""Largest difference of a channel (0..255) at which a pixel counts as skin."""
_SKIN_RUN: Final = 0.03
_WIDEN: Final = 0.3
"""Share of an eye's width by which a corner may move outwards."""
_MOUTH_REACH: Final = 0.16
_LEAST_LINE: Final = 25.0
"""Mean darkness (sum of channels) that a mouth's line must have."""
_OPEN: Final = 0.07
_HIGHEST: Final = 0.12
_LOWEST: Final = 0.63
_USUAL: Final = 0.42
"""Share of the way from the nose to the chin at which a mouth is taken for right, or put."""


def snap_to_lines(picture: ByteArray, landmarks: Array, eye_distance: float, skin: Array) -> Array:
    """Move lids and mouth to the drawing's lines.

    Args:
        picture: uint8 [N, N, 4].
        landmarks: float32 [66, 2], canvas units.
        eye_distance: canvas units.
        skin: float32 [3], the skin's colour, 0..255.

    Returns:
        float32 [66, 2]; what is not found stays.
    """
    out = landmarks.astype(np.float32).copy()
    for side in ("left", "right"):
        _snap_eye(picture, out, side, eye_distance, skin)
    _snap_mouth(picture, out, eye_distance, skin)
    return out


def _snap_eye(
    picture: ByteArray, landmarks: Array, side: str, eye_distance: float, skin: Array
) -> None:
    ring = list(EYES[side])
    points = landmarks[ring]
    axes = Axes(points[0], points[3] - points[0])
    centre = axes.local(points[[1, 2, 4, 5]]).mean(0)[1]
    s = np.linspace(0.2, 0.8, _COLUMNS, dtype=np.float32)
    t = np.arange(-_UP, _DOWN, _STEP, dtype=np.float32) * eye_distance + centre
    local = np.stack(np.broadcast_arrays(s[None], t[:, None]), -1)
    colours = sample_picture(picture[..., :3], axes.canvas(local))
    is_skin = np.abs(colours - skin).max(-1) < _LIKE_SKIN
    middle = int(np.searchsorted(t, centre))
    upper = np.full(len(s), np.nan)
    lower = np.full(len(s), np.nan)
    for column in range(len(s)):
        stop = _first_run(is_skin[middle:, column])
        if stop is not None and stop > 2:
            lower[column] = t[middle + stop - 1]
        stop = _first_run(is_skin[:middle, column][::-1])
        reach = middle if stop is None else stop
        if reach > 4:
            brightness = colours[middle - reach : middle, column].sum(-1)
            upper[column] = t[middle - reach + int(brightness.argmin())]
    if np.isfinite(upper).mean() < 0.6 or np.isfinite(lower).mean() < 0.6:
        return
    top, bottom = np.nanmedian(upper), np.nanmedian(lower)
    if bottom - top < 0.06 * eye_distance:  # a laughing eye is one line: nothing to open or shut
        return
    for numbers, heights, limits in (
        ((1, 2), upper, (top - 0.06 * eye_distance, top + 0.12 * eye_distance)),
        ((5, 4), lower, (bottom - 0.12 * eye_distance, bottom + 0.06 * eye_distance)),
    ):
        known = np.isfinite(heights)
        curve = np.polyfit(s[known], np.clip(heights[known], *limits), 2)
        place = np.array([0.3, 0.7])
        moved = axes.canvas(np.stack([place, np.polyval(curve, place)], -1))
        for number, point in zip(numbers, moved, strict=True):
            landmarks[ring[number]] = point
    heights = np.linspace(0.35 * top + 0.65 * bottom, 0.6 * top + 0.4 * bottom, 5)
    width = float(np.linalg.norm(axes.along))
    out = np.arange(0.3, 0.5 + _WIDEN, _STEP * eye_distance / width, dtype=np.float32)
    for number, sign in ((0, -1.0), (3, 1.0)):
        local = np.stack(np.broadcast_arrays(0.5 + sign * out[:, None], heights[None]), -1)
        colours = sample_picture(picture[..., :3], axes.canvas(local))
        is_skin = np.abs(colours - skin).max(-1) < _LIKE_SKIN
        found = [_first_run(is_skin[:, row]) for row in range(len(heights))]
        ends = [out[k] for k in found if k is not None]
        if len(ends) >= 3 and np.median(ends) > 0.5:
            landmarks[ring[number]] += (np.median(ends) - 0.5) * sign * axes.along


def _first_run(is_skin: Array) -> int | None:
    """Return where a run of skin begins, None if nowhere."""
    length = max(2, round(_SKIN_RUN / _STEP))
    runs = np.convolve(is_skin.astype(np.int32), np.ones(length, np.int32), "valid")
    found = np.flatnonzero(runs == length)
    return int(found[0]) if len(found) else None


def _snap_mouth(picture: ByteArray, landmarks: Array, eye_distance: float, skin: Array) -> None:
    _bring_up(landmarks)
    left, right = landmarks[MOUTH_LEFT], landmarks[MOUTH_RIGHT]
    axes = Axes((left + right) / 2, (right - left) / 2)
    centre = axes.local(landmarks[59:66]).mean(0)[1]
    s = np.linspace(-0.7, 0.7, 29, dtype=np.float32)
    t = np.arange(-_MOUTH_REACH, _MOUTH_REACH, _STEP, dtype=np.float32) * eye_distance
    local = np.stack(np.broadcast_arrays(s[None], (t + centre)[:, None]), -1)
    grey = sample_picture(picture[..., :3], axes.canvas(local)).sum(-1)
    # Lines are thin: how much darker than the lighter of what lies above and below.
    width = max(2, round(0.035 / _STEP))
    padded = np.pad(grey, ((width, width), (0, 0)), mode="edge")
    depth = np.clip(np.minimum(padded[: len(t)], padded[2 * width :]) - grey, 0, 240)
    edge = np.clip(padded[: len(t)] - grey, 0, 240)  # an open mouth is dark or red below its line
    depth = np.maximum(depth, 0.7 * edge)
    best, row, bow = 0.0, 0, np.zeros(len(s), np.int64)
    for amount in np.linspace(-15, 15, 11):
        shift = np.rint(amount * (s**2 - 0.25)).astype(np.int64)
        index = np.clip(np.arange(len(t))[:, None] + shift[None], 0, len(t) - 1)
        score = np.take_along_axis(depth, index, 0).mean(1)
        score = score * (1 - 0.5 * (t / (_MOUTH_REACH * eye_distance)) ** 2)
        if score.max() > best:
            best, row, bow = float(score.max()), int(score.argmax()), shift
    if best < _LEAST_LINE:
        return
    unit = axes.along / np.linalg.norm(axes.along)
    normal = np.array([-unit[1], unit[0]], np.float32)
    landmarks[48:66] += np.float32(t[row]) * normal
    line = np.clip(row + bow, 0, len(t) - 1) * _STEP * eye_distance
    line = (line + t[0] + centre).astype(np.float32)
    _open_mouth(picture, landmarks, axes, (s, line), eye_distance, skin)


def _bring_up(landmarks: Array) -> None:
    """Bring a mouth that was put onto the chin back to where mouths are."""
    nose, chin = landmarks[33], landmarks[8]
    down = chin - nose
    share = float((landmarks[58:66].mean(0) - nose) @ down / (down @ down))
    if not _LOWEST > share > _HIGHEST:
        landmarks[48:66] += ((_USUAL - share) * down).astype(np.float32)
        middle = landmarks[58:66].mean(0)
        landmarks[48:66] = middle + 0.7 * (landmarks[48:66] - middle)


def _open_mouth(
    picture: ByteArray,
    landmarks: Array,
    axes: Axes,
    line: tuple[Array, Array],
    eye_distance: float,
    skin: Array,
) -> None:
    """Set the inner lips where what follows below the line is no skin."""
    s, top = line
    below = np.arange(0.025, 0.7, _STEP, dtype=np.float32) * eye_distance
    local = np.stack(np.broadcast_arrays(s[None], top[None] + below[:, None]), -1)
    colours = sample_picture(picture[..., :3], axes.canvas(local))
    is_skin = np.abs(colours - skin).max(-1) < _LIKE_SKIN
    runs = [_first_run(is_skin[:, column]) for column in range(len(s))]
    depth = np.array([np.nan if run is None else float(below[run]) for run in runs])
    inner = np.abs(s) < 0.5
    if np.isnan(depth[inner]).any() or np.median(depth[inner]) < _OPEN * eye_distance:
        return
    depth = np.minimum(depth, 1.4 * float(np.median(depth[inner])))
    fitted = np.polyfit(s[inner], (top + depth)[inner], 2)
    if fitted[0] > 0:  # a lower lip does not bulge into the mouth
        fitted = np.array([0.0, 0.0, float(np.median((top + depth)[inner]))])
    bottom = np.polyval(fitted, s)
    for numbers, heights in (((59, 60, 61), top), ((65, 64, 63), bottom)):
        place = np.array([-0.45, 0.0, 0.45])
        moved = axes.canvas(np.stack([place, np.interp(place, s, heights)], -1))
        landmarks[list(numbers)] = moved
