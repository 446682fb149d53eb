"""Sounds that are no voice, and voices that are nobody's: what must not move the lips.

Place in the flow: here -> `negatives` (sessions with a shut mouth) and `augment_audio` (behind
speech). All are made, none recorded but for the voices of a babble. Levels are about 1 rms; the
caller sets them. Shape letters: S samples at 16 kHz.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter, sosfilt

from rest_bridge.training.songs import song

FloatArray = npt.NDArray[np.float32]
Sound = Callable[[int, np.random.Generator], FloatArray]
_RATE_HZ: Final = 16_000
_NOTES_HZ: Final = (110, 131, 165, 196, 220, 262, 277, 330, 392, 440, 523, 659)
_BARS: Final = ((0, 4, 7), (5, 9, 12), (7, 11, 14), (9, 12, 16), (2, 5, 9))
"""Chords of a song, in semitones above its key."""


def coloured_noise(
    num_samples: int, rng: np.random.Generator, *, slope_db_per_octave: float = 0.0
) -> FloatArray:
    """Return float32 [S]: noise of any colour (0 white, -3 pink, -6 brown), unit level at 1 kHz."""
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    frequency_hz = np.maximum(np.fft.rfftfreq(num_samples, 1 / _RATE_HZ), 20.0)
    shaped = spectrum * (frequency_hz / 1000.0) ** (slope_db_per_octave / 6.02)
    return np.fft.irfft(shaped, num_samples).astype(np.float32)


def speech_rms(samples: FloatArray) -> float:
    """Return the root mean square over the loud tenths of a second, so that pauses don't count."""
    count = len(samples) // 160
    level = np.sqrt(np.mean(samples[: count * 160].reshape(count, 160) ** 2, axis=1) + 1e-12)
    return float(np.sqrt(np.mean(level[level > 0.3 * np.percentile(level, 95)] ** 2)) + 1e-6)


def babble(
    num_samples: int,
    voices: Sequence[FloatArray],
    rng: np.random.Generator,
    *,
    least: int = 2,
    most: int = 7,
) -> FloatArray:
    """Mix several of these voices, each from a moment by chance.

    Args:
        num_samples: S.
        voices: to choose from, float32, each longer than 10 ms.
        rng: source of chance.
        least: how many speak at once, at least.
        most: and at most.

    Returns:
        float32 [S].
    """
    mixed = np.zeros(num_samples, np.float32)
    for index in rng.integers(0, len(voices), int(rng.integers(least, most + 1))):
        voice = voices[int(index)]
        looped = np.tile(voice, num_samples // len(voice) + 2)
        start = int(rng.integers(0, len(voice)))
        mixed += looped[start : start + num_samples] / np.float32(speech_rms(voice))
    return mixed


def steady_noise(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Noise of a colour by chance, white to brown; at times it swells and fades."""
    slope = float(rng.choice([0.0, -3.0, rng.uniform(-6, 0)]))
    noise = coloured_noise(num_samples, rng, slope_db_per_octave=slope)
    if rng.random() < 0.4:
        t = np.arange(num_samples) / _RATE_HZ
        swell_db = 8 * np.sin(2 * np.pi * float(rng.uniform(0.05, 0.5)) * t + rng.uniform(0, 6))
        noise = noise * (10 ** (swell_db / 20)).astype(np.float32)
    return noise


def hum(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Mains hum or a fan: a low tone with harmonics in soft noise."""
    t = np.arange(num_samples) / _RATE_HZ
    base_hz = float(rng.choice([50.0, 60.0, rng.uniform(80, 240)]))
    sound = np.zeros(num_samples)
    for harmonic in range(1, int(rng.integers(3, 16))):
        strength = float(rng.uniform(0.2, 1)) / harmonic
        sound += strength * np.sin(2 * np.pi * base_hz * harmonic * t + float(rng.uniform(0, 6.3)))
    return (sound + 0.1 * coloured_noise(num_samples, rng, slope_db_per_octave=-6)).astype(
        np.float32
    )


def knocks(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Thumps and claps: bursts of noise that die away."""
    sound = np.zeros(num_samples, np.float32)
    longest = min(3000, num_samples // 2)
    for first in rng.integers(0, num_samples - longest, max(2, num_samples // 6400)):
        length = int(rng.integers(longest // 15 + 1, longest))
        decay = np.exp(-np.arange(length) / (0.2 * length))
        sound[first : first + length] += (rng.standard_normal(length) * decay).astype(np.float32)
    return sound


def keyboard(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Typing: key strokes of two clicks each, in flurries, and at times a mouse."""
    sound = np.zeros(num_samples, np.float32)
    clock = float(rng.uniform(0, 0.5))
    ring_hz, damping = float(rng.uniform(900, 4000)), float(rng.uniform(150, 500))
    while (first := int(clock * _RATE_HZ)) < num_samples - 2400:
        for delay_s, loud in ((0.0, 1.0), (float(rng.uniform(0.05, 0.1)), 0.5)):
            t = np.arange(800) / _RATE_HZ
            click = np.exp(-damping * t) * (
                np.sin(2 * np.pi * ring_hz * float(rng.uniform(0.8, 1.2)) * t)
                + 0.8 * rng.standard_normal(800)
            )
            start = first + int(delay_s * _RATE_HZ)
            sound[start : start + 800] += (loud * float(rng.uniform(0.4, 1)) * click).astype(
                np.float32
            )
        flurry = rng.random() < 0.8
        clock += float(rng.uniform(0.07, 0.22) if flurry else rng.uniform(0.4, 2.5))
    return sound


def plucked_chords(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Chords that are struck and ring out."""
    t = np.arange(num_samples) / _RATE_HZ
    sound = np.zeros(num_samples)
    for start_s in np.arange(0, float(t[-1]), float(rng.uniform(0.25, 0.8))):
        since = np.maximum(t - start_s, 0)
        envelope = (t >= start_s) * np.exp(-since * float(rng.uniform(1.0, 5.0)))
        for root in rng.choice(_NOTES_HZ, 3):
            for harmonic in range(1, 6):
                tone = np.sin(2 * np.pi * float(root) * harmonic * since) / harmonic
                sound += 0.3 * envelope * tone
    return sound.astype(np.float32)


def gated_chords(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Held tones that go on and off as syllables do: what fools a mouth most."""
    t = np.arange(num_samples) / _RATE_HZ
    beat_hz, harmonics = float(rng.uniform(0.5, 6)), int(rng.integers(1, 12))
    share, edge = float(rng.uniform(-0.5, 0.5)), float(rng.uniform(2, 30))
    gate = 1 / (1 + np.exp(-edge * (np.sin(2 * np.pi * beat_hz * t) - share)))
    vibrato = float(rng.uniform(0, 0.02)) * np.sin(2 * np.pi * 5.5 * t) / 5.5
    sound = np.zeros(num_samples)
    bar = int(rng.uniform(0.4, 2.5) * _RATE_HZ)
    for first in range(0, num_samples, bar):
        part = slice(first, first + bar)
        for root in rng.choice(_NOTES_HZ, int(rng.integers(1, 5)), replace=False):
            for harmonic in range(1, harmonics + 1):
                phase = 2 * np.pi * float(root) * harmonic * (t[part] + vibrato[part])
                sound[part] += np.sin(phase) / harmonic
    return (gate * sound).astype(np.float32)


def music(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """A small band: drums, bass, chords and a melody with vibrato, in one tempo and key."""
    beat_s = float(rng.uniform(0.35, 0.75))
    key_hz = 55.0 * 2 ** (float(rng.integers(0, 12)) / 12)
    sound = np.zeros(num_samples)
    bars = [_BARS[int(i)] for i in rng.integers(0, len(_BARS), 4)]
    for beat in range(int(num_samples / _RATE_HZ / beat_s) + 1):
        chord = bars[beat // 4 % 4]
        first = int(beat * beat_s * _RATE_HZ)
        _add(sound, first, _drum(beat, rng))
        if beat % 2 == 0:
            _add(sound, first, 0.8 * _note(key_hz * 2 ** (chord[0] / 12), beat_s, 6, 3.0))
        if beat % 4 == 0:
            for step in chord:
                _add(sound, first, 0.3 * _note(4 * key_hz * 2 ** (step / 12), 4 * beat_s, 8, 0.8))
        if rng.random() < 0.7:
            step = chord[int(rng.integers(3))] + int(rng.choice([-2, 0, 0, 2]))
            length_s = beat_s * float(rng.choice([0.5, 1.0, 2.0]))
            _add(sound, first, 0.5 * _note(8 * key_hz * 2 ** (step / 12), length_s, 6, 1.5, 0.008))
    return sound.astype(np.float32)


def _note(
    pitch_hz: float, seconds: float, harmonics: int, decay: float, vibrato: float = 0.0
) -> npt.NDArray[np.float64]:
    t = np.arange(int(seconds * _RATE_HZ)) / _RATE_HZ
    bent = t + vibrato * np.sin(2 * np.pi * 5.5 * t) / (2 * np.pi * 5.5)
    tones = [
        np.sin(2 * np.pi * pitch_hz * h * bent) / h
        for h in range(1, harmonics + 1)
        if pitch_hz * h < 7500
    ]
    envelope = np.minimum(1, t / 0.01) * np.exp(-decay * t)
    return envelope * np.sum(tones, axis=0)


def _drum(beat: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    t = np.arange(2400) / _RATE_HZ
    if beat % 2 == 0:
        return 1.5 * np.sin(2 * np.pi * (50 + 60 * np.exp(-30 * t)) * t) * np.exp(-18 * t)
    high = np.asarray(lfilter([1, -0.95], [1], rng.standard_normal(2400)))
    return 0.7 * high * np.exp(-25 * t)


def _add(sound: npt.NDArray[np.float64], first: int, part: npt.NDArray[np.float64]) -> None:
    count = min(len(part), len(sound) - first)
    if count > 0:
        sound[first : first + count] += part[:count]


def breath(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Breathing and rubbing of cloth: soft bands of noise that come and go."""
    t = np.arange(num_samples) / _RATE_HZ
    low_hz = float(rng.uniform(300, 1200))
    band = butter(2, [low_hz, low_hz * float(rng.uniform(2, 5))], "band", fs=_RATE_HZ, output="sos")
    rate_hz = float(rng.uniform(0.2, 0.6))
    envelope = np.maximum(0, np.sin(2 * np.pi * rate_hz * t + float(rng.uniform(0, 6)))) ** 2
    noise = np.asarray(sosfilt(band, rng.standard_normal(num_samples)))
    return (3 * envelope * noise + 0.01 * rng.standard_normal(num_samples)).astype(np.float32)


SOUNDS: Final[dict[str, Sound]] = {
    "noise": steady_noise, "hum": hum, "knocks": knocks, "keyboard": keyboard,
    "plucked": plucked_chords, "gated": gated_chords, "music": music, "breath": breath,
    "song": song,
}  # fmt: skip


def quiet_room(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Return float32 [S]: the noise of a room, -92 to -66 dBFS."""
    level = 10 ** (float(rng.uniform(-92, -66)) / 20)
    return (level * rng.standard_normal(num_samples)).astype(np.float32)
