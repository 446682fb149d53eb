"""Writes shards of rendered faces with true motion, for the video VAE.

A sample is a reference picture and some frames of one motion, with the flow from each frame back
to the reference. Samples come in pairs: the same motion on two people. Every shard follows from
its seed alone. `python -m rest_bridge.training.faces_data --out DIR --seed S --shards N`.

Shape letters: N samples, F frames of a sample.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from PIL import Image

from rest_bridge.training.render import makehuman
from rest_bridge.training.render.assets import assets_path
from rest_bridge.training.render.augment import paint_over, recolour
from rest_bridge.training.render.background import sample_background
from rest_bridge.training.render.ict_head import FittedHead
from rest_bridge.training.render.landmarks66 import inter_ocular, mirror_points
from rest_bridge.training.render.makehuman import Geometry, Rendered, Split
from rest_bridge.training.render.photo import PhotoHead, extrapolate
from rest_bridge.training.render.raster import Array, Mesh, cover, flow_to_reference, shrink
from rest_bridge.training.states import sample_motion, sample_reference

FLOW_SIZE: Final = 64
SUPERSAMPLE: Final = 2
PHOTOS: Final = {"train": (0, 270), "test": (270, 300)}
"""Which AI portraits (manifest order) each split may use; 300 and above are for final tests."""
PAIR_KINDS: Final = (("head", "head"), ("head", "photo"), ("photo", "photo"))
Draw = Callable[[Array, Geometry | None], Rendered]


@lru_cache(maxsize=1)
def portraits() -> list[dict[str, Any]]:
    """Return the AI portraits' manifest: file and landmarks66 of each."""
    return json.loads(assets_path("t2i_synthetic_faces", "manifest.json").read_text())


@lru_cache(maxsize=400)
def portrait(index: int) -> tuple[Array, Array]:
    """Return picture uint8 [H, W, 3] and landmarks float [66, 2] of one AI portrait."""
    entry = portraits()[index]
    with Image.open(assets_path("t2i_synthetic_faces", "images", entry["file"])) as image:
        return np.asarray(image.convert("RGB")), np.array(entry["landmarks66"], np.float64)


def make_vae_shard(
    seed: int, num_samples: int, size: int = 128, *, num_frames: int = 6, split: Split = "train"
) -> dict[str, Array]:
    """Render one shard.

    Args:
        seed: everything follows from it.
        num_samples: N, even.
        size: height and width of the pictures in pixels.
        num_frames: F.
        split: "test" uses held-out parts and portraits.

    Returns:
        ref uint8 [N, size, size, 3]; frames uint8 [N, F, size, size, 3];
        flow float16 [N, F, 64, 64, 2]: where each frame's cell lies in the reference, minus the
        cell, in units of half the width (the picture spans -1..1), x then y;
        base float16, as flow: what a head roughly fitted to the reference predicts;
        vis uint8 [N, F, 64, 64]: share of the cell that the reference shows, 0..255;
        alpha_ref uint8 [N, 64, 64], alpha uint8 [N, F, 64, 64]: coverage by the person (255
        everywhere for photos); rig_ref float32 [N, 58], rig float32 [N, F, 58];
        landmarks_ref float32 [N, 66, 2], landmarks float32 [N, F, 66, 2], 0..1 of the width;
        boxes_ref float32 [N, 3, 3], boxes float32 [N, F, 3, 3], (x, y, side) of the image's left
        eye, right eye, mouth, 0..1; photo bool [N]. Samples 2k and 2k + 1 move alike.
    """
    rng = np.random.default_rng([seed, split == "test"])
    samples: list[dict[str, Array]] = []
    while len(samples) < num_samples:
        motion = sample_motion(rng, num_frames)
        for kind in PAIR_KINDS[rng.choice(3, p=[0.3, 0.4, 0.3])]:
            make = _photo_subject if kind == "photo" else _head_subject
            draw, reference, mine = make(rng, motion, size, split)
            sample = _render_sample(draw, reference, mine, rng, size)
            sample["photo"] = np.array(kind == "photo")
            samples.append(sample)
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}


def _head_subject(
    rng: np.random.Generator, motion: Array, size: int, split: Split
) -> tuple[Draw, Array, Array]:
    """Return how to draw a new 3-D person, the reference's rig [58] and the motion [F, 58]."""
    head = makehuman.Head(makehuman.sample_description(rng, split=split))
    camera = makehuman.Camera(
        view_height_dm=rng.uniform(2.5, 3.2),
        offset_dm=(rng.normal(0, 0.06), -0.28 + rng.normal(0, 0.1)),
        distance_dm=rng.uniform(9, 16),
    )
    background = sample_background(rng, size)

    def draw(rig: Array, reference: Geometry | None) -> Rendered:
        shown = head.render(
            rig, size_px=size, supersample=SUPERSAMPLE, camera=camera, reference=reference
        )
        shown.rgba[..., :3] += (1 - shown.rgba[..., 3:]) * background
        return shown

    return draw, sample_reference(rng), motion


def _photo_subject(
    rng: np.random.Generator, motion: Array, size: int, split: Split
) -> tuple[Draw, Array, Array]:
    """As `_head_subject`, for an AI portrait; it turns less, as its sides are not shown."""
    picture, landmarks = portrait(int(rng.integers(*PHOTOS[split])))
    if rng.random() < 0.5:
        picture, landmarks = picture[:, ::-1], mirror_points(landmarks, picture.shape[1])
    picture = recolour(np.ascontiguousarray(picture), rng)
    if rng.random() < 0.15:
        picture = paint_over(picture, rng)
    # Not so wide that much of the picture would be invented border.
    narrowest = max(0.19, 0.9 * float(inter_ocular(landmarks)) / picture.shape[1])
    head = PhotoHead(
        picture, landmarks, size_px=size, supersample=SUPERSAMPLE,
        eye_share=rng.uniform(min(narrowest, 0.27), 0.28), rng=rng,
    )  # fmt: skip
    gentle = motion.copy()
    gentle[:, :3] *= 0.7
    reference = head.rig.copy()
    if rng.random() < 0.4:
        other = sample_reference(rng)
        reference[:3] += 0.5 * other[:3]
        reference[6:] = np.maximum(reference[6:], other[6:])

    def draw(rig: Array, target: Geometry | None) -> Rendered:
        return head.render(rig, reference=target)

    return draw, reference, gentle


def _render_sample(
    draw: Draw, reference: Array, motion: Array, rng: np.random.Generator, size: int
) -> dict[str, Array]:
    still = draw(reference, None)
    base = _RoughHead(still.landmarks, reference, rng, size)
    rows: dict[str, list[Array]] = {}
    for rig in motion:
        shown = draw(rig, still.geometry)
        flow, visible = _pool(shown, size)
        row = {
            "frames": _bytes(shown.rgba[..., :3]),
            "flow": flow,
            "vis": visible,
            "alpha": _small_alpha(shown.rgba),
            "base": base.flow(rig),
            "landmarks": (shown.landmarks / size).astype(np.float32),
            "boxes": shown.boxes / size,
        }
        for name, value in row.items():
            rows.setdefault(name, []).append(value)
    return {
        **{name: np.stack(values) for name, values in rows.items()},
        "ref": _bytes(still.rgba[..., :3]),
        "alpha_ref": _small_alpha(still.rgba),
        "landmarks_ref": (still.landmarks / size).astype(np.float32),
        "boxes_ref": still.boxes / size,
        "rig": motion,
        "rig_ref": reference,
    }


class _RoughHead:
    """The head that import would fit to the reference: from landmarks and a state with errors."""

    def __init__(
        self, landmarks: Array, reference: Array, rng: np.random.Generator, size: int
    ) -> None:
        scale = FLOW_SIZE / size
        error = 0.012 * float(inter_ocular(landmarks))
        points = (landmarks + rng.normal(0, error, landmarks.shape)) * scale
        state = reference.copy()
        state[:3] += rng.normal(0, [1.5, 2.0, 0.7])
        seen = state[6:] > 0
        state[6:][seen] = (state[6:] + rng.normal(0, 0.07, 52))[seen].clip(0, 1)
        self._true, self._state = reference, state
        self._head = FittedHead(points, rig=state)
        mesh = self._head.mesh
        outer = mesh.material <= 1
        self._mesh = Mesh(
            mesh.triangles[outer], mesh.triangles[outer], mesh.uv, mesh.material[outer]
        )
        still = state.copy()
        still[3:6] = 0
        self._reference = self._head.project(still)[1]
        self._depth = np.full((FLOW_SIZE, FLOW_SIZE), 1e9, np.float32)

    def flow(self, rig: Array) -> Array:
        """Return float16 [64, 64, 2], as `flow` of a shard."""
        moved = rig.copy()
        moved[3:5] -= self._true[3:5]
        moved[5] = (1 + rig[5]) / (1 + self._true[5]) - 1
        points = self._head.project(moved)[1]
        coverage = cover(points, self._mesh, None, (FLOW_SIZE, FLOW_SIZE))
        flow, _ = flow_to_reference(
            coverage, self._mesh, self._reference, self._depth, depth_tolerance=1.0
        )
        covered = coverage.triangle >= 0
        flow = np.where(covered[..., None], flow, extrapolate(flow, covered))
        return (flow * (2 / FLOW_SIZE)).astype(np.float16)


def _pool(shown: Rendered, size: int) -> tuple[Array, Array]:
    """Average flow over cells, visible pixels first: float16 [64, 64, 2], uint8 [64, 64]."""
    if shown.flow is None or shown.visible is None:
        raise ValueError("The frame was rendered without a reference; pass its geometry.")
    fine = size * SUPERSAMPLE
    factor = fine // FLOW_SIZE
    weight = shown.visible + 1e-3
    flow = shrink(shown.flow * weight[..., None], factor) / shrink(weight, factor)[..., None]
    visible = (shrink(shown.visible, factor) * 255).astype(np.uint8)
    return (flow * (2 / fine)).astype(np.float16), visible


def _small_alpha(rgba: Array) -> Array:
    alpha = cv2.resize(rgba[..., 3], (FLOW_SIZE, FLOW_SIZE), interpolation=cv2.INTER_AREA)
    return (alpha * 255 + 0.5).astype(np.uint8)


def _bytes(picture: Array) -> Array:
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def main() -> None:
    """Write shards SPLIT_SEED.npz, skipping those that are there."""
    parser = argparse.ArgumentParser(description="Render face shards for the video VAE.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first shard")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--samples", type=int, default=50, help="samples a shard")
    parser.add_argument("--split", choices=("train", "val"), default="train")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for seed in range(args.seed, args.seed + args.shards):
        path = args.out / f"{args.split}_{seed:04d}.npz"
        if path.exists():
            continue
        started = time.monotonic()
        split: Split = "test" if args.split == "val" else "train"
        shard = make_vae_shard(seed, args.samples, split=split)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **shard)  # pyright: ignore[reportArgumentType]
        part.replace(path)
        seconds = time.monotonic() - started
        print(f"{path.name}: {args.samples} samples, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
