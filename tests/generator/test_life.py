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
from rest_bridge.generator.life import LifePlanner, Steering
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
    rows = LifePlanner(0).plan(
        5, 3, Steering(smile=0.5, brow=-0.4, amount=0.0, gaze=(0.3, -0.2), style="read")
    )
    assert rows.shape == (3, len(CONDITION_NAMES))
    np.testing.assert_allclose(rows[:, CONDITION_INDEX["smile"]], 0.5)
    np.testing.assert_allclose(rows[:, CONDITION_INDEX["brow"]], -0.4)
    np.testing.assert_allclose(rows[:, CONDITION_INDEX["gazeX1"]], 0.3)
    np.testing.assert_allclose(rows[:, CONDITION_INDEX["yaw"]], 0.0)
    assert rows[:, CONDITION_INDEX["style:read"]].all()


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
