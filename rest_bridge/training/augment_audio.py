"""Degradations of a 16 kHz voice: gain, noise, babble, reverberation, telephone band, tilt.

Place in the flow: clean speech -> here -> `features.mel` -> training features. The motion targets
stay: direct sound keeps its place in time. 40 % of the clips are degraded ("mild" in STUDY-AUDIO
section 4: noise costs nothing clean and buys 0.05-0.5 of correlation in noise).
Shape letters: S samples.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, fftconvolve, sosfilt

FloatArray = npt.NDArray[np.float32]
_RATE_HZ = 16_000


def speech_rms(samples: FloatArray) -> float:
    """Return the root mean square over the loud tenths of a second, so that pauses don't count."""
    count = len(samples) // 160
    level = np.sqrt(np.mean(samples[: count * 160].reshape(count, 160) ** 2, axis=1) + 1e-12)
    return float(np.sqrt(np.mean(level[level > 0.3 * np.percentile(level, 95)] ** 2)) + 1e-6)


def add_noise(samples: FloatArray, noise: FloatArray, snr_db: float) -> FloatArray:
    """Return the voice with noise added at this ratio of speech level to noise level."""
    noise_rms = float(np.sqrt(np.mean(noise**2) + 1e-12))
    return samples + noise * np.float32(speech_rms(samples) / noise_rms * 10 ** (-snr_db / 20))


def coloured_noise(
    num_samples: int, rng: np.random.Generator, *, slope_db_per_octave: float = 0.0
) -> FloatArray:
    """Return float32 [S]: noise of any colour (0 white, -3 pink, -6 brown), unit level at 1 kHz."""
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    frequency_hz = np.maximum(np.fft.rfftfreq(num_samples, 1 / _RATE_HZ), 20.0)
    shaped = spectrum * (frequency_hz / 1000.0) ** (slope_db_per_octave / 6.02)
    return np.fft.irfft(shaped, num_samples).astype(np.float32)


def babble(num_samples: int, voices: Sequence[FloatArray], rng: np.random.Generator) -> FloatArray:
    """Return float32 [S]: two to seven of these voices at once."""
    mixed = np.zeros(num_samples, np.float32)
    for index in rng.integers(0, len(voices), int(rng.integers(2, 8))):
        voice = voices[int(index)]
        looped = np.tile(voice, num_samples // len(voice) + 2)
        start = int(rng.integers(0, len(voice)))
        mixed += looped[start : start + num_samples] / np.float32(speech_rms(voice))
    return mixed


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
    kind = float(rng.random())
    if kind < 0.4:
        noise = coloured_noise(len(samples), rng, slope_db_per_octave=float(rng.uniform(-6, 0)))
        samples = add_noise(samples, noise, float(rng.uniform(5, 30)))
    elif kind < 0.7:
        samples = add_noise(samples, babble(len(samples), voices, rng), float(rng.uniform(6, 30)))
    if rng.random() < 0.2:
        samples = telephone(samples)
    elif rng.random() < 0.3:
        samples = _tilt(samples, float(rng.uniform(-4, 4)))
    return samples


def random_gain(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the voice 22 dB softer to 16 dB louder, clipped to [-1, 1] as a device would."""
    return np.clip(samples * np.float32(10 ** (float(rng.uniform(-22, 16)) / 20)), -1, 1)


def _tilt(samples: FloatArray, db_per_octave: float) -> FloatArray:
    spectrum = np.fft.rfft(samples)
    frequency_hz = np.maximum(np.fft.rfftfreq(len(samples), 1 / _RATE_HZ), 60.0)
    shaped = spectrum * 10 ** (db_per_octave / 20 * np.log2(frequency_hz / 1000.0))
    return np.fft.irfft(shaped, len(samples)).astype(np.float32)
