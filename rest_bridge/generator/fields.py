"""Small displacement fields on grids: reading them between cells, and turning them around.

Places are canvas points (canvas 1 wide, y down). A grid over a box holds cell centres.
Shape letters: H/W cells or points, C channels.
"""

from typing import Any

import cv2
import numpy as np

from rest_bridge.types import Array

_INVERSION_ROUNDS = 7
_STEP = 0.72
"""Below 1, so that stretches of more than twice (raised brows) converge as well."""


def grid_points(box: Array, height: int, width: int) -> Array:
    """Return float32 [height, width, 2], the places of a grid's cell centres.

    Args:
        box: float32 [4]: left, top, right, bottom.
        height: rows.
        width: columns.

    Returns:
        The places.
    """
    out = np.empty((height, width, 2), np.float32)
    out[..., 0] = box[0] + (np.arange(width) + 0.5) / width * (box[2] - box[0])
    out[..., 1] = (box[1] + (np.arange(height) + 0.5) / height * (box[3] - box[1]))[:, None]
    return out


def cells_of(points: Array, box: Array, height: int, width: int) -> Array:
    """Return where canvas points lie on a grid, in cells as OpenCV counts them.

    Args:
        points: float32 [H', W', 2].
        box: float32 [4] of the grid.
        height: rows of the grid.
        width: columns of the grid.

    Returns:
        float32 [H', W', 2].
    """
    x, y = width / float(box[2] - box[0]), height / float(box[3] - box[1])
    left, top = -float(box[0]) * x - 0.5, -float(box[1]) * y - 0.5
    # Ten times faster than broadcasting over a last axis of two.
    return cv2.transform(points, np.array([[x, 0, left], [0, y, top]]))


def read_cells(field: Array, cells: Array) -> Array:
    """Read a field or picture at cells, bilinear; beyond the border its cells continue.

    Args:
        field: float32 or uint8 [H, W, C] with C up to 4, or [H, W].
        cells: float32 [H', W', 2] from `cells_of`.

    Returns:
        [H', W', C] or [H', W'] of the same type.
    """
    if field.ndim == 3 and field.shape[2] == 2 and field.dtype == np.float32:
        return _first_pairs(_remap(_pairs_twice(field), cells))
    return _remap(field, cells)


def _remap(field: Array, cells: Array, flags: int = cv2.INTER_LINEAR) -> Array:
    remap: Any = cv2.remap  # its stubs know no two-channel map
    return remap(field, cells, None, flags, borderMode=cv2.BORDER_REPLICATE)


def _pairs_twice(field: Array) -> Array:
    """Return float32 [H, W, 2] with its channels twice, [H, W, 4].

    OpenCV 5 reads four float channels exactly and in 26 µs (96 x 96 places), but two of them at
    steps of 1/32 cell and in 38.
    """
    twice = np.empty((*field.shape[:2], 4), np.float32)
    cv2.mixChannels([field], [twice], [0, 0, 1, 1, 0, 2, 1, 3])
    return twice


def _first_pairs(twice: Array) -> Array:
    return np.ascontiguousarray(twice.view(np.complex64)[..., :1]).view(np.float32)


def planes(field: Array) -> Array:
    """Return float32 [C, H, W] of a field [H, W, C]: twice as fast as pieces of memory each."""
    found = np.empty((field.shape[2], *field.shape[:2]), field.dtype)
    cv2.split(field, list(found))
    return found


def mapped_four(field: Array, matrix: Array) -> Array:
    """Return float32 [H, W, 4], linear in a field [H, W, 2]; OpenCV does pairs ten times faster.

    Args:
        field: float32 [H, W, 2].
        matrix: float64 [4, 3]: of x, of y, and constant.
    """
    found = np.empty((*field.shape[:2], 4), np.float32)
    pairs = [cv2.transform(field, matrix[:2]), cv2.transform(field, matrix[2:])]
    cv2.mixChannels(pairs, [found], [0, 0, 1, 1, 2, 2, 3, 3])
    return found


def read_line(line: Array, places: Array) -> Array:
    """Read a line of values, linear between them; beyond its ends the last ones go on.

    Args:
        line: float32 [1, S, C] with C 1, 3 or 4, or [1, S].
        places: float32 [H, W], 0..S - 1.

    Returns:
        float32 [H, W, C] or [H, W].
    """
    # Three rows, read in the middle one: OpenCV reads next to a border a pixel at a time, four
    # times slower, and a picture of one row is nothing but border.
    rows = cv2.repeat(line, 3, 1)
    middle = np.ones_like(places)
    return cv2.remap(rows, places, middle, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def read_field(field: Array, box: Array, points: Array) -> Array:
    """Read a field at canvas points, bilinear; beyond the box its border cells continue.

    Args:
        field: float32 [H, W, C] with C up to 4, or [H, W].
        box: float32 [4] of the field.
        points: float32 [H', W', 2].

    Returns:
        float32 [H', W', C] or [H', W'].
    """
    return read_cells(field, cells_of(points, box, field.shape[0], field.shape[1]))


def invert(forward: Array, box: Array) -> Array:
    """Turn a forward displacement into the backward one, by fixed-point iteration.

    Solves b(y) = -f(y + b(y)) with damping; converges where neighbouring places do not overtake
    each other and stretch less than 2.7 times.

    Args:
        forward: float32 [H, W, 2], where the thing seen at a place of the portrait moves by.
        box: float32 [4] of the field.

    Returns:
        float32 [H, W, 2], what to add to a place to find its source in the portrait.
    """
    # In cells, so that the loop is one reading and one sum.
    gain = np.diag(np.array(forward.shape[1::-1]) / (box[2:] - box[:2]).astype(np.float64))
    backward = cv2.transform(forward, -gain)
    twice = _pairs_twice(-backward)
    for _ in range(_INVERSION_ROUNDS):
        found = _first_pairs(_remap(twice, backward, cv2.INTER_LINEAR | cv2.WARP_RELATIVE_MAP))
        cv2.addWeighted(backward, 1 - _STEP, found, -_STEP, 0, dst=backward)
    return cv2.transform(backward, np.linalg.inv(gain))


def to_local(origin: Array, along: Array, points: Array) -> Array:
    """Return (s, t) of canvas points: s in units of `along`, t perpendicular in canvas units.

    Args:
        origin: float32 [2].
        along: float32 [2].
        points: float32 [H, W, 2] or [S, 2].

    Returns:
        float32 of the same shape.
    """
    length = float(np.hypot(along[0], along[1]))
    unit = along / length
    basis = np.array([[unit[0] / length, unit[1] / length], [-unit[1], unit[0]]], np.float64)
    shift = -basis @ np.asarray(origin, np.float64)
    shape = points.shape if points.ndim == 3 else (1, *points.shape)
    matrix = np.concatenate([basis, shift[:, None]], 1)
    return cv2.transform(points.astype(np.float32).reshape(shape), matrix).reshape(points.shape)


def smoothstep(low: float, high: float, value: Array) -> Array:
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
