"""Random face states and short motions, as rig vectors: speech-like mouths, eyes, brows, pose."""

from typing import Final

import numpy as np

from rest_bridge.rig import RIG_INDEX, RIG_NAMES, viseme_basis
from rest_bridge.training.render.raster import Array

_POSE_SPREAD: Final = np.array([11, 7, 5, 0.08, 0.08, 0.03])
_POSE_LIMIT: Final = np.array([35, 22, 18, 0.25, 0.25, 0.1])
_VISEMES: Final = viseme_basis()
_FAR: Final = 1.35
"""Spread and limits of poses over the usual ones, among people who turn far."""
_OWN: Final = 0.5
"""Spread of a portrait's own pose, over that of a motion."""
_OWN_FAR: Final = 1.5
"""The same, where it is turned."""
_STRAIGHT: Final = 0.35
"""Share of people who turn far and yet sit as others do."""


def sample_pose(rng: np.random.Generator, scale: float = 1.0) -> Array:
    """Draw a head pose, turned `scale` times as far as usual: float [6] as `rig.POSE_NAMES`."""
    spread = _POSE_SPREAD * np.array([scale, scale, scale, 1, 1, 1])
    limit = _POSE_LIMIT * np.array([max(scale, 1.0)] * 3 + [1, 1, 1])
    return np.clip(rng.normal(0, spread), -limit, limit)


def sample_mouth(rng: np.random.Generator) -> Array:
    """Draw a speech-like mouth, sometimes with a smile or another deformation: float [58]."""
    rig = np.zeros(len(RIG_NAMES))
    kind = rng.random()
    if kind < 0.62:
        for _ in range(1 + int(rng.random() < 0.4)):
            rig += rng.uniform(0.3, 1) * _VISEMES[rng.integers(1, len(_VISEMES))]
    elif kind < 0.8:
        _add(rig, rng.uniform(0.05, 0.8), "jawOpen")
    elif kind < 0.88:
        _add(rig, rng.uniform(0.2, 0.9), "mouthFunnel")
        _add(rig, rng.uniform(0, 0.35), "jawOpen")
    smile = rng.random()
    if smile < 0.3:
        _add(rig, rng.uniform(0.1, 0.85), "mouthSmileLeft", "mouthSmileRight", rng=rng)
    elif smile < 0.44:
        _add(rig, rng.uniform(0.1, 0.8), "mouthFrownLeft", "mouthFrownRight", rng=rng)
    for chance, names in (
        (0.15, ("mouthPucker",)),
        (0.12, ("mouthUpperUpLeft", "mouthUpperUpRight")),
        (0.12, ("mouthLowerDownLeft", "mouthLowerDownRight")),
        (0.08, ("mouthStretchLeft", "mouthStretchRight")),
        (0.08, ("mouthDimpleLeft", "mouthDimpleRight")),
        (0.06, ("mouthRollLower", "mouthRollUpper")),
        (0.06, ("mouthShrugLower", "mouthShrugUpper")),
        (0.06, ("mouthPressLeft", "mouthPressRight")),
        (0.06, ("cheekPuff",)),
        (0.06, ("noseSneerLeft", "noseSneerRight")),
        (0.06, ("cheekSquintLeft", "cheekSquintRight")),
        (0.04, ("jawForward",)),
        (0.03, ("mouthClose",)),
        (0.08, (("mouthLeft", "mouthRight", "jawLeft", "jawRight")[rng.integers(4)],)),
    ):
        if rng.random() < chance:
            _add(rig, rng.uniform(0.2, 0.8), *names)
    return rig.clip(0, 1)


def sample_eyes(rng: np.random.Generator, *, blink: bool = True) -> Array:
    """Draw lids, gaze and brows: float [58]."""
    rig = np.zeros(len(RIG_NAMES))
    kind = rng.random()
    if blink and kind < 0.4:
        amount = 1.0 if rng.random() < 0.5 else rng.uniform(0.1, 1)
        _add(rig, amount, "eyeBlinkLeft")
        _add(rig, amount if rng.random() < 0.9 else 0.0, "eyeBlinkRight")
    elif kind < 0.52:
        _add(rig, rng.uniform(0.2, 1), "eyeSquintLeft", "eyeSquintRight")
    elif kind < 0.64:
        _add(rig, rng.uniform(0.2, 1), "eyeWideLeft", "eyeWideRight")
    if rng.random() < 0.6:
        side, up = rng.normal(0, 0.4), rng.normal(0, 0.3)
        names = ("eyeLookOutLeft", "eyeLookInRight") if side > 0 else (
            "eyeLookInLeft", "eyeLookOutRight")  # fmt: skip
        _add(rig, abs(side), *names)
        where = "Up" if up > 0 else "Down"
        _add(rig, abs(up), f"eyeLook{where}Left", f"eyeLook{where}Right")
    kind = rng.random()
    if kind < 0.3:
        _add(rig, rng.uniform(0.2, 1), "browInnerUp")
        _add(rig, rng.uniform(0, 1), "browOuterUpLeft", "browOuterUpRight")
    elif kind < 0.5:
        _add(rig, rng.uniform(0.2, 1), "browDownLeft", "browDownRight")
    return rig.clip(0, 1)


def sample_motion(rng: np.random.Generator, num_frames: int, *, far: bool = False) -> Array:
    """Draw a motion from one state to another, of someone who turns far: float32 [F, 58]."""
    scale = _FAR if far else 1.0
    start, mouth_1, eyes_1 = sample_pose(rng, scale), sample_mouth(rng), sample_eyes(rng)
    limit = _POSE_LIMIT * np.array([scale] * 3 + [1, 1, 1])
    stop = np.clip(start + 0.35 * sample_pose(rng, scale), -limit, limit)
    mouth_2 = sample_mouth(rng) if rng.random() < 0.8 else mouth_1
    eyes_2 = sample_eyes(rng) if rng.random() < 0.6 else eyes_1
    share = np.linspace(0, 1, num_frames)[:, None]
    motion = (mouth_1 + eyes_1) * (1 - share) + (mouth_2 + eyes_2) * share
    motion[:, :6] = start * (1 - share) + stop * share
    return motion.astype(np.float32)


def sample_reference(rng: np.random.Generator, *, far: bool = False) -> Array:
    """Draw the state of a portrait that someone gives: eyes open; float32 [58].

    Args:
        rng: source of chance.
        far: two in three are turned; else all are nearly frontal.
    """
    rig = np.zeros(len(RIG_NAMES))
    if rng.random() < 0.35:
        rig += sample_mouth(rng)
    if rng.random() < 0.3:
        rig += sample_eyes(rng, blink=False)
    turned = far and rng.random() >= _STRAIGHT
    rig[:6] = sample_pose(rng, _OWN_FAR if turned else _OWN)
    return rig.astype(np.float32)


def _add(rig: Array, amount: float, *names: str, rng: np.random.Generator | None = None) -> None:
    """Add an amount to some values; with `rng` slightly different on each of them."""
    for name in names:
        unequal = rng.uniform(0.8, 1.0) if rng is not None else 1.0
        rig[RIG_INDEX[name]] = min(1.0, rig[RIG_INDEX[name]] + amount * unequal)
