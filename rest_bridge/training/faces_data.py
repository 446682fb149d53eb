"""Writes shards of rendered faces with true motion, for the video VAE.

Subjects come in pairs that make the same movements. Of each, a few states are rendered once; as
the geometry buffers are kept beside the pictures, any of them can be the reference: some serve as
references in turn, all others as their frames. Every shard follows from its seed alone.
`python -m rest_bridge.training.faces_data --out DIR --seed S --shards N`.

Shape letters: N samples, F frames of a sample.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from rest_bridge.training.face_subjects import KINDS, Kind, Subject, sample_subject
from rest_bridge.training.render.augment import degrade
from rest_bridge.training.render.makehuman import Rendered, Split
from rest_bridge.training.render.raster import Array, shrink
from rest_bridge.training.states import sample_motion

FLOW_SIZE: Final = 64
SUPERSAMPLE: Final = 2
PART_SIZE: Final = 48
"""Pixels of the stored crops of eyes and mouth; cut from the picture before it is shrunk."""
PART_REACH: Final = (1.7, 1.7, 1.6)
"""Half of each crop's side over the part's extent (`landmarks66.part_boxes`)."""
PAIRS: Final[tuple[tuple[tuple[Kind, Kind], float], ...]] = (
    (("head", "head"), 0.16), (("head", "photo"), 0.34), (("photo", "photo"), 0.22),
    (("photo", "drawn"), 0.14), (("head", "drawn"), 0.14),
)  # fmt: skip
"""Which kinds move alike, and how often, in held-out shards."""
TRAIN_PAIRS: Final[tuple[tuple[tuple[Kind, Kind], float], ...]] = (
    (("head", "head"), 0.1), (("head", "photo"), 0.26), (("photo", "photo"), 0.12),
    (("photo", "drawn"), 0.2), (("head", "drawn"), 0.22), (("drawn", "drawn"), 0.1),
)  # fmt: skip
"""In training a third each: drawn people differ most from one another."""
DEGRADED: Final = 0.25


def make_vae_shard(
    seed: int,
    num_samples: int,
    size: int = 128,
    *,
    num_frames: int = 6,
    num_references: int = 2,
    split: Split = "train",
    pairs: tuple[tuple[tuple[Kind, Kind], float], ...] | None = None,
    far: bool = False,
) -> dict[str, Array]:
    """Render one shard.

    Args:
        seed: everything follows from it.
        num_samples: N, a multiple of 2 * num_references: two people, each with its references.
        size: height and width of the pictures in pixels.
        num_frames: states rendered beside the two in which one would sit for a portrait; F is one
            more, as all others are frames to each reference.
        num_references: how many of the states serve as references in turn, up to all of them.
        split: "test" uses held-out parts, portraits and manners of drawing.
        pairs: which kinds of people, and how often; None takes those of the split.
        far: people turn far, and most references are turned themselves.

    Returns:
        ref uint8 [N, size, size, 3]; frames uint8 [N, F, size, size, 3];
        flow float16 [N, F, 64, 64, 2]: where each frame's cell lies in the reference, minus the
        cell, in units of half the width (the picture spans -1..1), x then y;
        vis uint8 [N, F, 64, 64]: share of the cell that the reference shows, 0..255;
        alpha_ref uint8 [N, 128, 128], alpha uint8 [N, F, 64, 64]: coverage by the person (255
        everywhere for photos); rig_ref float32 [N, 58], rig float32 [N, F, 58], poses absolute;
        landmarks_ref float32 [N, 66, 2], landmarks float32 [N, F, 66, 2], 0..1 of the width;
        boxes_ref float32 [N, 3, 3], boxes float32 [N, F, 3, 3], (x, y, side) of the image's left
        eye, right eye, mouth, 0..1; parts_ref uint8 [N, 3, 48, 48, 3] and parts uint8
        [N, F, 3, 48, 48, 3], crops around these boxes; kind int8 [N], index in `KINDS`.

    Raises:
        ValueError: `num_samples` is no such multiple, or there are not so many states.
    """
    if num_samples % (2 * num_references):
        raise ValueError(
            f"A shard holds a multiple of {2 * num_references} samples, not {num_samples}."
        )
    if num_references > num_frames + 2:
        raise ValueError(f"{num_frames + 2} states cannot serve as {num_references} references.")
    rng = np.random.default_rng([seed, split == "test", 20])
    samples: list[dict[str, Array]] = []
    pairs = pairs or (TRAIN_PAIRS if split == "train" else PAIRS)
    chances = np.array([chance for _, chance in pairs])
    while len(samples) < num_samples:
        motion = np.concatenate(
            [sample_motion(rng, 2, far=far) for _ in range((num_frames + 1) // 2)]
        )
        for kind in pairs[rng.choice(len(pairs), p=chances / chances.sum())][0]:
            subject = sample_subject(rng, kind, size * SUPERSAMPLE, split, far=far)
            own = _subject_samples(subject, motion[:num_frames], size, rng, kind)
            samples += [own(reference) for reference in range(num_references)]
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}


def _subject_samples(
    subject: Subject, motion: Array, size: int, rng: np.random.Generator, kind: Kind
) -> Callable[[int], dict[str, Array]]:
    """Render all states once; returns what makes a sample with any of them as the reference."""
    mine = motion.copy()
    mine[:, :3] *= subject.turning
    rigs = np.concatenate([subject.references, mine]).astype(np.float32)
    shown = [subject.draw(rig) for rig in rigs]
    pictures = _pictures(shown, rng)
    truth = [_truth(one, size) for one in shown]

    def sample_of(reference: int) -> dict[str, Array]:
        frames = [i for i in range(len(shown)) if i != reference]
        sample: dict[str, Any] = {
            "ref": pictures[reference],
            "frames": np.stack([pictures[i] for i in frames]),
            "alpha_ref": _small_alpha(shown[reference].rgba, size),
            "rig": rigs[frames],
            "rig_ref": rigs[reference],
            "kind": np.int8(KINDS.index(kind)),
        }
        for name, value in truth[reference].items():
            sample[f"{name}_ref"] = value
            sample[name] = np.stack([truth[i][name] for i in frames])
        sample["alpha"] = np.stack([_small_alpha(shown[i].rgba, FLOW_SIZE) for i in frames])
        moved = [subject.flow(shown[i].geometry, shown[reference].geometry) for i in frames]
        pooled = [_pool(flow, visible) for flow, visible in moved]
        sample["flow"] = np.stack([flow for flow, _ in pooled])
        sample["vis"] = np.stack([visible for _, visible in pooled])
        return sample

    return sample_of


def _truth(shown: Rendered, size: int) -> dict[str, Array]:
    """Return landmarks, boxes and crops of one picture, places as shares of the width."""
    width = size * SUPERSAMPLE
    boxes = (shown.boxes / width).astype(np.float32)
    return {
        "landmarks": (shown.landmarks / width).astype(np.float32),
        "boxes": boxes,
        "parts": cut_parts(_bytes(shown.rgba[..., :3]), boxes),
    }


def cut_parts(picture: Array, boxes: Array, size: int = PART_SIZE) -> Array:
    """Cut squares around both eyes and the mouth.

    Args:
        picture: uint8 [H, W, 3].
        boxes: float [3, 3], centre and side of each part in shares of the width.
        size: pixels a side.

    Returns:
        uint8 [3, size, size, 3].
    """
    width = picture.shape[1]
    out: list[Array] = []
    for (x, y, side), reach in zip(boxes, PART_REACH, strict=True):
        half = max(float(side) * reach / 2, 0.04) * width
        scale = size / (2 * half)
        left, top = x * width - half, y * width - half
        matrix = np.array([[scale, 0, 0.5 * scale - 0.5 - scale * left],
                           [0, scale, 0.5 * scale - 0.5 - scale * top]])  # fmt: skip
        source = cv2.GaussianBlur(picture, (0, 0), 0.4 / scale) if scale < 0.8 else picture
        out.append(cv2.warpAffine(source, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE))
    return np.stack(out)


def _pictures(shown: list[Rendered], rng: np.random.Generator) -> list[Array]:
    """Shrink to the final size; some subjects' pictures lose quality, each in its own way."""
    bad = rng.random() < DEGRADED
    small = [_bytes(shrink(one.rgba[..., :3], SUPERSAMPLE)) for one in shown]
    return [degrade(one, rng) for one in small] if bad else small


def _pool(flow: Array, visible: Array) -> tuple[Array, Array]:
    """Average flow over cells, visible pixels first: float16 [64, 64, 2], uint8 [64, 64]."""
    fine = flow.shape[0]
    factor = fine // FLOW_SIZE
    weight = visible + 1e-3
    mean = shrink(flow * weight[..., None], factor) / shrink(weight, factor)[..., None]
    share = (shrink(visible, factor) * 255).astype(np.uint8)
    return (mean * (2 / fine)).astype(np.float16), share


def _small_alpha(rgba: Array, size: int) -> Array:
    alpha = cv2.resize(rgba[..., 3], (size, size), interpolation=cv2.INTER_AREA)
    return (alpha.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _bytes(picture: Array) -> Array:
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def main() -> None:
    """Write shards SPLIT_SEED.npz, skipping those that are there."""
    parser = argparse.ArgumentParser(description="Render face shards for the video VAE.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first shard")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--samples", type=int, default=48, help="samples a shard")
    parser.add_argument("--frames", type=int, default=6, help="states beside two portrait states")
    parser.add_argument("--references", type=int, default=2, help="samples of each person")
    parser.add_argument(
        "--far", action="store_true", help="people who turn far, references turned themselves"
    )
    parser.add_argument("--split", choices=("train", "val"), default="train")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for seed in range(args.seed, args.seed + args.shards):
        path = args.out / f"{args.split}_{seed:04d}.npz"
        if path.exists():
            continue
        started = time.monotonic()
        split: Split = "test" if args.split == "val" else "train"
        shard = make_vae_shard(
            seed, args.samples, num_frames=args.frames, num_references=args.references, split=split,
            far=args.far,
        )  # fmt: skip
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **shard)  # pyright: ignore[reportArgumentType]
        part.replace(path)
        seconds = time.monotonic() - started
        print(f"{path.name}: {args.samples} samples, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
