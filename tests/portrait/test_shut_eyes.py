"""Shut eyes look like the portrait's own: lit lids, nothing wiped away beside the face."""

from dataclasses import replace

import numpy as np
import pytest

from rest_bridge.generator.decoder import FaceDecoder
from rest_bridge.generator.lids import Lids
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.contours import lid_curves
from rest_bridge.portrait.light import read_light
from rest_bridge.portrait.paint_eyes import paint_shut_eye
from rest_bridge.rig import ARKIT_NAMES, RIG_INDEX
from rest_bridge.types import Array, ByteArray
from tests.support.portraits import built_in_avatar


def _around(points: Array, ring: slice, size: int, reach: float) -> Array:
    """Return bool [N, N], an ellipse around an eye."""
    centre, width = points[ring].mean(0), np.ptp(points[ring, 0])
    x, y = np.meshgrid(*[(np.arange(size) + 0.5) / size] * 2)
    return np.hypot(x - centre[0], 1.4 * (y - centre[1])) < reach * width


def test_make_up_around_an_open_eye_makes_no_hole_of_the_shut_one(package: ModelPackage) -> None:
    avatar = built_in_avatar("maya", package)
    picture, points = avatar.picture.copy(), avatar.landmarks
    made_up = _around(points, slice(36, 42), len(picture), 0.75)
    picture[made_up, :3] = (picture[made_up, :3] * [0.3, 0.22, 0.3]).astype(np.uint8)
    light, lids = read_light(picture, points, avatar.eye_distance), lid_curves(points, "left", 0.78)
    box, shut = paint_shut_eye(picture, lids, light, "photo")
    middle = (points[37:39].mean(0) * 0.6 + points[40:42].mean(0) * 0.4 - box[:2]) / (
        box[2:] - box[:2]
    )
    row, column = (int(middle[k] * shut.shape[1 - k]) for k in (1, 0))
    lid = shut[row - 2 : row + 3, column - 4 : column + 5, :3].reshape(-1, 3).mean(0)
    hollow = picture[made_up, :3].mean(0)
    assert lid.mean() > 1.25 * hollow.mean()
    assert lid.mean() < 0.8 * light.skin.mean()  # make-up it remains
    assert abs(lid[1] / lid.mean() - hollow[1] / hollow.mean()) < 0.12  # and of its own hue


def _hairy(picture: ByteArray, points: Array) -> ByteArray:
    """Draw hair down to the left eye and a dark line from it out of the face."""
    out = picture.copy()
    size, line = len(picture), np.array([60, 30, 60], np.uint8)
    rows = slice(int((points[37, 1] - 0.06) * size), int((points[37, 1] - 0.004) * size))
    out[rows, int(points[36, 0] * size) : int(points[39, 0] * size), :3] = line
    row = int(points[36, 1] * size)
    out[row - 2 : row + 2, int((points[36, 0] - 0.3) * size) : int(points[36, 0] * size), :3] = line
    return out


def test_what_a_drawing_has_beside_the_face_stays_in_a_blink(package: ModelPackage) -> None:
    avatar = built_in_avatar("luna", package)
    points = avatar.landmarks.copy()
    edge = points[36, 0] - 0.02  # a face turned so far that the eye is at its outline
    points[:27, 0] = np.maximum(points[:27, 0], edge)
    picture = _hairy(avatar.picture, points)
    light, lids = read_light(picture, points, avatar.eye_distance), lid_curves(points, "left", 0.82)
    box, free = paint_shut_eye(picture, lids, light, "drawn")
    _, kept = paint_shut_eye(picture, lids, light, "drawn", points[:27])
    beside = int((points[36, 0] - 0.03 - box[0]) / (box[2] - box[0]) * kept.shape[1])
    assert beside > 3

    def line(shut: ByteArray) -> int:
        return int((np.abs(shut[:, :beside, :3].astype(int) - [60, 30, 60]).max(-1) < 40).sum())

    whole = line(kept)
    assert line(free) < 0.85 * whole


@pytest.mark.parametrize("name", ["eyeLookDown", "eyeSquint"])
def test_a_glance_alone_calls_for_no_other_picture_of_a_sliding_lid(
    package: ModelPackage, name: str
) -> None:
    eye = replace(built_in_avatar("luna", package).left_eye, slides=True)
    arkit = np.zeros(52, np.float32)
    arkit[ARKIT_NAMES.index(f"{name}Right")] = 1.0
    assert Lids(eye, "Right").state(arkit).closed < float(eye.switch[0])


def test_below_a_half_shut_sliding_lid_the_drawing_stays(package: ModelPackage) -> None:
    avatar = built_in_avatar("luna", package)
    shut = avatar.left_eye.shut.copy()
    shut[..., :3] = 0, 255, 0
    switch = np.array([0.1, 0.11], np.float32)
    eye = replace(avatar.left_eye, shut=shut, slides=True, switch=switch)
    decoder = FaceDecoder(package, replace(avatar, left_eye=eye), 400)

    def green(blink: float) -> Array:
        rig = np.zeros(58, np.float32)
        rig[RIG_INDEX["eyeBlinkRight"]] = blink
        red, level, blue = (decoder.render(rig)[..., k].astype(int) for k in range(3))
        return level - np.maximum(red, blue) > 150

    lower = int(avatar.landmarks[40:42, 1].mean() * 400)
    left, right = avatar.landmarks[36, 0], avatar.landmarks[39, 0]
    columns = slice(*(int((left + k * (right - left)) * 400) for k in (0.2, 0.8)))
    half, full = green(0.5), green(1.0)
    assert half.any()
    assert not half[lower:, columns].any()
    assert full[lower + 2 : lower + 5, columns].any()
