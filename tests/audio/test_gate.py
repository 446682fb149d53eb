"""The gate: quiet is silence, onsets and ends of words are whole, nothing else changes."""

import numpy as np
import pytest

from rest_bridge.audio.gate import GateSource
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk, FloatArray

CHUNK = 480


class Voice:
    """A source of given samples."""

    name = "voice"
    live = True
    sample_rate_hz = VOICE_RATE_HZ

    def __init__(self, samples: FloatArray) -> None:
        self.samples, self.at, self.closed = samples, 0, False

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        del timeout_s
        part = self.samples[self.at : self.at + num_samples]
        chunk = AudioChunk(part, VOICE_RATE_HZ, self.at, 0)
        self.at += len(part)
        return chunk

    def close(self) -> None:
        self.closed = True


def through(samples: FloatArray, threshold_db: float) -> FloatArray:
    gate = GateSource(Voice(samples), threshold_db)
    return np.concatenate([gate.read(CHUNK, 1).samples for _ in range(len(samples) // CHUNK)])


def noise(seconds: float, level: float, seed: int = 0) -> FloatArray:
    values = np.random.default_rng(seed).standard_normal(round(seconds * VOICE_RATE_HZ))
    return (level * values).astype(np.float32)


def test_quiet_is_silence_and_loud_is_untouched() -> None:
    assert not through(noise(1.0, 1e-3), -50).any()
    loud = noise(1.0, 0.1)
    np.testing.assert_array_equal(through(loud, -50), loud)


def test_an_onset_is_not_cut_and_an_end_fades() -> None:
    voice = np.concatenate([noise(0.5, 1e-3), noise(0.3, 0.1, 1), noise(1.0, 1e-3, 2)])
    heard = through(voice, -40)
    begin = round(0.5 * VOICE_RATE_HZ)
    np.testing.assert_array_equal(heard[begin : begin + 27_800], voice[begin : begin + 27_800])
    assert not heard[-VOICE_RATE_HZ // 2 :].any()
    assert np.abs(np.diff(heard[begin + 14_500 :])).max() < 0.02, "no click where it closes"


@pytest.mark.parametrize("size", [160, 480, 1000])
def test_the_count_of_samples_never_changes(size: int) -> None:
    gate = GateSource(Voice(noise(0.2, 0.05)), -30)
    chunks = [gate.read(size, 1) for _ in range(5)]
    assert [chunk.first_index for chunk in chunks] == [size * i for i in range(5)]
    assert all(len(chunk.samples) == size for chunk in chunks)
    gate.close()
    assert gate.source.closed  # type: ignore[attr-defined]
