"""The 66 face points: their order, mirror image, and what is measured from them.

Order (OpenSeeFace; the 68 of Multi-PIE without the two inner mouth corners' twins): 0-16 contour
from the image's left ear over the chin (8), 17-21 and 22-26 brows, 27-30 nose ridge, 31-35 nose
base, 36-41 eye on the image's left (outer corner first, over the upper lid), 42-47 the other eye
(inner corner first), 48-52 upper outer lip, 53-57 lower outer lip from the image's right, 58-61-62
inner mouth: 58 corner on the image's left, 59-61 upper lip, 62 other corner, 63-65 lower lip.
"""

from typing import Final

import numpy as np

from rest_bridge.portrait.detect import MIRROR
from rest_bridge.training.render.raster import Array

NUM_LANDMARKS: Final = 66

MULTIPIE68: Final = np.array([*range(48), *range(49, 54), *range(55, 60), *range(60, 68)])
"""Where each of the 66 stands among the 68 Multi-PIE points."""

LEFT_EYE: Final = slice(36, 42)
"""The eye on the image's left (the person's right)."""
RIGHT_EYE: Final = slice(42, 48)
MOUTH: Final = slice(48, 66)


def eye_centres(points: Array) -> tuple[Array, Array]:
    """Return the middle of both eyes, image's left first; points [..., 66, 2]."""
    return points[..., LEFT_EYE, :].mean(-2), points[..., RIGHT_EYE, :].mean(-2)


def inter_ocular(points: Array) -> Array:
    """Return the distance between the middles of the eyes; points [..., 66, 2]."""
    left, right = eye_centres(points)
    return np.linalg.norm(right - left, axis=-1)


def mirror_points(points: Array, width: float) -> Array:
    """Return the 66 points of the mirrored picture; points [66, 2] pixels."""
    mirrored = points[MIRROR].copy()
    mirrored[:, 0] = width - mirrored[:, 0]
    return mirrored


def face_square(points: Array) -> Array:
    """Return (x, y, side): the square of 2.6 eye distances between eyes and mouth."""
    left, right = eye_centres(points)
    centre = ((left + right) / 2 + points[MOUTH].mean(0)) / 2
    return np.array([*centre, 2.6 * inter_ocular(points)], np.float32)


def part_boxes(points: Array) -> Array:
    """Return float32 [3, 3]: (x, y, side) of the left eye, right eye and mouth in the image."""
    boxes = []
    for part in (LEFT_EYE, RIGHT_EYE, MOUTH):
        low, high = points[part].min(0), points[part].max(0)
        boxes.append([*((low + high) / 2), float((high - low).max())])
    return np.array(boxes, np.float32)
