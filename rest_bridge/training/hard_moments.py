"""A sheet of what the paper itself admits as weak: teeth, and fast motion of the head.

Each row is one kind of portrait: consecutive frames of the fastest head motion that the generator
makes of the built-in voice (head motion at its most vivid), of a head shaken three times a second,
which no voice asks for, and the mouth close up where speech shows most of its inside. Beside the
sheet stands how sharp the face is in motion, over the same portrait at rest.
Place in the flow: package and portraits -> `training.pictures --hard`. Shape letters: F frames.
"""

from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.gallery import built_in_voice
from rest_bridge.generator.decoder import FaceDecoder
from rest_bridge.generator.steering import Steering
from rest_bridge.rig import RIG_INDEX, RIG_NAMES
from rest_bridge.training.curves import lip_aperture
from rest_bridge.training.evaluation.driving import Driver, on_grey, read_voice
from rest_bridge.training.evaluation.fidelity import gradient_energy, luma
from rest_bridge.training.kind_sheets import labelled_tile
from rest_bridge.types import FRAME_RATE_HZ, ByteArray, FloatArray

FRAMES: Final = 3
"""Consecutive frames of each motion."""
TILE_PX: Final = 220
_DRAWN_PX: Final = 512
_VIVID: Final = 2.0
_SHAKE_DEG, _SHAKE_HZ = 12.0, 3.0
_MOUTH: Final = slice(48, 66)
_AROUND_MOUTH: Final = 0.72
"""Half the side of a mouth's tile in eye distances."""
_FACE: Final = slice(17, 48)


def fastest(rig: FloatArray, count: int = FRAMES) -> tuple[FloatArray, float]:
    """Return the consecutive frames in which the head turns fastest, and how fast.

    Args:
        rig: float32 [F, 58].
        count: frames.

    Returns:
        float32 [count, 58], and degrees a second between neighbours, at most.
    """
    angles = rig[:, [RIG_INDEX[name] for name in ("headYaw", "headPitch", "headRoll")]]
    speed = np.linalg.norm(np.diff(angles, axis=0), axis=1) * FRAME_RATE_HZ
    middle = int(speed.argmax())
    first = int(np.clip(middle - count // 2 + 1, 0, len(rig) - count))
    return rig[first : first + count], float(speed[middle])


def shaken(count: int = FRAMES) -> tuple[FloatArray, float]:
    """Return a head shaken three times a second, as it passes the middle; as `fastest`."""
    times = (np.arange(count) - count // 2) / FRAME_RATE_HZ
    rig = np.zeros((count, len(RIG_NAMES)), np.float32)
    rig[:, RIG_INDEX["headYaw"]] = _SHAKE_DEG * np.sin(2 * np.pi * _SHAKE_HZ * times)
    return rig, fastest(rig, count)[1]


def speaking(driver: Driver) -> tuple[tuple[FloatArray, float], list[FloatArray]]:
    """Return what the built-in voice makes: the fastest turn, and the two mouths to look into.

    Args:
        driver: of the package.

    Returns:
        As `fastest`; and rigs float32 [58] of the widest lips and of the widest smile with teeth.
    """
    voice = read_voice(built_in_voice())
    vivid = driver.rig_only(voice, steering=Steering(head_motion=_VIVID))
    usual = driver.rig_only(voice)
    gap = lip_aperture(usual)
    spread = usual[:, RIG_INDEX["mouthStretchLeft"]] + usual[:, RIG_INDEX["mouthSmileLeft"]]
    parted = gap > 0.3 * gap.max()
    return fastest(vivid), [usual[int(gap.argmax())], usual[int((spread * parted).argmax())]]


def hard_sheet(
    driver: Driver, avatars: Mapping[str, Avatar]
) -> tuple[ByteArray, dict[str, dict[str, float]]]:
    """Draw the sheet.

    Args:
        driver: of the package.
        avatars: row's title -> portrait.

    Returns:
        uint8 [H, W, 3] BGR; and for each row the face's gradient energy in motion over that at
        rest: `turning` and `shaken`.
    """
    (turning, speed), mouths = speaking(driver)
    shake, shake_speed = shaken()
    rows: list[ByteArray] = []
    sharp: dict[str, dict[str, float]] = {}
    for title, avatar in avatars.items():
        decoder = FaceDecoder(driver.package, avatar, _DRAWN_PX)
        still = decoder.render(np.zeros(len(RIG_NAMES), np.float32))
        tiles: list[ByteArray] = []
        values: dict[str, list[float]] = {"turning": [], "shaken": []}
        for name, rigs, at in (("turning", turning, speed), ("shaken", shake, shake_speed)):
            for number, rig in enumerate(rigs):
                frame = decoder.render(rig)
                label = f"{title}: {at:.0f} deg/s" if number == 0 else f"+{number * 40} ms"
                tiles.append(labelled_tile(frame, label, TILE_PX))
                values[name].append(face_energy(frame, avatar) / face_energy(still, avatar))
        for label, rig in zip(("mouth, wide", "mouth, spread"), mouths, strict=True):
            tiles.append(labelled_tile(_mouth(decoder.render(rig), avatar), label, TILE_PX))
        sharp[title] = {name: float(np.median(found)) for name, found in values.items()}
        rows.append(np.concatenate(tiles, 1))
    return np.concatenate(rows), sharp


def face_energy(frame: ByteArray, avatar: Avatar) -> float:
    """Return the gradient energy between brows and nose, with some room for motion.

    Args:
        frame: uint8 [S, S, 4].
        avatar: whose face it is.
    """
    size = len(frame)
    points = avatar.landmarks[_FACE] * size
    room = 0.3 * avatar.eye_distance * size
    low = np.maximum(points.min(0) - room, 0).astype(int)
    high = np.minimum(points.max(0) + room, size).astype(int)
    return gradient_energy(luma(on_grey(frame))[low[1] : high[1], low[0] : high[0]])


def _mouth(frame: ByteArray, avatar: Avatar) -> ByteArray:
    """Return a square around the mouth, uint8 [T, T, 4]."""
    size = len(frame)
    middle = avatar.landmarks[_MOUTH].mean(0) + np.array([0, 0.12 * avatar.eye_distance])
    half = _AROUND_MOUTH * avatar.eye_distance * size
    low = np.clip(middle * size - half, 0, size - 2).astype(int)
    high = np.minimum(middle * size + half, size).astype(int)
    piece = frame[low[1] : high[1], low[0] : high[0]]
    shape = (2 * TILE_PX, 2 * TILE_PX)
    return np.asarray(cv2.resize(piece, shape, interpolation=cv2.INTER_CUBIC), np.uint8)
