"""Names, order and meaning of the rig values that stand beside the pixels.

A rig vector is float32 [58]: six head-pose values, then the 52 ARKit weights in Live Link order.

- `headYaw`, `headPitch`, `headRoll`: degrees, relative to the camera (frontal = 0). Yaw > 0 turns
  the nose to the image's right, pitch > 0 looks down, roll > 0 turns counter-clockwise as seen in
  the picture (the rotation matrix is Rz(roll) Rx(pitch) Ry(yaw) with y up and z to the viewer).
- `headX`, `headY`: inter-ocular distances, x to the image's right, y UP. `headZ`: relative change
  of size (0.1 = 10 % bigger).
- The head turns and grows about the top of the neck (`PIVOT_*`), the neck gives way over
  `NECK_REACH`, the shoulders stay. All renderers and the runtime share this definition: importer
  and renderers that turned about points 3 cm apart cost 2 px of flow at 128 px.
- ARKit weights: 0..1; Left is the person's left (the image's right).
"""

from typing import Final

import numpy as np
import numpy.typing as npt

PIVOT_BELOW_EYES: Final = 2.2
"""The head turns about a point this many eye distances below and ..."""
PIVOT_BEHIND_EYES: Final = 1.5
"""... this many behind the middle of the lids, in the head's own frame."""
NECK_REACH: Final = (0.05, 1.15)
"""Eye distances below the chin: what lies above moves with the head, what lies below rests."""

POSE_NAMES: Final = ("headYaw", "headPitch", "headRoll", "headX", "headY", "headZ")

ARKIT_NAMES: Final = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft",
    "eyeSquintLeft", "eyeWideLeft",
    "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight",
    "jawForward", "jawLeft", "jawRight", "jawOpen",
    "mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight",
    "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight",
    "mouthUpperUpLeft", "mouthUpperUpRight",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight",
    "tongueOut",
)  # fmt: skip

RIG_NAMES: Final = POSE_NAMES + ARKIT_NAMES
RIG_INDEX: Final = {name: index for index, name in enumerate(RIG_NAMES)}

VISEME_NAMES: Final = (
    "sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou",
)  # fmt: skip

VISEME_TO_ARKIT: Final[dict[str, dict[str, float]]] = {
    "sil": {},
    "PP": {"mouthRollLower": 0.45, "mouthRollUpper": 0.35, "mouthPressLeft": 0.4,
           "mouthPressRight": 0.4},
    "FF": {"mouthRollLower": 0.7, "mouthUpperUpLeft": 0.35, "mouthUpperUpRight": 0.35,
           "jawOpen": 0.05},
    "TH": {"jawOpen": 0.14, "mouthLowerDownLeft": 0.2, "mouthLowerDownRight": 0.2},
    "DD": {"jawOpen": 0.12, "mouthLowerDownLeft": 0.28, "mouthLowerDownRight": 0.28},
    "kk": {"jawOpen": 0.2, "mouthStretchLeft": 0.2, "mouthStretchRight": 0.2},
    "CH": {"mouthFunnel": 0.55, "jawOpen": 0.1, "mouthLowerDownLeft": 0.2,
           "mouthLowerDownRight": 0.2},
    "SS": {"mouthStretchLeft": 0.3, "mouthStretchRight": 0.3, "mouthUpperUpLeft": 0.15,
           "mouthUpperUpRight": 0.15, "mouthLowerDownLeft": 0.3, "mouthLowerDownRight": 0.3},
    "nn": {"jawOpen": 0.14, "mouthLowerDownLeft": 0.1, "mouthLowerDownRight": 0.1},
    "RR": {"mouthFunnel": 0.3, "mouthPucker": 0.25, "jawOpen": 0.08},
    "aa": {"jawOpen": 0.6, "mouthLowerDownLeft": 0.1, "mouthLowerDownRight": 0.1},
    "E": {"jawOpen": 0.3, "mouthStretchLeft": 0.35, "mouthStretchRight": 0.35,
          "mouthUpperUpLeft": 0.1, "mouthUpperUpRight": 0.1},
    "ih": {"jawOpen": 0.15, "mouthStretchLeft": 0.3, "mouthStretchRight": 0.3,
           "mouthSmileLeft": 0.2, "mouthSmileRight": 0.2},
    "oh": {"jawOpen": 0.38, "mouthFunnel": 0.55},
    "ou": {"mouthPucker": 0.75, "mouthFunnel": 0.15, "jawOpen": 0.1},
}  # fmt: skip


ARTICULATIONS: Final = ("shut", "teeth", "round", "spread", "open", "silent")
"""What a voice asks of the lips, 0..1 each (`features.articulation`).

shut: p, b, m. teeth: f, v, whose lower lip meets the upper teeth. round: u, o, w, y, r and the
like, by degree. spread: i, e, s. open: how far the jaw drops. silent: nothing is said, 100 ms away
from speech.
"""


def viseme_basis() -> npt.NDArray[np.float32]:
    """Return float32 [15, 58]: the rig values of each full viseme, in `VISEME_NAMES` order."""
    basis = np.zeros((len(VISEME_NAMES), len(RIG_NAMES)), np.float32)
    for row, viseme in enumerate(VISEME_NAMES):
        for name, weight in VISEME_TO_ARKIT[viseme].items():
            basis[row, RIG_INDEX[name]] = weight
    return basis


def mirror_rig(rig: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the rig of the mirrored picture.

    Args:
        rig: float32 [..., 58].

    Returns:
        float32 [..., 58]: left and right swapped; yaw, roll and headX negated.
    """
    out = rig[..., _MIRROR_ORDER].copy()
    out[..., [0, 2, 3]] *= -1
    return out


def _mirror_name(name: str) -> str:
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight") or name not in POSE_NAMES:
        if name.endswith("Left"):
            return name[:-4] + "Right"
        if name.endswith("Right"):
            return name[:-5] + "Left"
    return name


_MIRROR_ORDER: Final = np.array([RIG_INDEX[_mirror_name(name)] for name in RIG_NAMES])
