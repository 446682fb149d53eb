"""The face's parameters as others name and measure them: VRM, Live Link Face, VTube Studio.

Place in the flow: a `RigInstant` -> here -> the outputs `vmc`, `live_link`, `vtube_studio` and
`rig_lines`. Pure functions of arrays; they know nothing of sockets. Our own axes and signs stand in
`rest_bridge.rig`: x to the picture's right (the person's left), y up, z to the viewer.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from rest_bridge.rig import ARKIT_NAMES, RIG_INDEX, VISEME_NAMES
from rest_bridge.types import FloatArray, StreamActivity

Naming = Literal["vrm0", "vrm1", "arkit", "ARKit"]
"""How VMC receivers name expressions; "ARKit" is perfect sync with capital first letters."""

EYE_RANGE_DEG: Final = (30.0, 25.0)
"""Turn of an eyeball at full weight of an ARKit look shape, sideways and up or down."""

_VOWELS: Final[dict[str, dict[str, float]]] = {
    "aa": {"aa": 1.0, "kk": 0.25, "nn": 0.1, "DD": 0.1},
    "ih": {"ih": 1.0, "SS": 0.5, "TH": 0.3, "DD": 0.2, "nn": 0.1},
    "ou": {"ou": 1.0, "CH": 0.4, "RR": 0.4, "FF": 0.1},
    "ee": {"E": 1.0, "kk": 0.2},
    "oh": {"oh": 1.0},
}
"""What each visemes' mouth is worth in the five vowels that VRM has."""
_VRM0: Final = {
    "aa": "A", "ih": "I", "ou": "U", "ee": "E", "oh": "O",
    "blink": "Blink", "blinkLeft": "Blink_L", "blinkRight": "Blink_R",
    "happy": "Joy", "angry": "Angry", "sad": "Sorrow", "surprised": "Surprised",
}  # fmt: skip
LIVE_LINK_NAMES: Final = (
    *(name[0].upper() + name[1:] for name in ARKIT_NAMES),
    "HeadYaw", "HeadPitch", "HeadRoll",
    "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll",
)  # fmt: skip
"""The 61 values of a Live Link Face packet, in order; rotations in radians."""


@dataclass(frozen=True, slots=True)
class RigInstant:
    """The face at one instant, on its way to a rig.

    Attributes:
        pts_ns: presentation time on the stream clock.
        values: float32 [58] in `rig.RIG_NAMES` order.
        visemes: float32 [15] in `rig.VISEME_NAMES` order, 0..1.
        level: root mean square of the voice, 0..1.
        activity: what the stream is doing.
    """

    pts_ns: int
    values: FloatArray
    visemes: FloatArray
    level: float
    activity: StreamActivity

    def value(self, name: str) -> float:
        """Return one rig value by its name in `rig.RIG_NAMES`."""
        return float(self.values[RIG_INDEX[name]])

    def both(self, name: str) -> float:
        """Return the mean of a left and a right weight; `name` without its side."""
        return 0.5 * (self.value(name + "Left") + self.value(name + "Right"))


def vowels(visemes: FloatArray) -> dict[str, float]:
    """Return the weights 0..1 of `aa ih ou ee oh` that show float32 [15] visemes best."""
    weight: dict[str, float] = dict(zip(VISEME_NAMES, map(float, visemes), strict=True))
    return {
        vowel: min(1.0, sum(share * weight[name] for name, share in parts.items()))
        for vowel, parts in _VOWELS.items()
    }


def gaze_deg(instant: RigInstant, side: Literal["Left", "Right"]) -> tuple[float, float]:
    """Return where an eye looks: degrees to the person's left, degrees up."""
    outward = instant.value(f"eyeLookOut{side}") - instant.value(f"eyeLookIn{side}")
    to_the_left = outward if side == "Left" else -outward
    up = instant.value(f"eyeLookUp{side}") - instant.value(f"eyeLookDown{side}")
    return EYE_RANGE_DEG[0] * to_the_left, EYE_RANGE_DEG[1] * up


def feelings(instant: RigInstant) -> dict[str, float]:
    """Return 0..1 for `happy`, `angry`, `sad`, `surprised`, read off brows and mouth corners."""
    smile, frown = instant.both("mouthSmile"), instant.both("mouthFrown")
    brow_down, brow_up = instant.both("browDown"), instant.both("browOuterUp")
    inner_up = instant.value("browInnerUp")
    return {
        "happy": _unit((smile - 0.15) / 0.5),
        "angry": _unit((brow_down + 0.5 * instant.both("noseSneer") - 0.2) / 0.6),
        "sad": _unit((0.5 * (frown + inner_up) - brow_up - 0.1) / 0.4),
        "surprised": _unit(
            (0.5 * (inner_up + brow_up) + 0.3 * instant.both("eyeWide") - 0.3) / 0.5
        ),
    }


def expressions(instant: RigInstant, naming: Naming) -> dict[str, float]:
    """Return what a VRM avatar calls the face's expressions, each 0..1.

    Args:
        instant: the face.
        naming: "vrm0" and "vrm1": vowels, blinks and emotions under the names of that version;
            "arkit" and "ARKit": the 52 weights of a perfect-sync avatar.
    """
    if naming in ("arkit", "ARKit"):
        capital = naming == "ARKit"
        return {
            (name[0].upper() + name[1:] if capital else name): _unit(instant.value(name))
            for name in ARKIT_NAMES
        }
    left, right = _unit(instant.value("eyeBlinkLeft")), _unit(instant.value("eyeBlinkRight"))
    # Receivers add the clips up: what both eyes do goes to one clip, the rest to the sides.
    both = min(left, right)
    found = vowels(instant.visemes) | {
        "blink": both, "blinkLeft": left - both, "blinkRight": right - both,
    } | feelings(instant)  # fmt: skip
    if naming == "vrm1":
        return found
    return {_VRM0[name]: value for name, value in found.items()}


def unity_rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> FloatArray:
    """Turn a head pose into a quaternion in Unity's axes, for an avatar that looks along +Z.

    Ours is Rz(roll) Rx(pitch) Ry(yaw), right-handed; Unity's x points to the person's right, which
    mirrors x: a rotation by (qx, qy, qz) becomes one by (qx, -qy, -qz).

    Returns:
        float32 [4]: x, y, z, w.
    """
    half = np.radians([roll_deg, pitch_deg, yaw_deg]) / 2
    sin, cos = np.sin(half), np.cos(half)
    roll = np.array([0.0, 0.0, sin[0], cos[0]])
    pitch = np.array([sin[1], 0.0, 0.0, cos[1]])
    yaw = np.array([0.0, sin[2], 0.0, cos[2]])
    x, y, z, w = _multiply(_multiply(roll, pitch), yaw)
    return np.array([x, -y, -z, w], np.float32)


def live_link_values(instant: RigInstant) -> FloatArray:
    """Return the 61 values of a Live Link Face packet.

    Args:
        instant: the face.

    Returns:
        float32 [61] in `LIVE_LINK_NAMES` order: weights 0..1, rotations in radians. As in Apple's
        app, a head that turns to the person's left has positive yaw, one that looks down positive
        pitch, and roll is positive towards the person's right shoulder.
    """
    weights = [_unit(instant.value(name)) for name in ARKIT_NAMES]
    head = [instant.value(name) for name in ("headYaw", "headPitch", "headRoll")]
    eyes: list[float] = []
    for side in ("Left", "Right"):
        to_the_left, up = gaze_deg(instant, side)
        eyes += [to_the_left, -up, 0.0]
    return np.array([*weights, *np.radians([*head, *eyes])], np.float32)


def tracking_parameters(instant: RigInstant) -> dict[str, float]:
    """Return VTube Studio's default tracking parameters.

    X is the picture's: the app's models look to the viewer's right where `FaceAngleX` is positive.

    Args:
        instant: the face.
    """
    spoken = vowels(instant.visemes)
    smile = 0.5 + 0.7 * instant.both("mouthSmile") - 0.7 * instant.both("mouthFrown")
    brow = {
        side: _unit(
            0.5 + 0.5 * (0.5 * instant.value("browInnerUp") + instant.value(f"browOuterUp{side}"))
            - 0.5 * instant.value(f"browDown{side}")
        )
        for side in ("Left", "Right")
    }  # fmt: skip
    found = {
        "FaceAngleX": _within(instant.value("headYaw"), 30),
        "FaceAngleY": _within(-instant.value("headPitch"), 30),
        "FaceAngleZ": _within(-instant.value("headRoll"), 30),
        "FacePositionX": _within(5 * instant.value("headX"), 10),
        "FacePositionY": _within(5 * instant.value("headY"), 10),
        "FacePositionZ": _within(10 * instant.value("headZ"), 10),
        "MouthSmile": _unit(smile),
        "MouthOpen": mouth_open(instant),
        "MouthX": _within(instant.value("mouthLeft") - instant.value("mouthRight"), 1),
        "CheekPuff": _unit(instant.value("cheekPuff")),
        "TongueOut": _unit(instant.value("tongueOut")),
        "FaceAngry": feelings(instant)["angry"],
        "Brows": 0.5 * (brow["Left"] + brow["Right"]),
        "BrowLeftY": brow["Left"],
        "BrowRightY": brow["Right"],
        "VoiceVolume": _unit(4 * instant.level),
        "VoiceVolumePlusMouthOpen": _unit(4 * instant.level + mouth_open(instant)),
        "VoiceA": spoken["aa"], "VoiceI": spoken["ih"], "VoiceU": spoken["ou"],
        "VoiceE": spoken["ee"], "VoiceO": spoken["oh"],
        "VoiceSilence": _unit(float(instant.visemes[0])),
    }  # fmt: skip
    for side in ("Left", "Right"):
        lid = instant.value(f"eyeBlink{side}") + 0.3 * instant.value(f"eyeSquint{side}")
        found[f"EyeOpen{side}"] = _unit(1 - lid)
        to_the_left, up = gaze_deg(instant, side)
        found[f"Eye{side}X"] = _within(to_the_left / EYE_RANGE_DEG[0], 1)
        found[f"Eye{side}Y"] = _within(up / EYE_RANGE_DEG[1], 1)
    return found


def mouth_open(instant: RigInstant) -> float:
    """Return how far the lips are apart, 0 shut to 1 wide: jaw and lips together."""
    gap = (
        instant.value("jawOpen")
        + 0.35 * instant.both("mouthLowerDown")
        + 0.2 * instant.both("mouthUpperUp")
    )
    return _unit(1.3 * gap * (1 - _unit(instant.value("mouthClose"))))


def _multiply(a: FloatArray, b: FloatArray) -> FloatArray:
    """Multiply two quaternions [x, y, z, w]."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return np.array([
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    ])  # fmt: skip


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))


def _within(value: float, limit: float) -> float:
    return min(limit, max(-limit, value))
