"""Vera: a painted portrait. One of our own photographs, painted over stroke by stroke."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rest_bridge.training.art.face_states import REST, FaceState
from rest_bridge.training.art.painter import paint
from rest_bridge.training.art.people import SIZE, Sitting

# The strokes hide the grain of few rays.
_SAMPLES = 12


def draw(state: FaceState) -> NDArray[np.uint8]:
    """Return the painting, uint8 [1024, 1024, 3]."""
    sitting = Sitting("vera")
    photograph = sitting.photograph(state, samples=_SAMPLES)
    return paint(photograph, attention(sitting.landmarks(state), SIZE))


def attention(marks: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Return how closely the painter looks at each place, float32 [size, size], 0..1."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    unit = float(np.linalg.norm(marks[42:48].mean(0) - marks[36:42].mean(0)))
    face = (marks[36:48].mean(0) + marks[48:66].mean(0)) / 2
    look = 0.12 + 0.43 * _spot(x, y, face, 1.1 * unit, 1.45 * unit)
    spots = [(36, 42, 0.42, 0.26), (42, 48, 0.42, 0.26), (30, 36, 0.32, 0.25), (48, 66, 0.52, 0.3)]
    for first, last, wide, high in spots:
        place = _spot(x, y, marks[first:last].mean(0), wide * unit, high * unit)
        look = np.maximum(look, place)
    return look.astype(np.float32)


def _spot(x: NDArray[np.float32], y: NDArray[np.float32], middle, wide: float, high: float):
    distance = ((x - middle[0]) / wide) ** 2 + ((y - middle[1]) / high) ** 2
    return np.exp(-(distance**2) / 1.5)


def landmarks(state: FaceState = REST) -> NDArray[np.float64]:
    """Return Vera's 66 landmarks, float64 [66, 2], px."""
    return Sitting("vera").landmarks(state)
