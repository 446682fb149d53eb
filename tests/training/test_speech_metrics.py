"""The ruler itself: the truth scores perfectly, lateness, trembling and mumbling are seen."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("scipy")

from rest_bridge.features.mel import LogMel, MelConfig
from rest_bridge.training import speech_data, speech_metrics, speech_sessions
from rest_bridge.training.phonemes import Phone, tile
from rest_bridge.training.speech_sources import rule_utterance
from rest_bridge.types import FloatArray

SYMBOLS = ("AA", "M", "IY", "S", "UW", "P", "AA", "T", "OW", "B", "EH")


@pytest.fixture(scope="module")
def session() -> speech_sessions.Session:
    rng = np.random.default_rng(0)
    phones = [Phone(s, 0.5 + 0.15 * i, 0.65 + 0.15 * i) for i, s in enumerate(SYMBOLS)]
    voice = (rng.standard_normal(16_000 * 12) * 0.02).astype(np.float32)
    utterance = rule_utterance("x", "read", voice, tile(phones, 12.0), "arpabet")
    mel = LogMel(MelConfig(np.zeros(80, np.float32), np.ones(80, np.float32)))
    return speech_sessions.build_session(
        utterance, mel, rng, num_versions=1, history=voice, voices=[voice]
    )


def score(session: speech_sessions.Session, predicted: FloatArray) -> dict[str, float]:
    num_latents = session.num_latents
    crop = speech_data.compose(session, version=0, first=0, num_latents=num_latents, rng=None)
    blink = session.life[0, :, 0]
    clip = speech_metrics.Clip(session, crop.rig[0], predicted, blink)
    return speech_metrics.summarise([clip])["read"]


@pytest.fixture
def truth(session: speech_sessions.Session) -> FloatArray:
    crop = speech_data.compose(
        session, version=0, first=0, num_latents=session.num_latents, rng=None
    )
    return crop.rig[0].copy()


def test_the_truth_scores_perfectly(session: speech_sessions.Session, truth: FloatArray) -> None:
    perfect = score(session, truth)
    for name in ("r", "within", "closed", "range", "jitter", "blink", "yaw", "width"):
        assert perfect[name] == pytest.approx(1.0, abs=0.02), name
    assert perfect["lag_ms"] == 0
    assert perfect["still"] < 0.15


def test_late_lips_show_their_lag(session: speech_sessions.Session, truth: FloatArray) -> None:
    assert score(session, np.roll(truth, 2, axis=0))["lag_ms"] == 80


def test_a_trembling_head_and_a_fidgeting_mouth_are_seen(
    session: speech_sessions.Session, truth: FloatArray
) -> None:
    rng = np.random.default_rng(0)
    shaken = truth + rng.normal(0, 0.2, truth.shape).astype(np.float32)
    worse = score(session, shaken)
    assert worse["jitter"] > 2
    assert worse["still"] > 0.3
    assert worse["r"] < 0.95


def test_a_mumble_keeps_its_correlation_and_loses_its_range(
    session: speech_sessions.Session, truth: FloatArray
) -> None:
    small = score(session, truth * np.float32(0.5))
    assert small["r"] > 0.98
    assert small["range"] == pytest.approx(0.5, abs=0.03)
