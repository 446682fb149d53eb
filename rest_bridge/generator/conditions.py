"""What steers the DiT besides the voice: planned eyes, slow head pose, expression, amount, style.

Place in the flow: `life.LifePlanner` (and hotkeys) -> here -> `generator.MotionGenerator`. Training
builds the very same rows from its tracks, with groups dropped at random, so that each group may be
left to the network. Shape letters: T latent frames; F = 2T video frames.
"""

from typing import Final

import numpy as np

from rest_bridge.rig import RIG_INDEX, RIG_NAMES
from rest_bridge.types import LATENT_STRIDE, FloatArray

STYLES: Final = ("grid", "facegood", "read", "synthetic", "foreign")
"""One code for each source of training motion; none of them set means "unknown", for strangers."""

CONDITION_NAMES: Final = (
    "blink0", "blink1",
    "gazeX0", "gazeY0", "gazeX1", "gazeY1",
    "yaw", "pitch", "roll",
    "smile", "brow",
    "amount",
    "eyesGiven", "poseGiven", "expressionGiven", "amountGiven",
    *(f"style:{name}" for name in STYLES),
)  # fmt: skip
"""Columns of a condition row.

blink: lid closure of the two video frames, 0..1. gaze: -1..1, x to the image's right, y up.
yaw, pitch, roll: slow head pose relative to the reference, divided by `POSE_SCALE_DEG`.
smile: 0..1. brow: -1 frown..1 raised. amount: of head motion and accents, 1 is normal, 0..2.
*Given: 1 where the group is set, 0 where the network is free. style: one-hot.
"""

CONDITION_INDEX: Final = {name: column for column, name in enumerate(CONDITION_NAMES)}
POSE_SCALE_DEG: Final = np.array([8.0, 5.0, 4.0], np.float32)

EYES: Final = slice(0, 6)
POSE: Final = slice(6, 9)
EXPRESSION: Final = slice(9, 11)
AMOUNT: Final = slice(11, 12)
STYLE: Final = slice(16, 16 + len(STYLES))


def condition_rows(
    *,
    blink: FloatArray,
    gaze: FloatArray,
    slow_pose_deg: FloatArray,
    smile: FloatArray | float = 0.0,
    brow: FloatArray | float = 0.0,
    amount: FloatArray | float = 1.0,
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
    if style is not None:
        rows[:, CONDITION_INDEX[f"style:{style}"]] = 1.0
    return rows


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
