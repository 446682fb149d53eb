import numpy as np
import pytest

from rest_bridge.training.background_sounds import speech_rms
from rest_bridge.training.evaluation import conditions
from rest_bridge.training.evaluation.held_out import HeldOut, sentence_frames
from rest_bridge.training.visemes import VisemeSpan


@pytest.fixture(scope="module")
def clip() -> HeldOut:
    time = np.arange(2 * 48_000) / 48_000
    voice = (0.1 * np.sin(2 * np.pi * 300 * time) * (time > 0.5)).astype(np.float32)
    visemes = (VisemeSpan("SIL", 0, 0.5), VisemeSpan("AA", 0.5, 1.9), VisemeSpan("SIL", 1.9, 2))
    spoken = sentence_frames(list(visemes), 50)
    curve = spoken.astype(np.float32)
    return HeldOut("c", "strangers", voice, curve, curve, spoken, ~spoken, visemes, real=True)


def _condition(name: str) -> conditions.Condition:
    return next(c for c in conditions.CONDITIONS if c.name == name)


@pytest.mark.parametrize("snr_db", [20, 10, 6])
def test_noise_has_the_level_that_was_asked_for(clip: HeldOut, snr_db: int) -> None:
    noisy = conditions.under(clip, _condition(f"white noise {snr_db} dB"), [], seed=0)
    lead = noisy.voice[48_000 : 3 * 48_000]
    loud = speech_rms(clip.voice[::3])
    assert 20 * np.log10(loud / lead.std()) == pytest.approx(snr_db, abs=1.0)


def test_the_lead_in_delays_everything_alike(clip: HeldOut) -> None:
    worse = conditions.under(clip, _condition("quiet room"), [], seed=0)
    frames = int(conditions.LEAD_S * 25)
    assert np.array_equal(worse.aperture[frames:], clip.aperture)
    assert np.flatnonzero(worse.sentence)[0] == frames + np.flatnonzero(clip.sentence)[0]
    assert worse.spans("AA")[0][0] == pytest.approx(conditions.LEAD_S + 0.5)
    assert len(worse.voice) == len(worse.aperture) * 1920
    assert worse.rest[: frames - 3].all()
    assert worse.group == "strangers, quiet room"


def test_the_same_seed_gives_the_same_noise(clip: HeldOut) -> None:
    condition = _condition("pink noise 10 dB")
    one, same, other = (conditions.under(clip, condition, [], seed=s).voice for s in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_first_part_of_the_lead_in_is_not_judged(clip: HeldOut) -> None:
    worse = conditions.under(clip, _condition("quiet room"), [], seed=0)
    assert worse.first_frame == int(conditions.SETTLE_S * 25)


def test_a_warm_talker_has_spoken_and_paused_before_what_is_judged(clip: HeldOut) -> None:
    condition = _condition("babble 10 dB, talker spoke before")
    others = [0.001 * clip.voice[::3] + 1e-6]
    warm = conditions.under(clip, condition, others, seed=0)
    assert warm.first_frame == int((conditions.LEAD_S - conditions.PAUSE_S) * 25)
    before = warm.voice[: warm.first_frame * 1920]
    pause = warm.voice[warm.first_frame * 1920 : int(conditions.LEAD_S * 48_000)]
    assert speech_rms(before) > 2 * speech_rms(pause)
    assert np.array_equal(warm.aperture[int(conditions.LEAD_S * 25) :], clip.aperture)


def test_silences_are_as_long_as_asked_and_only_one_is_digital(clip: HeldOut) -> None:
    sounds = conditions.silences(2.0, [clip.voice[::3]], seed=0)
    assert {len(s) for s in sounds.values()} == {96_000}
    assert [name for name, s in sounds.items() if not s.any()] == ["digital silence"]


def test_every_quick_condition_exists() -> None:
    assert set(conditions.QUICK) <= {c.name for c in conditions.CONDITIONS}
