import math

import numpy as np
import pytest

from rest_bridge.training.evaluation import agreement

FRAMES = 200


def _babbling(seed: int = 0, frames: int = FRAMES) -> np.ndarray:
    """A smooth curve without a period, so that only the true lag fits."""
    noise = np.random.default_rng(seed).normal(size=frames + 40)
    return np.convolve(noise, np.hanning(9), "same")[20:-20].astype(np.float32)


def test_correlation_ignores_scale_and_level() -> None:
    real = _babbling()
    assert agreement.pearson(real, 3 * real + 7) == pytest.approx(1)
    assert agreement.pearson(real, -real) == pytest.approx(-1)
    assert agreement.pearson(real, np.ones_like(real)) == 0


def test_a_few_frames_say_nothing() -> None:
    assert math.isnan(agreement.pearson(np.zeros(3, np.float32), np.zeros(3, np.float32)))


@pytest.mark.parametrize("late_frames", [-3, 0, 2])
def test_lag_is_positive_where_the_made_curve_is_late(late_frames: int) -> None:
    whole = _babbling(frames=FRAMES + 20)
    real, made = whole[10:-10], whole[10 - late_frames :][:FRAMES]
    assert agreement.best_lag_ms(real, made) == pytest.approx(40 * late_frames, abs=10)


def test_another_sentence_is_aligned_at_its_first_word() -> None:
    """The mismatched pair gets its best chance: equal sentences at unequal times agree fully."""
    words = _babbling(frames=60)
    made, real = np.zeros(100, np.float32), np.zeros(120, np.float32)
    made[10:70], real[40:100] = words, words
    spoken, real_spoken = np.zeros(100, bool), np.zeros(120, bool)
    spoken[10:70] = real_spoken[40:100] = True
    assert agreement.other_sentence(made, spoken, real, real_spoken) == pytest.approx(1)


def test_closures_are_found_where_the_lips_meet_and_missed_where_they_do_not() -> None:
    gap = np.ones(100, np.float32)
    gap[[23, 24, 25, 48, 49, 50]] = 0.0
    spans = [(0.96, 1.04), (1.96, 2.04), (2.96, 3.04)]
    assert agreement.closed_share(gap, spans) == pytest.approx(2 / 3)
    assert agreement.closed_share(gap, [(0.90, 0.91)]) == 1, "one frame early still counts"
    assert agreement.closed_share(np.ones(100, np.float32), spans) == 0, "a still mouth"
    assert math.isnan(agreement.closed_share(gap, []))


def test_spread_in_silence_is_a_share_of_that_in_speech() -> None:
    curve = np.concatenate([_babbling(1), 0.2 * _babbling(1)])
    speaking = np.arange(2 * FRAMES) < FRAMES
    assert agreement.rest_spread(curve, ~speaking, speaking) == pytest.approx(0.2, rel=1e-3)
    assert math.isnan(agreement.rest_spread(curve, np.zeros(2 * FRAMES, bool), speaking))


def test_a_mouth_that_does_not_round_has_no_contrast() -> None:
    width = np.where(np.arange(FRAMES) % 50 < 25, 1.0, -1.0).astype(np.float32)
    spread, rounded = [(0.1, 0.9)], [(1.1, 1.9)]
    speaking = np.ones(FRAMES, bool)
    assert agreement.contrast(width, spread, rounded, speaking) == pytest.approx(2)
    assert agreement.contrast(width, spread, spread, speaking) == 0
    assert math.isnan(agreement.contrast(width, spread, [], speaking))


def test_a_span_shorter_than_a_frame_finds_the_nearest_one() -> None:
    assert np.flatnonzero(agreement.frames_within(10, 0.121, 0.125)).tolist() == [3]
    assert not agreement.frames_within(10, 5.0, 5.1).any()


def test_events_are_counted_once_each() -> None:
    assert agreement.count_events(np.array([0.9, 0, 0.6, 0.8, 0.1, 0.7], np.float32), 0.5) == 3
