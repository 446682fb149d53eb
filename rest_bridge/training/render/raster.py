"""Software rasteriser: z-buffer with alpha tests, and motion to a reference picture.

Place: under `makehuman` and `photo`, which hand over projected triangles. Knows nothing of faces.
All kernels run on one core (numba). Pixel (x, y) has its centre at (x + 0.5, y + 0.5).

Shape letters: V vertices, F triangles, M materials, L lights, H/W pixels.
"""

from dataclasses import dataclass
from typing import Any, Final

import numba as nb
import numpy as np

Array = np.ndarray[Any, Any]
FAR: Final = 1e9
"""Depth of a pixel that no triangle covers."""

jit = nb.njit(cache=True, fastmath=True)


@dataclass(frozen=True, slots=True)
class Mesh:
    """Triangles with texture coordinates and one material each.

    Attributes:
        triangles: int32 [F, 3], vertex indices.
        triangles_uv: int32 [F, 3], indices into `uv`.
        uv: float32 [U, 2], v = 0 at the bottom of the texture.
        material: int32 [F].
    """

    triangles: Array
    triangles_uv: Array
    uv: Array
    material: Array


@dataclass(frozen=True, slots=True)
class Materials:
    """Textures laid end to end, and how each surface answers light.

    Attributes:
        texels: uint8 [sum of height * width * 4].
        offset, height, width: int64 [M], where each texture lies in `texels`.
        alpha_threshold: int64 [M]; texels with a lower alpha are holes, 0 = opaque.
        soft_alpha: bool [M]; holes by a hash of the pixel, so that averaging gives soft alpha.
        tint: float32 [M, 3], multiplies the linear colour.
        specular, gloss: float32 [M]; Blinn-Phong strength and exponent.
        wrap: float32 [M, 3]; how far diffuse light reaches round the terminator per channel.
    """

    texels: Array
    offset: Array
    height: Array
    width: Array
    alpha_threshold: Array
    soft_alpha: Array
    tint: Array
    specular: Array
    gloss: Array
    wrap: Array

    @staticmethod
    def join(
        textures: list[Array],
        *,
        alpha_threshold: list[int],
        soft_alpha: bool,
        tint: list[Array],
        specular: list[float],
        gloss: list[float],
        wrap: list[Array],
    ) -> "Materials":
        """Lay RGBA textures (uint8 [h, w, 4]) end to end; lists hold one entry a material."""
        sizes = [texture.size for texture in textures]
        thresholds = np.array(alpha_threshold, np.int64)
        return Materials(
            texels=np.concatenate([texture.ravel() for texture in textures]),
            offset=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
            height=np.array([texture.shape[0] for texture in textures], np.int64),
            width=np.array([texture.shape[1] for texture in textures], np.int64),
            alpha_threshold=thresholds,
            soft_alpha=(thresholds > 0) & soft_alpha,
            tint=np.array(tint, np.float32),
            specular=np.array(specular, np.float32),
            gloss=np.array(gloss, np.float32),
            wrap=np.array(wrap, np.float32),
        )


@dataclass(frozen=True, slots=True)
class Coverage:
    """What each pixel shows.

    Attributes:
        depth: float32 [H, W], FAR where nothing is.
        triangle: int32 [H, W], -1 where nothing is.
        weight: float32 [H, W, 2], perspective-correct barycentrics of the first two corners.
    """

    depth: Array
    triangle: Array
    weight: Array


def cover(
    points: Array, mesh: Mesh, materials: Materials | None, shape: tuple[int, int]
) -> Coverage:
    """Find the nearest triangle of every pixel.

    Args:
        points: float32 [V, 3]: x and y in pixels, depth (> 0, grows away from the viewer).
        mesh: triangles.
        materials: textures for alpha tests; None treats everything as opaque.
        shape: height and width in pixels.
    """
    depth = np.full(shape, FAR, np.float32)
    triangle = np.full(shape, -1, np.int32)
    weight = np.zeros((*shape, 2), np.float32)
    if materials is None:
        materials = _OPAQUE
        material = np.zeros(len(mesh.triangles), np.int32)
    else:
        material = mesh.material
    _cover(
        points, mesh.triangles, mesh.triangles_uv, mesh.uv, material,
        materials.texels, materials.offset, materials.height, materials.width,
        materials.alpha_threshold, materials.soft_alpha, depth, triangle, weight,
    )  # fmt: skip
    return Coverage(depth, triangle, weight)


@jit
def _cover(
    points, triangles, triangles_uv, uv, material,
    texels, offset, tex_h, tex_w, threshold, soft, depth, triangle, weight,
):  # fmt: skip
    height, width = depth.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0, z0 = points[a, 0], points[a, 1], points[a, 2]
        x1, y1, z1 = points[b, 0], points[b, 1], points[b, 2]
        x2, y2, z2 = points[c, 0], points[c, 1], points[c, 2]
        left, right = min(x0, x1, x2), max(x0, x1, x2)
        top, bottom = min(y0, y1, y2), max(y0, y1, y2)
        if right < 0 or left > width or bottom < 0 or top > height:
            continue
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        inverse = 1 / area
        x_first = max(0, int(np.ceil(left - 0.5)))
        x_last = min(width - 1, int(np.floor(right - 0.5)))
        y_first = max(0, int(np.ceil(top - 0.5)))
        y_last = min(height - 1, int(np.floor(bottom - 0.5)))
        m = material[t]
        limit = threshold[m]
        for y in range(y_first, y_last + 1):
            py = y + 0.5
            for x in range(x_first, x_last + 1):
                px = x + 0.5
                w0 = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) * inverse
                if w0 < 0:
                    continue
                w1 = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) * inverse
                if w1 < 0:
                    continue
                w2 = 1 - w0 - w1
                if w2 < 0:
                    continue
                z = 1 / (w0 / z0 + w1 / z1 + w2 / z2)
                if z >= depth[y, x]:
                    continue
                b0, b1 = w0 / z0 * z, w1 / z1 * z
                if limit > 0:
                    b2 = 1 - b0 - b1
                    ua, ub, uc = triangles_uv[t, 0], triangles_uv[t, 1], triangles_uv[t, 2]
                    u = uv[ua, 0] * b0 + uv[ub, 0] * b1 + uv[uc, 0] * b2
                    v = uv[ua, 1] * b0 + uv[ub, 1] * b1 + uv[uc, 1] * b2
                    row = int((1 - (v - np.floor(v))) * (tex_h[m] - 1) + 0.5)
                    column = int((u - np.floor(u)) * (tex_w[m] - 1) + 0.5)
                    alpha = texels[offset[m] + (row * tex_w[m] + column) * 4 + 3]
                    if soft[m]:
                        # Hashed alpha test (arXiv:1702.01853 gives the idea): order-independent.
                        key = (x * 73856093) ^ (y * 19349663) ^ (t * 83492791)
                        key = (key ^ (key >> 13)) * 1274126177
                        if alpha <= ((key ^ (key >> 16)) & 255) * 0.85 + 20:
                            continue
                    elif alpha < limit:
                        continue
                depth[y, x] = z
                triangle[y, x] = t
                weight[y, x, 0] = b0
                weight[y, x, 1] = b1


def flow_to_reference(
    coverage: Coverage,
    mesh: Mesh,
    reference_points: Array,
    reference_depth: Array,
    *,
    depth_tolerance: float,
) -> tuple[Array, Array]:
    """Where each covered pixel's surface point lies in the reference picture, and whether it shows.

    Args:
        coverage: of the frame.
        mesh: triangles.
        reference_points: float32 [V, 3], the same vertices projected in the reference.
        reference_depth: float32 [H, W], the reference's depth.
        depth_tolerance: how far depths may differ and still be the same surface.

    Returns:
        flow: float32 [H, W, 2] pixels, to be added to the frame's pixel position; 0 off the mesh.
        visible: float32 [H, W], 0 or 1; off the mesh 1 where the reference shows nothing either.
    """
    flow = np.zeros((*coverage.depth.shape, 2), np.float32)
    visible = np.zeros(coverage.depth.shape, np.float32)
    _flow(
        coverage.triangle, coverage.weight, mesh.triangles, reference_points, reference_depth,
        np.float32(depth_tolerance), flow, visible,
    )  # fmt: skip
    return flow, visible


@jit
def _flow(triangle, weight, triangles, reference, reference_depth, tolerance, flow, visible):
    height, width = triangle.shape
    for y in range(height):
        for x in range(width):
            t = triangle[y, x]
            if t < 0:
                if reference_depth[y, x] > 1e8:
                    visible[y, x] = 1.0
                continue
            b0, b1 = weight[y, x, 0], weight[y, x, 1]
            b2 = 1 - b0 - b1
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            # Weights belong to points in space: interpolate x * z and y * z, then divide.
            za, zb, zc = reference[a, 2] * b0, reference[b, 2] * b1, reference[c, 2] * b2
            rz = za + zb + zc
            rx = (reference[a, 0] * za + reference[b, 0] * zb + reference[c, 0] * zc) / rz
            ry = (reference[a, 1] * za + reference[b, 1] * zb + reference[c, 1] * zc) / rz
            flow[y, x, 0] = rx - (x + 0.5)
            flow[y, x, 1] = ry - (y + 0.5)
            column, row = int(np.floor(rx)), int(np.floor(ry))
            if column < 0 or row < 0 or column >= width or row >= height:
                continue
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    near_x = min(max(column + dx, 0), width - 1)
                    near_y = min(max(row + dy, 0), height - 1)
                    if abs(reference_depth[near_y, near_x] - rz) < tolerance:
                        visible[y, x] = 1.0


def shrink(picture: Array, factor: int) -> Array:
    """Average factor x factor cells: [H, W, ...] -> [H / factor, W / factor, ...]."""
    height, width = picture.shape[:2]
    cells = picture.reshape(height // factor, factor, width // factor, factor, *picture.shape[2:])
    return cells.mean((1, 3), dtype=np.float32)


_OPAQUE: Final = Materials(
    texels=np.zeros(4, np.uint8),
    offset=np.zeros(1, np.int64),
    height=np.ones(1, np.int64),
    width=np.ones(1, np.int64),
    alpha_threshold=np.zeros(1, np.int64),
    soft_alpha=np.zeros(1, np.bool_),
    tint=np.ones((1, 3), np.float32),
    specular=np.zeros(1, np.float32),
    gloss=np.ones(1, np.float32),
    wrap=np.zeros((1, 3), np.float32),
)
