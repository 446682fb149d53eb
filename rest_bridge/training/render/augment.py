"""Changes of colour, manner and quality that leave every point where it is; and of the shape.

All functions but `reshape` take and return uint8 [H, W, 3] RGB.
"""

from typing import Final

import cv2
import numpy as np

from rest_bridge.training.render.landmarks66 import eye_centres, inter_ocular
from rest_bridge.training.render.raster import Array

_WARP_CELLS: Final = 5
_WARP: Final = 0.09
"""Standard deviation of a reshaped face's control points, eye distances."""


def recolour(picture: Array, rng: np.random.Generator) -> Array:
    """Change gain, colour balance, gamma, saturation; now and then swap channels or go grey."""
    value = picture.astype(np.float32) / 255
    value *= np.exp(rng.normal(0, 0.1, 3) + rng.normal(0, 0.12)).astype(np.float32)
    value = np.clip(value, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.15)))
    grey = value @ np.array([0.3, 0.59, 0.11], np.float32)
    saturation = 0.0 if rng.random() < 0.08 else np.exp(rng.normal(0, 0.3))
    value = grey[..., None] + (value - grey[..., None]) * np.float32(saturation)
    if rng.random() < 0.12:
        value = value[..., rng.permutation(3)]
    if rng.random() < 0.06:
        value = grey[..., None] * np.array([1.05, 0.95, 0.78], np.float32)
    return _bytes(value)


def reshape(picture: Array, landmarks: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Give a portrait another face shape: proportions, and a smooth random warp, points with it.

    Some 300 portraits are few people; jaws, foreheads, eyes and mouths that differ make others.

    Args:
        picture: uint8 [H, W, 3].
        landmarks: float [66, 2], pixels.
        rng: source of chance.

    Returns:
        Picture of the same size, and landmarks.
    """
    height, width = picture.shape[:2]
    left, right = eye_centres(landmarks)
    unit, middle = float(inter_ocular(landmarks)), (left + right) / 2
    stretch = np.exp(rng.normal(0, 0.05, 2)).astype(np.float32)
    control = rng.normal(0, _WARP * unit, (_WARP_CELLS, _WARP_CELLS, 2)).astype(np.float32)
    twin = control[:, ::-1] * np.array([-1, 1], np.float32)
    control = 0.7 * control + 0.5 * twin  # faces are nearly, not quite, symmetrical
    low, side = middle - 2.5 * unit, 5 * unit

    def source_of(points: Array) -> Array:
        place = ((points - low) / side * (_WARP_CELLS - 1)).astype(np.float32)
        shift = cv2.remap(
            cv2.resize(control, (65, 65), interpolation=cv2.INTER_CUBIC),
            np.ascontiguousarray(place[..., 0]) * 16, np.ascontiguousarray(place[..., 1]) * 16,
            cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        return (points - middle) * stretch + middle + shift

    y, x = np.mgrid[:height, :width].astype(np.float32) + np.float32(0.5)
    source = (source_of(np.stack([x, y], -1)) - 0.5).astype(np.float32)
    bent = cv2.remap(
        picture, np.ascontiguousarray(source[..., 0]), np.ascontiguousarray(source[..., 1]),
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    moved = landmarks.astype(np.float64)
    for _ in range(20):  # the picture is read backwards: find what is read at each landmark
        moved = moved + 0.8 * (landmarks - source_of(moved[None])[0])
    return bent, moved


def paint_over(picture: Array, rng: np.random.Generator) -> Array:
    """Make it look painted or drawn: smeared brush, posterised, canvas, pencil or inked lines."""
    kind = rng.integers(5)
    scale = max(picture.shape[:2]) / 128
    if kind == 0:
        return _brush(picture, rng, scale)
    if kind == 1:
        levels = rng.integers(4, 9)
        smooth = cv2.GaussianBlur(picture, (0, 0), 0.8 * scale).astype(np.float32) / 255
        return _bytes(np.round(smooth * levels) / levels)
    if kind == 2:
        noise = rng.normal(0, 0.05, (*picture.shape[:2], 1)).astype(np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.4, 1.2) * scale)[..., None]
        return _bytes(_brush(picture, rng, scale) / np.float32(255) + noise * 2 * scale)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    around = cv2.GaussianBlur(grey, (0, 0), rng.uniform(1.0, 2.5) * scale)
    line = np.clip(grey.astype(np.float32) / (around + 1.0), 0, 1)
    line = np.clip((line - 0.6) / 0.38, 0, 1)[..., None]
    if kind == 3:
        share = rng.uniform(0.0, 0.6)
        return _bytes(line * (1 - share + share * picture.astype(np.float32) / 255))
    flat = cv2.bilateralFilter(picture, 0, 40, 2.5 * scale).astype(np.float32) / 255
    return _bytes((np.round(flat * 8) / 8) * (0.25 + 0.75 * line))


def degrade(picture: Array, rng: np.random.Generator) -> Array:
    """Lose quality: small size, blur, noise, JPEG; each only now and then."""
    height, width = picture.shape[:2]
    if rng.random() < 0.25:
        factor = rng.uniform(0.3, 0.8)
        small = (max(8, int(width * factor)), max(8, int(height * factor)))
        ways = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)
        how = ways[rng.choice(3, p=[0.5, 0.4, 0.1])]
        small_picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small_picture, (width, height), interpolation=how)
    if rng.random() < 0.15:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.5) * width / 128)
    if rng.random() < 0.25:
        noise = rng.normal(0, rng.uniform(2, 14), picture.shape)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        quality = [int(cv2.IMWRITE_JPEG_QUALITY), int(rng.integers(20, 90))]
        encoded = cv2.imencode(".jpg", picture, quality)[1]
        picture = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
    return picture


def _brush(picture: Array, rng: np.random.Generator, scale: float) -> Array:
    """Smear along smooth random directions, as brush strokes do."""
    height, width = picture.shape[:2]
    angle = cv2.resize(rng.random((4, 4)).astype(np.float32) * 6.3, (width, height))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    reach = rng.uniform(0.8, 2.2) * scale
    total = np.zeros(picture.shape, np.float32)
    for step in np.linspace(-1, 1, 5):
        shift_x = x + np.float32(step * reach) * np.cos(angle)
        shift_y = y + np.float32(step * reach) * np.sin(angle)
        total += cv2.remap(
            picture, shift_x, shift_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
    return cv2.medianBlur(_bytes(total / 1275), 3)


def _bytes(value: Array) -> Array:
    return (np.clip(value, 0, 1) * 255 + 0.5).astype(np.uint8)
