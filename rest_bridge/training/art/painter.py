"""Paints a picture over with brush strokes, from large to small (Hertzmann, SIGGRAPH 1998).

Strokes follow the forms: along the structure tensor's weak direction. A second sheet keeps how
thick the paint lies; its slope catches a raking light, over a woven canvas.
"""

from __future__ import annotations

import cv2
import numpy as np
import skia
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_BRUSHES = (
    # radius px, longest stroke in radii, tolerance of error, jitter of colour
    (22.0, 9.0, 0.0, 7.0),
    (11.0, 9.0, 22.0, 6.0),
    (5.5, 9.0, 24.0, 5.0),
    (2.8, 9.0, 20.0, 3.0),
    (1.6, 9.0, 14.0, 2.0),
)


def _directions(picture: Floats, radius: float) -> Floats:
    """Return float32 [H, W]: the direction along which the picture changes least, radians."""
    grey = cv2.GaussianBlur(picture.mean(2), (0, 0), max(0.6 * radius, 1.0))
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    spread = max(2.2 * radius, 4.0)
    xx, yy, xy = (cv2.GaussianBlur(p, (0, 0), spread) for p in (dx * dx, dy * dy, dx * dy))
    return 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2


def _trace(start, picture, canvas, angle, radius, longest, rng) -> list[tuple[float, float]]:
    """Follow the forms from `start` until the colour no longer fits; return the stroke's points."""
    height, width = angle.shape
    x, y = start
    colour = picture[int(y), int(x)]
    path = [(x, y)]
    last = rng.uniform(0, 2 * np.pi)
    lx, ly = np.cos(last), np.sin(last)
    for step in range(int(longest)):
        a = angle[int(y), int(x)]
        dx, dy = np.cos(a), np.sin(a)
        if dx * lx + dy * ly < 0:
            dx, dy = -dx, -dy
        lx, ly = 0.7 * dx + 0.3 * lx, 0.7 * dy + 0.3 * ly
        norm = np.hypot(lx, ly) + 1e-9
        lx, ly = lx / norm, ly / norm
        x, y = x + radius * lx, y + radius * ly
        if not (0 <= x < width and 0 <= y < height):
            break
        there = picture[int(y), int(x)]
        off = np.abs(there - canvas[int(y), int(x)]).sum()
        if step > 2 and off < np.abs(there - colour).sum():
            break
        path.append((x, y))
    return path


def _pen(radius: float, rgb: Floats, alpha: float) -> skia.Paint:
    r, g, b = (float(np.clip(v, 0, 255)) / 255 for v in rgb)
    return skia.Paint(
        AntiAlias=True, Color4f=skia.Color4f(r, g, b, alpha), Style=skia.Paint.kStroke_Style,
        StrokeWidth=2 * radius, StrokeCap=skia.Paint.kRound_Cap, StrokeJoin=skia.Paint.kRound_Join,
    )  # fmt: skip


def _path(stroke: list[tuple[float, float]]) -> skia.Path:
    path = skia.Path()
    path.moveTo(*stroke[0])
    for (ax, ay), (bx, by) in zip(stroke[1:], stroke[2:] or stroke[1:], strict=False):
        path.quadTo(ax, ay, (ax + bx) / 2, (ay + by) / 2)
    path.lineTo(*stroke[-1])
    return path


def _lay(canvas, relief, stroke, radius, rgb, alpha, rng) -> None:
    """Put one stroke on the colour sheet and its bristles on the relief sheet."""
    path = _path(stroke)
    canvas.drawPath(path, _pen(radius, rgb, alpha))
    level = rng.uniform(70, 180)
    relief.drawPath(path, _pen(radius, np.full(3, level), 0.9))
    points = np.array(stroke)
    if radius < 4 or len(points) < 3:
        return
    along = np.gradient(points, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], 1)
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    for _ in range(int(4 + 0.4 * radius)):
        shifted = points + across * rng.uniform(-0.85, 0.85) * radius
        bristle = _path([tuple(p) for p in shifted])
        width = rng.uniform(0.35, 0.9) * max(1.0, radius / 9)
        tone = rgb + rng.normal(0, 5, 3) + rng.normal(0, 4)
        canvas.drawPath(bristle, _pen(width, tone, 0.35))
        relief.drawPath(bristle, _pen(width, np.full(3, level + rng.uniform(-60, 60)), 0.7))


def paint(picture: Bytes, detail: Floats, *, seed: int = 2, relief_strength: float = 1.0) -> Bytes:
    """Paint a picture over.

    Args:
        picture: uint8 [H, W, 3].
        detail: float32 [H, W], 0..1: where small brushes are allowed to work (1 = all of them).
        seed: of the strokes.
        relief_strength: how much the thickness of the paint shows.

    Returns:
        uint8 [H, W, 3].
    """
    rng = np.random.default_rng(seed)
    height, width = picture.shape[:2]
    source = picture.astype(np.float32)
    colours, heights = skia.Surface(width, height), skia.Surface(width, height)
    ground = source.mean((0, 1)) * 0.8 + np.array([14, 8, 2], np.float32)
    colours.getCanvas().clear(skia.Color4f(*(float(v) / 255 for v in ground), 1.0))
    heights.getCanvas().clear(skia.Color4f(0.4, 0.4, 0.4, 1.0))
    for index, (radius, longest, tolerance, jitter) in enumerate(_BRUSHES):
        target = cv2.GaussianBlur(source, (0, 0), max(0.5 * radius, 0.5))
        angle = _directions(target, radius)
        now = colours.toarray(colorType=skia.kRGBA_8888_ColorType)[..., :3].astype(np.float32)
        error = cv2.blur(np.abs(target - now).sum(2), (int(2 * radius) | 1, int(2 * radius) | 1))
        step = max(2.0, radius * 0.85)
        spots = []
        for y in np.arange(step / 2, height, step):
            for x in np.arange(step / 2, width, step):
                spot = np.clip(
                    np.array([x, y]) + rng.uniform(-0.5, 0.5, 2) * step, 0, (width - 1, height - 1)
                )
                sx, sy = int(spot[0]), int(spot[1])
                wanted = tolerance if index < 2 else tolerance + 90 * (1 - detail[sy, sx])
                if index == 0 or error[sy, sx] > wanted:
                    spots.append((float(spot[0]), float(spot[1])))
        rng.shuffle(spots)
        for spot in spots:
            stroke = _trace(spot, target, now, angle, radius, longest, rng)
            if len(stroke) < 2:
                stroke.append((spot[0] + radius * 0.5, spot[1]))
            rgb = (
                target[int(spot[1]), int(spot[0])]
                + rng.normal(0, jitter * 0.5)
                + rng.normal(0, jitter * 0.35, 3)
            )
            _lay(colours.getCanvas(), heights.getCanvas(), stroke, radius, rgb, 0.92, rng)
    paint_colour = colours.toarray(colorType=skia.kRGBA_8888_ColorType)[..., :3].astype(np.float32)
    thick = heights.toarray(colorType=skia.kRGBA_8888_ColorType)[..., 0].astype(np.float32)
    thick = cv2.GaussianBlur(thick, (0, 0), 0.8)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    weave = np.sin(x * 1.25) * np.sin(y * 1.25 + np.floor(x * 1.25 / np.pi) * np.pi)
    thick += 7.0 * cv2.GaussianBlur(weave, (0, 0), 0.7)
    slope = cv2.Sobel(thick, cv2.CV_32F, 1, 0, scale=0.125) + cv2.Sobel(
        thick, cv2.CV_32F, 0, 1, scale=0.125
    )
    # Thin, patient paint on the face; thick elsewhere.
    thin = relief_strength * (1 - 0.7 * cv2.GaussianBlur(detail, (0, 0), 6.0))
    light = np.clip(slope * 0.0055 * thin, -0.12, 0.15)[..., None]
    return np.clip(paint_colour * (1 + light) + np.maximum(light, 0) * 40, 0, 255).astype(np.uint8)
