"""The square canvas around head and shoulders that an avatar is made of.

Place in the flow: picture and landmarks -> here -> canvas -> the rest of the import. Cuts along
whole pixels where it can, so that nothing is resampled. Shape letters: N canvas pixels.
"""

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rest_bridge.errors import AvatarError
from rest_bridge.portrait.pictures import read_picture
from rest_bridge.types import Array, ByteArray

_EYE_SHARE: Final = 0.2
"""Distance of the eyes as a share of the canvas, where the picture is large enough."""
_EYE_LINE: Final = 0.42
_MOST_RAISED: Final = 0.08
"""Share of the canvas by which it may be raised so that shoulders reach its lower edge."""
_MAX_CANVAS_PX: Final = 1536
_MIN_EYE_DISTANCE_PX: Final = 12.0


def cut_canvas(pixels: ByteArray, points: Array) -> tuple[ByteArray, Array, Array, float]:
    """Cut a square around head and shoulders.

    Args:
        pixels: uint8 [H, W, 4].
        points: float [66, 2], pixels.

    Returns:
        The canvas uint8 [N, N, 4], its landmarks in canvas units, its corner in pixels of the
        picture, and canvas pixels for each of the picture's.

    Raises:
        AvatarError: the face is too small.
    """
    height, width = pixels.shape[:2]
    eyes = points[36:42].mean(0), points[42:48].mean(0)
    distance = float(np.linalg.norm(eyes[1] - eyes[0]))
    if distance < _MIN_EYE_DISTANCE_PX:
        raise AvatarError(
            f"The face is too small: its eyes are {distance:.0f} pixels apart, at least "
            f"{_MIN_EYE_DISTANCE_PX:.0f} are needed; use a larger picture or crop to the face."
        )
    middle = (eyes[0] + eyes[1]) / 2
    side = distance / _EYE_SHARE
    has_alpha = bool((pixels[..., 3] < 255).any())
    if not has_alpha:  # stay inside the picture: nothing can be shown beyond it
        side = min(side, float(min(height, width)))
    corner = middle - np.array([0.5, _EYE_LINE]) * side
    if not has_alpha:
        corner = np.clip(corner, 0, np.array([width, height]) - side)
    elif pixels[-1, :, 3].any():  # cut off by the picture's edge: let the canvas end there too
        corner[1] = min(corner[1], max(height - side, corner[1] - _MOST_RAISED * side))
    canvas_px = int(np.clip(round(side), 64, _MAX_CANVAS_PX))
    scale = canvas_px / side
    whole = np.round(corner)
    if canvas_px == round(side):  # cut along pixels: no resampling at all
        corner, scale = whole, 1.0
    canvas = cut_square(pixels, corner, scale, canvas_px)
    return canvas, ((points - corner) * scale / canvas_px).astype(np.float32), corner, scale


def read_same_size(path: Path, pixels: ByteArray) -> ByteArray:
    """Read another picture of the same portrait; AvatarError if its size differs."""
    other = read_picture(path)
    if other.shape != pixels.shape:
        raise AvatarError(
            f"This picture has {other.shape[1]} x {other.shape[0]} pixels, the portrait has "
            f"{pixels.shape[1]} x {pixels.shape[0]}; both must show the same pose at the same "
            f"size: {path}"
        )
    return other


def cut_square(pixels: ByteArray, corner: Array, scale: float, canvas_px: int) -> ByteArray:
    """Cut the canvas out of a picture; beyond its edges transparent or the edge repeated."""
    has_alpha = bool((pixels[..., 3] < 255).any())
    matrix = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    matrix[:, 2] += 0.5 * scale - 0.5
    premultiplied = pixels.astype(np.float32)
    premultiplied[..., :3] *= premultiplied[..., 3:] / 255
    if scale < 1:
        sigma = 0.4 * (1 / scale - 1)
        premultiplied = cv2.GaussianBlur(premultiplied, (0, 0), max(sigma, 1e-3))
    border = cv2.BORDER_CONSTANT if has_alpha else cv2.BORDER_REPLICATE
    out = cv2.warpAffine(premultiplied, matrix, (canvas_px, canvas_px), flags=cv2.INTER_LINEAR
                         if scale == 1.0 else cv2.INTER_CUBIC, borderMode=border)  # fmt: skip
    alpha = np.clip(out[..., 3:], 0, 255)
    colour = np.where(alpha > 0, out[..., :3] * 255 / np.maximum(alpha, 1e-3), 0)
    return np.rint(np.clip(np.concatenate([colour, alpha], -1), 0, 255)).astype(np.uint8)
