"""Life: a pure function of seed and time; blinks, glances and sway as people have them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_bridge.generator.conditions import (
    CONDITION_INDEX,
    CONDITION_NAMES,
    expression_to_rig,
    eyes_to_rig,
)
from rest_bridge.generator.life import LifePlanner
from rest_bridge.generator.steering import Steering, SteeringRamp
from rest_bridge.rig import RIG_INDEX

MINUTES = 10
TIMES_S = (np.arange(MINUTES * 60 * 25) + 0.5) / 25


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2_000_000), st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_any_chunking_gives_the_same_plan(first: int, sizes: list[int]) -> None:
    planner = LifePlanner(7)
    parts, position = [], first
    for size in sizes:
        parts.append(planner.plan(position, size))
        position += size
    np.testing.assert_array_equal(np.concatenate(parts), planner.plan(first, sum(sizes)))


def test_seeds_live_different_lives() -> None:
    assert np.abs(LifePlanner(1).plan(0, 200) - LifePlanner(2).plan(0, 200)).max() > 0.3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_blinks_are_12_to_20_a_minute_and_shut_the_lids(seed: int) -> None:
    closure = LifePlanner(seed).blink(TIMES_S)
    begins = (closure[1:] > 0.5) & (closure[:-1] <= 0.5)
    assert 12 <= begins.sum() / MINUTES <= 20
    starts = np.flatnonzero(begins) + 1
    peaks = [closure[s : s + 6].max() for s in starts]
    assert min(peaks) > 0.85
    assert (closure > 0.05).mean() < 0.15


def test_gaze_mostly_rests_on_the_viewer_and_jumps() -> None:
    gaze = LifePlanner(3).gaze(TIMES_S)
    assert (np.linalg.norm(gaze, axis=1) < 0.1).mean() > 0.4
    assert np.abs(gaze).max() <= 0.6
    assert np.abs(np.diff(gaze[:, 0])).max() > 0.1


def test_sway_is_slow_and_small() -> None:
    sway = LifePlanner(4).sway_deg(TIMES_S)
    assert 1.5 < sway[:, 0].std() < 4.5
    assert np.abs(sway).max() < 13
    assert np.abs(np.diff(sway, axis=0)).max() < 0.6


def test_steering_sets_expression_gaze_and_style() -> None:
    wish = Steering({"smile": 0.5, "brow": -0.4, "sad": 0.7}, (0.3, -0.2), 0.0, style="read")
    rows = LifePlanner(0).plan(5, 3, wish)
    assert rows.shape == (3, len(CONDITION_NAMES))
    np.testing.assert_allclose(rows[:, CONDITION_INDEX["smile"]], 0.5)
    np.testing.assert_allclose(rows[:, CONDITION_INDEX["brow"]], -0.4)
    np.testing.assert_allclose(rows[:, CONDITION_INDEX["sad"]], 0.7)
    np.testing.assert_allclose(rows[:, CONDITION_INDEX["happy"]], 0.0)
    np.testing.assert_allclose(rows[:, CONDITION_INDEX["gazeX1"]], 0.3)
    np.testing.assert_allclose(rows[:, CONDITION_INDEX["yaw"]], 0.0)
    assert rows[:, CONDITION_INDEX["style:read"]].all()


@pytest.mark.parametrize("rate", [0.0, 0.5, 2.0, 3.0])
def test_the_blink_rate_follows_the_wish(rate: float) -> None:
    def blinks(steering: SteeringRamp | None) -> int:
        closure = LifePlanner(5).blink(TIMES_S, steering)
        return int(((closure[1:] > 0.5) & (closure[:-1] <= 0.5)).sum())

    wished = blinks(SteeringRamp.steady(Steering(blink_rate=rate)))
    assert abs(wished - rate * blinks(None)) <= 0.3 * rate * blinks(None)


def test_a_change_of_wishes_moves_no_plan_by_a_jump() -> None:
    planner = LifePlanner(6)
    ramp = SteeringRamp.steady()
    wishes = (
        Steering({"angry": 1.0}, gaze=(1.0, -1.0), head_motion=0.0, blink_rate=0.0),
        Steering({"happy": 1.0, "brow": 1.0}, head_motion=1.2, style="read"),
    )
    rows = []
    for latent in range(60):
        if latent in (20, 22):  # the second wish comes before the first one is true
            ramp = ramp.turned(wishes[latent == 22], latent * 0.08)
        rows.append(planner.plan(latent, 1, ramp))
    moved = np.abs(np.diff(np.concatenate(rows), axis=0))[18:30]
    columns = ["angry", "happy", "brow", "amount", "yaw", "style:read"]
    assert moved[:, [CONDITION_INDEX[name] for name in columns]].max() < 0.5
    assert rows[26][0, CONDITION_INDEX["happy"]] == 1
    assert rows[26][0, CONDITION_INDEX["angry"]] == 0


def test_looking_to_the_images_right_turns_the_persons_left_eye_out() -> None:
    rig = eyes_to_rig(np.zeros(1, np.float32), np.array([[0.4, 0.2]], np.float32))[0]
    assert rig[RIG_INDEX["eyeLookOutLeft"]] == rig[RIG_INDEX["eyeLookInRight"]] > 0.3
    assert rig[RIG_INDEX["eyeLookInLeft"]] == 0
    assert rig[RIG_INDEX["eyeLookUpLeft"]] > 0.1


def test_a_frown_lowers_and_a_raise_lifts_the_brows() -> None:
    rig = expression_to_rig(np.zeros(2, np.float32), np.array([-1.0, 1.0], np.float32))
    assert rig[0, RIG_INDEX["browDownLeft"]] > 0.5
    assert rig[0, RIG_INDEX["browInnerUp"]] == 0
    assert rig[1, RIG_INDEX["browInnerUp"]] > 0.5
