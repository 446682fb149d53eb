"""Sounds that are no voice: of finite level, reproducible, and the mouth under them is shut."""

import numpy as np
import pytest

pytest.importorskip("scipy")

from rest_bridge.training.background_sounds import SOUNDS, babble
from rest_bridge.training.negatives import KINDS, negative_utterance

VOICES = [np.sin(np.arange(9000) * f).astype(np.float32) for f in (0.1, 0.23, 0.05)]


@pytest.mark.parametrize("name", SOUNDS)
def test_every_sound_is_alive_and_follows_from_its_seed(name: str) -> None:
    one, two, other = (SOUNDS[name](40_000, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (40_000,)
    assert one.dtype == np.float32
    assert np.isfinite(one).all()
    assert one.std() > 1e-3
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("index", range(len(KINDS)))
def test_the_mouth_stays_shut_whatever_is_heard(index: int) -> None:
    utterance = negative_utterance(index, np.random.default_rng(index), VOICES, seconds=3.0)
    assert utterance.style == "negative"
    assert KINDS[index] in utterance.name
    assert len(utterance.samples) == 48_000
    assert utterance.mouth.shape == (75, 58)
    assert not utterance.mouth.any()
    assert utterance.rest.all()
    level_db = 20 * np.log10(np.sqrt(np.mean(utterance.samples**2)))
    assert -60 < level_db < -15
    assert np.abs(utterance.samples).max() <= 1.01


def test_a_babble_has_no_single_talker() -> None:
    mixed = babble(20_000, VOICES, np.random.default_rng(0), least=4, most=4)
    spectrum = np.abs(np.fft.rfft(mixed))
    bins = [round(f / (2 * np.pi) * 20_000) for f in (0.1, 0.23, 0.05)]
    heard = sum(spectrum[b - 3 : b + 4].max() > 0.05 * spectrum.max() for b in bins)
    assert heard >= 2
