"""Emotions as rig offsets: what happy, sad, angry and surprised do to a face that goes on speaking.

Place in the flow: `speech_data.compose` -> here -> targets and condition columns, mixed in at batch
time with strengths and onsets by chance. Nobody's recorded emotion is claimed: the shapes follow
the action units of FACS (Ekman and Friesen) on ARKit's weights, a little stronger on one side where
people are. The lips keep their visemes: p, b and m stay shut, a rounded mouth resists the smile.

Shape letters: F video frames; E = 4 emotions in the order of `conditions.EMOTIONS`.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.generator.conditions import EMOTIONS
from rest_bridge.rig import RIG_INDEX, RIG_NAMES
from rest_bridge.training.curves import lip_aperture
from rest_bridge.types import FRAME_RATE_HZ

FloatArray = npt.NDArray[np.float32]

_BOTH: Final = ("Left", "Right")
_SHAPES: Final[dict[str, dict[str, float | tuple[float, float]]]] = {
    # AU 6 + 12, a little 25; the left corner a little higher.
    "happy": {
        "mouthSmile": (0.78, 0.70), "cheekSquint": (0.55, 0.50), "eyeSquint": 0.28,
        "mouthDimple": (0.22, 0.18), "mouthUpperUp": 0.10, "browOuterUp": 0.10,
        "noseSneer": 0.06,
    },
    # AU 1 + 4 + 15 + 17, lids heavy, head down.
    "sad": {
        "browInnerUp": 0.90, "browDown": 0.22, "mouthFrown": (0.74, 0.82), "mouthShrugLower": 0.36,
        "mouthShrugUpper": 0.12, "eyeSquint": 0.20, "cheekSquint": 0.10, "headPitch": 3.0,
        "headRoll": 1.0,
    },
    # AU 4 + 5 + 7 + 23 + 24, nose wrinkled, jaw and head forward.
    "angry": {
        "browDown": (0.92, 0.86), "eyeSquint": 0.42, "eyeWide": 0.18, "noseSneer": (0.42, 0.34),
        "mouthPress": 0.32, "mouthFrown": 0.22, "mouthRollUpper": 0.14, "mouthShrugUpper": 0.14,
        "jawForward": 0.18, "headPitch": 2.4,
    },
    # AU 1 + 2 + 5 + 26, head back; the right brow a little higher.
    "surprised": {
        "browInnerUp": 0.80, "browOuterUp": (0.78, 0.88), "eyeWide": 0.68, "jawOpen": 0.08,
        "mouthLowerDown": 0.05, "mouthUpperUp": 0.06, "mouthFunnel": 0.05, "headPitch": -2.2,
    },
}  # fmt: skip
"""Weights at full strength; a pair is (left, right) of the person."""

_ARTICULATION: Final = {"happy": 1.04, "sad": 0.90, "angry": 1.08, "surprised": 1.05}
"""How far a mouth opens while it speaks so."""

_OPENING: Final = ("jawOpen", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
                   "mouthUpperUpRight")  # fmt: skip
_WIDENING: Final = ("mouthSmileLeft", "mouthSmileRight", "mouthDimpleLeft", "mouthDimpleRight")
_SEALING: Final = ("mouthPressLeft", "mouthPressRight", "mouthShrugLower", "mouthShrugUpper",
                   "mouthRollUpper")  # fmt: skip


def expression_basis() -> FloatArray:
    """Return float32 [E, 58]: the rig offset of each emotion at full strength, mouth at rest."""
    basis = np.zeros((len(EMOTIONS), len(RIG_NAMES)), np.float32)
    for row, emotion in enumerate(EMOTIONS):
        for name, weight in _SHAPES[emotion].items():
            if name in RIG_INDEX:
                basis[row, RIG_INDEX[name]] = weight
                continue
            pair = weight if isinstance(weight, tuple) else (weight, weight)
            for side, value in zip(_BOTH, pair, strict=True):
                basis[row, RIG_INDEX[name + side]] = value
    return basis


def express(rig: FloatArray, strengths: FloatArray, closure: FloatArray) -> FloatArray:
    """Return a speaking face with emotions.

    Args:
        rig: float32 [F, 58], the face without them.
        strengths: float32 [F, E], 0..1.
        closure: float32 [F], 1 where p, b or m shut the lips.

    Returns:
        float32 [F, 58], weights limited to 0..1; where `strengths` is 0 equal to `rig`.
    """
    out = rig.copy()
    wider = 1 + strengths @ (np.array([_ARTICULATION[e] for e in EMOTIONS], np.float32) - 1)
    for name in (*_OPENING, "mouthClose"):
        out[:, RIG_INDEX[name]] *= wider
    offset = strengths @ expression_basis()
    rounded = np.clip(
        rig[:, RIG_INDEX["mouthPucker"]] + 0.5 * rig[:, RIG_INDEX["mouthFunnel"]], 0, 1
    )
    opened = np.clip(lip_aperture(rig) / 0.25, 0, 1)
    for names, kept in (
        (_OPENING, 1 - closure),
        (_WIDENING, (1 - 0.65 * rounded) * (1 - 0.25 * opened)),
        (_SEALING, 1 - 0.85 * opened),
    ):
        for name in names:
            offset[:, RIG_INDEX[name]] *= kept
    out += offset
    out[:, 6:] = np.clip(out[:, 6:], 0, 1)
    return out


def random_strengths(rng: np.random.Generator, num_frames: int) -> FloatArray:
    """Draw the emotions of one crop.

    Half of the crops are neutral; the others have one emotion, or two at once, constant or coming
    or going within 0.2 to 0.5 s.

    Args:
        rng: source of chance.
        num_frames: F.

    Returns:
        float32 [F, E], 0..1.
    """
    strengths = np.zeros((num_frames, len(EMOTIONS)), np.float32)
    if rng.random() < 0.5:
        return strengths
    count = 2 if rng.random() < 0.2 else 1
    for emotion in rng.choice(len(EMOTIONS), count, replace=False):
        full = float(rng.uniform(0.25, 1.0)) / count**0.5
        strengths[:, emotion] = full * _course(rng, num_frames)
    return strengths


def _course(rng: np.random.Generator, num_frames: int) -> FloatArray:
    """Return float32 [F], 0..1: constant, or smooth ramps at moments by chance."""
    course = np.ones(num_frames)
    kind = float(rng.random())
    if kind < 0.35:
        return course.astype(np.float32)
    frames = np.arange(num_frames) + 0.5
    come, go = np.sort(rng.uniform(0, num_frames, 2))
    if kind < 0.8:
        course *= _ramp(frames - come, rng)
    if kind > 0.6:
        course *= 1 - _ramp(frames - go, rng)
    return course.astype(np.float32)


def _ramp(since: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    x = np.clip(since / (float(rng.uniform(0.2, 0.5)) * FRAME_RATE_HZ), 0, 1)
    return x * x * (3 - 2 * x)
