"""Building sessions: reproducible from the seed, resumed by the source, splits disjoint."""

import ctypes.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("av")
pytest.importorskip("soxr")

from rest_bridge.errors import ConfigError
from rest_bridge.features.mel import LogMel, MelConfig
from rest_bridge.training import (
    session_features,
    session_shards,
    speech_prepare,
    speech_sessions,
    speech_sources,
    splits,
)
from rest_bridge.training.phonemes import Phone, tile
from rest_bridge.training.speech_sources import Utterance, rule_utterance
from rest_bridge.training.synthetic_voices import FLITE_VOICES, _renditions, load_texts

TEXTS = Path(__file__).parents[2] / "configs" / "train" / "texts.toml"
MEL = MelConfig(np.full(80, -5, np.float32), np.full(80, 2.5, np.float32))


def spoken(name: str, style: str = "read", seconds: float = 1.5) -> Utterance:
    t = np.arange(int(seconds * 16_000)) / 16_000
    sound = np.sin(2 * np.pi * 150 * t) * ((t > 0.4) & (t < 1.1))
    phones = tile([Phone("M", 0.4, 0.5), Phone("AA", 0.5, 1.1)], seconds)
    return rule_utterance(name, style, sound.astype(np.float32), phones, "arpabet")


def toy_sources(*names: str) -> dict[str, speech_prepare.Source]:
    def pairs(source: str) -> Iterator[tuple[Utterance, bool]]:
        style = "grid" if source == "grid" else "read"  # those go on from one to the next
        yield spoken(f"{source}-1", style), False
        yield spoken(f"{source}-3", style), False
        yield spoken(f"{source}-2", style), True

    return {n: speech_prepare.Source(lambda n=n: pairs(n), 2) for n in names}


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_prepare, "_recorded_sources", lambda *_: toy_sources("grid", "read"))
    monkeypatch.setattr(speech_prepare, "_made_sources", lambda *_: toy_sources("foreign"))
    monkeypatch.setattr(speech_prepare, "_NUM_NEGATIVES", 2)
    monkeypatch.setattr(speech_prepare, "_NEGATIVE_S", 1.0)
    monkeypatch.setattr(session_shards, "SHARD_SESSIONS", 1)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.npz"))}


@pytest.mark.usefixtures("toy")
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder, seed in zip(folders, (3, 3, 4), strict=True):
        folder.mkdir()
        np.savez(folder / "mel.npz", mean=MEL.mean, deviation=MEL.deviation)
        speech_prepare.prepare(tmp_path, folder, TEXTS, seed=seed)
    one, two, other = (contents(folder) for folder in folders)
    shards = {"train-grid-000.npz", "held-read-000.npz", "train-negative-000.npz"}
    assert set(one) >= {*shards, "train-grid-001.npz", "validation.npz"}
    assert one == two
    assert one["train-read-000.npz"] != other["train-read-000.npz"]


@pytest.mark.usefixtures("toy")
def test_a_killed_build_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    built = speech_prepare.prepare(tmp_path, tmp_path, TEXTS)
    assert set(built) == {"grid", "read", "foreign", "negative"}
    before = contents(tmp_path)
    for lost in ("built.json", "train-grid-001.npz", "train-read-000.npz", "held-read-000.npz"):
        (tmp_path / lost).unlink()
    again = speech_prepare.prepare(tmp_path, tmp_path, TEXTS)
    assert {name for name, seconds in again.items() if seconds} == {"grid", "read"}
    assert contents(tmp_path) == before
    assert speech_prepare.prepare(tmp_path, tmp_path, TEXTS) == {}


@pytest.mark.usefixtures("toy")
def test_what_is_held_out_stands_in_the_validation_and_nowhere_else(tmp_path: Path) -> None:
    speech_prepare.prepare(tmp_path, tmp_path, TEXTS)
    held = {s.name for s in speech_sessions.load_sessions(tmp_path / "validation.npz")}
    trained = {
        s.name for path in tmp_path.glob("train-*.npz") for s in speech_sessions.load_sessions(path)
    }
    assert {"grid-2", "read-2", "foreign-2"} < held
    assert {"grid-1", "read-1", "foreign-1"} < trained
    assert not held & trained


def test_features_at_once_are_those_of_the_stream() -> None:
    rng = np.random.default_rng(0)
    sound = (rng.standard_normal(16_000) * np.linspace(0, 0.2, 16_000)).astype(np.float32)
    mel = LogMel(MEL)
    streamed, _ = mel.step(sound, mel.initial_state())
    np.testing.assert_allclose(session_features.whole_features(mel, sound), streamed, atol=2e-4)


def test_an_altered_talker_speaks_higher_and_faster_and_moves_as_he_speaks() -> None:
    plain = spoken("x-1")
    other = speech_sources.altered_utterance(plain, 1.15)
    assert len(other.samples) == pytest.approx(len(plain.samples) / 1.15, rel=0.01)
    pitch = [
        np.abs(np.fft.rfft(u.samples)).argmax() * 16_000 / len(u.samples) for u in (plain, other)
    ]
    assert pitch[1] / pitch[0] == pytest.approx(1.15, rel=0.03)
    assert other.phones[2].start_s == pytest.approx(plain.phones[2].start_s / 1.15)
    moved = plain.mouth[:, 23].argmax() / 25 / 1.15
    assert other.mouth[:, 23].argmax() / 25 == pytest.approx(moved, abs=0.06)


def test_a_tracked_mouth_comes_to_rest_in_silence_and_speaks_as_before() -> None:
    utterance = spoken("x-1")
    utterance.mouth = utterance.mouth + 0.1  # fidgets
    still = speech_sources.still_rest(utterance)
    speaking = ~utterance.rest
    np.testing.assert_array_equal(still.mouth[speaking], utterance.mouth[speaking])
    assert still.mouth[:4].max() < 0.05


def test_talkers_voices_and_languages_of_the_tests_are_nowhere_in_training() -> None:
    texts = load_texts(TEXTS)
    assert not set(texts.train) & set(splits.HELD_OUT_LANGUAGES)
    assert not set(texts.variants) & set(splits.HELD_OUT_VARIANTS)
    assert set(splits.HELD_OUT_LANGUAGES) < set(texts.test)
    assert len(texts.train) >= 21
    for language in texts.test:
        assert not set(texts.test[language]) & set(texts.train.get(language, []))
    for variant in splits.HELD_OUT_VARIANTS:
        assert splits.is_held_out("espeak", f"de+{variant}", 0)
        assert splits.is_held_out("espeak", f"en-us+{variant}", 0)
    assert splits.is_held_out("espeak", "fi+m3", 0)
    assert splits.is_held_out("espeak-test", "de+adam", 0)
    assert not any(splits.is_held_out("flite", voice, 0) for voice in FLITE_VOICES)


def test_many_voices_speak_few_sentences_each() -> None:
    texts = load_texts(TEXTS)
    for language in ("en-us", "ru"):
        plan = _renditions(language, texts.train[language], texts.variants, 0)
        voices = {voice for voice, _ in plan}
        assert len(voices) >= min(10, len(plan) // 2)
        assert {number for _, number in plan} == set(range(len(texts.train[language])))
        assert plan == _renditions(language, texts.train[language], texts.variants, 0)


def test_training_a_held_out_language_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "texts.toml"
    path.write_text('accents = []\nvariants = ["m1", "adam"]\n[train]\nfi = ["a"]\n[test]\n')
    with pytest.raises(ConfigError, match="adam, fi belong to the tests"):
        load_texts(path)
    path.write_text("variants = [")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_texts(path)


@pytest.mark.device
def test_espeak_says_the_same_bytes_again() -> None:
    if ctypes.util.find_library("espeak-ng") is None:
        pytest.skip("libespeak-ng is not installed (apt install libespeak-ng1)")
    from rest_bridge.training.phonemes import EspeakVoice

    espeak = EspeakVoice()
    for voice in ("en-us+klatt2", "de+whisper", "pl+Andy"):
        one, _ = espeak.speak("pa pi sa", language=voice, seed=4)
        espeak.speak("something else", language="en-us", seed=9)
        two, _ = espeak.speak("pa pi sa", language=voice, seed=4)
        np.testing.assert_array_equal(one, two)
