"""Lids and gaze are exactly those of the plan; nothing else of the face changes."""

import numpy as np

from rest_bridge.generator.conditions import CONDITION_INDEX, eyes_to_rig
from rest_bridge.generator.eye_plan import PLANNED, EyePlan
from rest_bridge.generator.latent import LatentSpace
from rest_bridge.generator.life import LifePlanner
from rest_bridge.inference.package import ModelPackage

RNG = np.random.default_rng(0)
ROWS = LifePlanner(3).plan(0, 60)
LATENTS = (0.3 * RNG.standard_normal((1, 60, 16, 4, 4))).astype(np.float32)


def test_eyes_follow_the_plan_and_the_rest_stays() -> None:
    package = ModelPackage.load()
    space = LatentSpace(package)
    before = space.to_rig(LATENTS[0])
    after = space.to_rig(EyePlan(package).apply(LATENTS, ROWS)[0])
    planned = eyes_to_rig(ROWS[:, :2].reshape(-1), ROWS[:, 2:6].reshape(-1, 2))
    np.testing.assert_allclose(after[:, PLANNED], planned[:, PLANNED], atol=1e-5)
    rest = [i for i in range(58) if i not in PLANNED]
    np.testing.assert_allclose(after[:, rest], before[:, rest], atol=1e-5)


def test_eyes_that_are_not_given_are_left_to_the_network() -> None:
    rows = ROWS.copy()
    rows[:, CONDITION_INDEX["eyesGiven"]] = 0
    again = EyePlan(ModelPackage.load()).apply(LATENTS, rows)
    np.testing.assert_allclose(again, LATENTS, atol=1e-6)
