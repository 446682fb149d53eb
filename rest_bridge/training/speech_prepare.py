"""Prepares the speech data: finds phones and landmarks once, then writes sessions for training.

Run as `python -m rest_bridge.training speech-data --assets DIR --out DIR`. Phones (about 3.6 times
real time where words must be recognised) and landmarks (6 ms a frame) are cached in the folder, so
a second run only builds sessions. Writes train-SOURCE-000.npz (and so on), held-SOURCE-000.npz,
validation.npz (all that is held out) and mel.npz.
"""

import io
import itertools
import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt

from rest_bridge.features.mel import LogMel, MelConfig
from rest_bridge.training import (
    recordings,
    session_features,
    speech_sessions,
    speech_sources,
    synthetic_voices,
)
from rest_bridge.training.negatives import negative_utterance
from rest_bridge.training.phonemes import Phone, align, phone_loop, recognise_words
from rest_bridge.training.session_shards import write_shards
from rest_bridge.training.speech_sources import Utterance
from rest_bridge.training.synthetic_voices import Texts, load_texts
from rest_bridge.training.tracks import LandmarkTracker

log = logging.getLogger(__name__)
FloatArray = npt.NDArray[np.float32]

_NUM_NEGATIVES = 132
_NEGATIVE_S = 12.0
_NUM_BABBLERS = 120


@dataclass(frozen=True, slots=True)
class Source:
    """One file name's worth of sessions.

    Attributes:
        utterances: called when the source is built; yields (utterance, held out).
        versions: how many versions a training session is stored in.
        crowded: how many more among other talkers, over music or in noise.
    """

    utterances: Callable[[], Iterable[tuple[Utterance, bool]]]
    versions: int
    crowded: int = 0


def prepare(
    assets: Path, out: Path, texts: Path, *, seed: int = 0, only: Sequence[str] = ()
) -> dict[str, float]:
    """Build everything that `train_speech` and `train_dit` read.

    A shard that is there is not built again, so a run that was killed goes on with the shard it
    was at. What a session holds follows from the seed and its name alone.

    Args:
        assets: folder of the recorded sources.
        out: folder to write to; phones.json, grid_landmarks.npz and mel.npz in it are reused.
        texts: configs/train/texts.toml.
        seed: of all chance.
        only: names of sources to build; empty for all.

    Returns:
        Source -> seconds of sessions (one version) that this run built.
    """
    out.mkdir(parents=True, exist_ok=True)
    recorded = _recorded_sources(assets, out)
    known = {**recorded, **_made_sources(load_texts(texts), seed)}
    voices = _voices(recorded)
    mel = LogMel(_mel_config(out, recorded, seed))
    known["negative"] = Source(lambda: _negatives(voices, seed), 2)
    built: dict[str, float] = {}
    for name, source in known.items():
        if (only and name not in only) or name in _built(out):
            continue
        begun = time.monotonic()
        built[name] = _build_source(name, source, mel, voices, out, seed=seed)
        _built(out, new=name)
        log.info("%s: %.0f s in %.0f s", name, built[name], time.monotonic() - begun)
    _join_validation(out, list(known))
    return built


def _recorded_sources(assets: Path, out: Path) -> dict[str, Source]:
    phones = find_phones(assets, out / "phones.json")
    landmarks = find_landmarks(assets, out / "grid_landmarks.npz")
    return {
        "grid": Source(
            lambda: _with_others(speech_sources.grid_utterances(assets, landmarks, phones)), 4,
            crowded=2,
        ),
        "facegood": Source(lambda: _with_others(speech_sources.facegood_utterances(assets)), 4,
                           crowded=2),
        "read": Source(lambda: speech_sources.read_speech_utterances(assets, phones), 4,
                       crowded=2),
        "read2": Source(lambda: _other_readers(assets, phones), 3, crowded=2),
    }  # fmt: skip


def _made_sources(texts: Texts, seed: int) -> dict[str, Source]:
    def espeak(english: bool) -> Iterator[tuple[Utterance, bool]]:
        for utterance in synthetic_voices.espeak_utterances(texts, seed=seed):
            if (utterance.style == "synthetic") == english:
                yield utterance, False

    return {
        "flite": Source(
            lambda: ((u, False) for u in synthetic_voices.flite_utterances(texts, seed=seed)), 3
        ),
        "synthetic": Source(lambda: espeak(english=True), 3),
        "foreign": Source(lambda: espeak(english=False), 3),
        "test": Source(
            lambda: ((u, True) for u in synthetic_voices.held_out_utterances(texts, seed=seed)), 1
        ),
    }


def _with_others(
    pairs: Iterable[tuple[Utterance, bool]],
) -> Iterator[tuple[Utterance, bool]]:
    """Yield tracked speech; what training sees is still at rest and comes by two talkers each."""
    for utterance, held_out in pairs:
        if held_out:
            yield utterance, True
            continue
        still = speech_sources.still_rest(utterance)
        rng = np.random.default_rng(crc32(utterance.name.encode()))
        yield still, False
        yield speech_sources.altered_utterance(still, synthetic_voices.random_talker(rng)), False


def _other_readers(
    assets: Path, phones: dict[str, list[Phone]]
) -> Iterator[tuple[Utterance, bool]]:
    for utterance, held_out in speech_sources.read_speech_utterances(assets, phones):
        if not held_out:
            rng = np.random.default_rng(crc32(utterance.name.encode()))
            altered, moved = speech_sources.alter_talker(
                utterance.samples, utterance.phones, synthetic_voices.random_talker(rng)
            )
            name = f"{utterance.name}~"
            yield speech_sources.rule_utterance(name, "read", altered, moved, "arpabet"), False


def _negatives(voices: Sequence[FloatArray], seed: int) -> Iterator[tuple[Utterance, bool]]:
    for index in range(_NUM_NEGATIVES):
        rng = np.random.default_rng([seed, 7, index])
        utterance = negative_utterance(index, rng, voices, seconds=_NEGATIVE_S)
        yield utterance, index >= _NUM_NEGATIVES * 10 // 11


def _voices(recorded: Mapping[str, Source]) -> list[FloatArray]:
    """Voices for babble: training talkers of LibriSpeech and LJ Speech."""
    chosen = (u for u, held_out in recorded["read"].utterances() if not held_out)
    return [u.samples for u in itertools.islice(chosen, _NUM_BABBLERS)]


def _mel_config(out: Path, recorded: Mapping[str, Source], seed: int) -> MelConfig:
    """Read mel.npz, or measure it: weights belong to the constants that they were trained with."""
    if not (out / "mel.npz").exists():
        every = [
            u.samples for s in recorded.values() for u, held_out in s.utterances() if not held_out
        ]
        config = session_features.measure_mel(every, np.random.default_rng(seed))
        np.savez(out / "mel.npz", mean=config.mean, deviation=config.deviation)
    return load_mel_config(out)


def _build_source(
    name: str, source: Source, mel: LogMel, voices: Sequence[FloatArray], out: Path, *, seed: int
) -> float:
    pairs = list(source.utterances())
    seconds = 0.0
    plans = (("held", True, 1, 0), ("train", False, source.versions, source.crowded))
    for stem, held_out, versions, crowded in plans:
        chosen = [u for u, held in pairs if held == held_out]
        for done_s in write_shards(
            chosen, mel, voices, out, f"{stem}-{name}", num_versions=versions, seed=seed,
            num_crowded=crowded,
        ):  # fmt: skip
            seconds += done_s
            log.info("%s %s: %.0f s", stem, name, seconds)
    return seconds


def _built(out: Path, *, new: str | None = None) -> list[str]:
    """Return the sources that are built, `new` among them from now on."""
    path = out / "built.json"
    names: list[str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    if new is not None:
        names.append(new)
        path.write_text(json.dumps(names), encoding="utf-8")
    return names


def _join_validation(out: Path, names: Sequence[str]) -> None:
    """Write validation.npz, the held-out sessions of all sources in one file."""
    paths = [path for name in names for path in sorted(out.glob(f"held-{name}-*.npz"))]
    joined = [s for path in paths for s in speech_sessions.load_sessions(path)]
    speech_sessions.save_sessions(joined, out / "validation.npz")


def find_phones(assets: Path, cache: Path) -> dict[str, list[Phone]]:
    """Return file name -> phones of GRID, LJ Speech and LibriSpeech; finds what the cache lacks."""
    found = _cached_phones(cache)
    folders = {"grid_other_talkers": "", "grid_s1_video": "clips", "ljspeech_samples": "",
               "librispeech_subset": ""}  # fmt: skip
    missing = 0
    for folder, sub in folders.items():
        for entry in recordings.read_manifest(assets / folder):
            name = str(entry["file"])
            if name not in found:
                samples = recordings.usable_audio(assets / folder / sub / name)
                if samples is None:
                    continue
                found[name] = [list(p) for p in _phones_of(samples, entry.get("text"))]
                missing += 1
                if missing % 20 == 0:
                    log.info("%d clips aligned", missing)
                    _write_whole(cache, json.dumps(found).encode())
    _write_whole(cache, json.dumps(found).encode())
    return {n: [Phone(str(s), float(a), float(b)) for s, a, b in p] for n, p in found.items()}  # type: ignore[arg-type]


def _cached_phones(cache: Path) -> dict[str, list[list[object]]]:
    if not cache.exists():
        return {}
    try:
        return json.loads(cache.read_text(encoding="utf-8"))
    except ValueError as error:
        log.warning("phones are looked for anew (%s): %s", error, cache)
        return {}


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a kill or a full disk leaves the one before."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _phones_of(samples: FloatArray, text: str | None) -> list[tuple[str, float, float]]:
    phones: list[Phone] | None = None
    if text and not re.search(r"\d", text):
        phones = align(samples, re.sub(r"[^a-z' ]", " ", text.lower()))
    if phones is None:
        words = recognise_words(samples)
        phones = align(samples, words) if words else None
    if phones is None:
        phones = phone_loop(samples)
    return [(p.symbol, round(p.start_s, 3), round(p.end_s, 3)) for p in phones]


def find_landmarks(assets: Path, cache: Path) -> dict[str, FloatArray]:
    """Return file name -> landmarks of the GRID clips; finds them if there is no cache."""
    if not cache.exists():
        tracker = LandmarkTracker(assets / "openseeface_models" / "lm_model0_opt.onnx")
        found: dict[str, FloatArray] = {}
        for folder, sub in (("grid_s1_video", "clips"), ("grid_other_talkers", "")):
            for entry in recordings.read_manifest(assets / folder):
                frames = recordings.usable_frames(assets / folder / sub / entry["file"])
                if frames is not None:
                    found[str(entry["file"])] = tracker.track(frames)
        whole = io.BytesIO()
        np.savez(whole, **found)  # pyright: ignore[reportArgumentType]
        _write_whole(cache, whole.getvalue())
    with np.load(cache, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def load_mel_config(folder: Path) -> MelConfig:
    """Read the constants of the features that `prepare` measured."""
    with np.load(folder / "mel.npz", allow_pickle=False) as archive:
        return MelConfig(archive["mean"], archive["deviation"])
