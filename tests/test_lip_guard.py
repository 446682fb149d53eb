"""Who moves the lips of a live stream: somebody near, alone or before others, and not a crowd."""

import numpy as np
import pytest

from rest_bridge.audio.decode import AudioDecoder
from rest_bridge.audio.resample import resample
from rest_bridge.features.mel import HOP_SAMPLES
from rest_bridge.gallery import FACES_PATH
from rest_bridge.lip_guard import LipGuard

RATE = 16_000


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    decoder = AudioDecoder(FACES_PATH / "voice.flac")
    parts = list(decoder.frames())
    decoder.close()
    samples = resample(np.concatenate([one for one, _ in parts]), parts[0][1], RATE)
    return (0.07 * samples / samples.std()).astype(np.float32)


def other(voice: np.ndarray, speed: float, first: int, count: int) -> np.ndarray:
    """Return the same words in a higher or lower voice, from another moment on."""
    places = np.arange(0, len(voice) - 1, speed)
    spoken = np.interp(places, np.arange(len(voice)), voice)
    return np.resize(np.roll(spoken, -first), count).astype(np.float32)


def crowd(voice: np.ndarray, seconds: float) -> np.ndarray:
    """Return six voices at once at the level of one."""
    count = int(seconds * RATE)
    voices = [
        other(voice, speed, 17_000 * k, count)
        for k, speed in enumerate((0.82, 0.9, 1.0, 1.08, 1.17, 1.25))
    ]
    return (sum(voices) / np.sqrt(len(voices))).astype(np.float32)


def shares(samples: np.ndarray) -> np.ndarray:
    """Return how far lips may move in each frame of 40 ms, heard with 40 ms of look-ahead."""
    guard, found = LipGuard(voices_only=True), []
    for number, first in enumerate(range(0, len(samples) - HOP_SAMPLES + 1, HOP_SAMPLES), 1):
        guard.hear(samples[first : first + HOP_SAMPLES])
        if number >= 12 and number % 8 == 4:
            found += [guard.judge(0.2)[0], guard.judge(0.2)[0]]
    return np.array(found)


@pytest.mark.parametrize("gain_db", [-20, 0, 10])
def test_one_voice_moves_the_lips_however_soft(voice: np.ndarray, gain_db: float) -> None:
    gain = np.float32(10 ** (gain_db / 20))
    assert shares(np.clip(gain * voice[: 6 * RATE], -1, 1)).min() == 1.0


def test_a_crowd_moves_no_lips_after_its_first_second(voice: np.ndarray) -> None:
    found = shares(crowd(voice, 8.0))
    assert found[:5].min() == 1.0  # what begins has the benefit of the doubt
    assert (found[50:] > 0.5).mean() < 0.2


def test_who_speaks_before_a_crowd_is_found(voice: np.ndarray) -> None:
    lead = 4 * RATE
    heard = crowd(voice, 9.0) * np.float32(10 ** (-12 / 20))
    heard[lead:] += voice[: len(heard) - lead]
    found = shares(heard)
    begins = lead // 640 + int(np.flatnonzero(np.abs(voice) > 0.02)[0]) // 640
    assert (found[50 : begins - 5] > 0.5).mean() < 0.3
    assert found[begins + 5 : begins + 75].mean() > 0.9
