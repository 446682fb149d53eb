"""The label of the stream: speech is told from silence and from steady noise."""

import numpy as np

from rest_bridge.features.activity import SpeechGate

RNG = np.random.default_rng(0)


def labels(voice: np.ndarray) -> list[bool]:
    gate = SpeechGate()
    state = gate.initial_state()
    out = []
    for frame in voice.reshape(-1, 1920):
        _, speaking, state = gate.step(frame, 0.04, state)
        out.append(speaking)
    return out


def noise(level: float, seconds: float) -> np.ndarray:
    return (RNG.standard_normal(int(seconds * 25) * 1920) * level).astype(np.float32)


def test_silence_is_idle():
    assert not any(labels(np.zeros(48_000, np.float32)))


def test_voice_after_silence_is_speaking_at_once_and_idle_half_a_second_after_it():
    voice = np.concatenate([noise(1e-4, 1), noise(0.05, 1), noise(1e-4, 1)])
    marks = labels(voice)
    assert not any(marks[:25])
    assert all(marks[25:50])
    assert not any(marks[50 + 12 :])


def test_steady_noise_becomes_idle():
    assert not any(labels(noise(0.02, 30))[-50:])


def test_short_pauses_do_not_flicker():
    word, pause = noise(0.05, 0.4), noise(1e-4, 0.2)
    assert all(labels(np.concatenate([word, pause, word, pause, word])))


def test_loud_sounds_that_do_not_open_the_mouth_are_no_speech():
    gate = SpeechGate()
    state = gate.initial_state()
    marks = []
    for frame in noise(0.05, 3).reshape(-1, 1920):
        opening = 0.3 if 25 <= len(marks) < 50 else 0.1
        _, speaking, state = gate.step(frame, 0.04, state, opening=opening)
        marks.append(speaking)
    assert not any(marks[:25])
    assert all(marks[25:50])
    assert not any(marks[66:])  # 0.6 s after the mouth was open last
