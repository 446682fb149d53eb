"""The true rate of a clock from noisy times, and signals read at another speed."""

from collections.abc import Callable

import numpy as np
import pytest

from rest_bridge.sound.drift import RateTracker
from rest_bridge.sound.varispeed import HALF_TAPS, Varispeed, interpolate
from rest_bridge.types import VOICE_RATE_HZ, FloatArray

START_NS = 10**12
BLOCK = 480
RNG = np.random.default_rng


def gaussian(rng: np.random.Generator, true_ns: float, block: int) -> float:
    return true_ns + rng.normal(0, 3e6)


def late(rng: np.random.Generator, true_ns: float, block: int) -> float:
    """A system that is mostly 2 ms late and sometimes 150."""
    return true_ns + rng.exponential(2e6) + (rng.random() < 0.005) * rng.uniform(0, 150e6)


def bursts(rng: np.random.Generator, true_ns: float, block: int) -> float:
    """Three blocks come together with the last one."""
    return true_ns + (-block % 3) * 10e6 + rng.exponential(1e6)


def follow(
    tracker: RateTracker, seconds: float, ppm: float, noise: Callable[..., float], first: int = 1
) -> FloatArray:
    """Let it observe; return its error of the offset in ms after each block."""
    rng = RNG(7)
    errors = []
    for block in range(first, first + round(seconds * 100)):
        index = block * BLOCK
        true_ns = START_NS + index / VOICE_RATE_HZ * 1e9 / (1 + ppm * 1e-6)
        tracker.observe(index, int(noise(rng, true_ns, block)))
        errors.append((tracker.time_ns(index) - true_ns) / 1e6)
    return np.array(errors)


@pytest.mark.parametrize("noise", [gaussian, late, bursts])
@pytest.mark.parametrize("ppm", [-200.0, 0.0, 50.0, 200.0])
def test_the_rate_is_known_to_a_few_ppm_whatever_the_noise(ppm: float, noise) -> None:
    tracker = RateTracker(VOICE_RATE_HZ)
    errors = follow(tracker, 150.0, ppm, noise)
    assert tracker.locked
    assert tracker.ppm == pytest.approx(ppm, abs=5.0)
    # The offset is smooth: what is left is a constant, the mean lateness.
    assert np.abs(errors[-3000:] - errors[-3000:].mean()).max() < 0.3
    assert tracker.num_jumps == 0


def test_the_offset_is_known_within_a_second() -> None:
    tracker = RateTracker(VOICE_RATE_HZ)
    assert np.abs(follow(tracker, 3.0, 100.0, gaussian)[100:]).max() < 1.5
    assert not tracker.locked


def test_lost_samples_are_a_jump_and_not_drift() -> None:
    tracker = RateTracker(VOICE_RATE_HZ)
    follow(tracker, 60.0, 100.0, late)
    lost_ns = 300_000_000
    errors = follow(tracker, 10.0, 100.0, lambda r, t, b: late(r, t, b) + lost_ns, first=6001)
    assert tracker.num_jumps == 1
    assert errors[-1] * 1e6 == pytest.approx(lost_ns, abs=5e6)
    assert tracker.ppm == pytest.approx(100.0, abs=8.0)


def test_one_long_stall_moves_nothing() -> None:
    tracker = RateTracker(VOICE_RATE_HZ)
    follow(tracker, 60.0, 0.0, gaussian)
    before = tracker.time_ns(6000 * BLOCK)
    for block in range(6001, 6031):  # 300 ms arrive at once
        tracker.observe(block * BLOCK, START_NS + 6031 * 10_000_000)
    assert tracker.num_jumps == 0
    assert abs(tracker.time_ns(6000 * BLOCK) - before) < 3_000_000


def test_a_device_opened_anew_keeps_its_rate() -> None:
    tracker = RateTracker(VOICE_RATE_HZ)
    follow(tracker, 100.0, 120.0, gaussian)
    tracker.restart()
    tracker.observe(0, START_NS + 10**12)
    assert tracker.ppm == pytest.approx(120.0, abs=5.0)
    assert tracker.time_ns(0) == START_NS + 10**12


def test_at_speed_one_samples_pass_bit_by_bit_and_at_once() -> None:
    voice = RNG(1).uniform(-1, 1, 4800).astype(np.float32)
    stream = Varispeed()
    out = [stream.process(voice[start : start + 480]) for start in range(0, 4800, 480)]
    assert np.array_equal(np.concatenate(out), voice)
    assert stream.held == 0


@pytest.mark.parametrize("hz", [100.0, 1000.0, 5000.0, 12000.0])
def test_a_tone_stays_clean_at_another_speed(hz: float) -> None:
    times = np.arange(4 * VOICE_RATE_HZ) / VOICE_RATE_HZ
    voice = np.sin(2 * np.pi * hz * times).astype(np.float32)
    stream = Varispeed()
    parts = [stream.process(voice[s : s + 480], 1.0003) for s in range(0, len(voice), 480)]
    out = np.concatenate(parts)[2 * VOICE_RATE_HZ :]  # behind the glide
    angle = 2 * np.pi * hz * 1.0003 / VOICE_RATE_HZ * np.arange(len(out))
    basis = np.stack([np.cos(angle), np.sin(angle)], 1)
    factors = np.linalg.lstsq(basis, out.astype(np.float64), rcond=None)[0]
    residual_db = 20 * np.log10((out - basis @ factors).std() / out.std())
    assert residual_db < -90
    assert np.hypot(*factors) == pytest.approx(1.0, abs=1e-3)


def test_changing_the_speed_loses_and_repeats_nothing() -> None:
    voice = np.sin(2 * np.pi * 440 * np.arange(VOICE_RATE_HZ * 4) / VOICE_RATE_HZ)
    stream, rng, total, out = Varispeed(), RNG(3), 0, []
    for start in range(0, len(voice), 480):
        speed = 1.0 if start < 48_000 else 1.0 + rng.uniform(-8e-4, 8e-4)
        out.append(stream.process(voice[start : start + 480].astype(np.float32), speed))
        total += 480
        assert HALF_TAPS - 1 <= stream.held < HALF_TAPS + 3 or start <= 48_000
    sound = np.concatenate(out)
    assert np.abs(np.diff(sound, 2)).max() < (2 * np.pi * 440 / VOICE_RATE_HZ) ** 2 * 1.1
    assert len(sound) == pytest.approx(total, abs=200)


def test_between_whole_positions_the_signal_is_interpolated() -> None:
    signal = np.sin(2 * np.pi * 0.05 * np.arange(100)).astype(np.float32)
    positions = np.linspace(20.0, 80.0, 241)
    expected = np.sin(2 * np.pi * 0.05 * positions)
    assert np.abs(interpolate(signal, positions) - expected).max() < 1e-4


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_a_restless_stretch_with_steps_does_not_leave_the_line_behind(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tracker, lost_s, off_s = RateTracker(48_000), 0.0, []
    for index in range(15_000):
        restless = 5_000 < index < 8_000
        if restless and rng.random() < 0.01:
            lost_s += float(rng.uniform(0, 0.08))
        late_s = float(rng.normal(0, 0.012 if restless else 0.0004))
        true_s = index * 0.01 * (1 - 200e-6) + lost_s
        tracker.observe(index * 480, round((true_s + late_s) * 1e9))
        off_s.append(tracker.time_ns(index * 480) / 1e9 - true_s)
    assert np.abs(off_s[4_000:5_000]).max() < 0.002
    assert np.abs(off_s[8_500:]).max() < 0.015
    assert np.abs(off_s[12_000:]).max() < 0.002
    assert tracker.ppm == pytest.approx(200.0, abs=5.0)
