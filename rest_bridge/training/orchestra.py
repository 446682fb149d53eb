"""Made music of many kinds: what a voice finder must learn is no voice.

Place in the flow: here -> `voice_finder`. Nothing is recorded. A song has a tempo, a key, a chord
progression, drums and one to five parts, each played by an instrument invented for it. Other
music than `background_sounds`, which stays unheard for tests.
Shape letters: S samples at 16 kHz; H harmonics.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from rest_bridge.types import MODEL_RATE_HZ

FloatArray = npt.NDArray[np.float32]
Samples = npt.NDArray[np.float64]
Instrument = Callable[[float, float], Samples]
"""Plays a pitch in Hz for so many seconds; float64 [S], about -1..1."""

_HIGHEST_HZ: Final = 7400.0
_SCALES: Final = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10),
                  (0, 3, 5, 7, 10), (0, 2, 4, 7, 9))  # fmt: skip
_LOOPS: Final = ((0, 4, 5, 3), (5, 3, 0, 4), (0, 5, 3, 4), (0, 3, 4, 3), (0, 0, 3, 4), (0, 6, 5, 4))
"""Degrees of the scale on which the chords of four bars stand."""


def _times(seconds: float) -> Samples:
    return np.arange(max(1, int(seconds * MODEL_RATE_HZ))) / MODEL_RATE_HZ


def _shape(num: int, attack_s: float, decay: float, release_s: float) -> Samples:
    """Return an envelope, float64 [S]: rise, decay per second, and a fall at its end."""
    t = np.arange(num) / MODEL_RATE_HZ
    fall = (t[-1] - t + 1e-4) / max(release_s, 1e-3)
    return np.minimum(1, t / max(attack_s, 1e-3)) * np.exp(-decay * t) * np.minimum(1, fall)


def subtractive(rng: np.random.Generator) -> Instrument:
    """Saw, pulse or organ behind a moving low-pass, with vibrato, slides and a wah at times."""
    slope, odd = float(rng.uniform(0.3, 2.0)), bool(rng.random() < 0.3)
    attack_s, decay = float(rng.choice([0.003, 0.02, 0.1])), float(rng.choice([0, 1, 3, 8]))
    cutoff, sweep = float(rng.uniform(2, 14)), float(rng.uniform(-4, 10))
    speed, resonance = float(rng.uniform(1, 20)), float(rng.uniform(0, 4))
    wah_hz = float(rng.uniform(0.5, 6)) if rng.random() < 0.25 else 0.0
    vibrato = float(rng.uniform(0, 0.012)) * (rng.random() < 0.5)
    vibrato_hz, detune = float(rng.uniform(4, 7)), float(rng.uniform(0, 0.006))
    slide = float(rng.uniform(-0.15, 0.15)) * (rng.random() < 0.2)

    def play(pitch_hz: float, seconds: float) -> Samples:
        t = _times(seconds)
        bend = 1 + slide * np.exp(-25 * t) + vibrato * np.sin(2 * np.pi * vibrato_hz * t)
        phase = 2 * np.pi * pitch_hz * np.cumsum(bend) / MODEL_RATE_HZ
        edge = cutoff + sweep * np.exp(-speed * t)
        if wah_hz:
            edge = cutoff * (1.3 + np.sin(2 * np.pi * wah_hz * t))
        edge = np.maximum(edge, 1.2)
        sound = np.zeros(len(t))
        for h in range(1, min(24, int(_HIGHEST_HZ / pitch_hz)) + 1):
            if odd and h % 2 == 0:
                continue
            gain = h**-slope / (1 + (h / edge) ** 4)
            gain = gain * (1 + resonance * np.exp(-((h - edge) ** 2)))
            sound += gain * np.sin(h * phase)
            if detune:
                sound += gain * np.sin(h * phase * (1 + detune) + h)
        return sound * _shape(len(t), attack_s, decay, 0.04)

    return play


def frequency_modulated(rng: np.random.Generator) -> Instrument:
    """Two operators: electric pianos, bells, brass, basses."""
    ratio = float(rng.choice([0.5, 1, 1, 2, 3, 1.41, 3.5, 7]))
    index, decay = float(rng.uniform(0.5, 6)), float(rng.uniform(0.3, 8))
    fall, attack_s = float(rng.uniform(0.5, 6)), float(rng.choice([0.002, 0.01, 0.06]))
    swell = rng.random() < 0.3

    def play(pitch_hz: float, seconds: float) -> Samples:
        t = _times(seconds)
        amount = index * (1 - np.exp(-8 * t) if swell else np.exp(-decay * t))
        wave = np.sin(2 * np.pi * pitch_hz * t + amount * np.sin(2 * np.pi * ratio * pitch_hz * t))
        return wave * _shape(len(t), attack_s, fall, 0.03)

    return play


def string(rng: np.random.Generator) -> Instrument:
    """A plucked string: noise in a loop that loses its highs; muted, or distorted at times."""
    loss = float(rng.choice([0.9, 0.985, 0.995, 0.998]))
    drive = float(rng.uniform(3, 20)) if rng.random() < 0.3 else 0.0

    def play(pitch_hz: float, seconds: float) -> Samples:
        t = _times(seconds)
        period = max(2, round(MODEL_RATE_HZ / pitch_hz))
        burst = np.zeros(len(t))
        burst[:period] = rng.uniform(-1, 1, len(burst[:period]))
        feedback = np.zeros(period + 2)
        feedback[0], feedback[period], feedback[period + 1] = 1, -loss / 2, -loss / 2
        sound = np.asarray(lfilter([1.0], feedback, burst))
        if drive:
            sound = np.tanh(drive * sound)
        return sound * _shape(len(t), 0.001, 0.0, 0.03)

    return play


def struck(rng: np.random.Generator) -> Instrument:
    """Piano, marimba, vibraphone, glass: partials that ring out, each at its own pace."""
    stretch = float(rng.choice([0.0, 0.0005, 0.002]))
    count, slope = int(rng.integers(2, 12)), float(rng.uniform(0.5, 1.8))
    decay, faster = float(rng.uniform(0.8, 9)), float(rng.uniform(0.1, 1.5))
    bars = rng.random() < 0.3
    tremolo, rate_hz = float(rng.uniform(0, 0.4)) * (rng.random() < 0.3), float(rng.uniform(3, 7))

    def play(pitch_hz: float, seconds: float) -> Samples:
        t = _times(seconds)
        sound = np.zeros(len(t))
        for h in range(1, count + 1):
            place = (1.0, 3.93, 9.24, 16.3)[h - 1] if bars and h < 5 else h * (1 + stretch * h * h)
            if place * pitch_hz > _HIGHEST_HZ or (bars and h > 4):
                break
            ring = np.exp(-decay * (1 + faster * (h - 1)) * t)
            sound += h**-slope * ring * np.sin(2 * np.pi * place * pitch_hz * t)
        thump = 0.2 * rng.standard_normal(len(t)) * np.exp(-200 * t)
        sound = (sound + thump) * (1 - tremolo * (1 + np.sin(2 * np.pi * rate_hz * t)) / 2)
        return sound * _shape(len(t), 0.001, 0.0, 0.03)

    return play


def blown(rng: np.random.Generator) -> Instrument:
    """Flute, clarinet, trumpet or bowed string: held, with breath or bow noise and vibrato."""
    slope, odd = float(rng.uniform(0.6, 2.5)), rng.random() < 0.3
    air, vibrato = float(rng.uniform(0.005, 0.12)), float(rng.uniform(0, 0.015))
    attack_s, bright = float(rng.uniform(0.02, 0.15)), float(rng.uniform(0, 1.5))
    humps_hz, rate_hz = rng.uniform(300, 3500, 3), float(rng.uniform(4, 7))

    def play(pitch_hz: float, seconds: float) -> Samples:
        t = _times(seconds)
        late = 1 - np.exp(-3 * t)
        bend = 1 + vibrato * late * np.sin(2 * np.pi * rate_hz * t)
        phase = 2 * np.pi * pitch_hz * np.cumsum(bend) / MODEL_RATE_HZ
        loud = _shape(len(t), attack_s, 0.3, 0.05)
        sound = np.zeros(len(t))
        for h in range(1, min(16, int(_HIGHEST_HZ / pitch_hz)) + 1):
            if odd and h % 2 == 0:
                continue
            body = 1 + np.exp(-(((h * pitch_hz - humps_hz) / 250) ** 2)).sum()
            sound += body * h ** (-slope - bright * (1 - loud)) * np.sin(h * phase)
        return loud * (
            sound + air * np.asarray(lfilter([1, -0.6], [1], rng.standard_normal(len(t))))
        )

    return play


_INSTRUMENTS: Final = (subtractive, subtractive, frequency_modulated, string, struck, blown)


def drum_kit(rng: np.random.Generator) -> dict[str, Samples]:
    """Return kick, snare, hat, open hat, tom, clap and stick of one kit."""
    noise = rng.standard_normal
    t = _times(0.35)
    low, drop = float(rng.uniform(38, 70)), float(rng.uniform(30, 250))
    kick = np.sin(2 * np.pi * (low * t - drop / 35 * np.exp(-35 * t))) * np.exp(
        -float(rng.uniform(7, 22)) * t
    )
    tone = float(rng.uniform(150, 260))
    snare = 0.6 * np.sin(2 * np.pi * tone * t) * np.exp(-25 * t)
    snare += noise(len(t)) * np.exp(-float(rng.uniform(9, 30)) * t) * float(rng.uniform(0.3, 0.9))
    sharp = butter(2, float(rng.uniform(3000, 6000)), "high", fs=MODEL_RATE_HZ, output="sos")
    hiss = np.asarray(sosfilt(sharp, noise(len(t))))
    tom = np.sin(2 * np.pi * (float(rng.uniform(80, 160)) * t - 1.5 * np.exp(-12 * t)))
    claps = sum(np.where(t >= d, np.exp(-90 * (t - d)), 0) for d in (0, 0.011, 0.022))
    middle = butter(2, [900, 3000], "band", fs=MODEL_RATE_HZ, output="sos")
    stick = np.sin(2 * np.pi * float(rng.uniform(800, 2500)) * t) * np.exp(-60 * t)
    return {
        "kick": 1.3 * kick,
        "snare": snare,
        "hat": 0.8 * hiss * np.exp(-float(rng.uniform(30, 90)) * t),
        "open": 0.8 * hiss * np.exp(-9 * t),
        "tom": tom * np.exp(-9 * t),
        "clap": 1.5 * np.asarray(sosfilt(middle, noise(len(t)))) * claps,
        "stick": 0.6 * stick,
    }


class _Song:
    """Tempo, key and chords of one song, and the track it is written to."""

    def __init__(self, num_samples: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.track = np.zeros(num_samples)
        self.step_s = 60.0 / float(rng.uniform(65, 175)) / 4
        self.swing = float(rng.choice([0, 0, 0.15, 0.33]))
        self.root_hz = 55.0 * 2 ** (float(rng.uniform(0, 12)) / 12)
        self.scale = _SCALES[int(rng.integers(len(_SCALES)))]
        self.loop = _LOOPS[int(rng.integers(len(_LOOPS)))]
        self.num_steps = int(num_samples / MODEL_RATE_HZ / self.step_s) + 1

    def add(self, step: float, part: Samples, gain: float) -> None:
        """Put sound at a sixteenth."""
        late = self.swing * self.step_s * (int(step) % 2)
        first = int((step * self.step_s + late) * MODEL_RATE_HZ)
        count = min(len(part), len(self.track) - first)
        if count > 0:
            self.track[first : first + count] += gain * part[:count]

    def pitch_hz(self, degree: int, octave: int) -> float:
        """Return the pitch of a degree of the scale."""
        size = len(self.scale)
        semitones = self.scale[degree % size] + 12 * (degree // size + octave)
        return float(self.root_hz * 2 ** (semitones / 12))

    def chord(self, step: int) -> int:
        """Return the degree on which the chord of this sixteenth stands."""
        return self.loop[step // 16 % 4]

    def drums(self) -> None:
        """Play a pattern of sixteenths by chance, with fills."""
        rng, kit = self.rng, drum_kit(self.rng)
        chance = {
            "kick": np.tile([0.95, 0, 0.1, 0.15, 0.4, 0, 0.2, 0.1], 2),
            "snare": np.tile([0.02, 0, 0, 0.1, 0.9, 0, 0.05, 0.15], 2),
            "hat": np.tile([0.9, 0.3, 0.9, 0.3], 4),
            "open": np.tile([0, 0, 0.15, 0], 4),
            "clap": np.tile([0, 0, 0, 0, 0.4, 0, 0, 0], 2),
            "stick": np.full(16, 0.1),
            "tom": np.full(16, 0.05),
        }
        names = [name for name in chance if rng.random() < 0.75] or ["kick"]
        pattern = {name: rng.random(16) < chance[name] for name in names}
        gain = float(rng.uniform(0.3, 1.6))
        for step in range(self.num_steps):
            for name in names:
                if pattern[name][step % 16]:
                    self.add(step, kit[name], gain * float(rng.uniform(0.6, 1)))

    def part(self) -> None:
        """Play bass, chords, arpeggio, riff or tune with an instrument of its own."""
        rng = self.rng
        play = _INSTRUMENTS[int(rng.integers(len(_INSTRUMENTS)))](rng)
        role = str(rng.choice(["bass", "chords", "chops", "arpeggio", "riff", "tune"]))
        gain = float(10 ** (rng.uniform(-12, 0) / 20))
        octave = {"bass": 0, "chords": 2, "chops": 2, "arpeggio": 2}.get(
            role, int(rng.integers(1, 4))
        )
        every = int({"bass": 2, "chords": 16, "chops": 2, "arpeggio": 1}.get(role, 2))
        rhythm = rng.random(16) < float(rng.uniform(0.4, 1.0))
        rhythm[0] = True
        walk = rng.integers(-2, 5, 16)
        degree = 0
        for step in range(0, self.num_steps, every):
            if not rhythm[step % 16]:
                continue
            base = self.chord(step)
            length_s = self.step_s * every * float(rng.uniform(0.4, 1.1))
            if role in ("chords", "chops"):
                for third in (0, 2, 4, 6)[: int(rng.integers(2, 5))]:
                    self.add(step, play(self.pitch_hz(base + third, octave), length_s), 0.5 * gain)
                continue
            if role == "arpeggio":
                degree = (0, 2, 4, 7)[step % 4]
            elif role == "riff":
                degree = int(walk[step % 16])
            elif role == "tune":
                degree = int(np.clip(degree + rng.integers(-2, 3), -3, 9))
                length_s *= float(rng.choice([1, 1, 2, 4]))
            self.add(step, play(self.pitch_hz(base + degree, octave), length_s), gain)


def song(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Make music of some kind: a whole band, drums alone, one instrument alone.

    Args:
        num_samples: S.
        rng: source of chance.

    Returns:
        float32 [S], root mean square 1.
    """
    one = _Song(num_samples, rng)
    kind = rng.random()
    if kind < 0.75:
        one.drums()
    if kind > 0.12:
        for _ in range(int(rng.integers(1, 6)) if kind < 0.75 else int(rng.integers(1, 3))):
            one.part()
    sound = one.track
    if rng.random() < 0.5:  # a room, or a long hall
        length = int(float(rng.uniform(0.1, 1.5)) * MODEL_RATE_HZ)
        tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
        wet = np.asarray(fftconvolve(sound, tail / np.sqrt((tail**2).sum())))[:num_samples]
        sound = sound + float(rng.uniform(0.1, 1.0)) * wet
    if rng.random() < 0.4:  # made loud
        sound = np.tanh(float(rng.uniform(0.5, 3)) * sound / (np.std(sound) + 1e-9))
    return (sound / (np.sqrt(np.mean(sound**2)) + 1e-9)).astype(np.float32)
