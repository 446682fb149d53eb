import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_bridge.audio.resample import PolyphaseResampler, make_resampler, resample
from rest_bridge.types import FloatArray

RATES = [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000, 192000]


def noise(num_samples: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(num_samples).astype(np.float32) * 0.1


def stream(samples: FloatArray, cuts: list[int], from_hz: int, to_hz: int, low: bool) -> FloatArray:
    resampler = make_resampler(from_hz, to_hz, low_delay=low)
    parts = [resampler.process(part) for part in np.split(samples, sorted(cuts))]
    return np.concatenate([*parts, resampler.flush()])


@settings(max_examples=60, deadline=None)
@given(
    from_hz=st.sampled_from(RATES),
    to_hz=st.sampled_from([16000, 48000]),
    low_delay=st.booleans(),
    num_samples=st.integers(0, 6000),
    data=st.data(),
)
def test_streaming_in_any_chunking_equals_offline(from_hz, to_hz, low_delay, num_samples, data):
    samples = noise(num_samples)
    cuts = data.draw(st.lists(st.integers(0, num_samples), max_size=12))
    whole = stream(samples, [], from_hz, to_hz, low_delay)
    assert np.array_equal(stream(samples, cuts, from_hz, to_hz, low_delay), whole)
    assert whole.dtype == np.float32
    assert abs(len(whole) - num_samples * to_hz / from_hz) <= 1


@pytest.mark.parametrize("low_delay", [False, True])
@pytest.mark.parametrize("from_hz", RATES)
def test_tone_keeps_frequency_phase_and_amplitude(from_hz: int, low_delay: bool) -> None:
    tone_hz, to_hz = 997.0, 48000
    samples = (0.5 * np.sin(2 * np.pi * tone_hz * np.arange(from_hz) / from_hz)).astype(np.float32)
    out = stream(samples, list(range(0, from_hz, from_hz // 100)), from_hz, to_hz, low_delay)
    expected = 0.5 * np.sin(2 * np.pi * tone_hz * np.arange(to_hz) / to_hz)
    middle = slice(to_hz // 4, to_hz * 3 // 4)
    error = out[middle] - expected[middle]
    assert 20 * np.log10(np.sqrt((error**2).mean()) / 0.35) < -70


@pytest.mark.parametrize("low_delay", [False, True])
def test_what_would_alias_is_removed(low_delay: bool) -> None:
    samples = np.sin(2 * np.pi * 9500 * np.arange(48000) / 48000).astype(np.float32)
    out = stream(samples, [], 48000, 16000, low_delay)
    assert np.abs(out[1000:-1000]).max() < 1e-3


@pytest.mark.parametrize(("from_hz", "to_hz"), [(44100, 48000), (8000, 48000), (48000, 16000)])
def test_live_resampler_holds_back_at_most_four_milliseconds(from_hz: int, to_hz: int) -> None:
    resampler = make_resampler(from_hz, to_hz, low_delay=True)
    num_in = num_out = 0
    for part in np.array_split(noise(from_hz), 100):
        num_in += len(part)
        num_out += len(resampler.process(part))
        assert num_in / from_hz - num_out / to_hz <= 0.0041


def test_constant_stays_constant() -> None:
    out = stream(np.full(4410, 0.25, np.float32), [], 44100, 48000, True)
    assert np.abs(out[100:-100] - 0.25).max() < 1e-6


def test_memory_of_the_live_resampler_does_not_grow() -> None:
    resampler = PolyphaseResampler(44100, 48000)
    for _ in range(50):
        resampler.process(noise(441))
    assert resampler._buffer.size < 200


def test_ratio_with_a_huge_filter_bank_still_works() -> None:
    assert abs(len(resample(noise(44056), 44056)) - 48000) <= 1
    assert abs(len(stream(noise(44056), [], 44056, 48000, True)) - 48000) <= 1
