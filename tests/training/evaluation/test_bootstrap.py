import math

import numpy as np
import pytest

from rest_bridge.training.evaluation.bootstrap import (
    by_clip,
    estimate,
    estimate_ratio,
    slope_per_hour,
)
from rest_bridge.training.evaluation.jobs import Row


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        found = estimate(list(rng.normal(3.0, 1.0, 30)), num_draws=300)
        inside += found.low <= 3.0 <= found.high
    assert 0.87 <= inside / 200 <= 0.99


def test_unknown_values_are_left_out() -> None:
    found = estimate([1.0, math.nan, 3.0])
    assert (found.mean, found.num_clips) == (2.0, 2)
    assert estimate([]).num_clips == 0
    assert math.isnan(estimate([5.0]).low)


def test_portraits_of_one_clip_count_once() -> None:
    rows = [Row("s", "g", clip, p, {"r": r}) for clip, p, r in (("a", "x", 0.0), ("a", "y", 1.0))]
    rows.append(Row("s", "g", "b", "x", {"r": 1.0}))
    assert by_clip(rows, "r") == [0.5, 1.0]
    assert by_clip(rows, "absent") == []


def test_a_ratio_of_sums_is_not_a_mean_of_ratios() -> None:
    assert estimate_ratio([1.0, 100.0], [10.0, 100.0]).mean == pytest.approx(101 / 110)


def test_a_slope_is_found_and_chance_is_not_taken_for_one() -> None:
    times_s = np.arange(60) * 60.0
    noise = np.random.default_rng(1).normal(0, 0.1, 60)
    rising = slope_per_hour(times_s, times_s / 3600 + noise)
    assert rising.low < 1.0 < rising.high
    assert rising.low > 0
    still = slope_per_hour(times_s, noise)
    assert still.low < 0 < still.high
