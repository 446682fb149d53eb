"""A portrait turns as far as it can be shown: no further than its own side, softly, never back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rest_bridge.generator.base_flow import BaseFlow
from rest_bridge.inference.package import ModelPackage
from rest_bridge.types import Array
from tests.support.portraits import built_in_avatar


@pytest.fixture(scope="module")
def package(package_path: Path) -> ModelPackage:
    return ModelPackage.load(package_path, verify=False)


def _moved(package: ModelPackage, own_yaw: float, angles: Array, axis: int = 0) -> Array:
    """Return how far the tip of the nose goes, in eye distances, for each angle of an axis."""
    avatar = built_in_avatar("maya", package)
    own = np.array([own_yaw, 0, 0, 0, 0, 0], np.float32)
    flow, cells = BaseFlow(replace(avatar, own_pose=own)), len(avatar.head.depth)
    column, row = (avatar.landmarks[30] * cells).astype(int)
    poses = np.zeros((len(angles), 6), np.float32)
    poses[:, axis] = angles
    shift = np.array([flow.pose(pose)[1][row, column] for pose in poses])
    return shift[:, axis] / avatar.eye_distance


def test_a_turned_portrait_goes_less_far_to_its_own_side(package: ModelPackage) -> None:
    far = np.array([-30.0, 30.0])
    straight, turned = _moved(package, 0.0, far), _moved(package, -25.0, far)
    assert abs(turned[0]) < 0.6 * abs(straight[0])
    np.testing.assert_allclose(turned[1], straight[1], rtol=0.05)


@pytest.mark.parametrize("own_yaw", [-25.0, 0.0, 60.0])
def test_further_never_turns_back_and_small_turns_are_as_asked(
    package: ModelPackage, own_yaw: float
) -> None:
    angles = np.linspace(-40, 40, 33)
    moved = _moved(package, own_yaw, angles)
    assert (np.diff(moved) >= -1e-6).all()
    small = np.array([-6.0, -3.0, 3.0, 6.0])
    np.testing.assert_allclose(
        _moved(package, own_yaw, small), _moved(package, 0.0, small), atol=1e-6
    )


def test_a_deep_nod_ends_before_the_chin_covers_the_mouth(package: ModelPackage) -> None:
    nods = _moved(package, 0.0, np.array([12.0, 18.0, 25.0, -18.0, -25.0]), axis=1)
    assert nods[1] > nods[0]
    assert nods[2] - nods[1] < 0.25 * (nods[1] - nods[0]) * 7 / 6
    assert nods[4] < 1.2 * nods[3] < 0  # looking up goes on
