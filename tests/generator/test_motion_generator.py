"""The DiT at run time: pure, bounded, the same at a day's age, obedient to its plan."""

from pathlib import Path

import numpy as np
import pytest

from rest_bridge.errors import ConfigError, StateMismatch
from rest_bridge.generator.generator import MotionGenerator
from rest_bridge.generator.latent import LatentSpace
from rest_bridge.generator.life import LifePlanner
from rest_bridge.generator.sampler import latent_noise
from rest_bridge.generator.steering import Steering
from rest_bridge.inference.package import ModelPackage
from rest_bridge.types import Array, FloatArray

pytest.importorskip("onnxruntime")

REST = np.zeros((1, 16, 4, 4), np.float32)
TOKENS = np.random.default_rng(0).standard_normal((24, 2, 96)).astype(np.float32)


@pytest.fixture(scope="module")
def package() -> ModelPackage:
    return ModelPackage.load()


@pytest.fixture(scope="module")
def generator(package: ModelPackage) -> MotionGenerator:
    return MotionGenerator(package)


def stream(
    generator: MotionGenerator, state: dict[str, Array], first: int, last: int, chunk: int = 1
) -> tuple[FloatArray, dict[str, Array]]:
    planner, parts = LifePlanner(0), []
    for latent in range(first, last, chunk):
        rows, noise = planner.plan(latent, chunk), latent_noise(0, latent, chunk)
        latents, state = generator.step(TOKENS[latent : latent + chunk], rows, state, noise)
        parts.append(latents)
    return np.concatenate(parts), state


@pytest.mark.parametrize("chunk", [1, 3, 4])
def test_a_step_is_pure_and_its_state_replays(
    generator: MotionGenerator, tmp_path: Path, chunk: int
) -> None:
    _, state = stream(generator, generator.initial_state(REST), 0, 12, chunk)
    generator.state_spec.save(state, tmp_path / "state.npz")
    once, _ = stream(generator, state, 12, 24, chunk)
    again, _ = stream(generator, generator.state_spec.load(tmp_path / "state.npz"), 12, 24, chunk)
    np.testing.assert_array_equal(once, again)


def test_a_day_later_the_motion_is_the_same(generator: MotionGenerator) -> None:
    day = 24 * 3600 * 25 // 2
    young, _ = stream(generator, generator.initial_state(REST), 0, 16)
    old, _ = stream(generator, generator.initial_state(REST, first_latent=day), 0, 16)
    np.testing.assert_array_equal(young, old)


def test_the_state_never_grows(generator: MotionGenerator) -> None:
    state = generator.initial_state(REST)
    shapes = {name: array.shape for name, array in state.items()}
    _, state = stream(generator, state, 0, 20)
    assert {name: array.shape for name, array in state.items()} == shapes
    np.testing.assert_array_equal(state["state.position"], np.arange(14, 20))


def test_what_left_the_window_is_forgotten(generator: MotionGenerator) -> None:
    window = len(generator.initial_state(REST)["state.position"])
    _, state = stream(generator, generator.initial_state(REST), 0, 4)
    other, _ = stream(generator, generator.initial_state(REST), 4, 8)
    del other
    marked = dict(state)
    marked["state.keys"] = state["state.keys"].copy()
    marked["state.position"] = state["state.position"].copy()
    unwritten = state["state.position"] < 0
    assert unwritten.sum() == window - 4
    per_frame = state["state.keys"].shape[3] // window
    marked["state.keys"][:, :, :, np.repeat(unwritten, per_frame)] = 1e4
    np.testing.assert_array_equal(
        stream(generator, state, 4, 6)[0], stream(generator, marked, 4, 6)[0]
    )


def test_planned_blinks_happen(generator: MotionGenerator, package: ModelPackage) -> None:
    space, rows = LatentSpace(package), LifePlanner(0).plan(0, 10)
    rows[:, :2] = 0
    rows[5, :2] = 1
    state, rigs = generator.initial_state(REST), []
    for latent in range(10):
        latents, state = generator.step(
            TOKENS[latent : latent + 1] * 0, rows[latent : latent + 1], state,
            latent_noise(0, latent, 1),
        )  # fmt: skip
        rigs.append(space.to_rig(latents))
    lids = np.concatenate(rigs)[:, 6]
    assert lids[10:12].min() > 0.5
    assert lids[:8].max() < 0.3


def test_a_smile_can_be_asked_for(generator: MotionGenerator, package: ModelPackage) -> None:
    space = LatentSpace(package)
    smiles = []
    for smile in (0.0, 0.8):
        state, planner = generator.initial_state(REST), LifePlanner(0)
        for latent in range(6):
            rows = planner.plan(latent, 1, Steering({"smile": smile}))
            latents, state = generator.step(TOKENS[:1] * 0, rows, state, latent_noise(0, latent, 1))
        smiles.append(space.to_rig(latents)[:, 6 + 23].mean())
    assert smiles[1] > smiles[0] + 0.3


def test_another_packages_state_is_refused(generator: MotionGenerator) -> None:
    state = generator.initial_state(REST)
    state["state.keys"] = np.zeros((1, 2, 3, 4, 5), np.float32)
    with pytest.raises(StateMismatch, match=r"state\.keys"):
        generator.step(TOKENS[:1], LifePlanner(0).plan(0, 1), state, latent_noise(0, 0, 1))


@pytest.mark.parametrize("steps", [0, 9])
def test_impossible_numbers_of_steps_are_refused(package: ModelPackage, steps: int) -> None:
    with pytest.raises(ConfigError, match="choose 1 to 8"):
        MotionGenerator(package, num_steps=steps)
