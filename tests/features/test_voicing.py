"""The voice finder: the same whatever the chunks, sure of a voice, not taken in by other sounds."""

import numpy as np
import pytest

from rest_bridge.audio.decode import AudioDecoder
from rest_bridge.audio.resample import resample
from rest_bridge.features.voicing import VoiceFinder
from rest_bridge.gallery import FACES_PATH

SECONDS = 6


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    decoder = AudioDecoder(FACES_PATH / "voice.flac")
    parts = list(decoder.frames())
    decoder.close()
    samples = resample(np.concatenate([one for one, _ in parts]), parts[0][1], 16_000)
    return (0.07 * samples / samples.std()).astype(np.float32)[: SECONDS * 16_000]


def logits(samples: np.ndarray, finder: VoiceFinder | None = None) -> np.ndarray:
    finder = finder or VoiceFinder()
    state, found = finder.initial_state(), []
    for first in range(0, len(samples) - 319, 320):
        logit, state = finder.step(samples[first : first + 320].astype(np.float32), state)
        found.append(logit)
    return np.array(found)


def band(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Drums, a bass and chords, as no training has made them."""
    t = np.arange(int(seconds * 16_000)) / 16_000
    beat = t % 0.5
    drums = np.sin(2 * np.pi * 55 * beat) * np.exp(-12 * beat)
    hats = rng.standard_normal(len(t)) * np.exp(-50 * ((t + 0.25) % 0.25))
    roots = np.array([110.0, 87.3, 130.8, 98.0])[(t // 2).astype(int) % 4]
    phase = 2 * np.pi * np.cumsum(roots) / 16_000
    chord = sum(np.sin(k * phase) / k for k in (1, 2, 2.52, 3, 4, 5.04))
    sound = drums + 0.3 * hats + 0.25 * chord * (0.4 + 0.6 * np.exp(-3 * beat))
    return (0.07 * sound / sound.std()).astype(np.float32)


def test_a_voice_is_found_at_once_and_all_the_time(voice: np.ndarray) -> None:
    found = logits(np.concatenate([np.zeros(16_000, np.float32), voice]))[50:]
    level = voice[: len(voice) // 320 * 320].reshape(-1, 320).std(1)
    loud = level > 0.02
    assert (found[loud] > 0).mean() > 0.95
    first = int(np.flatnonzero(loud)[0])
    assert (found[first : first + 6] > 0).any()


@pytest.mark.parametrize("gain_db", [-20, 0, 12])
def test_it_does_not_matter_how_loud(voice: np.ndarray, gain_db: float) -> None:
    gain = np.float32(10 ** (gain_db / 20))
    assert (logits(np.clip(gain * voice, -1, 1)) > 0).mean() > 0.75
    assert (logits(gain * band(4, np.random.default_rng(0)))[25:] > 0).mean() < 0.1


def test_music_noise_and_silence_are_no_voice() -> None:
    rng = np.random.default_rng(1)
    for sound in (band(SECONDS, rng), 0.05 * rng.standard_normal(SECONDS * 16_000),
                  np.zeros(SECONDS * 16_000)):  # fmt: skip
        assert (logits(sound)[25:] > 0).mean() < 0.05


def test_a_voice_over_music_is_found(voice: np.ndarray) -> None:
    music = band(SECONDS + 3, np.random.default_rng(2)) * np.float32(10 ** (-10 / 20))
    music[3 * 16_000 :] += voice[: len(music) - 3 * 16_000]
    found = logits(music)
    assert (found[25:150] > 0).mean() < 0.1
    assert (found[160:] > 0).mean() > 0.7


def test_a_step_changes_neither_its_input_nor_another_stream(voice: np.ndarray) -> None:
    finder = VoiceFinder()
    state = finder.initial_state()
    kept = {name: value.copy() for name, value in state.items()}
    first = finder.step(voice[:320], state)[0]
    finder.step(voice[320:640], state)
    assert finder.step(voice[:320], state)[0] == first
    for name, value in state.items():
        np.testing.assert_array_equal(value, kept[name])


def test_the_network_of_training_is_the_same() -> None:
    torch = pytest.importorskip("torch")
    from rest_bridge.training import voice_finder, voice_scenes

    torch.manual_seed(0)
    network = voice_finder.Network().eval()
    weights = {name: value.astype(np.float32) for name, value in network.weights().items()}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())
        samples = band(2, np.random.default_rng(3))
        whole = network(torch.from_numpy(voice_scenes.mel_power(samples))[None])[0].numpy()
    np.testing.assert_allclose(logits(samples, VoiceFinder(weights)), whole, atol=1e-3)
