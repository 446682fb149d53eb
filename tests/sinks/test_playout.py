"""The voice between frames and a sound card with a clock of its own."""

import numpy as np
import pytest

from rest_bridge.sinks.playout import Playout, stretch
from rest_bridge.types import SAMPLES_PER_FRAME, VOICE_RATE_HZ, FloatArray
from tests.support.frames import tone

BLOCK = 480


def simulate(
    playout: Playout, seconds: float, *, drift_ppm: float = 0.0, jitter_ms: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Push frames by our clock and pull blocks by the card's; return the sound and the fills."""
    rng = np.random.default_rng(0)
    num_frames = round(seconds * 25)
    num_blocks = round(seconds * 100 * (1 + drift_ppm * 1e-6))
    pushes = np.arange(num_frames) * 40.0 + rng.uniform(0, jitter_ms, num_frames)
    pulls = (np.arange(num_blocks) + 0.5) * 10.0 / (1 + drift_ppm * 1e-6)
    times = np.concatenate((pushes, pulls))
    heard, fills = [], []
    for event in np.argsort(times, kind="stable"):
        if event < num_frames:
            fills.append(playout.fill_s)
            playout.push(tone(int(event) * SAMPLES_PER_FRAME))
        else:
            heard.append(playout.pull(BLOCK))
    return np.concatenate(heard), np.array(fills)


def test_the_voice_passes_bit_by_bit_after_the_reserve() -> None:
    playout = Playout(0.015)
    heard, _ = simulate(playout, 1.0)
    begin = int(np.flatnonzero(heard)[0]) - 1
    assert begin == pytest.approx(0.015 * VOICE_RATE_HZ, abs=1)
    assert np.array_equal(heard[begin : begin + 40000], tone(0, 40000))
    assert playout.num_underruns == 0


@pytest.mark.parametrize("drift_ppm", [-200, 200])
def test_minutes_with_a_card_that_runs_fast_or_slow_stay_in_time(drift_ppm: float) -> None:
    playout = Playout(0.015)
    heard, fills = simulate(playout, 240.0, drift_ppm=drift_ppm, jitter_ms=3.0)
    assert playout.num_underruns == 0
    assert playout.num_skipped == 0
    assert np.abs(fills[1:] - 0.015).max() < 0.02
    assert playout.num_stretched == pytest.approx(drift_ppm * 1e-6 * 240 * VOICE_RATE_HZ, abs=500)
    assert np.abs(np.diff(heard[VOICE_RATE_HZ:])).max() < 0.06  # no clicks in a 440 Hz tone


def test_an_empty_buffer_is_silence_counted_once_and_filled_again() -> None:
    playout = Playout(0.015)
    playout.push(tone(0))
    for _ in range(10):
        playout.pull(BLOCK)
    assert playout.num_underruns == 1
    playout.push(tone(SAMPLES_PER_FRAME))
    assert not playout.pull(720).any()
    assert playout.pull(BLOCK).any()


def test_after_a_stall_of_the_card_the_surplus_is_skipped() -> None:
    playout = Playout(0.015)
    for index in range(25):
        playout.push(tone(index * SAMPLES_PER_FRAME))
    assert playout.fill_s < 0.3
    assert playout.num_skipped > 0


def test_frames_that_waited_for_the_card_to_open_do_not_delay_the_voice() -> None:
    playout = Playout(0.015)
    for index in range(4):  # 160 ms at once
        playout.push(tone(index * SAMPLES_PER_FRAME))
    for index in range(4, 8):
        for _ in range(4):
            playout.pull(BLOCK)
        assert playout.fill_s <= 0.015 + 0.041
        playout.push(tone(index * SAMPLES_PER_FRAME))
    assert playout.num_underruns == 0


@pytest.mark.parametrize("num_out", [1916, 1919, 1920, 1921, 1924])
def test_stretching_keeps_the_waveform(num_out: int) -> None:
    samples = tone(1, hz=1000.0)
    out = stretch(samples, num_out, tone(0, 1, hz=1000.0)[0])
    times = 1 + np.arange(num_out) * (len(samples) / num_out)
    expected = 0.5 * np.sin(2 * np.pi * 1000.0 * times / VOICE_RATE_HZ)
    assert len(out) == num_out
    assert np.abs(out - expected)[:-3].max() < 2e-3
