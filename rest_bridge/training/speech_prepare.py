"""Prepares the speech data: finds phones and landmarks once, then writes sessions for training.

Run as `python -m rest_bridge.training speech-data --assets DIR --out DIR`. Phones (about 3.6 times
real time where words must be recognised) and landmarks (6 ms a frame) are cached in the folder, so
a second run only builds sessions. Writes train-SOURCE.npz, validation.npz and mel.npz.
"""

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rest_bridge.features.mel import LogMel, MelConfig
from rest_bridge.training import speech_sessions, speech_sources
from rest_bridge.training.phonemes import Phone, align, phone_loop, recognise_words
from rest_bridge.training.speech_sources import Utterance
from rest_bridge.training.tracks import LandmarkTracker

log = logging.getLogger(__name__)
FloatArray = npt.NDArray[np.float32]

_NUM_VERSIONS = 3
_CHAIN_S = 12.0


def prepare(assets: Path, out: Path, texts: Path, *, seed: int = 0) -> None:
    """Build everything that `train_speech` and `train_dit` read.

    Args:
        assets: folder of the recorded sources.
        out: folder to write to; phones.json and grid_landmarks.npz in it are reused.
        texts: configs/train/texts.toml.
        seed: of all chance.
    """
    out.mkdir(parents=True, exist_ok=True)
    phones = find_phones(assets, out / "phones.json")
    landmarks = find_landmarks(assets, out / "grid_landmarks.npz")
    sources = {
        "grid": list(speech_sources.grid_utterances(assets, landmarks, phones)),
        "facegood": list(speech_sources.facegood_utterances(assets)),
        "read": list(speech_sources.read_speech_utterances(assets, phones)),
        "synthetic": list(speech_sources.synthetic_utterances(texts, seed=seed)),
    }
    rng = np.random.default_rng(seed)
    every = [u for entries in sources.values() for u, held_out in entries if not held_out]
    config = speech_sessions.measure_mel(every, rng)
    np.savez(out / "mel.npz", mean=config.mean, deviation=config.deviation)
    mel = LogMel(config)
    voices = [u.samples for u in every if len(u.samples) > 16000]
    validation: list[speech_sessions.Session] = []
    for source, entries in sources.items():
        own = np.random.default_rng([seed, len(source)])
        for held_out in (False, True):
            chosen = [u for u, held in entries if held == held_out]
            sessions = build(
                chosen, mel, own, voices, num_versions=1 if held_out else _NUM_VERSIONS
            )
            if held_out:
                validation += sessions
                continue
            speech_sessions.save_sessions(sessions, out / f"train-{source}.npz")
            seconds = sum(s.num_latents for s in sessions) * 0.08
            log.info("%s: %d sessions, %.0f s", source, len(sessions), seconds)
    negatives = [speech_sessions.negative_utterance(i, rng) for i in range(52)]
    sessions = build(negatives[:48], mel, rng, voices, num_versions=2)
    speech_sessions.save_sessions(sessions, out / "train-negative.npz")
    validation += build(negatives[48:], mel, rng, voices, num_versions=1)
    speech_sessions.save_sessions(validation, out / "validation.npz")


def build(
    utterances: Sequence[Utterance],
    mel: LogMel,
    rng: np.random.Generator,
    voices: Sequence[FloatArray],
    *,
    num_versions: int,
) -> list[speech_sessions.Session]:
    """Chain utterances of one talker and style to about 12 s each and store them as sessions."""
    sessions: list[speech_sessions.Session] = []
    history = np.zeros(0, np.float32)
    for chain in _chains(utterances):
        pauses = chain[0].style in ("read", "synthetic", "foreign")
        joined = speech_sessions.join_utterances(chain, rng, pauses=pauses)
        # Speech of the same talker before the session warms the normaliser; one that speaks
        # first hears his own sentence mirrored.
        before = history if len(history) and not pauses else joined.samples[::-1].copy()
        sessions.append(
            speech_sessions.build_session(
                joined, mel, rng, num_versions=num_versions, history=before, voices=voices
            )
        )
        history = joined.samples
    return sessions


def _chains(utterances: Sequence[Utterance]) -> list[list[Utterance]]:
    chains: list[list[Utterance]] = []
    for utterance in utterances:
        voice = utterance.name.rsplit("-", 1)[0]
        chainable = utterance.style in ("synthetic", "foreign")
        if chainable and chains:
            last = chains[-1]
            seconds = sum(len(u.samples) for u in last) / 16000
            if last[0].style == utterance.style and seconds < _CHAIN_S and voice:
                last.append(utterance)
                continue
        chains.append([utterance])
    return chains


def find_phones(assets: Path, cache: Path) -> dict[str, list[Phone]]:
    """Return file name -> phones of GRID, LJ Speech and LibriSpeech; finds what the cache lacks."""
    found: dict[str, list[list[object]]] = {}
    if cache.exists():
        found = json.loads(cache.read_text(encoding="utf-8"))
    folders = {"grid_other_talkers": "", "grid_s1_video": "clips", "ljspeech_samples": "",
               "librispeech_subset": ""}  # fmt: skip
    missing = 0
    for folder, sub in folders.items():
        for entry in speech_sources.read_manifest(assets / folder):
            name = str(entry["file"])
            if name not in found:
                samples = speech_sources.load_audio(assets / folder / sub / name)
                found[name] = [list(p) for p in _phones_of(samples, entry.get("text"))]
                missing += 1
                if missing % 20 == 0:
                    log.info("%d clips aligned", missing)
                    cache.write_text(json.dumps(found), encoding="utf-8")
    cache.write_text(json.dumps(found), encoding="utf-8")
    return {n: [Phone(str(s), float(a), float(b)) for s, a, b in p] for n, p in found.items()}  # type: ignore[arg-type]


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
        import av

        tracker = LandmarkTracker(assets / "openseeface_models" / "lm_model0_opt.onnx")
        found: dict[str, FloatArray] = {}
        for folder, sub in (("grid_s1_video", "clips"), ("grid_other_talkers", "")):
            for entry in speech_sources.read_manifest(assets / folder):
                with av.open(str(assets / folder / sub / entry["file"])) as container:
                    frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
                found[str(entry["file"])] = tracker.track(np.stack(frames))
        np.savez(cache, **found)  # pyright: ignore[reportArgumentType]
    with np.load(cache, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def load_mel_config(folder: Path) -> MelConfig:
    """Read the constants of the features that `prepare` measured."""
    with np.load(folder / "mel.npz", allow_pickle=False) as archive:
        return MelConfig(archive["mean"], archive["deviation"])
