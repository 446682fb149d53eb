"""Rig read-out: exact on the rig, blind to the free part, laid out like the picture."""

import numpy as np
import pytest

from rest_bridge.generator.latent import LatentSpace
from rest_bridge.inference.package import ModelPackage
from rest_bridge.rig import RIG_INDEX, RIG_NAMES


@pytest.fixture(scope="module")
def space() -> LatentSpace:
    return LatentSpace(ModelPackage.load())


def test_rig_to_latent_and_back_is_exact(space: LatentSpace) -> None:
    rig = np.random.default_rng(0).random((8, len(RIG_NAMES)), np.float32)
    np.testing.assert_allclose(space.to_rig(space.from_rig(rig)), rig, atol=1e-4)


def test_weights_outside_their_range_are_clipped_but_pose_is_not(space: LatentSpace) -> None:
    rig = np.zeros((2, len(RIG_NAMES)), np.float32)
    rig[:, RIG_INDEX["jawOpen"]] = 1.5
    rig[:, RIG_INDEX["headYaw"]] = -20.0
    out = space.to_rig(space.from_rig(rig))
    assert out[0, RIG_INDEX["jawOpen"]] == 1.0
    assert out[0, RIG_INDEX["headYaw"]] == pytest.approx(-20.0, abs=1e-3)


def test_mouth_lives_below_and_eyes_above(space: LatentSpace) -> None:
    energy: dict[str, np.ndarray] = {}
    for name in ("jawOpen", "eyeBlinkLeft"):
        rig = np.zeros((2, len(RIG_NAMES)), np.float32)
        rig[:, RIG_INDEX[name]] = 1.0
        energy[name] = (space.from_rig(rig)[0] ** 2).sum((0, 2))
    assert energy["jawOpen"][2:].sum() > 9 * energy["jawOpen"][:2].sum()
    assert energy["eyeBlinkLeft"][:2].sum() > 9 * energy["eyeBlinkLeft"][2:].sum()
