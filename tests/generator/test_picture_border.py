"""From beyond a border that cuts a person off nothing is read; all else moves as the head says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rest_bridge.avatar import Avatar
from rest_bridge.generator.base_flow import FULL_BOX, BaseFlow
from rest_bridge.generator.fields import grid_points
from rest_bridge.generator.picture_border import ZONE, PictureBorder
from rest_bridge.inference.package import ModelPackage
from rest_bridge.types import Array
from tests.support.portraits import built_in_avatar

CELLS = 96
PLACES = grid_points(FULL_BOX, CELLS, CELLS)
SIDES = ((0, 1), (0, -1), (1, 1), (1, -1))
"""Axis, and which way the picture moves: away from the left, right, upper and lower border."""


@pytest.fixture(scope="module")
def package(package_path: Path) -> ModelPackage:
    return ModelPackage.load(package_path, verify=False)


@pytest.fixture(scope="module")
def maya(package: ModelPackage) -> Avatar:
    return built_in_avatar("maya", package)


def _cut_off(avatar: Avatar, *, rows: slice = slice(None)) -> Avatar:
    """Say that all of the picture's rows, or some, show the person."""
    cutout = avatar.backdrop.cutout.copy()
    cutout[..., 3] = 0
    cutout[rows, :, 3] = 255
    head = replace(avatar.head, weight=np.ones_like(avatar.head.weight))
    return replace(avatar, head=head, backdrop=replace(avatar.backdrop, cutout=cutout))


def _shift(axis: int, by: float) -> Array:
    """Return the backward field of a picture that moves, float32 [96, 96, 2]."""
    back = np.zeros((CELLS, CELLS, 2), np.float32)
    back[..., axis] = -by
    return back


@pytest.mark.parametrize(("axis", "sign"), SIDES)
@pytest.mark.parametrize("by", [0.02, 0.1, 0.2])
def test_nothing_is_read_from_beyond_and_nothing_folds(
    maya: Avatar, axis: int, sign: int, by: float
) -> None:
    back = _shift(axis, sign * by)
    source = PLACES + PictureBorder(_cut_off(maya), CELLS).kept(back, PLACES)
    beyond = PLACES + back < 0 if sign > 0 else PLACES + back > 1
    assert (source[beyond] >= 0).all()
    assert (source[beyond] <= 1).all()
    assert np.diff(source[..., axis], axis=1 - axis).min() >= -1e-5


@pytest.mark.parametrize(("axis", "sign"), SIDES)
def test_what_lies_further_in_moves_as_the_head_says(maya: Avatar, axis: int, sign: int) -> None:
    back = _shift(axis, sign * 0.1)
    kept = PictureBorder(_cut_off(maya), CELLS).kept(back, PLACES)
    source = PLACES[..., axis] + back[..., axis]
    deep = source > ZONE if sign > 0 else source < 1 - ZONE
    np.testing.assert_allclose(kept[deep], back[deep], atol=1e-6)
    # Half of the way to the border it is off by a sixth of the motion at most.
    halfway = source > ZONE / 2 if sign > 0 else source < 1 - ZONE / 2
    assert np.abs(kept - back)[halfway].max() < 0.1 / 6


def test_out_of_the_picture_and_along_its_border_all_moves_freely(maya: Avatar) -> None:
    border = PictureBorder(_cut_off(maya, rows=slice(0, len(maya.picture) // 2)), CELLS)
    up, across = _shift(1, -0.1), _shift(0, 0.1)
    np.testing.assert_array_equal(border.kept(up, PLACES), up)
    moved = border.kept(across, PLACES)
    middle = CELLS // 2
    np.testing.assert_allclose(moved[:, middle], across[:, middle], atol=1e-6)


def test_a_head_that_ends_in_the_picture_moves_freely(maya: Avatar) -> None:
    below = slice(len(maya.picture) // 10, None)
    down = _shift(1, 0.1)
    kept = PictureBorder(_cut_off(maya, rows=below), CELLS).kept(down, PLACES)
    middle = CELLS // 2
    np.testing.assert_allclose(kept[:, middle], down[:, middle], atol=1e-6)


def test_a_portrait_without_a_background_moves_freely(package: ModelPackage) -> None:
    avatar = built_in_avatar("luna", package)
    down = _shift(1, 0.1)
    np.testing.assert_array_equal(PictureBorder(avatar, CELLS).kept(down, PLACES), down)


def test_a_turning_head_reads_nothing_from_beyond(maya: Avatar) -> None:
    flow = BaseFlow(_cut_off(maya))
    for pose in ((25, 0, 0), (-25, 0, 0), (0, -15, 0), (0, 15, 0), (0, 0, 12)):
        back, _ = flow.pose(np.array([*pose, 0, 0, 0], np.float32))
        source = PLACES + back
        assert source.min() >= -0.01
        assert source.max() <= 1.01
