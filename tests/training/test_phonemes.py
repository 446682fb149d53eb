"""Synthetic voices: phones that tile the clip and lie where the sound is."""

import ctypes.util
import shutil
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("scipy")

from rest_bridge.training.phonemes import EspeakVoice, Phone, flite
from rest_bridge.types import FloatArray


def check(samples: FloatArray, phones: list[Phone], least: int) -> None:
    assert phones[0].start_s == 0
    assert phones[-1].end_s == pytest.approx(len(samples) / 16_000, abs=0.02)
    for before, after in pairwise(phones):
        assert before.end_s == pytest.approx(after.start_s)
    voiced = [p for p in phones if p.symbol != "SIL"]
    assert len(voiced) >= least
    speech = samples[int(voiced[0].start_s * 16_000) : int(voiced[-1].end_s * 16_000)]
    assert np.sqrt(np.mean(speech**2)) > 0.01


@pytest.fixture(scope="module")
def espeak() -> EspeakVoice:
    if ctypes.util.find_library("espeak-ng") is None:
        pytest.skip("libespeak-ng is not installed (apt install libespeak-ng1)")
    return EspeakVoice()


@pytest.mark.device
@pytest.mark.parametrize(
    ("language", "text"),
    [("en-us", "My boat is blue."), ("de", "Mein Boot ist blau."), ("fr+f3", "Mon bateau bleu.")],
)
def test_espeak_speaks_with_phone_times(espeak: EspeakVoice, language: str, text: str) -> None:
    check(*espeak.speak(text, language=language), least=8)


@pytest.mark.device
def test_an_unknown_voice_is_named(espeak: EspeakVoice) -> None:
    with pytest.raises(ValueError, match="klingon"):
        espeak.speak("text", language="klingon-x")


@pytest.mark.device
def test_flite_speaks_with_phone_times() -> None:
    pytest.importorskip("soundfile")
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed (apt install flite)")
    check(*flite("My boat is blue.", voice="slt"), least=8)
