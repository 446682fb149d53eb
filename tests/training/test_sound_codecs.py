"""Codecs squeeze the voice and leave it in its place."""

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("av")

from rest_bridge.training import sound_codecs
from rest_bridge.training.sound_codecs import CODECS, available_codecs, through_codec

T = np.arange(24_000) / 16_000
RNG = np.random.default_rng(0)
VOICE = (
    0.2 * np.sin(2 * np.pi * (220 + 90 * T) * T) * (np.sin(2 * np.pi * 3 * T) > 0)
    + 0.02 * RNG.standard_normal(len(T)) * (np.sin(2 * np.pi * 5 * T) > 0.3)
).astype(np.float32)


def codec(name: str) -> str:
    if name not in available_codecs():
        pytest.skip(f"this FFmpeg cannot write {name}")
    return name


@pytest.mark.parametrize("name", CODECS)
def test_what_comes_out_is_the_same_voice_at_the_same_time(name: str) -> None:
    out = through_codec(VOICE, codec(name))
    assert out.shape == VOICE.shape
    assert out.dtype == np.float32
    scores = [np.corrcoef(np.roll(VOICE, shift), out)[0, 1] for shift in range(-40, 41)]
    assert max(scores) > 0.85
    assert abs(int(np.argmax(scores)) - 40) <= 16  # a millisecond
    assert not np.array_equal(out, VOICE)


def test_fewer_bits_sound_worse() -> None:
    rates = CODECS[codec("opus")].bit_rates
    errors = [
        float(np.mean((through_codec(VOICE, "opus", bit_rate=rate) - VOICE) ** 2))
        for rate in (rates[0], rates[-1])
    ]
    assert errors[1] < 0.7 * errors[0]


def test_equal_chance_gives_equal_bytes() -> None:
    one, two = (sound_codecs.random_codec(VOICE, np.random.default_rng(5)) for _ in "ab")
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("samples", [np.zeros(20_000), np.zeros(100), np.zeros(0)])
def test_silence_and_crumbs_pass(samples: np.ndarray) -> None:
    for name in available_codecs():
        out = through_codec(samples.astype(np.float32), name)
        assert out.shape == samples.shape
        assert np.abs(out).max(initial=0) < 1e-2
