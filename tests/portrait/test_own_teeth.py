"""A portrait's open mouth: its contours hold teeth and dark alike; closed, it has enough teeth."""

from dataclasses import replace

import numpy as np
import pytest

from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.contours import Axes, LipCurves, lip_curves
from rest_bridge.portrait.light import read_light
from rest_bridge.portrait.paint import paint_mouth
from rest_bridge.types import Array, ByteArray
from tests.support.portraits import built_in_avatar

LIP, LINE = np.array([190, 100, 110], np.uint8), np.array([120, 60, 80], np.uint8)
TEETH, DARK = np.array([245, 240, 235], np.uint8), np.array([40, 15, 20], np.uint8)


def _mouth(size: int = 400) -> tuple[ByteArray, Array]:
    """Draw lips over teeth, a line of the lips' own darkness, and the dark below."""
    picture = np.full((size, size, 4), 255, np.uint8)
    x, y = np.meshgrid(*[(np.arange(size) + 0.5) / size] * 2)
    bow = np.clip(1 - ((x - 0.5) / 0.1) ** 2, 0, None)
    for low, high, colour in (
        (-0.045, 0.05, LIP), (-0.014, 0.016, DARK), (-0.014, -0.001, TEETH), (-0.001, 0.003, LIP),
    ):  # fmt: skip
        picture[(y - 0.6 > low * bow) & (y - 0.6 < high * bow), :3] = colour
    points = np.zeros((66, 2), np.float32)
    points[[58, 62]] = [[0.4, 0.6], [0.6, 0.6]]
    for k, place in enumerate((0.45, 0.5, 0.55)):
        height = 0.018 * (1 - ((place - 0.5) / 0.1) ** 2)
        points[59 + k], points[65 - k] = (place, 0.6 - height), (place, 0.6 + height)
    return picture, points


def test_teeth_and_the_dark_below_them_are_one_opening() -> None:
    picture, points = _mouth()
    lips = lip_curves(points, picture, 0.2, split_line=False)
    middle = len(lips.upper) // 2
    assert lips.upper[middle] < -0.009  # above the teeth
    assert lips.lower[middle] > 0.009  # below the dark


@pytest.mark.parametrize("gap", [0.0, 0.1])
def test_teeth_reach_below_the_closed_upper_lip_of_an_open_portrait_too(
    package: ModelPackage, gap: float
) -> None:
    avatar = built_in_avatar("maya", package)
    unit = avatar.eye_distance
    light = read_light(avatar.picture, avatar.landmarks, unit)
    axes = Axes(*avatar.mouth.axes)
    s = np.linspace(-1, 1, avatar.mouth.contour_upper.shape[0], dtype=np.float32)
    opening = (gap * unit * (1 - s**2)).astype(np.float32)
    picture = avatar.picture.copy()
    picture[..., :3] = picture[..., :3].mean(-1, keepdims=True) * [0.5, 0.2, 0.2]  # no teeth to see
    lips = LipCurves(axes, np.zeros_like(opening), opening, float(opening.max()))
    painted = paint_mouth(picture, lips, light, "photo", unit)
    alpha = painted.teeth[:, painted.teeth.shape[1] // 2, 3]
    size = (painted.box[3] - painted.box[1]) / len(alpha)
    lowest = painted.box[1] + (np.nonzero(alpha > 128)[0].max() + 1) * size
    below = (lowest - axes.origin[1]) / unit
    assert below == pytest.approx(0.075 + 0.35 * gap, abs=0.02)


def test_no_lower_lip_hangs_below_the_portraits_own_teeth(package: ModelPackage) -> None:
    avatar = built_in_avatar("maya", package)
    picture, points = _mouth()
    lips = lip_curves(points, picture, 0.2, split_line=False)
    light = replace(
        read_light(avatar.picture, avatar.landmarks, avatar.eye_distance),
        skin=np.array([230, 190, 170], np.float32),
    )
    painted = paint_mouth(picture, lips, light, "photo", 0.2)
    shown = painted.teeth if (painted.teeth[..., :3] > 200).all(-1).any() else painted.own
    column = shown[:, shown.shape[1] // 2].astype(int)
    lip = np.abs(column[:, :3] - LIP).max(-1) < 30
    seen = np.nonzero(column[:, 3] > 100)[0]
    assert not lip[seen[-3:]].any()
