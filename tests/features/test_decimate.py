"""48 kHz to 16 kHz: flat, free of aliases, 2 ms late, equal bits in any chunking."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_bridge.features.decimate import DELAY_S, Decimator

VOICE = (np.random.default_rng(0).standard_normal(9600) * 0.1).astype(np.float32)


def decimate(samples: np.ndarray, sizes: list[int]) -> np.ndarray:
    decimator = Decimator()
    state = decimator.initial_state()
    parts, position = [], 0
    while position < len(samples):
        size = sizes[len(parts) % len(sizes)]
        part, state = decimator.step(samples[position : position + size], state)
        parts.append(part)
        position += size
    return np.concatenate(parts)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=8))
def test_any_chunking_gives_equal_bits(sizes):
    np.testing.assert_array_equal(decimate(VOICE, sizes), decimate(VOICE, [len(VOICE)]))


def tone(frequency_hz: float) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz * np.arange(48_000) / 48_000).astype(np.float32)


@pytest.mark.parametrize("frequency_hz", [100, 1000, 4000, 7000])
def test_speech_band_passes_unchanged_two_milliseconds_late(frequency_hz):
    out = decimate(tone(frequency_hz), [480])
    time_s = np.arange(len(out)) / 16_000 - DELAY_S
    np.testing.assert_allclose(
        out[200:], np.sin(2 * np.pi * frequency_hz * time_s)[200:], atol=5e-3
    )


@pytest.mark.parametrize("frequency_hz", [8100, 9000, 12_000, 20_000])
def test_what_would_alias_is_suppressed_by_50_db(frequency_hz):
    assert np.abs(decimate(tone(frequency_hz), [480])[200:]).max() < 3e-3


def test_ten_milliseconds_in_give_ten_milliseconds_out_at_once():
    decimator = Decimator()
    out, _ = decimator.step(VOICE[:480], decimator.initial_state())
    assert len(out) == 160
