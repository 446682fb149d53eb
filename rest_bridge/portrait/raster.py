"""Which triangle covers each cell of a small grid: a z-buffer rasteriser in plain numpy.

Place in the flow: fitted head -> here -> geometry of every cell -> base flow. Runs once when a
portrait is imported (some 3,000 triangles on 160² cells: about 20 ms).
Shape letters: V vertices, N triangles, H/W cells.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from rest_bridge.types import Array


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a rasterised mesh covers.

    Attributes:
        corners: int64 [H, W, 3], vertex numbers of the nearest triangle; 0 where none.
        weights: float32 [H, W, 3], barycentric weights; 0 where none.
        covered: bool [H, W].
    """

    corners: Array
    weights: Array
    covered: Array

    def interpolate(self, values: Array) -> Array:
        """Carry vertex values to the cells.

        Args:
            values: float32 [V, ...].

        Returns:
            float32 [H, W, ...]; zero where nothing covers the cell.
        """
        weights = self.weights.reshape(*self.weights.shape, *([1] * (values.ndim - 1)))
        out = values[self.corners[..., 0]] * weights[:, :, 0]
        out += values[self.corners[..., 1]] * weights[:, :, 1]
        out += values[self.corners[..., 2]] * weights[:, :, 2]
        return out


def rasterise(points: Array, triangles: Array, height: int, width: int) -> Coverage:
    """Find the nearest front-facing triangle of every cell centre.

    Args:
        points: float32 [V, 3]: x to the right and y down in cells, z towards the viewer.
        triangles: int [N, 3], counter-clockwise as seen from the front with y up.
        height: cells.
        width: cells.

    Returns:
        The coverage of the grid.
    """
    triangles = triangles.astype(np.int64)
    a, b, c = (points[triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    triangles = triangles[area < -1e-6]  # y points down, so front faces turn the other way
    cell, number = _cells_under_boxes(points[triangles][..., :2], height, width)
    a, b, c = (points[triangles[number, k]] for k in range(3))
    x, y = cell % width + np.float32(0.5), cell // width + np.float32(0.5)
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    first = ((b[:, 0] - x) * (c[:, 1] - y) - (c[:, 0] - x) * (b[:, 1] - y)) / area
    second = ((c[:, 0] - x) * (a[:, 1] - y) - (a[:, 0] - x) * (c[:, 1] - y)) / area
    third = 1.0 - first - second
    inside = (first >= -1e-4) & (second >= -1e-4) & (third >= -1e-4)
    weights = np.stack([first, second, third], 1)[inside]
    cell, number = cell[inside], number[inside]
    depth = (points[triangles[number], 2] * weights).sum(1)
    order = np.argsort(depth, kind="stable")  # later writes win: the nearest comes last
    corners = np.zeros((height * width, 3), np.int64)
    out_weights = np.zeros((height * width, 3), np.float32)
    covered = np.zeros(height * width, bool)
    corners[cell[order]] = triangles[number[order]]
    out_weights[cell[order]] = weights[order]
    covered[cell] = True
    shape = (height, width)
    return Coverage(corners.reshape(*shape, 3), out_weights.reshape(*shape, 3),
                    covered.reshape(shape))  # fmt: skip


def _cells_under_boxes(corners: Array, height: int, width: int) -> tuple[Array, Array]:
    """Enumerate (cell, triangle) pairs whose cell centre lies in the triangle's bounding box."""
    limit = np.array([width - 1, height - 1])
    low = np.clip(np.ceil(corners.min(1) - 0.5), 0, limit).astype(np.int64)
    high = np.clip(np.floor(corners.max(1) - 0.5), -1, limit).astype(np.int64)
    size = np.maximum(high - low + 1, 0)
    count = size[:, 0] * size[:, 1]
    number = np.repeat(np.arange(len(corners)), count)
    within = np.arange(len(number)) - np.repeat(np.cumsum(count) - count, count)
    columns = size[number, 0]
    x = low[number, 0] + within % columns
    y = low[number, 1] + within // columns
    return y * width + x, number


def fill_outside(values: Array, known: Array) -> Array:
    """Continue a field smoothly into the cells where it is not known (push and pull).

    Args:
        values: float32 [H, W, C].
        known: bool or float32 [H, W], 0 where the field is not known.

    Returns:
        float32 [H, W, C], equal to `values` where known is 1.
    """
    weight = known.astype(np.float32)
    return _push_pull(values.astype(np.float32) * weight[..., None], weight)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """Return 0 below `low`, 1 above `high`, smooth between: float32 of the value's shape."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _push_pull(weighted: Array, weight: Array) -> Array:
    height, width = weight.shape
    mean = weighted / np.maximum(weight, 1e-6)[..., None]
    if min(height, width) <= 2 or weight.min() >= 1.0:
        return mean
    half = ((width + 1) // 2, (height + 1) // 2)
    smooth = _channels(cv2.GaussianBlur(weighted, (5, 5), 1.2))
    smooth_weight = cv2.GaussianBlur(weight, (5, 5), 1.2)
    small = _resize(smooth, half, cv2.INTER_AREA)
    small_weight = cv2.resize(smooth_weight, half, interpolation=cv2.INTER_AREA)
    gain = np.minimum(small_weight * 4.0, 1.0) / np.maximum(small_weight, 1e-6)
    coarse = _push_pull(small * gain[..., None], small_weight * gain)
    coarse = _resize(coarse, (width, height), cv2.INTER_LINEAR)
    return mean * weight[..., None] + coarse * (1.0 - weight[..., None])


def _resize(image: Array, size: tuple[int, int], mode: int) -> Array:
    """Resize any number of channels; OpenCV takes four at a time."""
    parts = [
        _channels(cv2.resize(np.ascontiguousarray(image[..., k : k + 4]), size, interpolation=mode))
        for k in range(0, image.shape[2], 4)
    ]
    return np.concatenate(parts, -1)


def _channels(image: Array) -> Array:
    return image if image.ndim == 3 else image[..., None]
