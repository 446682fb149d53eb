"""Exposes a `studio.Scene`: traces light to every pixel and keeps skin apart for what follows.

Light E is irradiance / pi. Per sample: one ray from the camera, one to a point of each lamp, one to
the sky (one bounce, coloured by what it meets). Skin's diffuse light, its colour, and everything
else come back as separate layers, because light that entered the skin is spread afterwards
(`darkroom`). Specular: GGX with Schlick's Fresnel; hair: two lobes about the strand (Kajiya-Kay).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from rest_bridge.training.art.raytrace import closest, light_left, next_random
from rest_bridge.training.art.studio import Lamp, Scene, Sky

SKIN, TEETH, TONGUE, EYE, CLOTH, LASH, BROW, HAIR = range(8)
fast = nb.njit(cache=True, fastmath=True)


@dataclass(frozen=True)
class Exposure:
    """Layers of one picture, float32, linear light, premultiplied by coverage.

    Attributes:
        skin_light: [H, W, 3], diffuse light on skin.
        skin_colour: [H, W, 3], the skin's own colour.
        skin_cover: [H, W], share of skin in the pixel.
        rest: [H, W, 3], light of everything else, and the gloss of the skin.
        cover: [H, W], share of the pixel that is not background.
        depth: [H, W], distance of the skin.
    """

    skin_light: NDArray[np.float32]
    skin_colour: NDArray[np.float32]
    skin_cover: NDArray[np.float32]
    rest: NDArray[np.float32]
    cover: NDArray[np.float32]
    depth: NDArray[np.float32]


def expose(
    scene: Scene,
    lamps: list[Lamp],
    sky: Sky,
    *,
    camera: NDArray[np.float64],
    focal_px: float,
    size_px: int,
    samples: int,
    skin_gloss: float = 1.0,
    window: tuple[int, int, int, int] | None = None,
) -> Exposure:
    """Trace a picture.

    Args:
        scene: what stands in the studio.
        lamps: direct light.
        sky: light from around.
        camera: float64 [3], its place; it looks along -z.
        focal_px: focal length.
        size_px: height and width.
        samples: rays per pixel.
        skin_gloss: factor on the shine of the skin.
        window: (top, bottom, left, right): trace only this part; the rest stays empty.

    Returns:
        The layers of the picture.
    """
    eyes = scene.eyes[:, :3].mean(0)
    lights = np.array(
        [[*(eyes + lamp.place), lamp.radius, *lamp.colour] for lamp in lamps], np.float64
    )
    heaven = np.array([sky.above, sky.around, sky.below], np.float64)
    out = np.zeros((size_px, size_px, 12), np.float32)
    top, bottom, left, right = window or (0, size_px, 0, size_px)
    _expose(
        scene.tree, scene.shapes, scene.normals, scene.tints, scene.relief, scene.strands,
        scene.eyes,
        scene.mouth, scene.looks, skin_gloss, lights, heaven, np.asarray(camera, np.float64),
        focal_px,
        samples, top, bottom, left, right, out,
    )  # fmt: skip
    out /= samples
    skin = np.maximum(out[..., 6], 1e-6)
    return Exposure(
        out[..., :3], out[..., 3:6], out[..., 6], out[..., 7:10], out[..., 10], out[..., 11] / skin
    )


@fast
def _texel(shapes, m, u, v, out):
    """Write the linear colour of material m at (u, v) to out [3] (bilinear, gamma near 2.2)."""
    atlas, place = shapes[4], shapes[5]
    height, width = place[m, 1], place[m, 2]
    x = (u - math.floor(u)) * (width - 1)
    y = (1.0 - (v - math.floor(v))) * (height - 1)
    ix, iy = int(x), int(y)
    fx, fy = x - ix, y - iy
    jx, jy = min(ix + 1, width - 1), min(iy + 1, height - 1)
    for k in range(3):
        base = place[m, 0] + k
        a = (
            atlas[base + (iy * width + ix) * 4] * (1 - fx)
            + atlas[base + (iy * width + jx) * 4] * fx
        )
        b = (
            atlas[base + (jy * width + ix) * 4] * (1 - fx)
            + atlas[base + (jy * width + jx) * 4] * fx
        )
        c = (a * (1 - fy) + b * fy) / 255.0
        out[k] = c * c * (0.8 + 0.2 * c)


@fast
def _sky(heaven, dy, k):
    if dy > 0:
        s = dy**0.7
        return heaven[1, k] * (1 - s) + heaven[0, k] * s
    s = (-dy) ** 0.7
    return heaven[1, k] * (1 - s) + heaven[2, k] * s


@fast
def _gloss(nl, nv, nh, vh, roughness, f0):
    """Cook-Torrance with GGX; times cos and pi (our lights are irradiance / pi)."""
    a = roughness * roughness
    a2 = a * a
    d = a2 / (math.pi * ((nh * nh) * (a2 - 1) + 1) ** 2 + 1e-9)
    k = a * 0.5
    g = 1.0 / ((nl * (1 - k) + k) * (nv * (1 - k) + k) * 4.0)
    return (f0 + (1 - f0) * (1 - vh) ** 5) * d * g * nl * math.pi


@fast
def _bump(relief, u, v, e1, e2, uv, t, n, strength):
    """Tilt the normal n [3] by the slope of the skin's relief at (u, v)."""
    h, w = relief.shape
    x = int((u - math.floor(u)) * (w - 1))
    y = int((1.0 - (v - math.floor(v))) * (h - 1))
    x0, x1, y0, y1 = max(x - 1, 0), min(x + 1, w - 1), max(y - 1, 0), min(y + 1, h - 1)
    du = (relief[y, x1] - relief[y, x0]) * 0.5
    dv = (relief[y0, x] - relief[y1, x]) * 0.5
    a, b = uv[t, 2] - uv[t, 0], uv[t, 3] - uv[t, 1]
    c, d = uv[t, 4] - uv[t, 0], uv[t, 5] - uv[t, 1]
    det = a * d - b * c
    if abs(det) < 1e-12:
        return
    for k in range(3):
        tu, tv = (e1[k] * d - e2[k] * b) / det, (e2[k] * a - e1[k] * c) / det
        # A texture's unit spans some 20 dm of the body.
        n[k] -= strength * (du * tu + dv * tv) * 0.05
    length = math.sqrt(n[0] ** 2 + n[1] ** 2 + n[2] ** 2)
    for k in range(3):
        n[k] /= length


@fast
def _frame(n, a, b):
    """Write two unit vectors a, b orthogonal to n."""
    if abs(n[0]) > 0.7:
        a[0], a[1], a[2] = n[2], 0.0, -n[0]
    else:
        a[0], a[1], a[2] = 0.0, -n[2], n[1]
    length = math.sqrt(a[0] ** 2 + a[1] ** 2 + a[2] ** 2)
    for k in range(3):
        a[k] /= length
    b[0], b[1], b[2] = (
        n[1] * a[2] - n[2] * a[1],
        n[2] * a[0] - n[0] * a[2],
        n[0] * a[1] - n[1] * a[0],
    )


@fast
def _streak(u, v):
    """Return smooth noise -1..1 that varies across the strands (u) and hardly along them (v)."""
    total, weight, scale = 0.0, 0.0, 170.0
    for octave in range(3):
        x = u * scale + math.sin(v * 9.0 + octave) * 0.6
        i = math.floor(x)
        f = x - i
        f = f * f * (3 - 2 * f)
        a = math.sin((i + octave * 57.0) * 12.9898) * 43758.5453
        b = math.sin((i + 1 + octave * 57.0) * 12.9898) * 43758.5453
        share = 1.0 / (1 + 0.35 * octave)
        total += share * ((a - math.floor(a)) * (1 - f) + (b - math.floor(b)) * f)
        weight += share
        scale *= 2.3
    return 2 * total / weight - 1


@fast
def _expose(tree, shapes, normals, tints, relief, strands, eyes, mouth, looks, skin_gloss, lights,
            heaven, camera, focal,
            samples, top, bottom, left, right, out):  # fmt: skip
    corners, uv, material = shapes[0], shapes[1], shapes[2]
    size = out.shape[0]
    state = np.zeros(1, np.uint64)
    hit, hit2 = np.zeros(3), np.zeros(3)
    d, n, p, to, h = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    fa, fb, tangent, colour, other = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    e, gloss, ng, r = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    for y in range(top, bottom):
        for x in range(left, right):
            state[0] = np.uint64((y * 9781 + x * 6271 + 1) * 26699 + 88172645463325252)
            for _ in range(3):
                next_random(state)
            shift0, shift1, shift2 = next_random(state), next_random(state), next_random(state)
            for s in range(samples):
                # Additive (R2) sequences, shifted per pixel, spread the samples evenly.
                jx = (0.5 + s * 0.7548776662) % 1.0
                jy = (0.5 + s * 0.5698402910) % 1.0
                # A tent filter over two pixels: no jagged edges.
                jx = math.sqrt(2 * jx) - 1 if jx < 0.5 else 1 - math.sqrt(2 - 2 * jx)
                jy = math.sqrt(2 * jy) - 1 if jy < 0.5 else 1 - math.sqrt(2 - 2 * jy)
                q0 = (shift0 + s * 0.8191725134) % 1.0
                q1 = (shift1 + s * 0.6710436067) % 1.0
                d[0] = (x + 0.5 + jx * 0.75 - size / 2) / focal
                d[1] = (size / 2 - y - 0.5 - jy * 0.75) / focal
                d[2] = -1.0
                length = math.sqrt(d[0] ** 2 + d[1] ** 2 + 1)
                for k in range(3):
                    d[k] /= length
                t = closest(tree, shapes, camera, d, 0.01, state, hit)
                if t < 0:
                    continue
                b1, b2 = hit[1], hit[2]
                b0 = 1 - b1 - b2
                m = material[t]
                u = uv[t, 0] * b0 + uv[t, 2] * b1 + uv[t, 4] * b2
                v = uv[t, 1] * b0 + uv[t, 3] * b1 + uv[t, 5] * b2
                for k in range(3):
                    p[k] = camera[k] + d[k] * hit[0]
                    n[k] = normals[t, k] * b0 + normals[t, 3 + k] * b1 + normals[t, 6 + k] * b2
                length = math.sqrt(n[0] ** 2 + n[1] ** 2 + n[2] ** 2) + 1e-12
                facing = n[0] * d[0] + n[1] * d[1] + n[2] * d[2]
                sign = -1.0 if facing > 0 else 1.0
                for k in range(3):
                    n[k] *= sign / length
                    ng[k] = n[k]
                e1, e2 = corners[t, 3:6], corners[t, 6:9]
                _texel(shapes, m, u, v, colour)
                for k in range(3):
                    colour[k] = min(colour[k] * tints[m, k], 0.95)
                roughness, f0, ball, iris, streak = 0.5, 0.04, 0, 0.0, 0.0
                if m == SKIN:
                    lips = math.exp(
                        -((((p[0] - mouth[0]) / 0.3) ** 2 + ((p[1] - mouth[1]) / 0.13) ** 2) ** 2)
                    )
                    lips *= min(max((colour[0] - 1.9 * colour[1]) * 6.0, 0.0), 1.0)
                    _bump(relief, u, v, e1, e2, uv, t, n, 1.0)
                    for k in range(3):
                        colour[k] *= 1 + (looks[0, k] - 1) * lips
                    roughness, f0 = 0.44 - 0.12 * lips, 0.028 + 0.012 * lips
                elif m == EYE:
                    ball = 0 if abs(p[0] - eyes[0, 0]) < abs(p[0] - eyes[1, 0]) else 1
                    iris = (p[0] - eyes[ball, 0]) ** 2 + (p[1] - eyes[ball, 1]) ** 2
                    iris = math.sqrt(iris) / eyes[ball, 3]
                    # The cornea: a smaller ball that stands out of the eyeball before the iris.
                    ahead = 0.42 * eyes[ball, 3] if iris < 0.5 else 0.0
                    n[0], n[1] = p[0] - eyes[ball, 0], p[1] - eyes[ball, 1]
                    reach = eyes[ball, 3] - 0.72 * ahead
                    n[2] = math.sqrt(max(reach**2 - n[0] ** 2 - n[1] ** 2, 1e-6))
                    for k in range(3):
                        n[k] /= reach
                    for k in range(3):
                        colour[k] *= 0.86 if iris > 0.5 else 1.35 * looks[1, k]
                    roughness = 0.12
                elif m == CLOTH:
                    roughness, f0 = 0.7, 0.03
                elif m == TEETH:
                    roughness, f0 = 0.25, 0.05
                elif m >= LASH:
                    streak = _streak(u, v) if m == HAIR else 0.0
                    grey = 0.3 * colour[0] + 0.55 * colour[1] + 0.15 * colour[2]
                    # The parting lies in the shade of the hair beside it.
                    part = math.exp(-(((p[0] - mouth[0]) / 0.2) ** 2))
                    part *= min(max((p[1] - eyes[0, 1] - 0.45) * 4.0, 0.0), 1.0)
                    for k in range(3):
                        if m == HAIR:
                            colour[k] *= 1 - looks[0, 3] * part
                        if m != LASH:
                            colour[k] += (grey * looks[2, k] - colour[k]) * looks[2, 3]
                        colour[k] *= max(1 + 0.9 * streak, 0.25)
                    length = 1e-12
                    for k in range(3):
                        tangent[k] = (
                            strands[t, k] * b0 + strands[t, 3 + k] * b1 + strands[t, 6 + k] * b2
                        )
                        length += tangent[k] ** 2
                    for k in range(3):
                        tangent[k] /= math.sqrt(length)
                nv = max(-(n[0] * d[0] + n[1] * d[1] + n[2] * d[2]), 0.05)
                for k in range(3):
                    e[k], gloss[k] = 0.0, 0.0
                for j in range(lights.shape[0]):
                    angle, radius = (
                        2 * math.pi * ((q0 + 0.37 * j) % 1.0),
                        math.sqrt((q1 + 0.61 * j) % 1.0),
                    )
                    for k in range(3):
                        h[k] = lights[j, k] - p[k]
                    length = math.sqrt(h[0] ** 2 + h[1] ** 2 + h[2] ** 2)
                    for k in range(3):
                        h[k] /= length
                    _frame(h, fa, fb)
                    reach = 0.0
                    for k in range(3):
                        to[k] = h[k] * length + lights[j, 3] * radius * (
                            fa[k] * math.cos(angle) + fb[k] * math.sin(angle)
                        )
                        reach += to[k] ** 2
                    reach = math.sqrt(reach)
                    for k in range(3):
                        to[k] /= reach
                        r[k] = p[k] + ng[k] * (0.012 if m < LASH else 0.0)
                    nl = n[0] * to[0] + n[1] * to[1] + n[2] * to[2]
                    if m < LASH and nl < -0.25:
                        continue
                    seen = light_left(tree, shapes, r, to, 0.006 if m < LASH else 0.05, reach)
                    if seen <= 0.0:
                        continue
                    length = 0.0
                    for k in range(3):
                        h[k] = to[k] - d[k]
                        length += h[k] ** 2
                    length = math.sqrt(length)
                    nh = vh = 0.0
                    for k in range(3):
                        h[k] /= length
                        nh += n[k] * h[k]
                        vh -= d[k] * h[k]
                    if m >= LASH:
                        tl = tangent[0] * to[0] + tangent[1] * to[1] + tangent[2] * to[2]
                        th = (
                            tangent[0] * h[0]
                            + tangent[1] * h[1]
                            + tangent[2] * h[2]
                            + 0.16 * streak
                        )
                        wrap = 0.35 + 0.65 * max((nl + 0.4) / 1.4, 0.0)
                        body = math.sqrt(max(1 - tl * tl, 0.0)) * wrap * seen
                        around = max(1 - (th + 0.06) ** 2, 0.0) ** 0.5
                        beneath = max(1 - (th - 0.12) ** 2, 0.0) ** 0.5
                        bright = 0.10 * around**110 * seen * max(nl + 0.2, 0.0)
                        warm = 0.7 * beneath**28 * seen * max(nl + 0.3, 0.0)
                        for k in range(3):
                            e[k] += lights[j, 4 + k] * (0.75 * body + (warm if m == HAIR else 0.0))
                            gloss[k] += lights[j, 4 + k] * (bright if m == HAIR else 0.0)
                        continue
                    for k in range(3):
                        # Red light creeps a little way around the edge of skin's shadows.
                        wrap = 0.14 - 0.05 * k if m == SKIN else 0.0
                        e[k] += lights[j, 4 + k] * seen * max((nl + wrap) / (1 + wrap), 0.0)
                    if nl > 0 and m != EYE:
                        value = _gloss(nl, nv, max(nh, 0.0), max(vh, 0.0), roughness, f0)
                        if m == SKIN:
                            value = 0.7 * value + 0.3 * _gloss(
                                nl, nv, max(nh, 0.0), max(vh, 0.0), 0.3, f0
                            )
                            value *= skin_gloss
                        for k in range(3):
                            gloss[k] += lights[j, 4 + k] * seen * value
                # Sky light with one bounce.
                angle, radius = 2 * math.pi * ((q1 + shift2) % 1.0), (q0 + shift2 * 0.7) % 1.0
                _frame(n, fa, fb)
                side, rise = math.sqrt(radius), math.sqrt(1 - radius)
                for k in range(3):
                    to[k] = n[k] * rise + side * (fa[k] * math.cos(angle) + fb[k] * math.sin(angle))
                    r[k] = p[k] + ng[k] * 0.012
                t2 = closest(tree, shapes, r, to, 0.004 if m < LASH else 0.05, state, hit2)
                if t2 < 0:
                    for k in range(3):
                        e[k] += _sky(heaven, to[1], k)
                else:
                    m2 = material[t2]
                    c1, c2 = hit2[1], hit2[2]
                    c0 = 1 - c1 - c2
                    _texel(shapes, m2, uv[t2, 0] * c0 + uv[t2, 2] * c1 + uv[t2, 4] * c2,
                           uv[t2, 1] * c0 + uv[t2, 3] * c1 + uv[t2, 5] * c2, other)  # fmt: skip
                    for k in range(3):
                        e[k] += (
                            0.3 * other[k] * tints[m2, k] * (heaven[1, k] + 0.35 * lights[0, 4 + k])
                        )
                # What the surface mirrors of the sky, and of the lamps in the eyes.
                dn = 2 * (d[0] * n[0] + d[1] * n[1] + d[2] * n[2])
                for k in range(3):
                    r[k] = d[k] - dn * n[k]
                fresnel = f0 + (1 - f0) * (1 - nv) ** 5
                if m == EYE:
                    # From before the cornea, so that the eye's own parts cast no shadow.
                    to[0], to[1], to[2] = p[0], p[1], eyes[ball, 2] + 1.06 * eyes[ball, 3]
                    seen = light_left(tree, shapes, to, r, 0.005, 40.0)
                    for k in range(3):
                        gloss[k] += 0.05 * seen * _sky(heaven, r[1], k) * 1.5
                    for j in range(lights.shape[0]):
                        along = 0.0
                        for k in range(3):
                            along += (lights[j, k] - p[k]) * r[k]
                        away = 0.0
                        for k in range(3):
                            away += (p[k] + r[k] * along - lights[j, k]) ** 2
                        edge = (lights[j, 3] * 1.15 - math.sqrt(away)) / (0.12 * lights[j, 3]) + 0.5
                        if along > 0 and edge > 0:
                            for k in range(3):
                                gloss[k] += min(edge, 1.0) * seen * lights[j, 4 + k] * 1.6
                elif m < LASH:
                    rough = 0.35 * skin_gloss if m == SKIN else 0.25
                    open_sky = 1.0 if t2 < 0 else 0.15
                    for k in range(3):
                        gloss[k] += rough * fresnel * open_sky * _sky(heaven, r[1], k)
                if m == SKIN:
                    for k in range(3):
                        out[y, x, k] += e[k]
                        out[y, x, 3 + k] += colour[k]
                        out[y, x, 7 + k] += gloss[k]
                    out[y, x, 6] += 1.0
                    out[y, x, 11] += hit[0]
                else:
                    for k in range(3):
                        out[y, x, 7 + k] += min(colour[k] * e[k] + gloss[k], 6.0)
                out[y, x, 10] += 1.0
