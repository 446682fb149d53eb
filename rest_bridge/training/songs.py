"""Music that nobody sings: bands of many kinds, made note by note, so that no lips follow a beat.

Place in the flow: here -> `background_sounds.SOUNDS` -> `negatives`, `augment_audio`. Drums, bass,
chords, arpeggios and a lead play one song in one tempo and key; which of them play, on what, how
they are filtered and how much they pump follows from chance. Levels are about 1 rms.
Shape letters: S samples at 16 kHz.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from rest_bridge.types import MODEL_RATE_HZ, FloatArray

Wave = npt.NDArray[np.float64]
_RATE_HZ: Final = MODEL_RATE_HZ
_HIGHEST_HZ: Final = 7000.0
_SCALES: Final = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10),
                  (0, 2, 4, 7, 9), (0, 2, 3, 5, 7, 9, 10))  # fmt: skip
_KICKS: Final = ("x...x...x...x...", "x.....x...x.....", "x..x..x...x.x...", "x.......x.......")
_SNARES: Final = ("....x.......x...", "....x..x....x...", "........x.......", "....x.......x.xx")
_HATS: Final = ("x.x.x.x.x.x.x.x.", "xxxxxxxxxxxxxxxx", "..x...x...x...x.", "x..x..x..x..x.x.")
_PARTS: Final = ("drums", "bass", "chords", "arpeggio", "lead")


def song(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Play a song from somewhere within it.

    Args:
        num_samples: S.
        rng: source of chance.

    Returns:
        float32 [S], about 1 rms.
    """
    step_s = 60 / float(rng.uniform(70, 170)) / 4
    players: dict[str, Callable[[Score, np.random.Generator], Wave]] = {
        "drums": _drums, "bass": _bass, "chords": _chords, "arpeggio": _arpeggio, "lead": _lead,
    }  # fmt: skip
    score = Score(num_samples, step_s, rng)
    count = int(rng.integers(1, len(_PARTS) + 1))
    mixed = np.zeros(num_samples)
    for name in rng.permutation(_PARTS)[:count]:
        part = players[str(name)](score, rng)
        loud = float(np.sqrt(np.mean(part**2)))
        if loud > 0:
            mixed += part / loud * 10 ** (float(rng.uniform(-9, 0)) / 20)
    if rng.random() < 0.3:
        mixed *= _pumping(score, rng)
    if rng.random() < 0.5:
        mixed = _hall(mixed, rng)
    if rng.random() < 0.4:
        mixed = _speaker(mixed, rng)
    return (mixed / (np.sqrt(np.mean(mixed**2)) + 1e-9)).astype(np.float32)


class Score:
    """Tempo, key and harmony of a song.

    Attributes:
        num_samples: S.
        step_s: a sixteenth.
        first_step: of the piece that is heard.
    """

    def __init__(self, num_samples: int, step_s: float, rng: np.random.Generator) -> None:
        """Compose.

        Args:
            num_samples: S.
            step_s: a sixteenth.
            rng: source of chance.
        """
        self.num_samples, self.step_s = num_samples, step_s
        self._scale = _SCALES[int(rng.integers(len(_SCALES)))]
        self._key_hz = 55.0 * 2 ** (float(rng.uniform(0, 12)) / 12)
        self._roots = rng.integers(0, len(self._scale), 4)
        self._swing = float(rng.uniform(0, 0.3)) if rng.random() < 0.3 else 0.0
        self.first_step = int(rng.integers(16))

    @property
    def num_steps(self) -> int:
        """Sixteenths that are heard."""
        return int(self.num_samples / _RATE_HZ / self.step_s) + 1

    def sample(self, step: int) -> int:
        """Return where a sixteenth begins."""
        late = self._swing if (step + self.first_step) % 2 else 0.0
        return int((step + late) * self.step_s * _RATE_HZ)

    def pitch_hz(self, step: int, degree: int, octave: int) -> float:
        """Return the pitch of a degree above the root of the bar in which a step lies."""
        degree += int(self._roots[(step + self.first_step) // 16 % 4])
        turn, place = divmod(degree, len(self._scale))
        return self._key_hz * 2 ** (octave + turn + self._scale[place] / 12)


def _place(sound: Wave, first: int, part: Wave) -> None:
    count = min(len(part), len(sound) - first)
    if count > 0:
        sound[first : first + count] += part[:count]


# --- instruments ----------------------------------------------------------------------------------


def _tone(pitch_hz: float, seconds: float, timbre: Wave, rng: np.random.Generator) -> Wave:
    """Return a tone with these strengths of its harmonics, at times detuned against itself."""
    t = np.arange(max(int(seconds * _RATE_HZ), 64)) / _RATE_HZ
    tone = np.zeros(len(t))
    detuned = float(rng.uniform(0, 0.004))
    for number, strength in enumerate(timbre, 1):
        if pitch_hz * number > _HIGHEST_HZ:
            break
        phase = 2 * np.pi * pitch_hz * number * t
        tone += strength * (np.sin(phase) + 0.5 * np.sin(phase * (1 + detuned) + number))
    return tone


def _timbre(rng: np.random.Generator) -> Wave:
    """Return the harmonics of an instrument: saw, square, organ, pipe or anything."""
    number = np.arange(1, int(rng.integers(3, 25)))
    kind = int(rng.integers(5))
    if kind == 0:
        return 1.0 / number
    if kind == 1:
        return (number % 2) / number
    if kind == 2:
        return np.isin(number, (1, 2, 3, 4, 6, 8)) * rng.uniform(0.1, 1, len(number))
    if kind == 3:
        return 0.3 ** (number - 1.0)
    return rng.uniform(0, 1, len(number)) * number ** -float(rng.uniform(0.3, 2))


def _envelope(count: int, attack_s: float, decay_per_s: float) -> Wave:
    t = np.arange(count) / _RATE_HZ
    end = np.minimum(1, (count - np.arange(count)) / (0.02 * _RATE_HZ))
    return np.minimum(1, t / max(attack_s, 1e-3)) * np.exp(-decay_per_s * t) * end


def _drums(score: Score, rng: np.random.Generator) -> Wave:
    sound = np.zeros(score.num_samples)
    kit = [
        (_KICKS, _kick(rng), float(rng.uniform(0.6, 1.5))),
        (_SNARES, _snare(rng), float(rng.uniform(0.4, 1.2))),
        (_HATS, _hat(rng), float(rng.uniform(0.1, 0.6))),
    ]
    for patterns, hit, loud in kit:
        if rng.random() < 0.15:
            continue
        pattern = patterns[int(rng.integers(len(patterns)))]
        for step in range(score.num_steps):
            if pattern[(step + score.first_step) % 16] == "x" or rng.random() < 0.04:
                _place(sound, score.sample(step), loud * float(rng.uniform(0.6, 1.1)) * hit)
    return sound


def _kick(rng: np.random.Generator) -> Wave:
    t = np.arange(5000) / _RATE_HZ
    low_hz, sweep_hz = float(rng.uniform(38, 80)), float(rng.uniform(40, 300))
    fall = float(rng.uniform(15, 60))
    phase = 2 * np.pi * (low_hz * t + sweep_hz * (1 - np.exp(-fall * t)) / fall)
    return np.sin(phase) * np.exp(-float(rng.uniform(6, 25)) * t)


def _snare(rng: np.random.Generator) -> Wave:
    t = np.arange(4000) / _RATE_HZ
    body = np.sin(2 * np.pi * float(rng.uniform(140, 330)) * t) * np.exp(-30 * t)
    band = butter(1, [float(rng.uniform(300, 1500)), 7000], "band", fs=_RATE_HZ, output="sos")
    rattle = np.asarray(sosfilt(band, rng.standard_normal(4000)))
    return body + float(rng.uniform(0.5, 2)) * rattle * np.exp(-float(rng.uniform(10, 40)) * t)


def _hat(rng: np.random.Generator) -> Wave:
    t = np.arange(3000) / _RATE_HZ
    high = np.asarray(lfilter([1, -0.95], [1], rng.standard_normal(3000)))
    return high * np.exp(-float(rng.uniform(15, 120)) * t)


def _bass(score: Score, rng: np.random.Generator) -> Wave:
    sound, timbre = np.zeros(score.num_samples), _timbre(rng)
    every, decay = int(rng.choice([2, 4, 4, 8])), float(rng.uniform(0, 6))
    for step in range(0, score.num_steps, every):
        if rng.random() < 0.85:
            pitch_hz = score.pitch_hz(step, int(rng.choice([0, 0, 0, 2, 4])), 0)
            tone = _tone(pitch_hz, every * score.step_s * float(rng.uniform(0.5, 1)), timbre, rng)
            _place(sound, score.sample(step), tone * _envelope(len(tone), 0.005, decay))
    cut = butter(2, float(rng.uniform(200, 2000)), fs=_RATE_HZ, output="sos")
    return np.asarray(sosfilt(cut, sound))


def _chords(score: Score, rng: np.random.Generator) -> Wave:
    sound, timbre = np.zeros(score.num_samples), _timbre(rng)
    every = int(rng.choice([2, 4, 8, 16]))
    attack_s = float(rng.choice([0.003, 0.01, rng.uniform(0.05, 0.4)]))
    decay, strum_s = float(rng.choice([0.0, rng.uniform(0.5, 6)])), float(rng.uniform(0, 0.03))
    octave = int(rng.integers(1, 4))
    for step in range(0, score.num_steps, every):
        if rng.random() < 0.1:
            continue
        for place, degree in enumerate((0, 2, 4, 6)[: int(rng.integers(2, 5))]):
            pitch_hz = score.pitch_hz(step, degree, octave)
            tone = _tone(pitch_hz, every * score.step_s * 0.98, timbre, rng)
            first = score.sample(step) + int(place * strum_s * _RATE_HZ)
            _place(sound, first, tone * _envelope(len(tone), attack_s, decay))
    return sound


def _arpeggio(score: Score, rng: np.random.Generator) -> Wave:
    sound, timbre = np.zeros(score.num_samples), _timbre(rng)
    degrees: Sequence[int] = rng.permutation([0, 2, 4, 7, 9, 7, 4, 2]).tolist()
    every, decay = int(rng.choice([1, 2])), float(rng.uniform(2, 15))
    octave = int(rng.integers(2, 4))
    for step in range(0, score.num_steps, every):
        pitch_hz = score.pitch_hz(step, degrees[step // every % len(degrees)], octave)
        tone = _tone(pitch_hz, every * score.step_s * float(rng.uniform(1, 3)), timbre, rng)
        _place(sound, score.sample(step), tone * _envelope(len(tone), 0.003, decay))
    return sound


def _lead(score: Score, rng: np.random.Generator) -> Wave:
    """Return a melody in phrases, each note sliding from the last one and trembling."""
    sound, timbre = np.zeros(score.num_samples), _timbre(rng)
    octave, degree = int(rng.integers(2, 4)), int(rng.integers(7))
    depth, rate_hz = float(rng.uniform(0, 0.02)), float(rng.uniform(4, 7))
    attack_s, decay = float(rng.uniform(0.005, 0.08)), float(rng.choice([0.0, rng.uniform(0, 5)]))
    step, last_hz = 0, score.pitch_hz(0, degree, octave)
    while step < score.num_steps:
        length = int(rng.choice([1, 2, 2, 3, 4, 6, 8]))
        if rng.random() < 0.8:
            degree = int(np.clip(degree + rng.integers(-3, 4), -3, 11))
            pitch_hz = score.pitch_hz(step, degree, octave)
            count = int(length * score.step_s * 0.95 * _RATE_HZ)
            t = np.arange(count) / _RATE_HZ
            bent = pitch_hz + (last_hz - pitch_hz) * np.exp(-t / float(rng.uniform(0.003, 0.05)))
            bent *= 1 + depth * np.sin(2 * np.pi * rate_hz * t) * np.minimum(1, t / 0.2)
            phase = 2 * np.pi * np.cumsum(bent) / _RATE_HZ
            audible = timbre[: max(1, int(_HIGHEST_HZ / pitch_hz))]
            tone = sum((s * np.sin(n * phase) for n, s in enumerate(audible, 1)), np.zeros(count))
            _place(sound, score.sample(step), tone * _envelope(count, attack_s, decay))
            last_hz = pitch_hz
        step += length
    return sound


# --- room and desk --------------------------------------------------------------------------------


def _pumping(score: Score, rng: np.random.Generator) -> Wave:
    """Return a gain that dips at every beat, as a compressor keyed by a drum does."""
    beat = 4 * score.step_s * _RATE_HZ
    phase = np.arange(score.num_samples) % beat / beat
    return 1 - float(rng.uniform(0.3, 1)) * np.exp(-float(rng.uniform(3, 10)) * phase)


def _hall(sound: Wave, rng: np.random.Generator) -> Wave:
    length = int(float(rng.uniform(0.2, 1.5)) * _RATE_HZ)
    response = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    response *= float(rng.uniform(0.1, 0.8)) / np.sqrt((response**2).sum())
    response[0] = 1
    return np.asarray(fftconvolve(sound, response)[: len(sound)])


def _speaker(sound: Wave, rng: np.random.Generator) -> Wave:
    """Return it as a small loudspeaker across the room would play it."""
    low_hz, high_hz = float(rng.uniform(60, 500)), float(rng.uniform(2000, 7500))
    band = butter(2, [low_hz, high_hz], "band", fs=_RATE_HZ, output="sos")
    return np.asarray(sosfilt(band, sound))
