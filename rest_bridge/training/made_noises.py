"""Made sounds of a desk, a street and a game: what a voice finder must learn is no voice.

Place in the flow: here -> `voice_finder`. Other sounds than `background_sounds`, which stays
unheard for tests. Levels are about 1 rms; the caller sets them. Shape letters: S samples at 16 kHz.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter, sosfilt

from rest_bridge.training.background_sounds import coloured_noise
from rest_bridge.types import MODEL_RATE_HZ

FloatArray = npt.NDArray[np.float32]
Samples = npt.NDArray[np.float64]


def _times(seconds: float) -> Samples:
    return np.arange(max(2, int(seconds * MODEL_RATE_HZ))) / MODEL_RATE_HZ


def _scatter(
    num_samples: int,
    rng: np.random.Generator,
    gap_s: tuple[float, float],
    make: Callable[[], Samples],
) -> Samples:
    """Return sounds one after the other, with gaps by chance and at times a long one."""
    track = np.zeros(num_samples)
    at = int(rng.uniform(0, gap_s[1]) * MODEL_RATE_HZ)
    while at < num_samples:
        part = make() * 10 ** (float(rng.uniform(-12, 0)) / 20)
        count = min(len(part), num_samples - at)
        track[at : at + count] += part[:count]
        pause = float(rng.uniform(*gap_s)) * (1 if rng.random() < 0.85 else 8)
        at += max(80, int(pause * MODEL_RATE_HZ))
    return track


def keys(num_samples: int, rng: np.random.Generator) -> Samples:
    """A keyboard of any kind: each stroke a press, a bottom and a release, through the desk."""
    modes_hz = rng.uniform(250, 6500, int(rng.integers(2, 7)))
    damping = rng.uniform(80, 900, len(modes_hz))
    hiss, low = float(rng.uniform(0.1, 1.2)), float(rng.uniform(0, 1.0))

    def stroke() -> Samples:
        t = _times(0.2)
        sound = np.zeros(len(t))
        shift = float(rng.uniform(0.85, 1.15))
        for begin, loud in (
            (0.0, 0.4),
            (rng.uniform(0.004, 0.02), 1.0),
            (rng.uniform(0.06, 0.14), 0.5),
        ):
            since = np.maximum(t - begin, 0)
            on = t >= begin
            for mode_hz, damp in zip(modes_hz, damping, strict=True):
                tone = np.sin(2 * np.pi * mode_hz * shift * since)
                sound += loud * rng.uniform(0.3, 1) * on * np.exp(-damp * since) * tone
            sound += loud * hiss * on * np.exp(-400 * since) * rng.standard_normal(len(t))
            sound += loud * low * on * np.exp(-60 * since) * np.sin(2 * np.pi * 110 * since)
        return sound

    pace = float(rng.uniform(0.06, 0.2))
    return _scatter(num_samples, rng, (pace, 2.2 * pace), stroke)


def hits(num_samples: int, rng: np.random.Generator) -> Samples:
    """Doors, cups, steps, things put down: a few modes and a burst."""

    def hit() -> Samples:
        t = _times(float(rng.uniform(0.08, 0.6)))
        slow = float(rng.uniform(6, 60))
        sound = float(rng.uniform(0.1, 1)) * rng.standard_normal(len(t)) * np.exp(-3 * slow * t)
        for _ in range(int(rng.integers(1, 7))):
            mode_hz = float(np.exp(rng.uniform(np.log(60), np.log(5000))))
            sound += np.sin(2 * np.pi * mode_hz * t) * np.exp(
                -slow * float(rng.uniform(0.5, 3)) * t
            )
        return sound

    return _scatter(num_samples, rng, (0.2, float(rng.uniform(0.4, 2.0))), hit)


def signals(num_samples: int, rng: np.random.Generator) -> Samples:
    """Beeps, rings, sirens, lasers and other sounds of telephones and games."""
    sweep = float(rng.uniform(-3, 3)) * (rng.random() < 0.6)
    wobble_hz, wobble = float(rng.uniform(2, 40)), float(rng.uniform(0, 0.4)) * (rng.random() < 0.4)
    square, base = rng.random() < 0.4, float(np.exp(rng.uniform(np.log(150), np.log(3000))))

    def one() -> Samples:
        t = _times(float(rng.uniform(0.05, 0.7)))
        pitch = base * 2 ** (int(rng.integers(-5, 6)) / 12 + sweep * t)
        pitch = np.clip(pitch * (1 + wobble * np.sin(2 * np.pi * wobble_hz * t)), 40, 7000)
        wave = np.sin(2 * np.pi * np.cumsum(pitch) / MODEL_RATE_HZ)
        wave = np.sign(wave) if square else wave
        return wave * np.minimum(1, t / 0.005) * np.exp(-float(rng.choice([0, 4, 12])) * t)

    return _scatter(num_samples, rng, (0.1, float(rng.uniform(0.2, 1.5))), one)


def weather(num_samples: int, rng: np.random.Generator) -> Samples:
    """Wind, rain, traffic, fans, crowds of air: noise whose colour and level wander."""
    noise = np.asarray(
        coloured_noise(num_samples, rng, slope_db_per_octave=float(rng.uniform(-9, 1)))
    )
    slow = np.interp(
        np.arange(num_samples), np.linspace(0, num_samples, 12), rng.uniform(-10, 4, 12)
    )
    if rng.random() < 0.5:  # gusts through a band that moves
        low_hz = float(rng.uniform(150, 1500))
        band = butter(2, [low_hz, low_hz * float(rng.uniform(1.3, 4))], "band", fs=MODEL_RATE_HZ,
                      output="sos")  # fmt: skip
        noise = noise / (noise.std() + 1e-9) + 3 * np.asarray(sosfilt(band, noise))
    return noise * 10 ** (slow / 20)


def machines(num_samples: int, rng: np.random.Generator) -> Samples:
    """Engines, drills, shavers, fridges: harmonics whose pitch wanders, in noise."""
    turns = np.interp(
        np.arange(num_samples), np.linspace(0, num_samples, 8), rng.uniform(0.8, 1.25, 8)
    )
    base_hz = float(np.exp(rng.uniform(np.log(25), np.log(400))))
    if rng.random() < 0.5:
        turns = np.ones(num_samples)
    phase = 2 * np.pi * base_hz * np.cumsum(turns) / MODEL_RATE_HZ
    sound = np.zeros(num_samples)
    for h in range(1, min(20, int(6000 / base_hz)) + 1):
        sound += (
            float(rng.uniform(0.1, 1)) / h ** float(rng.uniform(0.2, 1.2)) * np.sin(h * phase + h)
        )
    noise = np.asarray(
        lfilter([1, -float(rng.uniform(0, 0.95))], [1], rng.standard_normal(num_samples))
    )
    return sound + float(rng.uniform(0.05, 0.8)) * noise


def rubs(num_samples: int, rng: np.random.Generator) -> Samples:
    """Paper, cloth, brushes, mouse, breath into the microphone: bursts of noise that swell."""
    low_hz = float(rng.uniform(80, 3500))
    high_hz = min(7500.0, low_hz * float(rng.uniform(1.5, 8)))
    band = butter(1, [low_hz, high_hz], "band", fs=MODEL_RATE_HZ, output="sos")

    def rub() -> Samples:
        t = _times(float(rng.uniform(0.03, 0.9)))
        swell = np.abs(np.sin(np.pi * t / t[-1])) ** float(rng.uniform(0.3, 3))
        rough = 1 + 0.8 * np.sin(2 * np.pi * float(rng.uniform(5, 60)) * t)
        return np.asarray(sosfilt(band, rng.standard_normal(len(t)))) * swell * rough

    return _scatter(num_samples, rng, (0.05, float(rng.uniform(0.2, 1.5))), rub)


NOISES: Final = (keys, keys, hits, signals, weather, machines, rubs)


def noise_of_some_kind(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Make a sound that is neither voice nor music.

    Args:
        num_samples: S.
        rng: source of chance.

    Returns:
        float32 [S], root mean square 1.
    """
    sound = NOISES[int(rng.integers(len(NOISES)))](num_samples, rng)
    return (sound / (np.sqrt(np.mean(sound**2)) + 1e-9)).astype(np.float32)


def whispered(voice: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a voice as a whisper: its spectrum's envelope, filled with noise.

    Args:
        voice: float32 [S].
        rng: source of chance.
    """
    size, hop = 512, 128
    padded = np.concatenate([voice, np.zeros(size, np.float32)])
    window = np.hanning(size)
    out = np.zeros(len(padded))
    width = np.hanning(25)
    width /= width.sum()
    tilt = np.linspace(0.25, 1.5, size // 2 + 1)
    for first in range(0, len(voice), hop):
        power = np.abs(np.fft.rfft(window * padded[first : first + size])) ** 2
        smooth = np.sqrt(np.convolve(power, width, "same"))
        noise = rng.standard_normal(len(smooth)) + 1j * rng.standard_normal(len(smooth))
        out[first : first + size] += window * np.fft.irfft(smooth * tilt * noise, size)
    return out[: len(voice)].astype(np.float32)
