"""Small displacement fields on grids: reading them between cells, and turning them around.

Places are canvas points (canvas 1 wide, y down). A grid over a box holds cell centres.
Shape letters: H/W cells or points, C channels.
"""

import cv2
import numpy as np

from rest_bridge.types import FloatArray

_INVERSION_ROUNDS = 7
_STEP = np.float32(0.72)
"""Below 1, so that stretches of more than twice (raised brows) converge as well."""


def grid_points(box: FloatArray, height: int, width: int) -> FloatArray:
    """Return float32 [height, width, 2], the places of a grid's cell centres.

    Args:
        box: float32 [4]: left, top, right, bottom.
        height: rows.
        width: columns.

    Returns:
        The places.
    """
    x = box[0] + (np.arange(width, dtype=np.float32) + 0.5) / width * (box[2] - box[0])
    y = box[1] + (np.arange(height, dtype=np.float32) + 0.5) / height * (box[3] - box[1])
    return np.stack(np.meshgrid(x, y), -1).astype(np.float32)


def read_field(field: FloatArray, box: FloatArray, points: FloatArray) -> FloatArray:
    """Read a field at any places, bilinear; beyond the box the border cells continue.

    Args:
        field: float32 [H, W, C] with C up to 4, or [H, W].
        box: float32 [4] of the field.
        points: float32 [H', W', 2].

    Returns:
        float32 [H', W', C] or [H', W'].
    """
    size = np.array([field.shape[1], field.shape[0]], np.float32)
    gain = size / (box[2:] - box[:2])
    cells = points * gain - (box[:2] * gain + np.float32(0.5))
    return cv2.remap(field, cells, None, cv2.INTER_LINEAR,  # pyright: ignore[reportCallIssue, reportArgumentType]
                     borderMode=cv2.BORDER_REPLICATE)  # fmt: skip


def invert(forward: FloatArray, box: FloatArray, places: FloatArray) -> FloatArray:
    """Turn a forward displacement into the backward one, by fixed-point iteration.

    Solves b(y) = -f(y + b(y)) with damping; converges where neighbouring places do not overtake
    each other and stretch less than 2.7 times.

    Args:
        forward: float32 [H, W, 2], where the thing seen at a place of the portrait moves by.
        box: float32 [4] of the field.
        places: float32 [H, W, 2], `grid_points` of the field.

    Returns:
        float32 [H, W, 2], what to add to a place to find its source in the portrait.
    """
    backward = -forward
    for _ in range(_INVERSION_ROUNDS):
        found = read_field(forward, box, places + backward)
        backward -= _STEP * (found + backward)
    return backward


def smoothstep(low: float, high: float, value: FloatArray) -> FloatArray:
    """Return 0 below `low`, 1 above `high`, smooth between.

    Args:
        low: lower edge.
        high: upper edge.
        value: float32 of any shape.

    Returns:
        float32 of the same shape.
    """
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)
