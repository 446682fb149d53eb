"""From exposed layers to a photograph: light spread in the skin, background, tone curve.

Skin: the sum of Gaussians of d'Eon and Luebke (GPU Gems 3, chapter 14) on the light only, so that
pores stay sharp; it does not cross edges in depth.
"""

from __future__ import annotations

import cv2
import numba as nb
import numpy as np
from numpy.typing import NDArray

from rest_bridge.training.art.lighting import Exposure

Floats = NDArray[np.float32]

# Variance in mm^2 and the weights for red, green and blue.
_SPREAD = (
    (0.0064, (0.233, 0.455, 0.649)),
    (0.0484, (0.100, 0.336, 0.344)),
    (0.187, (0.118, 0.198, 0.000)),
    (0.567, (0.113, 0.007, 0.007)),
    (1.99, (0.358, 0.004, 0.000)),
    (7.41, (0.078, 0.000, 0.000)),
)


@nb.njit(cache=True, fastmath=True)
def _blur_rows(light, weight, depth, sigma, tolerance, out, out_weight):
    """Blur [H, W, 3] along rows with a Gaussian that stops at steps in depth (or weight 0)."""
    height, width = weight.shape
    reach = int(np.ceil(2.6 * sigma))
    for y in range(height):
        for x in range(width):
            if weight[y, x] < 1e-4:
                continue
            a = b = c = total = 0.0
            for i in range(max(x - reach, 0), min(x + reach + 1, width)):
                w = weight[y, i]
                if w < 1e-4:
                    continue
                gap = (depth[y, i] - depth[y, x]) / tolerance
                g = np.exp(-0.5 * ((i - x) / sigma) ** 2 - gap * gap)
                a += g * light[y, i, 0]
                b += g * light[y, i, 1]
                c += g * light[y, i, 2]
                total += g * w
            out[y, x, 0] = a / total * weight[y, x]
            out[y, x, 1] = b / total * weight[y, x]
            out[y, x, 2] = c / total * weight[y, x]
            out_weight[y, x] = weight[y, x]


def _blur(light: Floats, weight: Floats, depth: Floats, sigma: float, tolerance: float) -> Floats:
    once, twice, kept = np.zeros_like(light), np.zeros_like(light), np.zeros_like(weight)
    _blur_rows(light, weight, depth, sigma, tolerance, once, kept)
    turned = np.ascontiguousarray(once.transpose(1, 0, 2))
    twice = np.zeros_like(turned)
    weight_t, depth_t = np.ascontiguousarray(weight.T), np.ascontiguousarray(depth.T)
    _blur_rows(turned, weight_t, depth_t, sigma, tolerance, twice, np.zeros_like(weight_t))
    return np.ascontiguousarray(twice.transpose(1, 0, 2))


def spread_in_skin(exposure: Exposure, px_per_mm: float) -> Floats:
    """Return float32 [H, W, 3]: skin with light spread beneath its surface, gloss not included."""
    weight, depth = exposure.skin_cover, exposure.depth
    # A first small blur stands for the noise of few samples.
    light = _blur(exposure.skin_light, weight, depth, 1.2, 0.02)
    spread = np.zeros_like(light)
    for variance, share in _SPREAD:
        sigma = float(np.sqrt(variance)) * px_per_mm
        layer = light if sigma < 0.6 else _blur(light, weight, depth, sigma, 0.02 + 0.02 * sigma)
        spread += layer * np.array(share, np.float32)
    spread /= np.sum([share for _, share in _SPREAD], axis=0).astype(np.float32)
    cover = np.maximum(weight, 1e-4)[..., None]
    return spread / cover * exposure.skin_colour


def backdrop(size: int, colours: tuple[str, str, str], seed: int, *, lights: int = 9) -> Floats:
    """Make a blurred studio background with faint out-of-focus lights.

    Args:
        size: px.
        colours: '#rrggbb' of the upper left, the glow behind the head and the lower right.
        seed: of the places of the lights.
        lights: how many.

    Returns:
        float32 [size, size, 3], linear.
    """

    def lin(code: str) -> Floats:
        return (np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255) ** 2.2

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    diagonal = np.clip((x + y) / 2, 0, 1)[..., None]
    picture = lin(colours[0]) * (1 - diagonal) + lin(colours[2]) * diagonal
    glow = np.exp(-(((x - 0.62) / 0.42) ** 2 + ((y - 0.42) / 0.5) ** 2))[..., None]
    picture = picture * (1 - 0.75 * glow) + lin(colours[1]) * 0.75 * glow
    for _ in range(lights):
        # Only near the borders: what lies close to the head would bend with it.
        px = rng.uniform(0.0, 0.13) if rng.random() < 0.5 else rng.uniform(0.87, 1.0)
        py, radius = rng.uniform(0.02, 0.7), rng.uniform(0.03, 0.07)
        distance = np.hypot(x - px, y - py) / radius
        disc = (
            1
            / (1 + np.exp(np.clip((distance - 1) * 16, -50, 50)))
            * (0.75 + 0.25 * np.clip(distance, 0, 1) ** 4)
        )
        tone = lin(colours[1]) * np.array([1.25, 1.05, 0.85], np.float32) ** rng.uniform(-0.5, 1.0)
        picture = picture + disc[..., None] * tone * rng.uniform(0.06, 0.18)
    return cv2.GaussianBlur(picture.astype(np.float32), (0, 0), size / 300)


def develop(linear: Floats, *, exposure: float = 1.0, saturation: float = 1.0) -> NDArray[np.uint8]:
    """Apply a film-like tone curve to linear [H, W, 3] and return uint8 sRGB."""
    x = np.maximum(linear * exposure, 0)
    # Hable-like shoulder, fitted by eye: middle grey stays, highlights roll off.
    curve = x * (2.2 * x + 0.10) / (x * (2.05 * x + 0.62) + 0.14)
    grey = curve @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    curve = grey[..., None] + (curve - grey[..., None]) * saturation
    curve = np.clip(curve, 0, 1)
    display = np.where(curve <= 0.0031308, curve * 12.92, 1.055 * curve ** (1 / 2.4) - 0.055)
    return np.round(np.clip(display, 0, 1) * 255).astype(np.uint8)
