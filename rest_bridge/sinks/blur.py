"""A background made of the portrait itself: large, out of focus, a little darker.

It stands still while the face moves, and is made anew when the picture changes as a whole: another
avatar. A picture without background of its own gives its mean colours.
"""

from typing import Final

import cv2
import numpy as np

from rest_bridge.sinks.alpha import over, premultiply
from rest_bridge.types import ByteArray

_THUMBNAIL_PX: Final = 24
_OTHER_PICTURE: Final = 18.0
"""Mean difference of thumbnails, 0..255, from which on it is another picture. The built-in faces
reach 12 with lively heads, two of them differ by 26 to 103 (measured)."""
_WORK_PX: Final = 96
"""Longer side at which the blur is computed: nothing finer is left of the picture anyway."""
_SIGMA: Final = 0.06
"""Of the blur, as a share of the longer side."""
_BRIGHTNESS: Final = 0.62


class BlurredSelf:
    """The blurred background of one output.

    Args:
        width: of the output, pixels.
        height: of the output, pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._seen: ByteArray | None = None

    def of(self, rgba: ByteArray) -> ByteArray | None:
        """Return the background that belongs to a picture, or None if it is still the last one.

        Args:
            rgba: uint8 [H, W, 4], straight alpha.

        Returns:
            RGB uint8 [height, width, 3].
        """
        if rgba.shape[0] < _THUMBNAIL_PX or rgba.shape[1] < _THUMBNAIL_PX:
            return None  # what a camera shows before its first frame
        small = (_THUMBNAIL_PX, _THUMBNAIL_PX)
        # Nearest neighbours: a twentieth of the time that averaging takes, and good enough to tell.
        thumbnail = np.asarray(cv2.resize(rgba, small, interpolation=cv2.INTER_NEAREST), np.uint8)
        if (
            self._seen is not None
            and cv2.norm(thumbnail, self._seen, cv2.NORM_L1) < _OTHER_PICTURE * thumbnail.size
        ):
            return None
        self._seen = thumbnail
        return self._blurred(rgba)

    def _blurred(self, rgba: ByteArray) -> ByteArray:
        width, height = self._size
        scale = _WORK_PX / max(width, height)
        work = (max(2, round(width * scale)), max(2, round(height * scale)))
        side = max(work)  # the square picture fills the output, as "cover" does
        whole = cv2.resize(premultiply(rgba), (side, side), interpolation=cv2.INTER_AREA)
        opaque = over(np.asarray(whole, np.uint8), _mean_colour(rgba, side))
        top, left = (side - work[1]) // 2, (side - work[0]) // 2
        part = opaque[top : top + work[1], left : left + work[0]]
        sigma = _SIGMA * _WORK_PX
        soft = cv2.GaussianBlur(part, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        large = cv2.resize(soft, self._size, interpolation=cv2.INTER_CUBIC)
        return np.asarray(cv2.convertScaleAbs(large, alpha=_BRIGHTNESS), np.uint8)


def _mean_colour(rgba: ByteArray, side: int) -> ByteArray:
    weights = rgba[..., 3:].astype(np.float32) + 1e-3
    mean = (rgba[..., :3] * weights).sum((0, 1)) / weights.sum()
    return np.full((side, side, 3), mean.round().astype(np.uint8), np.uint8)
