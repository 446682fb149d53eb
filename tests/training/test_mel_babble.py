"""Voices mixed on stored log-mels: as loud as asked, deterministic, and what real mixing gives."""

import numpy as np
import pytest

from rest_bridge.features.mel import LogMel, MelConfig
from rest_bridge.training import mel_babble, speech_data, speech_sessions
from rest_bridge.training.augment_audio import add_noise
from rest_bridge.training.mel_babble import BabbleMixer
from rest_bridge.training.session_features import whole_features

CONFIG = MelConfig(np.full(80, -4.0, np.float32), np.full(80, 2.0, np.float32))
MIXER = BabbleMixer(CONFIG)


def voice(seed: int, seconds: float = 8.0) -> np.ndarray:
    """Syllables: a buzz of 120-240 Hz that comes and goes four times a second."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(16_000 * seconds)) / 16_000
    pitch = rng.uniform(120, 240)
    buzz = sum(np.sin(2 * np.pi * pitch * h * t + rng.uniform(0, 6)) / h for h in range(1, 25))
    gate = np.clip(np.sin(2 * np.pi * rng.uniform(1.5, 4) * t + rng.uniform(0, 6)), 0, 1)
    return (0.1 * gate * buzz + 1e-4 * rng.standard_normal(len(t))).astype(np.float32)


def features(samples: np.ndarray) -> np.ndarray:
    return whole_features(LogMel(CONFIG), samples)


def at(monkeypatch: pytest.MonkeyPatch, db: float) -> None:
    monkeypatch.setattr(mel_babble, "_LEAST_DB", db)
    monkeypatch.setattr(mel_babble, "_MOST_DB", db)
    monkeypatch.setattr(mel_babble, "_COLD_SHARE", 0.0)


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_a_louder_background_hides_more_of_the_voice(monkeypatch) -> None:
    near, far = features(voice(0)), [features(voice(k)) for k in (1, 2, 3)]
    kept = []
    for db in (40.0, 20.0, 10.0, 3.0):
        at(monkeypatch, db)
        kept.append(similarity(near, MIXER.mix(near, far, np.random.default_rng(0))))
    assert kept == sorted(kept, reverse=True)
    assert kept[0] > 0.85
    assert kept[-1] < 0.8


def test_it_is_near_what_mixing_the_samples_gives(monkeypatch) -> None:
    at(monkeypatch, 10.0)
    levels, kept = [], []
    for seed in range(4):
        near, other = voice(seed), voice(seed + 10)
        clean, real = features(near), features(add_noise(near, other, 10.0))
        made = MIXER.mix(clean, [features(other)], np.random.default_rng(0))
        # The moment of the other voice is drawn, so levels are compared, not frames.
        levels.append(made[200:].mean() - real[200:].mean())
        kept.append(similarity(made, clean) - similarity(real, clean))
    assert abs(np.mean(levels)) < 0.25
    # The spread is set for recorded talkers; these buzzes swing more, and keep 0.1 more.
    assert abs(np.mean(kept)) < 0.15


def test_same_chance_same_mixture_and_inputs_are_untouched() -> None:
    near, far = features(voice(0)), [features(voice(1)).astype(np.float16)]
    before = near.copy()
    first, again = (MIXER.mix(near, far, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(near, before)
    assert np.abs(first).max() <= CONFIG.clip


def session(name: str, style: str, seed: int) -> speech_sessions.Session:
    frames = 120
    mel = features(voice(seed, 6.0))[: 64 + frames * 4 + 8].astype(np.float16)[None]
    zeros = np.zeros((frames, 58), np.float16)
    return speech_sessions.Session(
        name, style, mel, zeros, np.zeros((1, frames, 9), np.float32),
        np.zeros((1, frames // 2, 3), np.float32), np.zeros((frames, 2), np.float32), False,
        np.ones(frames, np.float32), np.zeros(frames, np.float16), np.zeros(frames, bool),
    )  # fmt: skip


def batch(babble: float, first_step: int = 0) -> speech_data.Batch:
    sessions = [session(f"a{k}", "read", k) for k in range(3)] + [session("n", "negative", 9)]
    return next(
        speech_data.batches(
            sessions, batch_size=6, num_latents=12, seed=1, first_step=first_step,
            mixer=MIXER, babble=babble,
        )
    )  # fmt: skip


def test_batches_hear_babble_in_the_share_of_crops_that_was_asked_for() -> None:
    np.testing.assert_array_equal(batch(1.0, 3).mel, batch(1.0, 3).mel)
    assert np.isfinite(batch(1.0).mel).all()
    assert batch(1.0).mel.shape == batch(0.0).mel.shape
    assert not np.array_equal(batch(1.0).mel, batch(0.0).mel)
