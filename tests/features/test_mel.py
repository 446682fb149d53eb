"""Log-mel: causal, equal bits in any chunking, level-free after a while, quiet in silence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_bridge.features.mel import FRAMES_PER_SECOND, NUM_BINS, LogMel, MelConfig, mel_filters
from rest_bridge.inference.state import StateSpec
from rest_bridge.types import MODEL_RATE_HZ, FloatArray

MEL = LogMel(MelConfig(np.full(NUM_BINS, -5.0, np.float32), np.full(NUM_BINS, 2.5, np.float32)))
VOICE = (np.random.default_rng(0).standard_normal(8000) * 0.05).astype(np.float32)


def features(samples: FloatArray, sizes: list[int]) -> FloatArray:
    state, parts, position = MEL.initial_state(), [], 0
    while position < len(samples):
        size = sizes[len(parts) % len(sizes)]
        frames, state = MEL.step(samples[position : position + size], state)
        parts.append(frames)
        position += size
    return np.concatenate(parts)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 2000), min_size=1, max_size=6))
def test_any_chunking_gives_equal_bits(sizes: list[int]) -> None:
    np.testing.assert_array_equal(features(VOICE, sizes), features(VOICE, [len(VOICE)]))


def test_a_frame_is_known_every_ten_milliseconds() -> None:
    for num_frames in (1, 7, 50):
        assert len(features(VOICE[: num_frames * 160], [160])) == num_frames
        assert len(features(VOICE[: num_frames * 160 - 1], [4000])) == num_frames - 1


def test_later_samples_never_change_earlier_frames() -> None:
    changed = VOICE.copy()
    changed[4000:] = 0.5
    np.testing.assert_array_equal(features(VOICE, [8000])[:25], features(changed, [8000])[:25])
    assert np.abs(features(VOICE, [8000])[25] - features(changed, [8000])[25]).max() > 0.1


def test_state_fits_its_specification_and_replays() -> None:
    spec = StateSpec(MEL.state_arrays())
    _, state = MEL.step(VOICE[:1234], MEL.initial_state())
    spec.check(state)
    again = {name: array.copy() for name, array in state.items()}
    first, _ = MEL.step(VOICE[1234:], state)
    np.testing.assert_array_equal(first, MEL.step(VOICE[1234:], again)[0])


def test_digital_silence_and_a_quiet_room_look_alike() -> None:
    room = np.random.default_rng(1).standard_normal(16000).astype(np.float32) * 10 ** (-85 / 20)
    difference = features(room, [16000]) - features(np.zeros(16000, np.float32), [16000])
    assert np.abs(difference).max() < 0.1


def test_a_breath_after_a_minute_of_silence_is_not_a_shout() -> None:
    silence = np.zeros(60 * MODEL_RATE_HZ, np.float32)
    _, state = MEL.step(silence, MEL.initial_state())
    breath = np.random.default_rng(2).standard_normal(1600).astype(np.float32) * 10 ** (-70 / 20)
    frames, _ = MEL.step(breath, state)
    assert frames.mean() < 1.0


def test_gain_is_forgotten_within_seconds() -> None:
    noise = np.random.default_rng(3).standard_normal(20 * MODEL_RATE_HZ).astype(np.float32)
    loud, soft = features(0.2 * noise, [16000]), features(0.02 * noise, [16000])
    late = slice(16 * FRAMES_PER_SECOND, None)
    assert np.abs(loud[late].mean() - soft[late].mean()) < 0.15


@pytest.mark.parametrize("frequency_hz", [200.0, 1000.0, 5000.0])
def test_a_tone_lights_the_bin_at_its_frequency(frequency_hz: float) -> None:
    t = np.arange(400) / MODEL_RATE_HZ
    log_mel = MEL.log_mel(np.sin(2 * np.pi * frequency_hz * t).astype(np.float32))
    centres_hz = mel_filters().argmax(1) * MODEL_RATE_HZ / 512
    assert centres_hz[log_mel.argmax()] == pytest.approx(frequency_hz, rel=0.1)
