"""The media clock follows the audio index, ignores jitter and keeps up with drift."""

import threading

import numpy as np
import pytest

from rest_bridge.clock import NS_PER_S, MediaClock, MonotonicClock

MS = 1_000_000


def test_origin_is_where_sample_zero_was_captured():
    media = MediaClock()
    media.observe(48_000, 7 * NS_PER_S)
    assert media.at(0) == 6 * NS_PER_S
    assert media.at(40 * MS) == 6 * NS_PER_S + 40 * MS


def test_exact_source_never_moves_the_origin_even_after_a_day():
    media = MediaClock()
    for hour in range(25):
        media.observe(hour * 3600 * 48_000, hour * 3600 * NS_PER_S)
    assert media.at(0) == 0


def test_jitter_of_single_chunks_moves_the_clock_by_less_than_a_millisecond():
    rng = np.random.default_rng(0)
    media = MediaClock()
    for k in range(3000):
        media.observe(k * 960, k * 20 * MS + int(rng.uniform(0, 8 * MS)) * (k > 0))
        assert abs(media.at(0) - 4 * MS) < 4.6 * MS
    assert abs(media.at(0) - 4 * MS) < 1 * MS


@pytest.mark.parametrize("ppm", [-200, 50, 200])
def test_drift_of_a_device_clock_is_followed_within_three_milliseconds(ppm):
    media = MediaClock()
    for k in range(3 * 60 * 50):
        true_ns = int(k * 20 * MS * (1 + ppm * 1e-6))
        media.observe(k * 960, true_ns)
        assert abs(media.at(k * 20 * MS) - true_ns) < 3 * MS


def test_wait_ends_at_once_when_stop_is_set():
    stop = threading.Event()
    stop.set()
    clock = MonotonicClock()
    assert not clock.wait_until(clock.now_ns() + 60 * NS_PER_S, stop)
    assert not clock.wait_until(0, stop)


def test_wait_returns_true_when_the_time_has_come():
    clock = MonotonicClock()
    assert clock.wait_until(clock.now_ns() + MS, threading.Event())


def test_a_second_in_which_everything_comes_late_moves_the_clock_by_less_than_a_millisecond() -> (
    None
):
    media = MediaClock()
    for k in range(1000):
        late_ms = 30 if 300 <= k < 400 else 0
        media.observe(k * 480, (10 * k + late_ms) * MS)
    assert abs(media.at(0)) < MS


def test_what_is_wrong_after_a_sleep_is_followed_sooner_than_drift() -> None:
    media = MediaClock()
    slept_ns, moved = 5 * NS_PER_S, []
    for k in range(4000):
        wrong_ms = 30 if k < 1400 else 0  # the source knows better four seconds after it woke
        at_ns = 10 * k * MS + (slept_ns + wrong_ms * MS if k >= 1000 else 0)
        media.observe(k * 480, at_ns)
        moved.append(media.at(0) - (slept_ns if k >= 1000 else 0))
    assert media.num_jumps == 1
    assert moved[1399] == 30 * MS
    steps = np.abs(np.diff(moved[1000:]))
    assert steps.max() <= 25_000  # no jump: 2.5 ms a second
    assert moved[1400 + 1200] < 10 * MS
    assert abs(moved[-1]) < 5 * MS
