"""The curves of lips and lids in a portrait, from its landmarks and its pixels.

Place in the flow: landmarks -> here -> layers of mouth and eyes. All lengths in canvas units
(canvas 1 wide, y DOWN). Shape letters: S samples along a curve.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rest_bridge.types import Array, ByteArray

MOUTH_LEFT: Final = 58
MOUTH_RIGHT: Final = 62
_UPPER_LIP: Final = (59, 60, 61)
_LOWER_LIP: Final = (65, 64, 63)
EYES: Final = {"left": (36, 37, 38, 39, 40, 41), "right": (42, 43, 44, 45, 46, 47)}
"""Corner, upper two, corner, lower two (right to left), from the picture's left to its right."""
BROWS: Final = {"left": (17, 18, 19, 20, 21), "right": (22, 23, 24, 25, 26)}
_NUM_SAMPLES: Final = 33
_CLOSED_GAP: Final = 0.1
"""Lips nearer than this (eye distances) count as closed: the landmarks are no better."""
_SURELY_OPEN: Final = 0.14
"""Between the two the picture decides: teeth or darkness show, or only a line."""
_INSIDE: Final = 0.35
"""How unlike the lips (0 as they are, 1 half as bright or colourless) the mouth's inside is."""
_INTERRUPTION: Final = 3
"""Rows of 41 that may look like lips between two parts of a mouth's inside."""


@dataclass(frozen=True, slots=True)
class Axes:
    """A local frame: `origin`, `along` (its unit of s) and the perpendicular t, downwards."""

    origin: Array
    along: Array

    def local(self, points: Array) -> Array:
        """Return (s, t) of canvas points [..., 2]; s in units of `along`, t in canvas units."""
        length = float(np.linalg.norm(self.along))
        unit = self.along / length
        shifted = points - self.origin
        return np.stack(
            [shifted @ unit / length, shifted @ np.array([-unit[1], unit[0]], np.float32)], -1
        )

    def canvas(self, local: Array) -> Array:
        """Return the canvas points of (s, t) [..., 2]."""
        unit = self.along / np.linalg.norm(self.along)
        normal = np.array([-unit[1], unit[0]])
        return (self.origin + local[..., :1] * self.along + local[..., 1:] * normal).astype(
            np.float32
        )


@dataclass(frozen=True, slots=True)
class LipCurves:
    """The mouth's frame (s from -1 to 1 between the corners) and both inner lip contours.

    Attributes:
        axes: frame of the mouth.
        upper: float32 [S], t of the upper lip's lower edge over s = linspace(-1, 1, S).
        lower: float32 [S], t of the lower lip's upper edge.
        gap: largest opening; 0 for a closed mouth.
    """

    axes: Axes
    upper: Array
    lower: Array
    gap: float

    @property
    def places(self) -> Array:
        """The s of every sample."""
        return np.linspace(-1, 1, len(self.upper), dtype=np.float32)

    def points(self, heights: Array) -> Array:
        """Return canvas points [S, 2] of a curve given by its t."""
        return self.axes.canvas(np.stack([self.places, heights], 1))


def lip_curves(
    landmarks: Array, picture: ByteArray, eye_distance: float, *, split_line: bool
) -> LipCurves:
    """Find the lips' inner contours.

    Args:
        landmarks: float32 [66, 2].
        picture: uint8 [N, N, 4].
        eye_distance: canvas units.
        split_line: cut along the middle of the line between closed lips, so that both lips keep a
            drawn outline; otherwise it stays with the upper lip, as its shadow.

    Returns:
        The contours; equal where the mouth is closed, then on the darkest path between the
        corners.
    """
    left, right = landmarks[MOUTH_LEFT], landmarks[MOUTH_RIGHT]
    # The landmarks stand at the ends of the lips' red, a little outside of where they part.
    axes = Axes((left + right) / 2, (right - left) / 2 * np.float32(0.95))
    s = np.linspace(-1, 1, _NUM_SAMPLES, dtype=np.float32)
    curves: list[Array] = []
    for numbers in (_UPPER_LIP, _LOWER_LIP):
        points = axes.local(landmarks[list(numbers)]).clip(-0.98, 0.98)
        bow = np.stack([(1 - points[:, 0] ** 2) * points[:, 0] ** k for k in range(3)], 1)
        weights = np.linalg.lstsq(bow, points[:, 1], rcond=None)[0]
        powers = np.stack([(1 - s**2) * s**k for k in range(3)])
        curves.append((weights @ powers).astype(np.float32))
    upper, lower = curves
    gap = float(np.max((lower - upper)[8:-8]))
    is_open = gap >= _SURELY_OPEN * eye_distance or (
        gap >= _CLOSED_GAP * eye_distance and _shows_inside(picture, axes, upper, lower)
    )
    if is_open:
        if not split_line:
            upper, lower = _tightened(picture, axes, upper, lower, eye_distance)
        lower = np.maximum(lower, upper)
        return LipCurves(axes, upper, lower, float(np.max((lower - upper)[8:-8])))
    line = _darkest_path(picture, axes, (upper + lower) / 2, 0.05 * eye_distance)
    if not split_line:
        line = line + np.float32(0.012 * eye_distance) * (1 - s**2)
    return LipCurves(axes, line, line, 0.0)


def _shows_inside(picture: ByteArray, axes: Axes, upper: Array, lower: Array) -> bool:
    """Say whether what lies between the contours looks unlike the lips around it."""
    s = np.linspace(-1, 1, len(upper), dtype=np.float32)
    gap = float((lower - upper).max())

    def colours(*heights: Array) -> Array:
        local = np.stack([np.stack([s, height], -1)[8:-8] for height in heights])
        return sample_picture(picture[..., :3], axes.canvas(local)).reshape(-1, 3)

    inside = colours(*(upper + k * (lower - upper) for k in (0.35, 0.5, 0.65)))
    lips = np.median(colours(upper - 0.5 * gap, lower + 0.5 * gap), 0)
    middle = np.median(inside, 0)
    brightness = float(middle.mean() / max(float(lips.mean()), 1.0))
    pale = float(np.ptp(middle) / max(float(np.ptp(lips)), 1.0))
    return brightness < 0.62 or (brightness > 1.1 and pale < 0.75)


def _tightened(
    picture: ByteArray, axes: Axes, upper: Array, lower: Array, eye_distance: float
) -> tuple[Array, Array]:
    """Draw the contours of an open mouth to where its dark or its teeth begin.

    The landmarks stand on the lips' red; what is cut there moves with the teeth.
    """
    s = np.linspace(-1, 1, len(upper), dtype=np.float32)
    reach = 0.04 * eye_distance
    rows = 41
    share = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    heights = (upper - reach) + share * (lower - upper + 2 * reach)
    local = np.stack(np.broadcast_arrays(s[None], heights), -1)
    colours = sample_picture(picture[..., :3], axes.canvas(local))
    lips = np.median(np.concatenate([colours[:4, 8:-8], colours[-4:, 8:-8]]).reshape(-1, 3), 0)
    dark = 2 * (1 - colours.mean(-1) / max(float(lips.mean()), 1.0))
    chroma = np.ptp(colours, axis=-1) / np.maximum(colours.max(-1), 1)
    pale = 1.5 * (1 - chroma / max(float(np.ptp(lips) / max(lips.max(), 1)), 0.05))
    inside = np.maximum(dark, np.where(colours.mean(-1) > 0.6 * lips.mean(), pale, 0))
    inside = cv2.GaussianBlur(inside.astype(np.float32), (3, 3), 0)
    edges: list[tuple[int, float, float]] = []
    for column in range(4, len(s) - 4):
        peak = int(inside[6:-6, column].argmax()) + 6
        limit = max(0.5 * float(inside[peak, column]), _INSIDE)
        if inside[peak, column] < limit:
            continue
        start, stop = _stretch(inside[:, column] >= limit, peak)
        edges.append((column, float(heights[start, column]), float(heights[stop, column])))
    if len(edges) < 12:
        return upper, lower
    found = np.array(edges)
    at = s[found[:, 0].astype(np.int64)].astype(np.float64)
    bow = np.stack([(1 - at**2) * at**k for k in range(3)], 1)
    powers = np.stack([(1 - s**2) * s**k for k in range(3)])
    curves = [np.linalg.lstsq(bow, found[:, k], rcond=None)[0] @ powers for k in (1, 2)]
    # Dark lips look open at their corners: no opening is fuller there than a parabola.
    middle, half = (curves[0] + curves[1]) / 2, np.maximum(curves[1] - curves[0], 0) / 2
    half = np.minimum(half, 1.1 * float(np.median(half[10:-10])) * (1 - s**2))
    new_upper, new_lower = (middle - half).astype(np.float32), (middle + half).astype(np.float32)
    return np.maximum(new_upper, upper - reach), np.minimum(new_lower, lower + reach)


def _stretch(inside: Array, peak: int) -> tuple[int, int]:
    """Return the first and last row around a peak that belong to it, over narrow interruptions.

    Between teeth and the dark below them lies what is neither.
    """
    ends: list[int] = []
    for step in (-1, 1):
        row = last = peak
        while 0 <= row < len(inside) and abs(row - last) <= 1 + _INTERRUPTION:
            last = row if inside[row] else last
            row += step
        ends.append(last)
    return ends[0], ends[1]


def _darkest_path(picture: ByteArray, axes: Axes, guess: Array, reach: float) -> Array:
    """Follow the dark line between the lips by dynamic programming, near the guess."""
    rows = 25
    offsets = np.linspace(-reach, reach, rows, dtype=np.float32)
    s = np.linspace(-1, 1, len(guess), dtype=np.float32)
    local = np.stack(np.broadcast_arrays(s[None], guess[None] + offsets[:, None]), -1)
    grey = cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_RGB2GRAY)
    band = sample_picture(grey[..., None], axes.canvas(local))[..., 0]
    band = cv2.GaussianBlur(band, (3, 3), 0)
    contrast = float(np.percentile(band, 95) - np.percentile(band, 5)) + 1.0
    edge = (1 - s**2)[None] ** 0.5  # at the corners stay with the landmarks
    cost = band / contrast * edge + 0.5 * (offsets[:, None] / reach) ** 2 * (1.2 - 0.7 * edge)
    total, back = cost[:, 0].copy(), np.zeros((rows, len(s)), np.int64)
    step = np.abs(np.arange(rows)[:, None] - np.arange(rows)[None])
    for column in range(1, len(s)):
        candidate = total[None, :] + 0.08 * step**2
        back[:, column] = candidate.argmin(1)
        total = candidate.min(1) + cost[:, column]
    row = int(total.argmin())
    path = np.zeros(len(s), np.float32)
    for column in range(len(s) - 1, -1, -1):
        path[column] = offsets[row]
        row = int(back[row, column])
    kernel = np.array([1, 4, 6, 4, 1], np.float32) / 16
    path = np.convolve(np.pad(path, 2, mode="edge"), kernel, "valid")
    window = np.minimum(1.0, 6 * (1 - np.abs(s)))
    return (guess + path * window).astype(np.float32)


@dataclass(frozen=True, slots=True)
class LidCurves:
    """An eye's frame (s from 0 to 1 between the corners) and its curves, in eye widths.

    Attributes:
        axes: frame of the eye.
        places: float32 [S], s of every sample, also beyond the corners.
        upper: float32 [S], t of the open upper lid's edge, down positive.
        lower: float32 [S], t of the lower lid's edge.
        closed: float32 [S], t of the closed eye's line.
        top: float32 [S], t of where the lid's skin begins below the brow.
        bottom: float32 [S], t of where the lower lid ends on the cheek.
    """

    axes: Axes
    places: Array
    upper: Array
    lower: Array
    closed: Array
    top: Array
    bottom: Array


def lid_curves(landmarks: Array, side: str, closed_at: float) -> LidCurves:
    """Find an eye's lid curves.

    Args:
        landmarks: float32 [66, 2].
        side: "left" or "right" in the picture.
        closed_at: 0..1, height of the closed line between upper (0) and lower lid (1).

    Returns:
        The curves.
    """
    ring = landmarks[list(EYES[side])]
    axes = Axes(ring[0], ring[3] - ring[0])
    width = float(np.linalg.norm(axes.along))
    s = np.linspace(-0.5, 1.5, 2 * _NUM_SAMPLES - 1, dtype=np.float32)
    upper = _lid(axes.local(ring[1:3]) / [1, width], s)
    lower = _lid(axes.local(ring[[5, 4]]) / [1, width], s)
    middle = (upper + lower) / 2
    half = np.maximum((lower - upper) / 2, 0.02 * np.sin(np.pi * s.clip(0, 1)))
    upper, lower = middle - half, middle + half
    # Landmarks stand on the lids' edges: a little beyond, no white of the eye moves with the lid.
    lower = lower + np.float32(0.035) * np.sin(np.pi * s.clip(0, 1)).clip(0)
    brow = axes.local(landmarks[list(BROWS[side])]) / [1, width]
    brow_height = np.interp(s, brow[:, 0], brow[:, 1])
    opening = float((lower - upper).max())
    top = upper + np.minimum(0.72 * (brow_height - upper), -0.35 * opening)
    bottom = lower + 0.9 * opening + 0.05
    closed = upper + closed_at * (lower - upper)
    return LidCurves(axes, s, *(c.astype(np.float32) for c in (upper, lower, closed, top, bottom)))


def _lid(points: Array, s: Array) -> Array:
    """Pass t = (s (1 - s))^0.75 (a + b s) through two points; zero beyond the corners."""
    place = points[:, 0].clip(0.12, 0.88)
    profile = (place * (1 - place)) ** 0.75
    system = np.stack([profile, profile * place], 1)
    a, b = np.linalg.lstsq(system, points[:, 1], rcond=None)[0]
    inside = s.clip(0, 1)
    return ((inside * (1 - inside)) ** 0.75 * (a + b * inside)).astype(np.float32)


def sample_picture(picture: Array, points: Array) -> Array:
    """Read a picture at canvas points, bilinear, borders repeated.

    Args:
        picture: uint8 or float32 [N, M, C], C up to 4.
        points: float32 [H, W, 2].

    Returns:
        float32 [H, W, C].
    """
    size = np.array([picture.shape[1], picture.shape[0]], np.float32)
    place = (points * size - 0.5).astype(np.float32)
    out = cv2.remap(picture.astype(np.float32), place[..., 0], place[..., 1], cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    return out.reshape(*points.shape[:-1], -1).astype(np.float32)


def box_points(box: Array, height: int, width: int) -> Array:
    """Return float32 [height, width, 2], the canvas places of a box's cell centres."""
    x = box[0] + (np.arange(width, dtype=np.float32) + 0.5) / width * (box[2] - box[0])
    y = box[1] + (np.arange(height, dtype=np.float32) + 0.5) / height * (box[3] - box[1])
    return np.stack(np.meshgrid(x, y), -1).astype(np.float32)
