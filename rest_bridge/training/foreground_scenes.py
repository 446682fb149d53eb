"""What `foreground` learns from: one talker near, and whatever else is heard, mixed on samples.

Place in the flow: recorded and made voices, `orchestra`, `made_noises` -> here -> `foreground`.
Each scene comes with the sound that should be left: the nearest talker in a quiet room, as the
microphone hears him, or the room alone. A single voice is near, however soft, until a nearer one
was heard; of three and more that speak at once nobody is. Never heard: what `splits.is_held_out`
keeps, `evaluation.stillness.unheard_talkers`, every sound of `background_sounds`.
Shape letters: S samples at 16 kHz; J steps of 20 ms.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from rest_bridge.features.voicing import STEP_SAMPLES
from rest_bridge.training.augment_audio import microphone, reverberate, telephone
from rest_bridge.training.background_sounds import coloured_noise, speech_rms
from rest_bridge.training.evaluation.stillness import unheard_talkers
from rest_bridge.training.made_noises import noise_of_some_kind, whispered
from rest_bridge.training.orchestra import song
from rest_bridge.training.recordings import read_manifest, usable_audio
from rest_bridge.training.splits import HELD_OUT_FACEGOOD, is_held_out
from rest_bridge.training.sung import sung
from rest_bridge.training.synthetic_voices import Texts, espeak_lines, spoken
from rest_bridge.training.voice_scenes import voiced
from rest_bridge.types import MODEL_RATE_HZ, FloatArray

SECONDS: Final = 6
_SIZE: Final = SECONDS * MODEL_RATE_HZ
_PIECE_S: Final = 12
_SHARES: Final = {"read": 5.0, "grid": 1.0, "mandarin": 1.0, "espeak": 2.2, "sung": 0.7}
_CROWDED: Final = {"read": 5.0, "grid": 0.3, "mandarin": 0.7, "espeak": 1.0, "sung": 0.1}
_NEAR_CHANGES: Final = 0.1


@dataclass(frozen=True, slots=True)
class Voice:
    """A clip of one talker.

    Attributes:
        kind: a name of `_SHARES`.
        samples: float32 [S], loud parts at root mean square 1.
    """

    kind: str
    samples: FloatArray


@dataclass(frozen=True, slots=True)
class Scene:
    """What is heard and what should be left of it.

    Attributes:
        heard, near: float32 [S].
        speaks: bool [J], the near talker, 80 ms of hang-over included.
        weight: float32 [J], how much each step counts.
    """

    heard: FloatArray
    near: FloatArray
    speaks: FloatArray
    weight: FloatArray


class Stage:
    """Everything that scenes are made of.

    Args:
        voices: of training talkers.
        sounds: float32 [S] each, no voices, at root mean square 1.
        music: likewise.

    Attributes:
        kinds: float32 [S] of every voice, by kind.
    """

    def __init__(
        self, voices: Sequence[Voice], sounds: Sequence[FloatArray], music: Sequence[FloatArray]
    ) -> None:
        self.sounds, self.music = sounds, music
        self.kinds: dict[str, list[FloatArray]] = {}
        for voice in voices:
            self.kinds.setdefault(voice.kind, []).append(voice.samples)

    def scene(self, rng: np.random.Generator) -> Scene:
        """Mix a scene of six seconds."""
        kind = float(rng.random())
        near = np.zeros(_SIZE, np.float32)
        other = np.zeros(_SIZE, np.float32)
        weight = np.ones(_SIZE // STEP_SAMPLES, np.float32)
        if kind < 0.24:  # somebody alone
            near = self._talk(rng)
        elif kind < 0.58:
            near, other, weight = self._in_crowd(rng)
        elif kind < 0.70:
            near = self._talk(rng)
            other = self._part(self.sounds, rng) * _below(rng, -2, 25)
        elif kind < 0.82:
            near = self._talk(rng)
            other = self._part(self.music, rng) * _below(rng, 0, 20)
        elif kind < 0.92:
            count = int(rng.integers(2, 8))
            other = self._crowd(count, rng)
            weight *= 0.5 if count == 2 else 1.0
        else:
            other = self._part(self.music if rng.random() < 0.6 else self.sounds, rng)
        if rng.random() < 0.25:
            other = other * _comes_and_goes(rng)
        return _finished(near, other, weight, rng)

    def _talk(self, rng: np.random.Generator, *, at_once: bool = False) -> FloatArray:
        """Return a talker who makes pauses, float32 [S]; at times another one takes over."""
        track = np.zeros(_SIZE, np.float32)
        kind = _pick(rng, _SHARES, self.kinds)
        clip, speed = self._clip(kind, rng), float(rng.uniform(0.88, 1.15))
        at = 0 if at_once else int(float(rng.uniform(-1.0, 2.5)) * MODEL_RATE_HZ)
        level = np.float32(1.0)
        while at < _SIZE - 4000:
            length = int(float(rng.uniform(0.7, 5.0)) * MODEL_RATE_HZ)
            first, count = max(at, 0), min(at + length, _SIZE) - max(at, 0)
            if count > 800:
                part = _resped(clip, speed, count, rng)
                track[first : first + len(part)] += level * part
            pause_s = 0.0 if rng.random() < 0.3 else float(rng.uniform(0.2, 2.5))
            at += length + int(pause_s * MODEL_RATE_HZ)
            if rng.random() < _NEAR_CHANGES:
                clip = self._clip(kind, rng)
                level = np.float32(10 ** (float(rng.uniform(-4, 4)) / 20))
        return track

    def _in_crowd(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return a talker, voices that are not near, and weights; warm and cold."""
        count = int(rng.integers(1, 8))
        weight = np.ones(_SIZE // STEP_SAMPLES, np.float32)
        if count == 1:  # somebody else in the room, once the nearest is known
            near = self._talk(rng, at_once=True)
            far = self._talk(rng)
            if rng.random() < 0.7:
                far = reverberate(far, rng, rt60_s=float(rng.uniform(0.2, 0.7)),
                                  direct_to_reverberant_db=float(rng.uniform(-6, 6)))  # fmt: skip
            far[: int(float(rng.uniform(1.2, 3.0)) * MODEL_RATE_HZ)] = 0
            return near, far * _below(rng, 9, 26), weight
        warm = rng.random() < 0.5
        near = self._talk(rng, at_once=warm)
        crowd = self._crowd(count, rng) * _below(rng, 8 if count == 2 else 2, 20)
        if count == 2 and not warm:  # one of the two may be meant
            spoken = np.flatnonzero(near)
            begins = int(spoken[0]) if len(spoken) else _SIZE
            weight[: begins // STEP_SAMPLES] = 0.5
        return near, crowd, weight

    def _crowd(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Return so many voices at about one level, together at root mean square 1."""
        mixed = np.zeros(_SIZE, np.float32)
        for _ in range(count):
            clip = self._clip(_pick(rng, _CROWDED, self.kinds), rng)
            level = np.float32(10 ** (float(rng.normal(0, 1.5)) / 20))
            mixed += level * _resped(np.tile(clip, _SIZE // len(clip) + 2), 1.0, _SIZE, rng)
        if rng.random() < 0.3:
            mixed = reverberate(mixed, rng, rt60_s=float(rng.uniform(0.2, 0.8)),
                                direct_to_reverberant_db=float(rng.uniform(-6, 8)))  # fmt: skip
        return mixed / np.float32(mixed.std() + 1e-6)

    def _clip(self, kind: str, rng: np.random.Generator) -> FloatArray:
        clips = self.kinds[kind]
        return clips[int(rng.integers(len(clips)))]

    @staticmethod
    def _part(sounds: Sequence[FloatArray], rng: np.random.Generator) -> FloatArray:
        sound = sounds[int(rng.integers(len(sounds)))]
        return sound[int(rng.integers(len(sound) - _SIZE + 1)) :][:_SIZE].copy()


def _finished(
    near: FloatArray, other: FloatArray, weight: FloatArray, rng: np.random.Generator
) -> Scene:
    """Put a scene into a room and through a microphone, at any level."""
    room = coloured_noise(_SIZE, rng, slope_db_per_octave=float(rng.uniform(-6, 0)))
    room *= np.float32(10 ** (float(rng.uniform(-70, -40)) / 20) / (room.std() + 1e-9))
    gain = np.float32(10 ** (float(rng.uniform(-46, -8)) / 20))
    left = (near + room) * gain
    heard = left + other * gain
    speaks = voiced(near) if near.any() else np.zeros(_SIZE // STEP_SAMPLES, bool)
    # Nobody can know in the first moment that it is the nearest voice that begins.
    return Scene(heard, left, speaks.astype(np.float32), weight)


def _below(rng: np.random.Generator, least_db: float, most_db: float) -> np.float32:
    return np.float32(10 ** (-float(rng.uniform(least_db, most_db)) / 20))


def _comes_and_goes(rng: np.random.Generator) -> FloatArray:
    since = (np.arange(_SIZE) / _SIZE - float(rng.uniform(0.15, 0.85))) * SECONDS / 0.05
    gate = np.clip(since + 0.5, 0, 1)
    return (gate if rng.random() < 0.6 else gate[::-1]).astype(np.float32)


def _resped(clip: FloatArray, speed: float, count: int, rng: np.random.Generator) -> FloatArray:
    """Return part of a clip, faster and higher or slower and lower; at most `count` samples."""
    needed = int(count * speed)
    if len(clip) > needed + 2:
        first = int(rng.integers(len(clip) - needed - 1))
        clip = clip[first : first + needed + 1]
    if speed == 1.0:
        return clip[:count]
    places = np.arange(0, len(clip) - 1, speed)[:count]
    part = np.interp(places, np.arange(len(clip)), clip).astype(np.float32)
    edge = min(80, len(part) // 2)  # no clicks where a sentence is cut
    part[:edge] *= np.linspace(0, 1, edge, dtype=np.float32)
    part[-edge:] *= np.linspace(1, 0, edge, dtype=np.float32)
    return part


def _pick(
    rng: np.random.Generator,
    shares: dict[str, float],
    kinds: Mapping[str, Sequence[FloatArray]],
) -> str:
    names = [name for name in shares if name in kinds]
    odds = np.array([shares[name] for name in names])
    return names[int(rng.choice(len(names), p=odds / odds.sum()))]


def recorded(assets: Path) -> Iterator[tuple[str, str, FloatArray]]:
    """Yield kind, name and float32 [S] of every recorded training talker's clips."""
    unheard = {path.name for path in unheard_talkers(assets)}
    for folder, sub, kind in (
        ("librispeech_subset", "", "read"),
        ("ljspeech_samples", "", "read"),
        ("grid_s1_video", "clips", "grid"),
    ):
        for index, entry in enumerate(read_manifest(assets / folder)):
            name = str(entry["file"])
            key = Path(name).stem if folder == "ljspeech_samples" else name
            if is_held_out(folder, key, index) or name in unheard:
                continue
            samples = usable_audio(assets / folder / sub / name)
            if samples is not None:
                yield kind, name, samples
    for path in sorted((assets / "facegood_audio2face").glob("*/*.flac")):
        samples = usable_audio(path) if path.stem != HELD_OUT_FACEGOOD else None
        if samples is not None:
            size = _PIECE_S * MODEL_RATE_HZ
            for first in range(0, len(samples) - size, size):
                yield "mandarin", f"{path.stem}@{first}", samples[first : first + size]


def made(texts: Texts, seed: int, count: int) -> Iterator[tuple[str, str, FloatArray]]:
    """Yield kind, name and float32 [S] of sentences in all training languages, by chance."""
    lines = espeak_lines(texts, seed=seed)
    chosen = np.random.default_rng(seed).permutation(len(lines))[:count]
    for utterance in spoken([lines[k] for k in sorted(chosen)], seed=seed):
        yield "espeak", utterance.name, utterance.samples


def altered(kind: str, samples: FloatArray, rng: np.random.Generator) -> Voice:
    """Return a clip sung, whispered, in a room or through some microphone; or as it is."""
    way = float(rng.random())
    if way < 0.12 and kind == "read":
        return Voice("sung", _loud(sung(samples[: 6 * MODEL_RATE_HZ], rng)))
    if way < 0.17:
        samples = whispered(samples, rng)
    elif way < 0.45:
        samples = reverberate(samples, rng, rt60_s=float(rng.uniform(0.15, 0.6)),
                              direct_to_reverberant_db=float(rng.uniform(0, 12)))  # fmt: skip
    if way > 0.35:
        samples = telephone(samples) if way > 0.93 else microphone(samples, rng)
    return Voice(kind, _loud(samples))


def _loud(samples: FloatArray) -> FloatArray:
    return (samples / np.float32(speech_rms(samples))).astype(np.float32)


def stage(
    assets: Path, texts: Texts, seed: int, *, num_made: int = 500, num_songs: int = 160,
    num_noises: int = 120, keep: int = 12, held: bool = False, more_music: Path | None = None,
) -> Stage:  # fmt: skip
    """Gather everything.

    Args:
        assets: the data folder.
        texts: sentences for espeak-ng.
        seed: of all chance.
        num_made: sentences of espeak-ng.
        num_songs: of 12 s.
        num_noises: of 12 s.
        keep: every so many-th clip is kept for validation.
        held: return the stage of those.
        more_music: a folder of further music without voices; see `sampled_bands`.
    """
    rng = np.random.default_rng([seed, int(held)])
    voices: list[Voice] = []
    pairs = [*recorded(assets), *made(texts, seed, num_made)]
    for index, (kind, _, samples) in enumerate(pairs):
        if (index % keep == 0) == held:
            voices += [Voice(kind, _loud(samples)), altered(kind, samples, rng)]
    size = 12 * MODEL_RATE_HZ
    share = 8 if held else 1
    music = [song(size, rng) for _ in range(num_songs // share)]
    if more_music is not None:
        found = [usable_audio(path) for path in sorted(more_music.glob("*.wav"))]
        music += [_loud(sound) for sound in found if sound is not None and len(sound) >= _SIZE]
    sounds = [noise_of_some_kind(size, rng) for _ in range(num_noises // share)]
    return Stage(voices, sounds, music)
