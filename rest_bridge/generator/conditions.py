"""What steers the DiT besides the voice: planned eyes, slow head pose, expression, amount, style.

Place in the flow: `life.LifePlanner` (and hotkeys) -> here -> `generator.MotionGenerator`. Training
builds the very same rows from its tracks, with groups dropped at random, so that each group may be
left to the network. Shape letters: T latent frames; F = 2T video frames; C conditions.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from rest_bridge.errors import PackageError
from rest_bridge.rig import RIG_INDEX, RIG_NAMES
from rest_bridge.types import LATENT_STRIDE, FloatArray

STYLES: Final = ("grid", "facegood", "read", "synthetic", "foreign")
"""One code for each source of training motion; none of them set means "unknown", for strangers."""

EMOTIONS: Final = ("happy", "sad", "angry", "surprised")
"""Strengths 0..1 that mix freely; neutral is all of them at 0."""

CONDITION_NAMES: Final = (
    "blink0", "blink1",
    "gazeX0", "gazeY0", "gazeX1", "gazeY1",
    "yaw", "pitch", "roll",
    "smile", "brow",
    "amount",
    "eyesGiven", "poseGiven", "expressionGiven", "amountGiven",
    *(f"style:{name}" for name in STYLES),
    *EMOTIONS,
)  # fmt: skip
"""Columns of a condition row. New ones are added at the end, never between.

blink: lid closure of the two video frames, 0..1. gaze: -1..1, x to the image's right, y up.
yaw, pitch, roll: slow head pose relative to the reference, divided by `POSE_SCALE_DEG`.
smile: 0..1. brow: -1 frown..1 raised. amount: of head motion and accents, 1 is normal, 0..2.
*Given: 1 where the group is set, 0 where the network is free. style: one-hot.
happy, sad, angry, surprised: strength 0..1, part of the expression group.
"""

FIRST_CONDITION_NAMES: Final = CONDITION_NAMES[: -len(EMOTIONS)]
"""What a package takes whose manifest does not say: the first ones had no emotions."""

CONDITION_INDEX: Final = {name: column for column, name in enumerate(CONDITION_NAMES)}
POSE_SCALE_DEG: Final = np.array([8.0, 5.0, 4.0], np.float32)

POSE: Final = slice(6, 9)
STYLE: Final = slice(16, 16 + len(STYLES))
EMOTION: Final = slice(16 + len(STYLES), 16 + len(STYLES) + len(EMOTIONS))

_SMILE, _BROW = CONDITION_INDEX["smile"], CONDITION_INDEX["brow"]
_EMOTION_TO_SMILE: Final = np.array([0.8, 0.0, 0.0, 0.0], np.float32)
_EMOTION_TO_BROW: Final = np.array([0.15, 0.2, -0.8, 0.8], np.float32)
"""What smile and brow can say of each emotion, for packages that know no more."""

GROUPS: Final[dict[str, tuple[int, ...]]] = {
    "eyesGiven": tuple(range(6)),
    "poseGiven": (6, 7, 8),
    "expressionGiven": (_SMILE, _BROW, *range(EMOTION.start, EMOTION.stop)),
    "amountGiven": (11,),
}
"""Flag -> columns that it governs: together they are given or left to the network."""


def condition_rows(
    *,
    blink: FloatArray,
    gaze: FloatArray,
    slow_pose_deg: FloatArray,
    smile: FloatArray | float = 0.0,
    brow: FloatArray | float = 0.0,
    amount: FloatArray | float = 1.0,
    emotions: FloatArray | None = None,
    style: str | None = None,
) -> FloatArray:
    """Assemble condition rows with every group given.

    Args:
        blink: float32 [2T], lid closure 0..1.
        gaze: float32 [2T, 2], -1..1.
        slow_pose_deg: float32 [T, 3], yaw, pitch, roll in degrees relative to the reference.
        smile: [T] or one value, 0..1.
        brow: [T] or one value, -1..1.
        amount: [T] or one value, 0..2.
        emotions: float32 [T, 4] in the order of `EMOTIONS`, 0..1; None for neutral.
        style: a name of `STYLES`; None for unknown.

    Returns:
        float32 [T, len(CONDITION_NAMES)].
    """
    num_latents = len(slow_pose_deg)
    rows = np.zeros((num_latents, len(CONDITION_NAMES)), np.float32)
    rows[:, 0:2] = blink.reshape(num_latents, LATENT_STRIDE)
    rows[:, 2:6] = gaze.reshape(num_latents, 2 * LATENT_STRIDE)
    rows[:, POSE] = slow_pose_deg / POSE_SCALE_DEG
    rows[:, 9], rows[:, 10], rows[:, 11] = smile, brow, amount
    rows[:, 12:16] = 1.0
    if emotions is not None:
        rows[:, EMOTION] = emotions
    if style is not None:
        rows[:, CONDITION_INDEX[f"style:{style}"]] = 1.0
    return rows


def drop_group(rows: FloatArray, flag: str) -> None:
    """Leave a group to the network, in place.

    Args:
        rows: float32 [..., C].
        flag: a key of `GROUPS`.
    """
    rows[..., list(GROUPS[flag])] = 0.0
    rows[..., CONDITION_INDEX[flag]] = 0.0


def known_columns(names: Sequence[str]) -> list[int]:
    """Return the columns of a row that a package's graph takes, in its order.

    Raises:
        PackageError: the package wants a condition that this version does not know.
    """
    unknown = [name for name in names if name not in CONDITION_INDEX]
    if unknown:
        raise PackageError(
            f"The model package wants conditions that this version of rest_bridge does not know "
            f"({', '.join(unknown)}); update rest_bridge or use the package it was shipped with."
        )
    return [CONDITION_INDEX[name] for name in names]


def fit_rows(rows: FloatArray, columns: Sequence[int]) -> FloatArray:
    """Return the rows as a package's graph takes them.

    A package without emotions shows as much of them as smile and brows can say.

    Args:
        rows: float32 [T, len(CONDITION_NAMES)].
        columns: from `known_columns`.

    Returns:
        float32 [T, len(columns)].
    """
    if EMOTION.start not in columns and rows[:, EMOTION].any():
        rows, emotions = rows.copy(), rows[:, EMOTION]
        rows[:, _SMILE] = np.maximum(rows[:, _SMILE], emotions @ _EMOTION_TO_SMILE)
        rows[:, _BROW] = np.clip(rows[:, _BROW] + emotions @ _EMOTION_TO_BROW, -1, 1)
    return np.ascontiguousarray(rows[:, columns])


def eyes_to_rig(blink: FloatArray, gaze: FloatArray) -> FloatArray:
    """Return float32 [F, 58]: the rig of lids and eyeballs that these conditions ask for.

    Args:
        blink: float32 [F], 0..1.
        gaze: float32 [F, 2], x to the image's right (the person's left), y up.
    """
    rig = np.zeros((len(blink), len(RIG_NAMES)), np.float32)
    x, y = gaze[:, 0], gaze[:, 1]
    for name, values in (
        ("eyeLookOutLeft", x), ("eyeLookInRight", x), ("eyeLookInLeft", -x),
        ("eyeLookOutRight", -x), ("eyeLookUpLeft", y), ("eyeLookUpRight", y),
        ("eyeLookDownLeft", -y), ("eyeLookDownRight", -y),
        ("eyeBlinkLeft", blink), ("eyeBlinkRight", blink),
    ):  # fmt: skip
        rig[:, RIG_INDEX[name]] = np.maximum(values, 0)
    return rig


def expression_to_rig(smile: FloatArray, brow: FloatArray) -> FloatArray:
    """Return float32 [F, 58]: the rig of a smile (float32 [F], 0..1) and brows (-1..1)."""
    rig = np.zeros((len(smile), len(RIG_NAMES)), np.float32)
    raised, frown = np.maximum(brow, 0), np.maximum(-brow, 0)
    for name, values in (
        ("mouthSmile", 0.75 * smile), ("cheekSquint", 0.4 * smile), ("eyeSquint", 0.2 * smile),
        ("browOuterUp", 0.6 * raised), ("browDown", 0.8 * frown), ("eyeWide", 0.15 * raised),
    ):  # fmt: skip
        rig[:, RIG_INDEX[name + "Left"]] = values
        rig[:, RIG_INDEX[name + "Right"]] = values
    rig[:, RIG_INDEX["browInnerUp"]] = 0.7 * raised
    return rig
