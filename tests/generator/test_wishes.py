"""Wishes on the shipped package: an expression shows within half a second and without a jump."""

import numpy as np
import pytest

from rest_bridge.generator.generator import MotionGenerator
from rest_bridge.generator.latent import LatentSpace
from rest_bridge.generator.life import LifePlanner
from rest_bridge.generator.sampler import latent_noise
from rest_bridge.generator.steady import MotionEvener
from rest_bridge.generator.steering import Steering, SteeringRamp
from rest_bridge.inference.package import ModelPackage
from rest_bridge.rig import RIG_INDEX
from rest_bridge.types import FloatArray

pytest.importorskip("onnxruntime")

WISHED, END = 15, 40  # latent frames of 80 ms
LATENT_S = 0.08
SHOWN_BY = 2 * WISHED + 13  # half a second later, in video frames
CASES = {
    "happy": (Steering({"happy": 1.0}), "mouthSmileLeft"),
    "sad": (Steering({"sad": 1.0}), "browInnerUp"),
    "angry": (Steering({"angry": 1.0}), "browDownLeft"),
    "surprised": (Steering({"surprised": 1.0}), "browInnerUp"),
    "gaze": (Steering(gaze=(0.8, 0.0)), "eyeLookOutLeft"),
}


@pytest.fixture(scope="module")
def package() -> ModelPackage:
    return ModelPackage.load()


def stream(package: ModelPackage, wish: Steering | None) -> FloatArray:
    """Return the rig [F, 58] of a silent stream in which a wish is made, if there is one."""
    generator, space, planner = MotionGenerator(package), LatentSpace(package), LifePlanner(11)
    state, ramp = (
        generator.initial_state(np.zeros((1, 16, 4, 4), np.float32)),
        SteeringRamp.steady(),
    )
    smoother = MotionEvener()
    steady, parts = smoother.initial_state(), []
    width = package.section("dit")["config"]["audio_width"]
    silence = np.zeros((1, 2, width), np.float32)
    for latent in range(END):
        if latent == WISHED and wish is not None:
            ramp = ramp.turned(wish, latent * LATENT_S)
        rows, noise = planner.plan(latent, 1, ramp), latent_noise(0, latent, 1)
        latents, state = generator.step(silence, rows, state, noise)
        rig, steady = smoother.step(space.to_rig(latents), steady)
        parts.append(rig)
    return np.concatenate(parts)


@pytest.mark.parametrize("name", CASES)
def test_a_wish_shows_within_half_a_second_and_without_a_jump(
    package: ModelPackage, name: str
) -> None:
    wish, channel = CASES[name]
    # Against the same stream without the wish: blinks and glances are the same in both.
    difference = stream(package, wish) - stream(package, None)
    change = difference[:, RIG_INDEX[channel]]
    final = float(change[2 * WISHED + 25 :].mean())
    assert final > 0.05
    assert abs(change[: 2 * WISHED - 1]).max() < 0.02  # nothing before it was wished
    assert change[SHOWN_BY] > 0.75 * final
    assert np.abs(np.diff(change)).max() < 0.35 * max(final, change.max())


def test_a_still_head_and_no_blinks_can_be_wished(package: ModelPackage) -> None:
    lively = stream(package, None)[2 * WISHED + 12 :]
    still = stream(package, Steering(head_motion=0.0, blink_rate=0.0))[2 * WISHED + 12 :]
    assert still[:, 0].std() < 0.35 * lively[:, 0].std()
    assert still[:, RIG_INDEX["eyeBlinkLeft"]].max() < 0.2
