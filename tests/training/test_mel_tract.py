"""Another vocal tract moves formants, never time; the same seed draws the same batch."""

import numpy as np
import pytest

pytest.importorskip("torch")

from rest_bridge.features.mel import mel_filters
from rest_bridge.training import speech_data
from rest_bridge.training.mel_tract import bend, change_talker
from rest_bridge.types import FloatArray


def _formant(frequency_hz: float) -> FloatArray:
    """Return [1, 80]: a smooth hill of energy at a frequency."""
    filters = mel_filters()
    hz = np.linspace(0, 8000, filters.shape[1])
    power = np.exp(-0.5 * ((hz - frequency_hz) / 150) ** 2)
    return (filters @ power)[None].astype(np.float32)


def _centre(mel: FloatArray) -> float:
    return float((mel[0] * np.arange(80)).sum() / mel[0].sum())


@pytest.mark.parametrize("factor", [0.88, 1.13])
def test_a_shorter_tract_moves_a_formant_up_by_its_factor(factor: float) -> None:
    moved = bend(_formant(1500), factor)
    assert _centre(moved) == pytest.approx(_centre(_formant(1500 * factor)), abs=0.8)


def test_the_own_tract_changes_nothing() -> None:
    mel = np.random.default_rng(0).standard_normal((20, 80)).astype(np.float32)
    np.testing.assert_allclose(bend(mel, 1.0), mel, atol=1e-6)


def test_nothing_moves_in_time() -> None:
    mel = np.zeros((30, 80), np.float32)
    mel[12] = 1.0
    for seed in range(20):
        changed = change_talker(mel, np.random.default_rng(seed))
        assert changed.shape == mel.shape
        assert changed.dtype == np.float32
        assert not changed[np.arange(30) != 12].any()
        assert changed[12].mean() > 0.7


def test_half_the_changed_crops_lack_a_band() -> None:
    mel = np.ones((4, 80), np.float32)
    bands = [
        int((change_talker(mel, np.random.default_rng(seed))[0] == 0).sum()) for seed in range(200)
    ]
    assert 60 < sum(band > 0 for band in bands) < 140
    assert max(bands) <= 12


def test_a_batch_with_other_tracts_follows_from_its_number(
    toy_sessions: list[speech_data.Session],
) -> None:
    stream = speech_data.batches(toy_sessions, batch_size=4, num_latents=6, seed=1, tract=0.9)
    _, second = next(stream), next(stream)
    again = next(
        speech_data.batches(
            toy_sessions, batch_size=4, num_latents=6, seed=1, tract=0.9, first_step=1
        )
    )
    plain = next(
        speech_data.batches(toy_sessions, batch_size=4, num_latents=6, seed=1, first_step=1)
    )
    np.testing.assert_array_equal(second.mel, again.mel)
    np.testing.assert_array_equal(second.rig[0], plain.rig[0])
    assert not np.array_equal(second.mel, plain.mel)
