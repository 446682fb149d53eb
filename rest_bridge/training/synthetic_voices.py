"""Speech that flite and espeak-ng speak for training and tests, with rule curves.

Place in the flow: configs/train/texts.toml -> here -> `speech_prepare`, `speech_conditions`. Many
voices matter more than many sentences: each sentence is spoken by several of espeak-ng's variants
at other rates, pitches and melodies. Numbers make sentences in every language.
"""

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np

from rest_bridge.errors import ConfigError
from rest_bridge.training.phonemes import EspeakVoice, flite
from rest_bridge.training.speech_sources import Utterance, alter_talker, rule_utterance
from rest_bridge.training.splits import HELD_OUT_LANGUAGES, HELD_OUT_VARIANTS, is_held_out

FLITE_VOICES: Final = ("rms", "slt", "awb", "kal16")
_ENGLISH: Final = "en-us"
_RENDITIONS: Final = {"en-us": 4}
_OTHER_RENDITIONS: Final = 4


@dataclass(frozen=True, slots=True)
class Texts:
    """Sentences by espeak-ng voice.

    Attributes:
        train: language -> sentences that training hears.
        test: language -> sentences of the tests.
        accents: of English; they speak the sentences of en-us.
        variants: espeak-ng's voices for training ("" is the plain one).
    """

    train: dict[str, list[str]]
    test: dict[str, list[str]]
    accents: tuple[str, ...]
    variants: tuple[str, ...]


def load_texts(path: Path) -> Texts:
    """Read configs/train/texts.toml.

    Args:
        path: of the file.

    Returns:
        Its sentences and voices.

    Raises:
        ConfigError: the file cannot be read, lacks a key, or trains what `splits` holds out.
    """
    try:
        with path.open("rb") as file:
            raw = tomllib.load(file)
        texts = Texts(
            raw["train"], raw["test"], tuple(raw["accents"]), tuple(raw["variants"])
        )  # fmt: skip
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise ConfigError(f"The training sentences cannot be read ({error!r}): {path}") from error
    wrong = (set(texts.train) & set(HELD_OUT_LANGUAGES)) | (
        set(texts.variants) & set(HELD_OUT_VARIANTS)
    )
    if wrong:
        raise ConfigError(
            f"{', '.join(sorted(wrong))} belong to the tests (rest_bridge/training/splits.py) and "
            f"must not stand among the training voices: {path}"
        )
    return texts


def flite_utterances(texts: Texts, *, seed: int) -> Iterator[Utterance]:
    """Yield every English sentence by each of flite's voices, and by one altered talker each."""
    for voice in FLITE_VOICES:
        for number, text in enumerate(texts.train[_ENGLISH]):
            name = f"flite-{voice}-{number}"
            rng = _own_chance(name, seed)
            samples, phones = flite(text, voice=voice, stretch=float(rng.uniform(0.85, 1.2)))
            yield rule_utterance(name, "synthetic", samples, phones, "arpabet")
            altered, phones = alter_talker(samples, phones, random_talker(rng))
            yield rule_utterance(f"{name}~", "synthetic", altered, phones, "arpabet")


def espeak_utterances(texts: Texts, *, seed: int) -> Iterator[Utterance]:
    """Yield training sentences in all languages, each by several voices; one voice at a time."""
    yield from spoken(espeak_lines(texts, seed=seed), seed=seed)


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence and who speaks it.

    Attributes:
        name: of the utterance.
        style: of the utterance.
        text: what is said.
        voice: espeak-ng's.
    """

    name: str
    style: str
    text: str
    voice: str


def espeak_lines(texts: Texts, *, seed: int) -> list[Line]:
    """Return what `espeak_utterances` speaks."""
    lines: list[Line] = []
    for language, sentences in texts.train.items():
        said = [*sentences, *_numbers(language, seed)]
        plan = _renditions(language, said, texts.variants, seed)
        if language == _ENGLISH:
            plan += [(accent, i) for accent in texts.accents for i in range(len(said))]
        style = "synthetic" if language == _ENGLISH else "foreign"
        lines += [
            Line(f"espeak-{voice}-{number}", style, said[number], voice)
            for voice, number in sorted(plan)
            if not is_held_out("espeak", voice, number)
        ]
    return lines


def spoken(lines: Iterable[Line], *, seed: int) -> Iterator[Utterance]:
    """Yield lines as utterances."""
    espeak = EspeakVoice()
    for line in lines:
        yield speak(espeak, line.name, line.style, line.text, line.voice, seed=seed)


def held_out_utterances(texts: Texts, *, seed: int) -> Iterator[Utterance]:
    """Yield the test sentences by the held-out voices, named "test-LANGUAGE+VARIANT-NUMBER"."""
    espeak = EspeakVoice()
    for language, sentences in texts.test.items():
        for number, text in enumerate(sentences):
            for variant in HELD_OUT_VARIANTS[number % 3 :: 3]:
                name = f"test-{language}+{variant}-{number}"
                style = "synthetic" if language == _ENGLISH else "foreign"
                yield speak(espeak, name, style, text, f"{language}+{variant}", seed=seed)


def speak(
    espeak: EspeakVoice, name: str, style: str, text: str, voice: str, *, seed: int
) -> Utterance:
    """Speak one sentence; rate, pitch and melody follow from the name and the seed."""
    rng = _own_chance(name, seed)
    samples, phones = espeak.speak(
        text, language=voice, words_per_minute=int(rng.integers(125, 215)),
        pitch=int(rng.integers(20, 80)), pitch_range=int(rng.integers(20, 90)),
        seed=int(rng.integers(2**31)),
    )  # fmt: skip
    return rule_utterance(name, style, samples, phones, "ipa")


def random_talker(rng: np.random.Generator) -> float:
    """Return a factor of `alter_talker`: clearly another voice, still a human one."""
    return float(rng.uniform(0.85, 0.94) if rng.random() < 0.5 else rng.uniform(1.07, 1.18))


def _own_chance(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, crc32(name.encode())])


def _renditions(
    language: str, lines: Sequence[str], variants: Sequence[str], seed: int
) -> list[tuple[str, int]]:
    """Choose voices for a language: few sentences each, so that many voices are heard."""
    rng = _own_chance(language, seed)
    wanted = _RENDITIONS.get(language, _OTHER_RENDITIONS) * len(lines)
    order = [str(v) for v in rng.permutation(list(variants))]
    each = max(2, wanted // len(order) + 1)
    plan: list[tuple[str, int]] = []
    for place, variant in enumerate(order * (wanted // (each * len(order)) + 1)):
        voice = f"{language}+{variant}" if variant else language
        plan += [(voice, (place * each + k) % len(lines)) for k in range(each)]
    return sorted(set(plan[:wanted]))


def _numbers(language: str, seed: int) -> list[str]:
    """Return three lines of numbers, which espeak-ng reads out in any language."""
    rng = _own_chance(f"numbers {language}", seed)
    if language.startswith("cmn"):
        return []  # this voice reads Pinyin and spells digits in English
    return [", ".join(str(n) for n in rng.integers(0, 10 ** rng.integers(1, 5), 7)) for _ in "abc"]
