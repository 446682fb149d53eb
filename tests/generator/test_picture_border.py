"""Next to a border that cuts a person off nothing moves inwards; all else is free."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rest_bridge.avatar import Avatar
from rest_bridge.generator.base_flow import BaseFlow
from rest_bridge.inference.package import ModelPackage
from rest_bridge.types import Array
from tests.support.portraits import built_in_avatar


@pytest.fixture(scope="module")
def package(package_path: Path) -> ModelPackage:
    return ModelPackage.load(package_path, verify=False)


def _cut_off(avatar: Avatar, *, top: bool) -> Avatar:
    """Say that the whole picture is the head, or that it ends below the upper border."""
    cutout = avatar.backdrop.cutout.copy()
    cutout[..., 3] = 255
    if not top:
        cutout[: len(cutout) // 10, :, 3] = 0
    head = replace(avatar.head, weight=np.ones_like(avatar.head.weight))
    return replace(avatar, head=head, backdrop=replace(avatar.backdrop, cutout=cutout))


def _forward(avatar: Avatar, **pose: float) -> Array:
    names = ("yaw", "pitch", "roll", "x", "y", "size")
    _, forward = BaseFlow(avatar).pose(np.array([pose.get(n, 0.0) for n in names], np.float32))
    return forward


def test_nothing_is_drawn_in_from_beyond_the_border(package: ModelPackage) -> None:
    avatar = _cut_off(built_in_avatar("maya", package), top=True)
    down = _forward(avatar, y=-0.3)[..., 1]
    assert np.abs(down[0]).max() == 0
    assert down[len(down) // 2].min() > 0.25 * avatar.eye_distance
    assert (np.diff(down[: len(down) // 2], axis=0) >= -1e-6).all()  # and no step on the way


def test_out_of_the_picture_and_along_its_border_all_moves_freely(package: ModelPackage) -> None:
    avatar = _cut_off(built_in_avatar("maya", package), top=True)
    up = _forward(avatar, y=0.3)[..., 1]
    across = _forward(avatar, x=0.3)[..., 0]
    middle = len(up) // 2
    np.testing.assert_allclose(up[0], up[middle].min(), rtol=1e-4)
    np.testing.assert_allclose(across[0, middle], across[middle, middle], rtol=1e-4)


def test_a_head_that_ends_in_the_picture_moves_freely(package: ModelPackage) -> None:
    avatar = _cut_off(built_in_avatar("maya", package), top=False)
    down = _forward(avatar, y=-0.3)[..., 1]
    middle = len(down) // 2
    np.testing.assert_allclose(down[0, middle], down[middle, middle], rtol=1e-4)


def test_a_portrait_without_a_background_is_held_nowhere(package: ModelPackage) -> None:
    avatar = built_in_avatar("luna", package)
    head = replace(avatar.head, weight=np.ones_like(avatar.head.weight))
    down = _forward(replace(avatar, head=head), y=-0.3)[..., 1]
    np.testing.assert_allclose(down, down[0, 0], rtol=1e-4)
