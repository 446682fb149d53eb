"""A talker among others: nothing moves in time, the background was there before him."""

import numpy as np
import pytest

pytest.importorskip("scipy")

from rest_bridge.features.mel import LogMel, MelConfig
from rest_bridge.training import session_features, speech_sessions
from rest_bridge.training.crowded import in_a_crowd
from rest_bridge.training.speech_sources import silent_utterance

CHANCE = np.random.default_rng(0)
VOICES = [CHANCE.standard_normal(20_000).astype(np.float32) * 0.1 for _ in range(3)]
SECOND = 16_000


def _clicks() -> np.ndarray:
    samples = np.zeros(2 * SECOND, np.float32)
    samples[::4000] = 1.0
    return samples


@pytest.mark.parametrize("seed", range(8))
def test_the_session_keeps_its_place_and_the_background_fills_the_rest(seed: int) -> None:
    samples = _clicks()
    sound = in_a_crowd(
        samples, samples, VOICES, np.random.default_rng(seed), least_lead=SECOND, tail=800
    )
    assert len(sound) >= SECOND + len(samples) + 800
    assert np.abs(sound).max() <= 1
    own = sound[-(len(samples) + 800) : -800]
    lags = [float(np.dot(own[100:-100], np.roll(samples, k)[100:-100])) for k in range(-40, 41)]
    assert int(np.argmax(np.abs(lags))) == 40
    assert sound[-800:].std() > 0
    assert sound[: SECOND // 2].std() > 0


def test_the_same_seed_gives_the_same_sound() -> None:
    one, two = (
        in_a_crowd(_clicks(), _clicks(), VOICES, np.random.default_rng(5), least_lead=1, tail=0)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)


def test_a_session_gets_crowded_versions_with_its_own_motion() -> None:
    utterance = silent_utterance("x", "read", 50)
    utterance.samples = _clicks()
    mel = LogMel(MelConfig(np.zeros(80, np.float32), np.ones(80, np.float32)))
    session = speech_sessions.build_session(
        utterance, mel, np.random.default_rng(1), num_versions=2, history=_clicks(),
        voices=VOICES, num_crowded=2,
    )  # fmt: skip
    assert session.mel.shape[0] == len(session.life) == len(session.slow) == 4
    assert session.mel.shape[1] == 64 + 200 + session_features.MOST_LOOKAHEAD_FRAMES
    assert not np.array_equal(session.mel[2], session.mel[3])
