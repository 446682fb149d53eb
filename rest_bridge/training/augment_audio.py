"""Degradations of a 16 kHz voice: gain, noise, babble, room, codec, telephone band, microphone.

Place in the flow: clean speech -> here -> `features.mel` -> training features. The motion targets
stay: direct sound keeps its place in time. Of each session's versions the first is clean and of
the others 60 % are degraded ("mild" in STUDY-AUDIO section 4: noise costs nothing clean and buys
0.05-0.5 of correlation in noise). A third of the noises are loud (0-12 dB) and go on through the
pauses, whose target is a shut mouth. Shape letters: S samples.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, fftconvolve, sosfilt

from rest_bridge.training.background_sounds import SOUNDS, babble, speech_rms, steady_noise
from rest_bridge.training.sound_codecs import random_codec

FloatArray = npt.NDArray[np.float32]
_RATE_HZ = 16_000
_OTHER_SOUNDS = ("music", "keyboard", "hum", "knocks", "plucked", "breath")


def add_noise(samples: FloatArray, noise: FloatArray, snr_db: float) -> FloatArray:
    """Return the voice with noise added at this ratio of speech level to noise level."""
    noise_rms = float(np.sqrt(np.mean(noise**2) + 1e-12))
    return samples + noise * np.float32(speech_rms(samples) / noise_rms * 10 ** (-snr_db / 20))


def reverberate(
    samples: FloatArray, rng: np.random.Generator, *, rt60_s: float, direct_to_reverberant_db: float
) -> FloatArray:
    """Return the voice in a room of this reverberation time."""
    length = int(rt60_s * _RATE_HZ)
    response = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    response[: int(0.003 * _RATE_HZ)] = 0
    response *= 10 ** (-direct_to_reverberant_db / 20) / np.sqrt((response**2).sum())
    response[0] = 1
    return fftconvolve(samples, response)[: len(samples)].astype(np.float32)


def telephone(samples: FloatArray) -> FloatArray:
    """Return the voice limited to 300-3400 Hz."""
    band = butter(4, [300, 3400], "band", fs=_RATE_HZ, output="sos")
    return np.asarray(sosfilt(band, samples), np.float32)


def microphone(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the voice through another microphone: tilt, a few humps and dips, a bass cut."""
    spectrum = np.fft.rfft(samples)
    octave = np.log2(np.maximum(np.fft.rfftfreq(len(samples), 1 / _RATE_HZ), 40.0) / 1000.0)
    gain_db = float(rng.uniform(-4, 4)) * octave
    for _ in range(int(rng.integers(1, 4))):
        centre, width = float(rng.uniform(-3.5, 2.8)), float(rng.uniform(0.3, 1.2))
        gain_db += float(rng.uniform(-7, 5)) * np.exp(-0.5 * ((octave - centre) / width) ** 2)
    gain_db -= 12.0 * np.maximum(float(rng.uniform(-4.5, -2.5)) - octave, 0)
    shaped = spectrum * 10 ** (np.clip(gain_db, -40, 18) / 20)
    return np.fft.irfft(shaped, len(samples)).astype(np.float32)


def degrade(
    samples: FloatArray, voices: Sequence[FloatArray], rng: np.random.Generator
) -> FloatArray:
    """Apply a random mixture of degradations.

    Args:
        samples: float32 [S], 16 kHz.
        voices: other talkers, for babble.
        rng: source of chance.

    Returns:
        float32 [S], not clipped.
    """
    if rng.random() < 0.3:
        room = {"rt60_s": float(rng.uniform(0.2, 0.8))}
        samples = reverberate(
            samples, rng, direct_to_reverberant_db=float(rng.uniform(-2, 10)), **room
        )
    samples = _with_background(samples, voices, rng)
    if rng.random() < 0.35:
        samples = microphone(samples, rng)
    if rng.random() < 0.25:
        loudest = np.float32(max(1.0, float(np.abs(samples).max())))
        samples = random_codec(samples / loudest, rng) * loudest
    elif rng.random() < 0.15:
        samples = telephone(samples)
    return samples


def _with_background(
    samples: FloatArray, voices: Sequence[FloatArray], rng: np.random.Generator
) -> FloatArray:
    kind = float(rng.random())
    loud = rng.random() < 0.4
    snr_db = float(rng.uniform(0, 12) if loud else rng.uniform(12, 30))
    if kind < 0.4:
        background = steady_noise(len(samples), rng)
    elif kind < 0.65:
        # One or two voices nearly as loud as the talker cannot be told from him.
        snr_db = max(snr_db, 4.0)
        background = babble(len(samples), voices, rng, least=3 if loud else 2)
    elif kind < 0.82:
        name = _OTHER_SOUNDS[int(rng.integers(len(_OTHER_SOUNDS)))]
        background = SOUNDS[name](len(samples), rng)
    else:
        return samples
    if rng.random() < 0.2:
        background = background * _comes_and_goes(len(samples), rng)
    return add_noise(samples, background, snr_db)


def _comes_and_goes(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Return float32 [S], 0..1: a background that begins or ends somewhere, within 50 ms."""
    since = (np.arange(num_samples) - float(rng.uniform(0.2, 0.8)) * num_samples) / (
        0.05 * _RATE_HZ
    )
    gate = np.clip(since + 0.5, 0.02, 1)
    return (gate if rng.random() < 0.5 else gate[::-1]).astype(np.float32)


def random_gain(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the voice 22 dB softer to 16 dB louder, clipped to [-1, 1] as a device would."""
    return np.clip(samples * np.float32(10 ** (float(rng.uniform(-22, 16)) / 20)), -1, 1)
