"""What is drawn in from beyond a border that cuts the person off: the skin next to it, stretched.

Place in the flow: a pose's backward field -> here -> the same field, which reads nothing from
beyond such a border. Nothing is known there. What lies inside moves as the head says; only towards
the border itself the picture is stretched the more, the further it is drawn in. Until 2026-11-23
everything near the border was held instead: its whole neighbourhood lagged behind a turning head.
Lengths in canvas units. Shape letters: P cells of the head's grid.
"""

from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.types import Array

ZONE: Final = 0.09
"""How far from the border the picture may be stretched."""
_CUT: Final = 40 / 255
"""Coverage of a border's cell from which the person goes on beyond it."""
_BESIDE: Final = 0.06
"""How softly that ends along the border."""
_LEAST: Final = 1e-4


class PictureBorder:
    """The borders of one portrait."""

    def __init__(self, avatar: Avatar, cells: int) -> None:
        """Find where the person is cut off.

        Args:
            avatar: the avatar.
            cells: P.
        """
        self._sides: dict[tuple[int, bool], Array] = {}
        if not (avatar.picture[..., 3] == 255).all():
            return
        cover = np.ones((cells, cells), np.float32)
        if avatar.backdrop.stands_still:
            person = avatar.backdrop.cutout[..., 3]
            cover = cv2.resize(person, (cells, cells), interpolation=cv2.INTER_AREA) / 255.0
        for axis, far in ((0, False), (0, True), (1, False), (1, True)):
            line = np.take(cover, -1 if far else 0, axis=1 - axis)
            cut = (line > _CUT).astype(np.float32)[None]
            if cut.any():
                reach = max(round(_BESIDE * cells), 1)
                wider = cv2.dilate(cut, np.ones((1, 2 * reach + 1), np.uint8))
                self._sides[axis, far] = cv2.blur(wider, (2 * reach + 1, 1))[0]

    def kept(self, back: Array, places: Array) -> Array:
        """Return a backward field that reads nothing from beyond a border which cuts.

        Args:
            back: float32 [P, P, 2], of a pose.
            places: float32 [P, P, 2], the cells.

        Returns:
            float32 [P, P, 2].
        """
        source = places + back
        drawn = False
        for (axis, far), cut in self._sides.items():
            near = _near(source, axis, far=far)
            away = 1 - near if far else near
            beyond = np.minimum(away.min(1), 0) * (cut > 0)
            if float(beyond.min()) < -_LEAST:
                moved = _stretched(away, beyond, cut)
                near[:, : moved.shape[1]] = 1 - moved if far else moved
                drawn = True
        return np.asarray(source - places, np.float32) if drawn else back


def _near(source: Array, axis: int, *, far: bool) -> Array:
    """Return a view [P, P / 2] of one coordinate next to a border: along it, and away from it.

    Args:
        source: float32 [P, P, 2].
        axis: 0 for the left and right border, 1 for the upper and lower one.
        far: the right or lower border.
    """
    plane = source[..., 0] if axis == 0 else source[..., 1].T
    half = plane.shape[1] // 2
    return plane[:, : -half - 1 : -1] if far else plane[:, :half]


def _stretched(away: Array, beyond: Array, cut: Array) -> Array:
    """Draw the picture next to a border out over what would be read from beyond it.

    Args:
        away: float32 [P, A], how far from the border each cell is read; below 0 is beyond it.
        beyond: float32 [P], the furthest of it, 0 or less.
        cut: float32 [P], where along the border the person is cut off, 0..1.

    Returns:
        float32 [P, B], the same of the first B <= A cells; the others stay as they are.
    """
    last = int(np.flatnonzero((away < ZONE).any(0))[-1]) + 1
    away = away[:, :last]
    length = (np.float32(ZONE) - beyond)[:, None]
    # Slope 1 where the zone begins, less and less towards the border, never a fold.
    share = np.clip((away - beyond[:, None]) / length, 0, 1)
    drawn = np.where(share < 1, ZONE * share ** (length / np.float32(ZONE)), away)
    return away + cut[:, None] * (drawn - away)
