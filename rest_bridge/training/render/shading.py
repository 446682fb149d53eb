"""Colours what `raster` covered: textures under directional, ambient and shadowed light.

Shape letters: V vertices, F triangles, M materials, L lights, H/W pixels.
"""

from dataclasses import dataclass

import numpy as np

from rest_bridge.training.render.raster import Array, Coverage, Materials, Mesh, cover, jit


@dataclass(frozen=True, slots=True)
class Lights:
    """Directional lights over a hemisphere of ambient light.

    Attributes:
        direction: float32 [L, 3], unit, towards the light.
        colour: float32 [L, 3], linear.
        ambient: float32 [3], linear.
        two_tone: paint in two brightness steps without highlights, as a cel drawing does.
    """

    direction: Array
    colour: Array
    ambient: Array
    two_tone: bool = False


@jit
def vertex_normals(positions, triangles):
    """Return float32 [V, 3]: unit normals, averaged over the triangles by area."""
    normals = np.zeros(positions.shape, np.float32)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux = positions[b, 0] - positions[a, 0]
        uy = positions[b, 1] - positions[a, 1]
        uz = positions[b, 2] - positions[a, 2]
        wx = positions[c, 0] - positions[a, 0]
        wy = positions[c, 1] - positions[a, 1]
        wz = positions[c, 2] - positions[a, 2]
        nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for k in (a, b, c):
            normals[k, 0] += nx
            normals[k, 1] += ny
            normals[k, 2] += nz
    for i in range(normals.shape[0]):
        length = np.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2) + 1e-12
        for k in range(3):
            normals[i, k] /= length
    return normals


def shade(
    coverage: Coverage,
    mesh: Mesh,
    materials: Materials,
    lights: Lights,
    *,
    positions: Array,
    normals: Array,
    openness: Array,
    eye: Array,
) -> Array:
    """Colour the covered pixels.

    Args:
        coverage: from `cover`.
        mesh: triangles.
        materials: textures and answers to light.
        lights: directional and ambient light.
        positions: float32 [V, 3], in the world.
        normals: float32 [V, 3], unit.
        openness: float32 [V, 2]: share of the sky, and of the first light, that reaches a vertex.
        eye: float32 [3], where the camera is.

    Returns:
        float32 [H, W, 4]: display RGB 0..1 (black where uncovered) and coverage 0 or 1.
    """
    out = np.zeros((*coverage.depth.shape, 4), np.float32)
    _shade(
        coverage.triangle, coverage.weight, mesh.triangles, mesh.triangles_uv, mesh.uv,
        mesh.material, materials.texels, materials.offset, materials.height, materials.width,
        materials.tint, materials.specular, materials.gloss, materials.wrap,
        lights.direction, lights.colour, lights.ambient, lights.two_tone,
        positions, normals, openness, eye.astype(np.float32), out,
    )  # fmt: skip
    return out


@jit
def _shade(
    triangle, weight, triangles, triangles_uv, uv, material,
    texels, offset, tex_h, tex_w, tint, specular, gloss, wrap,
    direction, light_colour, ambient, two_tone, positions, normals, openness, eye, out,
):  # fmt: skip
    light = np.zeros(3, np.float32)
    full = np.float32(0.0)
    for k in range(3):
        full += (ambient[k] + light_colour[0, k] * np.float32(0.7)) / np.float32(3.0)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            t = triangle[y, x]
            if t < 0:
                continue
            b0, b1 = weight[y, x, 0], weight[y, x, 1]
            b2 = 1 - b0 - b1
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            m = material[t]
            nx = normals[a, 0] * b0 + normals[b, 0] * b1 + normals[c, 0] * b2
            ny = normals[a, 1] * b0 + normals[b, 1] * b1 + normals[c, 1] * b2
            nz = normals[a, 2] * b0 + normals[b, 2] * b1 + normals[c, 2] * b2
            vx = eye[0] - (positions[a, 0] * b0 + positions[b, 0] * b1 + positions[c, 0] * b2)
            vy = eye[1] - (positions[a, 1] * b0 + positions[b, 1] * b1 + positions[c, 1] * b2)
            vz = eye[2] - (positions[a, 2] * b0 + positions[b, 2] * b1 + positions[c, 2] * b2)
            scale = 1 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
            nx, ny, nz = nx * scale, ny * scale, nz * scale
            scale = 1 / np.sqrt(vx * vx + vy * vy + vz * vz + 1e-12)
            vx, vy, vz = vx * scale, vy * scale, vz * scale
            facing = nx * vx + ny * vy + nz * vz
            if facing < 0:
                nx, ny, nz, facing = -nx, -ny, -nz, -facing
            sky = openness[a, 0] * b0 + openness[b, 0] * b1 + openness[c, 0] * b2
            lit = openness[a, 1] * b0 + openness[b, 1] * b1 + openness[c, 1] * b2
            for k in range(3):
                light[k] = ambient[k] * (0.7 + 0.3 * ny) * sky
            shine = 0.0
            for j in range(direction.shape[0]):
                cosine = nx * direction[j, 0] + ny * direction[j, 1] + nz * direction[j, 2]
                reach = lit if j == 0 else 0.35 + 0.65 * sky
                for k in range(3):
                    s = wrap[m, k]
                    diffuse = (cosine + s) / (1 + s)
                    if diffuse > 0:
                        light[k] += diffuse * light_colour[j, k] * 0.85 * reach
                if specular[m] > 0 and cosine > 0:
                    hx, hy, hz = direction[j, 0] + vx, direction[j, 1] + vy, direction[j, 2] + vz
                    scale = 1 / np.sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
                    half = (nx * hx + ny * hy + nz * hz) * scale
                    if half > 0:
                        rim = 1 + 2 * (1 - facing) ** 4
                        shine += specular[m] * half ** gloss[m] * light_colour[j, 1] * reach * rim
            if two_tone:
                level = (light[0] + light[1] + light[2]) / 3
                step = full * (1.0 if level > 0.62 * full else (0.62 if sky > 0.25 else 0.2))
                for k in range(3):
                    light[k] = step
                shine = 0.0
            ua, ub, uc = triangles_uv[t, 0], triangles_uv[t, 1], triangles_uv[t, 2]
            u = uv[ua, 0] * b0 + uv[ub, 0] * b1 + uv[uc, 0] * b2
            v = uv[ua, 1] * b0 + uv[ub, 1] * b1 + uv[uc, 1] * b2
            u = (u - np.floor(u)) * (tex_w[m] - 1)
            v = (1 - (v - np.floor(v))) * (tex_h[m] - 1)
            iu, iv = int(u), int(v)
            fu, fv = u - iu, v - iv
            iu1, iv1 = min(iu + 1, tex_w[m] - 1), min(iv + 1, tex_h[m] - 1)
            q00 = offset[m] + (iv * tex_w[m] + iu) * 4
            q01 = offset[m] + (iv * tex_w[m] + iu1) * 4
            q10 = offset[m] + (iv1 * tex_w[m] + iu) * 4
            q11 = offset[m] + (iv1 * tex_w[m] + iu1) * 4
            for k in range(3):
                texel = (texels[q00 + k] * (1 - fu) + texels[q01 + k] * fu) * (1 - fv)
                texel += (texels[q10 + k] * (1 - fu) + texels[q11 + k] * fu) * fv
                texel /= 255
                value = texel * texel * tint[m, k] * light[k] + shine
                value = value / (1 + 0.25 * value) * 1.18
                out[y, x, k] = np.sqrt(min(max(value, 0.0), 1.0))
            out[y, x, 3] = 1.0


def light_reach(
    positions: Array,
    normals: Array,
    mesh: Mesh,
    materials: Materials,
    directions: Array,
    *,
    resolution: int = 192,
    bias: float = 0.04,
) -> Array:
    """Share of the light from some directions that reaches each vertex past the others.

    Args:
        positions: float32 [V, 3].
        normals: float32 [V, 3].
        mesh: what casts shadows.
        materials: for alpha tests.
        directions: float32 [D, 3], unit, towards the light.
        resolution: of the depth maps in pixels.
        bias: how far a vertex may lie behind the map and still be lit, in units of `positions`.

    Returns:
        float32 [V], 0..1, softened over neighbouring vertices.
    """
    total = np.zeros(len(positions), np.float32)
    weights = np.zeros(len(positions), np.float32)
    low, high = positions.min(0), positions.max(0)
    span = float(np.linalg.norm(high - low)) * 1.02
    centre = (low + high) / 2
    for direction in directions:
        side = np.cross([0.0, 1.0, 0.0] if abs(direction[1]) < 0.9 else [1.0, 0.0, 0.0], direction)
        side /= np.linalg.norm(side)
        up = np.cross(direction, side)
        moved = positions - centre
        # A huge constant depth makes the perspective division in `_cover` affine.
        points = np.stack(
            [
                (moved @ side / span + 0.5) * resolution,
                (moved @ up / span + 0.5) * resolution,
                1000.0 - moved @ direction,
            ],
            axis=1,
        ).astype(np.float32)
        depth = cover(points, mesh, materials, (resolution, resolution)).depth
        column = np.clip(points[:, 0].astype(np.int32), 0, resolution - 1)
        row = np.clip(points[:, 1].astype(np.int32), 0, resolution - 1)
        lit = (points[:, 2] <= depth[row, column] + bias).astype(np.float32)
        weight = np.abs(normals @ direction.astype(np.float32)) + 0.1
        total += lit * weight
        weights += weight
    reach = total / np.maximum(weights, 1e-6)
    for _ in range(2):
        reach = _soften(reach, mesh.triangles)
    return reach


@jit
def _soften(values, triangles):
    total = values.copy()
    count = np.ones_like(values)
    for t in range(triangles.shape[0]):
        mean = (values[triangles[t, 0]] + values[triangles[t, 1]] + values[triangles[t, 2]]) / 3
        for k in range(3):
            total[triangles[t, k]] += mean
            count[triangles[t, k]] += 1
    return total / count
