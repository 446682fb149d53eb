"""What the lips add to the fitted head's fields: narrowing, the jaw's fade, and closing.

Place in the flow: fitted head and lip contours -> here -> `geometry`. Lengths in canvas units.
Shape letters: K shapes, H/W cells, S samples along a curve.
"""

from typing import Final

import numpy as np

from rest_bridge.portrait.contours import LipCurves
from rest_bridge.portrait.fit import FittedHead
from rest_bridge.portrait.raster import smoothstep
from rest_bridge.rig import ARKIT_NAMES
from rest_bridge.types import Array

_LIDS: Final = ("eyeBlink", "eyeLook", "eyeWide")
"""Shapes drawn by the eye layers instead."""
_LEFT_OUT: Final = ("tongueOut",)
SHAPES: Final = np.array(
    [i for i, name in enumerate(ARKIT_NAMES) if not name.startswith(_LIDS + _LEFT_OUT)], np.int16
)
OPENS: Final = ("jawOpen", "mouthClose")
EMPHASIS: Final = {"mouthFunnel": 1.4, "mouthPucker": 1.35, "browInnerUp": 0.8,
                    "browDownLeft": 1.5, "browDownRight": 1.5,
                    "browOuterUpLeft": 0.8, "browOuterUpRight": 0.8}  # fmt: skip
"""The scans' pouts and frowns look weak in a picture, raised brows too strong (judged by eye)."""
_NARROWS: Final = {"mouthFunnel": 0.36, "mouthPucker": 0.46}
"""Share of the mouth's width that each takes away: an o is 35 to 40 mm wide, a u 25 to 30."""
_GATHERS: Final = {"mouthFunnel": 0.22, "mouthPucker": 0.12}
"""How much further the corners come in: what touches beyond a round opening looks like wings."""
_GATHERED_FROM: Final = 0.5
"""Share of the lips from which on they gather."""
SEAL_SHARE: Final = 0.35
"""Share of an open mouth's gap that the upper lip closes."""


def narrowing(
    fitted: FittedHead, lips: LipCurves, places: Array, eye_distance: float, canvas_px: int
) -> Array:
    """Return what rounding shapes lack until they narrow a mouth as lips do, [H, W, 2K]."""
    out = np.zeros((*places.shape[:2], len(SHAPES), 2), np.float32)
    half = float(np.linalg.norm(lips.axes.along))
    unit = lips.axes.along / half
    local = lips.axes.local(places)
    beyond = np.maximum(np.abs(local[..., 0]) - 1, 0) * half / (0.3 * eye_distance)
    above = local[..., 1] / (0.45 * eye_distance)
    fall = np.exp(-(beyond**2) - above**2)
    pull = -np.clip(local[..., 0], -1, 1) * fall
    outer = smoothstep(_GATHERED_FROM, 1.0, np.abs(local[..., 0]))
    gather = -np.sign(local[..., 0]) * outer * fall
    corners = lips.points(lips.upper)[[0, -1]]
    for name, share in _NARROWS.items():
        number = list(SHAPES).index(ARKIT_NAMES.index(name))
        moved = _moved(fitted, corners, ARKIT_NAMES.index(name), canvas_px)
        moved = moved * EMPHASIS.get(name, 1.0)
        inwards = float((moved[0] - moved[1]) @ unit) / 2
        moved = pull * max(share * half - inwards, 0.0) + gather * (_GATHERS[name] * half)
        out[..., number, :] = moved[..., None] * unit
    return out.reshape(*places.shape[:2], -1)


def chin_gains(lips: LipCurves, places: Array, eye_distance: float, chin: float) -> Array:
    """Return gains [H, W, 2K] that let the jaw's movement fade from the lip to the chin."""
    local = lips.axes.local(places)
    below = local[..., 1] - np.interp(local[..., 0], lips.places, lips.lower)
    kept = 1 - (1 - chin) * smoothstep(0.02, 0.38, below / eye_distance)
    opens = np.repeat([ARKIT_NAMES[i] in OPENS for i in SHAPES], 2)
    return np.where(opens, kept[..., None], 1.0).astype(np.float32)


def _moved(fitted: FittedHead, points: Array, shape: int, canvas_px: int) -> Array:
    """Return how the head's surface at canvas points [S, 2] moves with a full shape."""
    distance = np.linalg.norm(fitted.vertices[None, :, :2] - points[:, None] * canvas_px, axis=-1)
    near = np.argsort(distance, axis=1)[:, :6]
    return fitted.displacement[shape][near, :2].mean(1) / canvas_px


def seals(lips: LipCurves, places: Array, eye_distance: float) -> tuple[Array, Array]:
    """Displacements of the upper and lower sheet that close the portrait's open mouth."""
    local = lips.axes.local(places)
    opening = lips.lower - lips.upper if lips.gap > 0 else np.zeros_like(lips.lower)
    gap = np.interp(local[..., 0], lips.places, opening, left=0, right=0)
    over = np.maximum(np.interp(local[..., 0], lips.places, lips.upper) - local[..., 1], 0)
    under = np.maximum(local[..., 1] - np.interp(local[..., 0], lips.places, lips.lower), 0)
    unit = lips.axes.along / np.linalg.norm(lips.axes.along)
    normal = np.array([-unit[1], unit[0]], np.float32)
    upper = SEAL_SHARE * gap * np.exp(-((over / (0.3 * eye_distance)) ** 2))
    lower = -(1 - SEAL_SHARE) * gap * np.exp(-((under / (0.6 * eye_distance)) ** 2))
    return (
        (upper[..., None] * normal).astype(np.float32),
        (lower[..., None] * normal).astype(np.float32),
    )


def below_line(lips: LipCurves, places: Array) -> Array:
    """Say which places [H, W, 2] lie below the line where the lips meet: bool [H, W]."""
    local = lips.axes.local(places)
    return local[..., 1] > np.interp(local[..., 0], lips.places, (lips.upper + lips.lower) / 2)
