"""The nearest talker's share: a voice alone is left as it is, a crowd not, nothing is delayed."""

from pathlib import Path

import numpy as np
import pytest

from rest_bridge.audio.decode import AudioDecoder
from rest_bridge.audio.resample import resample
from rest_bridge.features.encoder import SpeechEncoder
from rest_bridge.features.foreground import BLOCK_FRAMES, Foreground
from rest_bridge.features.mel import LogMel, MelConfig
from rest_bridge.gallery import FACES_PATH
from rest_bridge.inference.package import ModelPackage
from rest_bridge.types import FloatArray

pytest.importorskip("onnxruntime")

RATE = 16_000
MEL = LogMel(MelConfig(np.full(80, -5, np.float32), np.full(80, 2.5, np.float32)))
DB = 10 / np.log(10)


def spoken(seconds: float) -> FloatArray:
    decoder = AudioDecoder(FACES_PATH / "voice.flac")
    parts = list(decoder.frames())
    decoder.close()
    samples = resample(np.concatenate([one for one, _ in parts]), parts[0][1], RATE)
    return (0.07 * samples / samples.std()).astype(np.float32)[: int(seconds * RATE)]


@pytest.fixture(scope="module")
def voice() -> FloatArray:
    return spoken(6)


@pytest.fixture(scope="module")
def crowd() -> FloatArray:
    """Five people at once: the same recording from other places, higher and lower."""
    whole = spoken(60)
    mixed = np.zeros(6 * RATE)
    for k, speed in enumerate((0.85, 0.92, 1.06, 1.12, 1.2)):
        places = np.arange(6 * RATE) * speed + k * 17_777
        mixed += np.interp(places % (len(whole) - 1), np.arange(len(whole)), whole)
    return (0.07 * mixed / mixed.std()).astype(np.float32)


def log_mels(samples: FloatArray) -> FloatArray:
    found, _ = MEL.hear(samples, MEL.initial_state())
    return found[: len(found) // BLOCK_FRAMES * BLOCK_FRAMES]


def left_of(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    foreground = Foreground(MEL.config.power_floor)
    heard, state = log_mels(samples), foreground.initial_state()
    left, near = [], []
    for first in range(0, len(heard), BLOCK_FRAMES):
        part, logits, state = foreground.step(heard[first : first + BLOCK_FRAMES], state)
        left.append(part)
        near.append(logits)
    return np.concatenate(left), np.concatenate(near)


def loud(samples: FloatArray, num_frames: int) -> np.ndarray:
    level = samples[: num_frames * 160].reshape(num_frames, 160).std(1)
    return level > 0.3 * np.percentile(level, 95)


@pytest.mark.parametrize("gain_db", [-25, 0, 10])
def test_a_voice_alone_is_left_as_it_is(voice: FloatArray, gain_db: float) -> None:
    samples = np.clip(voice * np.float32(10 ** (gain_db / 20)), -1, 1).astype(np.float32)
    left, near = left_of(samples)
    speaks = loud(samples, len(left))
    lost_db = DB * (log_mels(samples) - left)[speaks].mean(1)
    assert lost_db.mean() < 1.5
    assert (lost_db > 6).mean() < 0.05
    assert (near[speaks.reshape(-1, 2).all(1)] > 0).mean() > 0.9


def test_of_a_crowd_nothing_is_left(crowd: FloatArray) -> None:
    left, near = left_of(crowd)
    lost_db = DB * (log_mels(crowd) - left)[100:].mean(1)
    assert np.median(lost_db) > 10
    assert (near[50:] > 0).mean() < 0.3


def test_a_talker_in_a_crowd_comes_out_nearer_to_what_he_said(
    voice: FloatArray, crowd: FloatArray
) -> None:
    heard = voice + crowd * np.float32(10 ** (-10 / 20))
    left, _ = left_of(heard)
    truth, mixture = log_mels(voice), log_mels(heard)
    assert np.abs(left - truth).mean() < 0.75 * np.abs(mixture - truth).mean()


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    return SpeechEncoder(ModelPackage.load(), foreground=True)


def tokens_of(encoder: SpeechEncoder, samples: FloatArray, size: int) -> FloatArray:
    state, parts = encoder.initial_state(), []
    for first in range(0, len(samples), size):
        tokens, state = encoder.step(samples[first : first + size], state)
        parts.append(tokens)
    return np.concatenate(parts)


@pytest.mark.parametrize("size", [160, 333, 5000])
def test_any_chunking_gives_equal_bits(
    encoder: SpeechEncoder, voice: FloatArray, size: int
) -> None:
    samples = voice[:RATE]
    np.testing.assert_array_equal(
        tokens_of(encoder, samples, size), tokens_of(encoder, samples, RATE)
    )


def test_nothing_is_delayed(encoder: SpeechEncoder, voice: FloatArray) -> None:
    needed = round((4 * 0.08 + encoder.lookahead_s) * RATE)
    assert len(tokens_of(encoder, voice[:needed], 160)) == 4
    assert encoder.lookahead_s == SpeechEncoder(ModelPackage.load()).lookahead_s


def test_a_saved_state_replays_exactly(
    encoder: SpeechEncoder, voice: FloatArray, tmp_path: Path
) -> None:
    _, state = encoder.step(voice[:5123], encoder.initial_state())
    encoder.state_spec.save(state, tmp_path / "state.npz")
    restored = encoder.state_spec.load(tmp_path / "state.npz")
    np.testing.assert_array_equal(
        encoder.step(voice[5123:RATE], state)[0], encoder.step(voice[5123:RATE], restored)[0]
    )
