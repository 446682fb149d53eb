"""Streams by chance for `voice_finder`: somebody near speaks at times, other things sound at times.

Place in the flow: `foreground_scenes.Stage` -> clips -> here -> `voice_finder`. Voices and sounds
are mixed as mel powers, which adds up well enough and costs little; the voices of a crowd are mixed
on samples before, as between voices of one loudness nothing is small. A single voice is near,
however soft and whatever its room; several at once without one in front are nobody.
Shape letters: S samples at 16 kHz; F steps of 20 ms; B mel bins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.features.mel import NUM_BINS, mel_filters
from rest_bridge.features.voicing import STEP_SAMPLES, WINDOW_SAMPLES
from rest_bridge.training.augment_audio import microphone, reverberate, telephone
from rest_bridge.training.background_sounds import speech_rms
from rest_bridge.training.made_noises import whispered
from rest_bridge.types import MODEL_RATE_HZ, FloatArray

STEPS: Final = 320
CROWD_S: Final = 12
_SHARES: Final = {"read": 5.0, "grid": 1.0, "mandarin": 1.0, "espeak": 2.2, "sung": 0.7}
_CROWDED: Final = {"read": 5.0, "grid": 0.4, "mandarin": 0.7, "espeak": 1.0}
_SIZES: Final = {2: 0.17, 3: 0.17, 4: 0.17, 5: 0.16, 6: 0.15, 7: 0.12, 8: 0.06}
_IN_CROWDS: Final = 0.45
_LEAST_ABOVE_DB: Final = {2: 9.0, 3: 5.0}
"""Two or three voices nearly as loud as the talker cannot be told from him; more by 3 dB."""
_PAIR: Final = 0.6
"""How much it counts that of two voices none is near: one of them may be meant."""
_VOICED: Final = 2.2
_VOICED_IN_CROWDS: Final = 1.5
"""How much more it counts to miss a voice than to find one too many."""
_HANG: Final = 4
"""Steps for which a voice is called one after it has become soft: between two phones."""
_SOFT_DB: Final = 26.0


@dataclass(frozen=True, slots=True)
class Clip:
    """A sound as the network sees it.

    Attributes:
        power: float32 [F, B], of a sound whose loud parts have root mean square 1.
        voiced: bool [F]; None for what is no voice.
    """

    power: FloatArray
    voiced: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Crowd:
    """Voices at once, none in front: how many, and their power, float32 [F, B]."""

    count: int
    power: FloatArray


@dataclass(frozen=True, slots=True)
class Clips:
    """What streams are made of: voices by kind, sounds that are no voice, crowds."""

    voices: Mapping[str, Sequence[Clip]]
    others: Sequence[Clip]
    crowds: Sequence[Crowd]


def mel_power(samples: FloatArray) -> FloatArray:
    """Return float32 [F, B] of float32 [S], step k as `features.voicing` hears it at its end."""
    padded = np.concatenate([np.zeros(WINDOW_SAMPLES - STEP_SAMPLES, np.float32), samples])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::STEP_SAMPLES]
    taper = np.hanning(WINDOW_SAMPLES).astype(np.float32)
    parts = []
    for first in range(0, len(windows), 2000):
        spectrum = np.fft.rfft(windows[first : first + 2000] * taper)
        parts.append((np.abs(spectrum) ** 2).astype(np.float32) @ mel_filters().T)
    return np.concatenate(parts)


def voiced(samples: FloatArray) -> npt.NDArray[np.bool_]:
    """Return bool [F]: where somebody speaks in a clean recording, and 80 ms longer."""
    count = len(samples) // STEP_SAMPLES
    power = np.mean(samples[: count * STEP_SAMPLES].reshape(count, STEP_SAMPLES) ** 2, axis=1)
    loud = 10 * np.log10(power + 1e-12) > 20 * np.log10(speech_rms(samples)) - _SOFT_DB
    held = loud.copy()
    for later in range(1, _HANG + 1):
        held[later:] |= loud[:-later]
    return held


def talker(samples: FloatArray, rng: np.random.Generator, *, plain: bool = False) -> Clip:
    """Return a voice as a clip: higher or lower, whispered, in a room, through a microphone."""
    if not plain:
        samples = _resped(samples, float(rng.uniform(0.82, 1.25)))
        if rng.random() < 0.08:
            samples = whispered(samples, rng)
    samples = samples / np.float32(speech_rms(samples))
    truth = voiced(samples)
    if not plain:
        if rng.random() < 0.4:
            ratio_db = float(rng.uniform(-2, 12))
            rt60_s = float(rng.uniform(0.15, 0.7))
            samples = reverberate(samples, rng, rt60_s=rt60_s, direct_to_reverberant_db=ratio_db)
        if rng.random() < 0.5:
            samples = microphone(samples, rng)
        elif rng.random() < 0.2:
            samples = telephone(samples)
    power = mel_power(samples / np.float32(speech_rms(samples)))
    count = min(len(truth), len(power))
    return Clip(power[:count], truth[:count])


def no_voice(sound: FloatArray) -> Clip:
    """Return a sound that is no voice as a clip."""
    return Clip(mel_power(sound / np.float32(speech_rms(sound))))


def crowd(kinds: Mapping[str, Sequence[FloatArray]], rng: np.random.Generator) -> Crowd:
    """Mix two to eight of these voices at about one level, at times in a room."""
    number = int(rng.choice(list(_SIZES), p=list(_SIZES.values())))
    size = CROWD_S * MODEL_RATE_HZ
    mixed = np.zeros(size, np.float32)
    for _ in range(number):
        voices = kinds[_pick(rng, _CROWDED, kinds)]
        voice = _resped(voices[int(rng.integers(len(voices)))], float(rng.uniform(0.88, 1.15)))
        looped = np.tile(voice / np.float32(speech_rms(voice)), size // len(voice) + 2)
        first = int(rng.integers(len(looped) - size))
        level = np.float32(10 ** (float(rng.normal(0, 1.5)) / 20))
        mixed += looped[first : first + size] * level
    if rng.random() < 0.3:
        mixed = reverberate(mixed, rng, rt60_s=float(rng.uniform(0.2, 0.8)),
                            direct_to_reverberant_db=float(rng.uniform(-6, 8)))  # fmt: skip
    return Crowd(number, no_voice(mixed).power)


def scene(clips: Clips, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mix a stream.

    Returns:
        power: float32 [F, B].
        truth: float32 [F], 1 where somebody near speaks.
        weight: float32 [F], how much each step counts.
    """
    power = np.zeros((STEPS, NUM_BINS), np.float32)
    truth, weight = np.zeros(STEPS, np.float32), np.ones(STEPS, np.float32)
    missed = _VOICED
    if rng.random() < _IN_CROWDS and clips.crowds:
        missed = _VOICED_IN_CROWDS
        people = clips.crowds[int(rng.integers(len(clips.crowds)))]
        level_db = float(rng.uniform(-28, 8))
        if rng.random() < 0.68:
            _speak(power, truth, clips, rng, latest=220)
            level_db = -float(rng.uniform(_LEAST_ABOVE_DB.get(people.count, 3.0), 20))
        _put(power, people.power, level_db, rng, whole=rng.random() < 0.8)
        if people.count == 2:
            weight[truth < 0.5] = _PAIR
        if rng.random() < 0.12:
            _put(power, _one(clips.others, rng), float(rng.uniform(-28, -10)), rng, whole=True)
    else:
        speaks = rng.random() < 0.68
        if speaks:
            _speak(power, truth, clips, rng, latest=130)
        if rng.random() < (0.72 if speaks else 0.97):
            for _ in range(1 if rng.random() < 0.7 else 2):
                level_db = float(rng.uniform(-28, 0 if speaks else 8))
                _put(power, _one(clips.others, rng), level_db, rng, whole=rng.random() < 0.5)
    noise = rng.exponential(1.0, power.shape).astype(np.float32) * _NOISE
    power += noise * _colour(rng) * np.float32(10 ** (float(rng.uniform(-65, -25)) / 10))
    power *= np.float32(10 ** (float(rng.uniform(-48, -12)) / 10))
    weight *= np.where(truth > 0.5, np.float32(missed), np.float32(1.0))
    for start in np.flatnonzero(np.diff(truth, prepend=0) > 0):  # nobody can know so soon
        weight[start : start + 2] = 0.0
    for end in np.flatnonzero(np.diff(truth, prepend=0) < 0):  # held anyway
        weight[end : end + 15] *= 0.3
    return power, truth, weight


def _speak(
    power: FloatArray, truth: FloatArray, clips: Clips, rng: np.random.Generator, *, latest: int
) -> None:
    """Add a talker who makes pauses and begins at the latest so many steps on, in place."""
    colour, voices = _colour(rng), clips.voices[_pick(rng, _SHARES, clips.voices)]
    at = int(rng.integers(-50, latest))
    while at < STEPS - 15:
        clip = voices[int(rng.integers(len(voices)))]
        assert clip.voiced is not None, "a voice"
        length = min(int(rng.integers(30, 250)), len(clip.power))
        begin = int(rng.integers(0, len(clip.power) - length + 1))
        first = max(at, 0)
        count = min(length, STEPS - first)
        part = slice(begin, begin + count)
        power[first : first + count] += clip.power[part] * colour
        truth[first : first + count] = clip.voiced[part]
        at = first + count + int(rng.integers(15, 130))


def _put(
    power: FloatArray, sound: FloatArray, level_db: float, rng: np.random.Generator, *, whole: bool
) -> None:
    """Add a sound, float32 [F', B], throughout or for a while, in place."""
    first = 0 if whole else int(rng.integers(0, STEPS - 50))
    length = STEPS - first
    if not whole and length > 40 and rng.random() < 0.4:
        length = int(rng.integers(40, length + 1))
    begin = int(rng.integers(0, max(1, len(sound) - length)))
    part = sound[begin : begin + length]
    power[first : first + len(part)] += part * _colour(rng) * np.float32(10 ** (level_db / 10))


def _one(clips: Sequence[Clip], rng: np.random.Generator) -> FloatArray:
    return clips[int(rng.integers(len(clips)))].power


def _pick(
    rng: np.random.Generator, shares: Mapping[str, float], kinds: Mapping[str, object]
) -> str:
    names = [name for name in shares if name in kinds]
    odds = np.array([shares[name] for name in names])
    return names[int(rng.choice(len(names), p=odds / odds.sum()))]


def _resped(samples: FloatArray, speed: float) -> FloatArray:
    """Return float32: faster and higher, or slower and lower."""
    places = np.arange(0, len(samples) - 1, speed)
    return np.interp(places, np.arange(len(samples)), samples).astype(np.float32)


def _colour(rng: np.random.Generator) -> FloatArray:
    """Return gains of the bins, float32 [B], smooth, within some 8 dB."""
    gain_db = np.interp(np.arange(NUM_BINS), np.linspace(0, NUM_BINS, 6), rng.normal(0, 3.5, 6))
    return (10 ** (gain_db / 10)).astype(np.float32)


_NOISE: Final = mel_power(
    np.random.default_rng(0).standard_normal(160_000).astype(np.float32)
).mean(0)
