"""Trains our own sync expert: `python -m rest_bridge.training.evaluation.sync_training`.

Pairs: real video of the GRID talker s1 (training clips), and portraits rendered from measured
curves (FACEGOOD's training takes) and from phones (LibriSpeech's training talkers), so that it
knows other voices and made mouths. The rendered ones move by true rig values, not by our generator:
the judge must not have learned from the judged. Validation never trained on: strangers, s1's
held-out clips, FACEGOOD's held-out take. Shape letters: F frames, B windows.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from rest_bridge.generator.decoder import FaceDecoder
from rest_bridge.inference.package import ModelPackage
from rest_bridge.training.evaluation.driving import on_grey, read_pictures
from rest_bridge.training.evaluation.held_out import KNOWN, STRANGERS, Library
from rest_bridge.training.evaluation.portraits import PortraitShelf
from rest_bridge.training.evaluation.sync_expert import (
    MEL_PER_FRAME,
    WEIGHTS,
    WINDOW_FRAMES,
    SyncExpert,
    contrastive_loss,
    embed,
    save_expert,
)
from rest_bridge.training.evaluation.sync_inputs import (
    crop_places,
    log_mels,
    mouth_crops,
    standardised,
)
from rest_bridge.training.evaluation.sync_protocol import sync_score
from rest_bridge.training.recordings import load_audio, read_manifest
from rest_bridge.training.speech_sources import (
    Utterance,
    facegood_utterances,
)
from rest_bridge.training.splits import is_held_out
from rest_bridge.types import MODEL_RATE_HZ, ByteArray, FloatArray

_CLIPS, _WINDOWS = 10, 20
"""Clips a batch, windows of each: half of the negatives are the same mouth at another moment."""
_SPACING: Final = 2
_RENDER_PX: Final = 128
_RENDER_T2I: Final = (5, 31, 58, 77, 102, 133, 164, 190, 221, 256)
_MOST_READ, _MOST_READ_S = 30, 6.0
_EVERY: Final = 2
"""Of the performance's pieces: rendering them is what takes time."""
_RATE: Final = 2e-3


@dataclass(frozen=True, slots=True)
class Pair:
    """A clip to learn from: uint8 [F, 48, 48] and float32 [4 F, 40]."""

    name: str
    mouths: ByteArray
    mels: FloatArray


def real_pairs(library: Library, *, held_out: bool) -> Iterator[Pair]:
    """Yield GRID clips: s1's training ones, or his held-out ones and the strangers'."""
    folder = library.assets / "grid_s1_video"
    entries = enumerate(read_manifest(folder))
    paths = [
        folder / "clips" / e["file"]
        for i, e in entries
        if is_held_out("grid_s1_video", e["file"], i) == held_out
    ]
    if held_out:
        paths += sorted((library.assets / "grid_other_talkers").glob("*.mp4"))
    for path in paths:
        frames = read_pictures(path)
        centres, side = crop_places(library.landmarks(path))
        mels = log_mels(load_audio(path), rate_hz=MODEL_RATE_HZ)
        yield Pair(path.stem, mouth_crops(list(frames), centres, side), mels)


def rendered_pair(
    utterance: Utterance, decoder: FaceDecoder, landmarks: FloatArray, rng: np.random.Generator
) -> Pair:
    """Draw an utterance's own mouth on a portrait with a slowly moving head.

    Args:
        utterance: speech with its rig.
        decoder: of the portrait.
        landmarks: float32 [66, 2], pixels of the frame.
        rng: source of the head's motion.
    """
    count = len(utterance.mouth)
    rig = utterance.mouth.copy()
    phase = rng.uniform(0, 2 * np.pi, 3)
    sway = np.sin(np.arange(count)[:, None] * rng.uniform(0.02, 0.1, 3) + phase)
    rig[:, :3] = sway * np.array([6.0, 3.0, 3.0])
    frames = [on_grey(decoder.render(row.astype(np.float32))) for row in rig]
    centres, side = crop_places(np.repeat(landmarks[None], count, 0))
    mels = log_mels(utterance.samples, rate_hz=MODEL_RATE_HZ)
    return Pair(utterance.name, mouth_crops(frames, centres, side), mels)


def rendered_pairs(
    library: Library, package: ModelPackage, utterances: Sequence[Utterance], *, seed: int
) -> Iterator[Pair]:
    """Yield rendered clips, each on another AI portrait of the training split."""
    shelf = PortraitShelf(package, library.assets, library.folder / "sync_avatars")
    manifest = read_manifest(library.assets / "t2i_synthetic_faces")
    rng = np.random.default_rng(seed)
    for row, number in enumerate(_RENDER_T2I):
        file = library.assets / "t2i_synthetic_faces" / "images" / manifest[number]["file"]
        avatar = shelf.of_file(f"t2i_{number}", file)
        decoder = FaceDecoder(package, avatar, _RENDER_PX)
        for utterance in utterances[row :: len(_RENDER_T2I)]:
            yield rendered_pair(utterance, decoder, avatar.landmarks * _RENDER_PX, rng)


def kept(path: Path, make: Callable[[], Iterator[Pair]]) -> list[Pair]:
    """Return pairs from a file, or make and keep them: they take minutes."""
    if not path.is_file():
        arrays: dict[str, np.ndarray] = {}
        for pair in make():
            arrays[f"{pair.name}|mouths"], arrays[f"{pair.name}|mels"] = pair.mouths, pair.mels
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        part.replace(path)
    with np.load(path) as archive:
        names = [name[: -len("|mouths")] for name in archive.files if name.endswith("|mouths")]
        return [Pair(n, archive[f"{n}|mouths"], archive[f"{n}|mels"]) for n in names]


def batches(
    pairs: Sequence[Pair], rng: np.random.Generator
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield altered windows for ever: float32 [B, 5, 48, 48] and [B, 20, 40]."""
    lengths = np.array([min(len(p.mouths), len(p.mels) // MEL_PER_FRAME) for p in pairs], float)
    while True:
        mouths, mels = [], []
        for index in rng.choice(len(pairs), _CLIPS, p=lengths / lengths.sum()):
            pair, frames = pairs[int(index)], int(lengths[index])
            standard = altered(pair.mouths[:frames], rng)
            starts = np.arange(int(rng.integers(_SPACING)), frames - WINDOW_FRAMES, _SPACING)
            for start in rng.permutation(starts)[:_WINDOWS]:
                mouths.append(standard[start : start + WINDOW_FRAMES])
                rows = slice(start * MEL_PER_FRAME, (start + WINDOW_FRAMES) * MEL_PER_FRAME)
                noise = rng.normal(0, rng.uniform(0, 0.3), (WINDOW_FRAMES * MEL_PER_FRAME, 40))
                mels.append(pair.mels[rows] + noise)
        yield np.stack(mouths).astype(np.float32), np.stack(mels).astype(np.float32)


def altered(crops: ByteArray, rng: np.random.Generator) -> FloatArray:
    """Return a clip's mouths mirrored, shifted, with other contrast and grain; float32."""
    shift = rng.integers(-3, 4, 2)
    moved = np.roll(crops, shift, (1, 2))
    if rng.random() < 0.5:
        moved = moved[:, :, ::-1]
    values = standardised(np.ascontiguousarray(moved))
    values = np.sign(values) * np.abs(values) ** float(rng.uniform(0.8, 1.25))
    return (values + rng.normal(0, rng.uniform(0, 0.1), values.shape)).astype(np.float32)


def train(
    pairs: Sequence[Pair], held_out: Sequence[Pair], seconds: float, *, seed: int = 0
) -> SyncExpert:
    """Train for a time.

    Args:
        pairs: to learn from.
        held_out: for the running report alone.
        seconds: of processor time.
        seed: of everything.

    Returns:
        The expert, ready to judge.
    """
    torch.manual_seed(seed)
    expert, begin = SyncExpert(), time.process_time()
    optimiser = torch.optim.AdamW(expert.parameters(), _RATE, weight_decay=1e-2)
    expert.train()
    for step, (mouths, mels) in enumerate(batches(pairs, np.random.default_rng(seed))):
        done = (time.process_time() - begin) / seconds
        if done >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = _RATE * min(1.0, step / 50) * (0.02 + 0.98 * np.cos(np.pi / 2 * done))
        seen, heard = expert.see(torch.from_numpy(mouths)), expert.hear(torch.from_numpy(mels))
        loss = contrastive_loss(seen, heard, expert.log_scale)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 200 == 0:
            print(f"step {step}: loss {loss.item():.3f}, {json.dumps(judge(expert, held_out))}")
            expert.train()
    return expert.eval()


def judge(expert: SyncExpert, pairs: Sequence[Pair]) -> dict[str, float]:
    """Say how good an expert is on clips that are in sync.

    Args:
        expert: under test.
        pairs: clips with a true offset of 0.

    Returns:
        clips_right: share of clips whose best offset lies within a frame of 0; seconds_right: the
        same of pieces of one second; pairs_right: how often a window's own sound is nearer than
        one 5 to 15 frames away; confidence: mean Sync-C.
    """
    expert.eval()
    right, pieces, nearer, confidence = [], [], [], []
    for pair in pairs:
        seen, heard = embed(expert, standardised(pair.mouths), pair.mels)
        score = sync_score(seen, heard)
        right.append(abs(score.offset_ms) <= 40)
        confidence.append(score.confidence)
        distance = np.linalg.norm(seen[:, None] - heard[None], axis=-1)
        away = np.abs(np.arange(len(seen))[:, None] - np.arange(len(heard))[None])
        far = (away >= 5) & (away <= 15)
        own = np.diag(distance)[:, None]
        nearer.append(float((own < distance)[far].mean()))
        for first in range(0, len(seen) - 54, 12):
            part = slice(first, first + 55)  # a second of windows that have all their partners
            pieces.append(abs(sync_score(seen[part], heard[part]).offset_ms) <= 40)
    values = (right, pieces, nearer, confidence)
    names = ("clips_right", "seconds_right", "pairs_right", "confidence")
    return {n: round(float(np.mean(v)), 3) for n, v in zip(names, values, strict=True)}


def main() -> None:
    """Build the pairs, train, say how good it is, write the weights."""
    parser = argparse.ArgumentParser(description="Train our own judge of sound against lips.")
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--references", type=Path, required=True, help="folder for tracks, avatars")
    parser.add_argument("--phones", type=Path, default=None, help="phones.json of `speech-data`")
    parser.add_argument("--seconds", type=float, default=420.0, help="of processor time")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    library, package = Library(args.assets, args.references), ModelPackage.load()
    performances = list(facegood_utterances(args.assets))
    read = list(_read(args.assets, args.phones))[:_MOST_READ]
    own = [u for u, out in performances if not out][::_EVERY] + read
    unseen = [u for u, out in performances if out]
    folder = args.references
    pairs = kept(folder / "sync_real.npz", lambda: real_pairs(library, held_out=False))
    pairs += kept(folder / "sync_made.npz", lambda: rendered_pairs(library, package, own, seed=0))
    print(f"{len(pairs)} clips", flush=True)
    real = kept(folder / "sync_real_unseen.npz", lambda: real_pairs(library, held_out=True))
    made = kept(
        folder / "sync_made_unseen.npz",
        lambda: rendered_pairs(library, package, unseen, seed=1),
    )
    strangers = [p for p in real if not p.name.startswith("s1_")]
    sets = {KNOWN: real[: len(real) - len(strangers)], STRANGERS: strangers, "real curves": made}
    expert = train(pairs, real, args.seconds)
    for name, clips in sets.items():
        print(json.dumps({"held out": name, "clips": len(clips), **judge(expert, clips)}))
    save_expert(expert, args.out)
    print(f"{args.out} {args.out.stat().st_size} bytes")


def _read(assets: Path, phones_file: Path | None) -> Iterator[Utterance]:
    """Yield LibriSpeech's training talkers, cut short, where phones are known."""
    if phones_file is None:
        return
    from rest_bridge.training.phonemes import Phone
    from rest_bridge.training.speech_sources import rule_utterance

    found = json.loads(phones_file.read_text(encoding="utf-8"))
    folder = assets / "librispeech_subset"
    for index, entry in enumerate(read_manifest(folder)):
        name = str(entry["file"])
        if name in found and not is_held_out("librispeech_subset", name, index) and index % 6 == 1:
            samples = load_audio(folder / name)[: int(_MOST_READ_S * MODEL_RATE_HZ)]
            _, spoken = found[name]  # how they were found, and (symbol, start, end) of each
            phones = [Phone(s, a, b) for s, a, b in spoken if b <= _MOST_READ_S]
            yield rule_utterance(name, "read", samples, phones, "arpabet")


if __name__ == "__main__":
    main()
