"""Degradations do what they are named for and leave the voice in its place."""

import numpy as np
import pytest

pytest.importorskip("scipy")

from rest_bridge.training import augment_audio as augment
from rest_bridge.training.background_sounds import coloured_noise

RATE_HZ = 16_000
T = np.arange(2 * RATE_HZ) / RATE_HZ
VOICE = (0.2 * np.sin(2 * np.pi * 300 * T) * (np.sin(2 * np.pi * 2 * T) > 0)).astype(np.float32)


def level_db(samples: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(samples**2)) + 1e-12))


@pytest.mark.parametrize("snr_db", [20.0, 6.0])
def test_noise_has_the_asked_for_ratio_to_the_speech_not_to_the_pauses(snr_db: float) -> None:
    noise = coloured_noise(len(VOICE), np.random.default_rng(0))
    added = augment.add_noise(VOICE, noise, snr_db) - VOICE
    assert 20 * np.log10(augment.speech_rms(VOICE)) - level_db(added) == pytest.approx(
        snr_db, abs=0.1
    )


@pytest.mark.parametrize("slope", [0.0, -3.0, -6.0])
def test_noise_has_its_colour(slope: float) -> None:
    noise = coloured_noise(4 * RATE_HZ, np.random.default_rng(1), slope_db_per_octave=slope)
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequency_hz = np.fft.rfftfreq(len(noise), 1 / RATE_HZ)

    def band(low: float) -> float:
        return float(10 * np.log10(power[(frequency_hz > low) & (frequency_hz < 1.2 * low)].mean()))

    assert (band(4000) - band(500)) / 3 == pytest.approx(slope, abs=0.7)


def test_a_room_keeps_the_direct_sound_in_place() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[4000] = 1
    wet = augment.reverberate(
        click, np.random.default_rng(0), rt60_s=0.5, direct_to_reverberant_db=3.0
    )
    assert len(wet) == len(click)
    assert np.abs(wet).argmax() == 4000
    assert np.abs(wet[:4000]).max() < 1e-3
    assert np.abs(wet[4100:8000]).max() > 1e-3


def test_the_telephone_loses_bass_and_treble() -> None:
    for frequency_hz, kept in ((100, False), (1000, True), (5000, False)):
        tone = np.sin(2 * np.pi * frequency_hz * T).astype(np.float32)
        assert (level_db(augment.telephone(tone)[4000:]) > -6) == kept


def test_another_microphone_colours_the_voice_and_leaves_it_in_its_place() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[4000:4002] = 1, -1
    for seed in range(6):
        heard = augment.microphone(click, np.random.default_rng(seed))
        assert heard.shape == click.shape
        assert abs(int(np.abs(heard).argmax()) - 4000) < 20
        assert not np.allclose(heard, click, atol=1e-3)


def test_loud_noise_goes_on_through_the_pauses_in_a_third_of_the_degraded_clips() -> None:
    quiet = VOICE == 0
    snr_db = []
    for seed in range(60):
        out = augment.degrade(VOICE, [VOICE], np.random.default_rng(seed))
        snr_db.append(level_db(VOICE[~quiet]) - level_db(out[quiet][2000:]))
    assert 0.15 < np.mean(np.array(snr_db) < 13) < 0.6


def test_degraded_clips_keep_their_length_and_stay_finite() -> None:
    rng = np.random.default_rng(0)
    for _ in range(12):
        out = augment.random_gain(augment.degrade(VOICE, [VOICE, VOICE[:9000]], rng), rng)
        assert out.shape == VOICE.shape
        assert np.isfinite(out).all()
        assert np.abs(out).max() <= 1
