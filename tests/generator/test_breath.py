"""Breathing: as often as people, slowly, never twice the same, and nothing else moves."""

import numpy as np
import pytest

from rest_bridge.generator.breath import Breath
from rest_bridge.rig import RIG_INDEX

TIMES_S = np.arange(20 * 60 * 25) / 25
MOVED = [RIG_INDEX[name] for name in ("headY", "headPitch", "headZ")]


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_ten_to_twenty_breaths_a_minute_whose_length_differs(seed: int) -> None:
    full = Breath(seed).at(TIMES_S)
    begins = np.flatnonzero((full[1:] > 0) & (full[:-1] <= 0))
    assert 10 <= len(begins) / 20 <= 20
    lengths_s = np.diff(begins) / 25
    assert lengths_s.std() > 0.1
    assert 2.0 < lengths_s.min() <= lengths_s.max() < 9.0


def test_it_is_smooth_and_small_and_moves_the_head_alone() -> None:
    rig = np.zeros((2000, 58), np.float32)
    lifted = Breath(3).lift(rig, TIMES_S[:2000], np.ones(2000, np.float32))
    others = np.setdiff1d(np.arange(58), MOVED)
    assert not lifted[:, others].any()
    assert 0.015 < np.ptp(lifted[:, MOVED[0]]) < 0.05
    assert np.abs(np.diff(lifted[:, MOVED[0]])).max() < 0.002
    assert not rig.any()
    assert np.corrcoef(lifted[:, MOVED[0]], lifted[:, MOVED[1]])[0, 1] < -0.99  # looks up


def test_no_head_motion_is_no_breathing_and_seeds_differ() -> None:
    rig = np.zeros((100, 58), np.float32)
    assert not Breath(0).lift(rig, TIMES_S[:100], np.zeros(100, np.float32)).any()
    assert np.abs(Breath(0).at(TIMES_S[:500]) - Breath(1).at(TIMES_S[:500])).max() > 0.3


def test_any_part_of_a_stream_breathes_as_the_whole() -> None:
    whole = Breath(5).at(TIMES_S)
    np.testing.assert_array_equal(Breath(5).at(TIMES_S[1000:1004]), whole[1000:1004])
