"""Backgrounds without faces: plain, gradients, clouds, blocks, stripes, landscapes, photo bits."""

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image

from rest_bridge.training.render.assets import assets_path
from rest_bridge.training.render.raster import Array


def sample_background(rng: np.random.Generator, size_px: int) -> Array:
    """Draw a background: float32 [size, size, 3], 0..1."""
    kind = rng.choice(len(_KINDS), p=_CHANCES)
    return np.clip(_KINDS[kind](rng, size_px), 0, 1).astype(np.float32)


def clouds(rng: np.random.Generator, size_px: int, *, roughness: float = 0.5) -> Array:
    """Sum of noise octaves: float32 [size, size], about 0..1."""
    total, weight, norm = np.zeros((size_px, size_px), np.float32), 1.0, 0.0
    cells = int(rng.integers(2, 5))
    while cells <= min(size_px, 96):
        noise = rng.random((cells, cells)).astype(np.float32)
        total += weight * cv2.resize(noise, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
        norm += weight
        weight *= roughness
        cells *= 2
    return total / norm


def _plain(rng: np.random.Generator, size_px: int) -> Array:
    return np.ones((size_px, size_px, 3)) * rng.random(3)


def _gradient(rng: np.random.Generator, size_px: int) -> Array:
    corners = rng.random((2, 2, 3)).astype(np.float32)
    return cv2.resize(corners, (size_px, size_px), interpolation=cv2.INTER_LINEAR)


def _clouds(rng: np.random.Generator, size_px: int) -> Array:
    share = clouds(rng, size_px, roughness=rng.uniform(0.3, 0.8))[..., None]
    share = np.clip((share - 0.5) * rng.uniform(1, 4) + 0.5, 0, 1)
    return rng.random(3) * share + rng.random(3) * (1 - share)


def _blocks(rng: np.random.Generator, size_px: int) -> Array:
    cells = rng.random((rng.integers(2, 9), rng.integers(2, 9), 3)).astype(np.float32)
    how = cv2.INTER_NEAREST if rng.random() < 0.6 else cv2.INTER_CUBIC
    return cv2.resize(cells, (size_px, size_px), interpolation=how)


def _stripes(rng: np.random.Generator, size_px: int) -> Array:
    y, x = np.mgrid[:size_px, :size_px] / size_px
    angle, count = rng.uniform(0, np.pi), rng.uniform(2, 25)
    wave = np.sin((np.cos(angle) * x + np.sin(angle) * y) * count * 2 * np.pi)
    share = np.clip(wave * rng.uniform(0.5, 6) + 0.5, 0, 1)[..., None]
    return rng.random(3) * share + rng.random(3) * (1 - share)


def _shapes(rng: np.random.Generator, size_px: int) -> Array:
    picture = np.ascontiguousarray(_gradient(rng, size_px), np.float32)
    for _ in range(rng.integers(3, 25)):
        colour = tuple(float(value) for value in rng.random(3))
        x, y = (int(value) for value in rng.integers(0, size_px, 2))
        extent = int(rng.uniform(0.03, 0.3) * size_px) + 1
        thick = -1 if rng.random() < 0.6 else int(rng.integers(1, 4))
        if rng.random() < 0.5:
            axes = (extent, int(extent * rng.uniform(0.3, 1)) + 1)
            angle = float(rng.uniform(0, 180))
            cv2.ellipse(picture, (x, y), axes, angle, 0, 360, colour, thick, cv2.LINE_AA)
        else:
            corners = (rng.normal(0, extent, (rng.integers(3, 6), 2)) + np.array([x, y])).astype(
                np.int32
            )
            if thick < 0:
                cv2.fillPoly(picture, [corners], colour, cv2.LINE_AA)
            else:
                cv2.polylines(picture, [corners], True, colour, thick, cv2.LINE_AA)
    return picture


def _landscape(rng: np.random.Generator, size_px: int) -> Array:
    sky = rng.random((2, 1, 3)).astype(np.float32) * 0.5 + 0.4
    picture = cv2.resize(sky, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    x = np.arange(size_px) / size_px
    rows = np.arange(size_px)[:, None] / size_px
    for layer in range(rng.integers(1, 5)):
        ridge = rng.uniform(0.3, 0.6) + 0.12 * layer
        for octave in (1, 2, 4, 8, 16):
            wave = np.sin(x * octave * rng.uniform(3, 9) + rng.uniform(0, 6))
            ridge = ridge + 0.08 / octave * wave
        ground = rng.random(3) * 0.6 + 0.2 * clouds(rng, size_px)[..., None]
        picture = np.where((rows > ridge)[..., None], ground, picture)
    return picture


def _photo_piece(rng: np.random.Generator, size_px: int) -> Array:
    pieces = _photo_margins()
    piece = pieces[rng.integers(len(pieces))]
    side = int(rng.integers(16, min(piece.shape[:2]) + 1))
    y, x = (int(rng.integers(0, extent - side + 1)) for extent in piece.shape[:2])
    crop = piece[y : y + side, x : x + side].astype(np.float32) / 255
    return cv2.resize(crop, (size_px, size_px), interpolation=cv2.INTER_CUBIC)


@lru_cache(maxsize=1)
def _photo_margins() -> list[Array]:
    """Corners of the training portraits: uint8 pieces without the face."""
    pieces = []
    for path in sorted(assets_path("t2i_synthetic_faces", "images").iterdir())[:270:3]:
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGB").resize((192, 192)))
        pieces += [picture[:44, :44], picture[:44, -44:], picture[-40:, :56], picture[-40:, -56:]]
    return pieces


_KINDS = (_plain, _gradient, _clouds, _blocks, _stripes, _shapes, _landscape, _photo_piece)
_CHANCES = (0.14, 0.12, 0.12, 0.1, 0.06, 0.1, 0.1, 0.26)
