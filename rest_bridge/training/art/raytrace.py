"""Ray tracing of triangle meshes for the built-in portraits: a bounding volume tree and its walk.

Compiled with numba, single-threaded. Hair, lashes and brows are textured cards: a ray meets them
with the probability of their opacity, a shadow ray loses that share of its light.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_LEAF = 4
jit = nb.njit(cache=True, fastmath=True, inline="never")


@jit
def build_tree(low: Floats, high: Floats):
    """Build a tree over triangle boxes by median splits.

    Args:
        low: float32 [T, 3], least corner of each triangle's box.
        high: float32 [T, 3], greatest corner.

    Returns:
        boxes: float32 [N, 6], (low, high) of each node.
        links: int32 [N, 2]: inner node (first child, -1), leaf (first entry, count > 0); the second
            child stands beside the first.
        order: int32 [T], triangles in leaf order.
    """
    count = low.shape[0]
    order = np.arange(count).astype(np.int32)
    middle = (low + high) * np.float32(0.5)
    boxes = np.empty((2 * count + 2, 6), np.float32)
    links = np.empty((2 * count + 2, 2), np.int32)
    stack = np.empty((128, 3), np.int64)
    stack[0, 0], stack[0, 1], stack[0, 2] = 0, 0, count
    depth, used = 1, 1
    while depth > 0:
        depth -= 1
        node, start, stop = stack[depth, 0], stack[depth, 1], stack[depth, 2]
        for k in range(3):
            a, b, ca, cb = 1e30, -1e30, 1e30, -1e30
            for i in range(start, stop):
                t = order[i]
                a, b = min(a, low[t, k]), max(b, high[t, k])
            boxes[node, k], boxes[node, 3 + k] = a, b
        if stop - start <= _LEAF:
            links[node, 0], links[node, 1] = start, stop - start
            continue
        axis, widest = 0, -1.0
        for k in range(3):
            ca, cb = 1e30, -1e30
            for i in range(start, stop):
                c = middle[order[i], k]
                ca, cb = min(ca, c), max(cb, c)
            if cb - ca > widest:
                widest, axis = cb - ca, k
        part = order[start:stop].copy()
        keys = np.empty(stop - start, np.float32)
        for i in range(stop - start):
            keys[i] = middle[part[i], axis]
        rank = np.argsort(keys)
        for i in range(stop - start):
            order[start + i] = part[rank[i]]
        half = (start + stop) // 2
        links[node, 0], links[node, 1] = used, -1
        stack[depth, 0], stack[depth, 1], stack[depth, 2] = used, start, half
        stack[depth + 1, 0], stack[depth + 1, 1], stack[depth + 1, 2] = used + 1, half, stop
        depth += 2
        used += 2
    return boxes[:used], links[:used], order


@nb.njit(cache=True, fastmath=True)
def next_random(state):
    """Advance `state` (uint64 [1], in place) and return a uniform float in 0..1 (xorshift*)."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return float((x * np.uint64(2685821657736338717)) >> np.uint64(40)) * (1.0 / 16777216.0)


@nb.njit(cache=True, fastmath=True)
def opacity(
    triangle: int,
    b1: float,
    b2: float,
    uv: Floats,
    material: Ints,
    has_alpha: NDArray[np.bool_],
    atlas: NDArray[np.uint8],
    place: NDArray[np.int64],
) -> float:
    """Read how opaque a triangle is at a point.

    Args:
        triangle: index.
        b1: weight of its second corner.
        b2: weight of its third corner.
        uv: float32 [T, 6], texture coordinates of the corners, v upwards.
        material: int32 [T].
        has_alpha: bool [M].
        atlas: uint8 [*], all textures RGBA one after another.
        place: int64 [M, 3], offset, height and width of each texture.

    Returns:
        Alpha, 0..1.
    """
    m = material[triangle]
    if not has_alpha[m]:
        return 1.0
    b0 = 1.0 - b1 - b2
    u = uv[triangle, 0] * b0 + uv[triangle, 2] * b1 + uv[triangle, 4] * b2
    v = uv[triangle, 1] * b0 + uv[triangle, 3] * b1 + uv[triangle, 5] * b2
    height, width = place[m, 1], place[m, 2]
    x = (u - np.floor(u)) * (width - 1)
    y = (1.0 - (v - np.floor(v))) * (height - 1)
    ix, iy = int(x), int(y)
    fx, fy = x - ix, y - iy
    jx, jy = min(ix + 1, width - 1), min(iy + 1, height - 1)
    base = place[m, 0] + 3
    top = atlas[base + (iy * width + ix) * 4] * (1 - fx) + atlas[base + (iy * width + jx) * 4] * fx
    low = atlas[base + (jy * width + ix) * 4] * (1 - fx) + atlas[base + (jy * width + jx) * 4] * fx
    return (top * (1 - fy) + low * fy) / 255.0


@nb.njit(cache=True, fastmath=True)
def _enters(boxes, node, ox, oy, oz, ix, iy, iz, reach):
    a = (boxes[node, 0] - ox) * ix
    b = (boxes[node, 3] - ox) * ix
    near, far = min(a, b), max(a, b)
    a = (boxes[node, 1] - oy) * iy
    b = (boxes[node, 4] - oy) * iy
    near, far = max(near, min(a, b)), min(far, max(a, b))
    a = (boxes[node, 2] - oz) * iz
    b = (boxes[node, 5] - oz) * iz
    near, far = max(near, min(a, b)), min(far, max(a, b))
    if far < near or far < 0.0 or near > reach:
        return 1e30
    return near


@nb.njit(cache=True, fastmath=True)
def _meets(corners, t, ox, oy, oz, dx, dy, dz):
    """Möller-Trumbore; returns (distance or -1, b1, b2)."""
    e1x, e1y, e1z = corners[t, 3], corners[t, 4], corners[t, 5]
    e2x, e2y, e2z = corners[t, 6], corners[t, 7], corners[t, 8]
    px, py, pz = dy * e2z - dz * e2y, dz * e2x - dx * e2z, dx * e2y - dy * e2x
    det = e1x * px + e1y * py + e1z * pz
    if abs(det) < 1e-14:
        return -1.0, 0.0, 0.0
    inv = 1.0 / det
    sx, sy, sz = ox - corners[t, 0], oy - corners[t, 1], oz - corners[t, 2]
    b1 = (sx * px + sy * py + sz * pz) * inv
    if b1 < 0.0 or b1 > 1.0:
        return -1.0, 0.0, 0.0
    qx, qy, qz = sy * e1z - sz * e1y, sz * e1x - sx * e1z, sx * e1y - sy * e1x
    b2 = (dx * qx + dy * qy + dz * qz) * inv
    if b2 < 0.0 or b1 + b2 > 1.0:
        return -1.0, 0.0, 0.0
    return (e2x * qx + e2y * qy + e2z * qz) * inv, b1, b2


@nb.njit(cache=True, fastmath=True)
def closest(
    tree: tuple,
    shapes: tuple,
    origin: NDArray[np.float64],
    direction: NDArray[np.float64],
    start: float,
    state: NDArray[np.uint64],
    hit: NDArray[np.float64],
) -> int:
    """Find the first surface a ray meets.

    Args:
        tree: (boxes, links, order) of `build_tree`.
        shapes: (corners float32 [T, 9]: first corner and both edges, uv, material, has_alpha,
            atlas, place).
        origin: float64 [3].
        direction: float64 [3], unit.
        start: ignore what is nearer.
        state: random state; decides at half-transparent cards.
        hit: float64 [3], written: distance, b1, b2.

    Returns:
        The triangle, or -1.
    """
    boxes, links, order = tree
    corners, uv, material, has_alpha, atlas, place = shapes
    ox, oy, oz = origin[0], origin[1], origin[2]
    dx, dy, dz = direction[0], direction[1], direction[2]
    ix, iy, iz = 1.0 / (dx + 1e-12), 1.0 / (dy + 1e-12), 1.0 / (dz + 1e-12)
    stack = np.empty(96, np.int32)
    best, found = 1e29, -1
    stack[0] = 0
    top = 1
    while top > 0:
        top -= 1
        node = stack[top]
        if links[node, 1] > 0:
            for i in range(links[node, 0], links[node, 0] + links[node, 1]):
                t = order[i]
                distance, b1, b2 = _meets(corners, t, ox, oy, oz, dx, dy, dz)
                if start < distance < best:
                    a = opacity(t, b1, b2, uv, material, has_alpha, atlas, place)
                    if a >= 0.995 or (a > 0.02 and next_random(state) < a):
                        best, found = distance, t
                        hit[0], hit[1], hit[2] = distance, b1, b2
            continue
        first = links[node, 0]
        near = _enters(boxes, first, ox, oy, oz, ix, iy, iz, best)
        far = _enters(boxes, first + 1, ox, oy, oz, ix, iy, iz, best)
        if near <= far:
            if far < 1e29:
                stack[top] = first + 1
                top += 1
            if near < 1e29:
                stack[top] = first
                top += 1
        else:
            if near < 1e29:
                stack[top] = first
                top += 1
            stack[top] = first + 1
            top += 1
    return found


@nb.njit(cache=True, fastmath=True)
def light_left(tree, shapes, origin, direction, start, reach):
    """Return the share of light (0..1) that passes from `origin` along `direction` up to `reach`.

    Arguments as in `closest`.
    """
    boxes, links, order = tree
    corners, uv, material, has_alpha, atlas, place = shapes
    ox, oy, oz = origin[0], origin[1], origin[2]
    dx, dy, dz = direction[0], direction[1], direction[2]
    ix, iy, iz = 1.0 / (dx + 1e-12), 1.0 / (dy + 1e-12), 1.0 / (dz + 1e-12)
    stack = np.empty(96, np.int32)
    left = 1.0
    stack[0] = 0
    top = 1
    while top > 0:
        top -= 1
        node = stack[top]
        if _enters(boxes, node, ox, oy, oz, ix, iy, iz, reach) > 1e29:
            continue
        if links[node, 1] > 0:
            for i in range(links[node, 0], links[node, 0] + links[node, 1]):
                t = order[i]
                distance, b1, b2 = _meets(corners, t, ox, oy, oz, dx, dy, dz)
                if start < distance < reach:
                    left *= 1.0 - opacity(t, b1, b2, uv, material, has_alpha, atlas, place)
                    if left < 0.01:
                        return 0.0
            continue
        stack[top] = links[node, 0]
        stack[top + 1] = links[node, 0] + 1
        top += 2
    return left
