"""Pictures with known points from which the detector's and the landmark net's samples are cut.

Place: `landmarks` draws from the pools; a pool is made once and kept as an .npz. Alpha 255
everywhere means a whole picture, else the background may be chosen anew.
`python -m rest_bridge.training.face_pools --out DIR` draws the pools that need rendering.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from rest_bridge.training.face_subjects import portrait
from rest_bridge.training.render import makehuman
from rest_bridge.training.render.drawn import draw_character
from rest_bridge.training.render.drawn_style import TEST_MANNERS, sample_style
from rest_bridge.training.render.landmarks66 import eye_centres
from rest_bridge.training.render.makehuman import Split
from rest_bridge.training.render.raster import Array
from rest_bridge.training.states import sample_motion, sample_reference

POOL_PX: Final = 192


@dataclass(frozen=True, slots=True)
class FacePicture:
    """uint8 [H, W, 4] straight RGB with coverage, and float [66, 2] points in pixels."""

    rgba: Array
    points: Array
    whole: bool


class Pool(Sequence[FacePicture]):
    """Pictures of one kind: rgba uint8 [N, H, W, 3 or 4], points float32 [N, 66, 2]."""

    def __init__(self, rgba: Array, points: Array) -> None:
        self.rgba, self.points = rgba, points

    def __len__(self) -> int:
        return len(self.rgba)

    def __getitem__(self, index):  # pyright: ignore
        return FacePicture(self.rgba[index], self.points[index], self.rgba.shape[-1] == 3)


def shard_pool(paths: Sequence[Path], *, every: int = 1) -> Pool:
    """Take references and frames of VAE shards (heads and animated photos)."""
    pictures, points = [], []
    for path in paths:
        with np.load(path) as data:
            size = data["ref"].shape[1]
            pictures += [data["ref"], data["frames"][:, ::every].reshape(-1, size, size, 3)]
            points += [data["landmarks_ref"] * size]
            points += [data["landmarks"][:, ::every].reshape(-1, 66, 2) * size]
    return Pool(np.concatenate(pictures), np.concatenate(points))


class PortraitPool(Sequence[FacePicture]):
    """AI portraits by manifest index; their points come from a landmark network."""

    def __init__(self, first: int, stop: int) -> None:
        self._range = range(first, stop)

    def __len__(self) -> int:
        return len(self._range)

    def __getitem__(self, index):  # pyright: ignore
        picture, points = portrait(self._range[index])
        return FacePicture(picture, points, whole=True)


def render_drawn(seed: int, count: int, *, split: Split = "train") -> tuple[Array, Array]:
    """Draw characters: rgba uint8 [N, 192, 192, 4], points float32 [N, 66, 2]."""
    rng = np.random.default_rng([seed, split == "test", 2])
    rgba, points = [], []
    for _ in range(count):
        style = sample_style(rng, TEST_MANNERS[0] if split == "test" else None)
        rig = sample_reference(rng) if rng.random() < 0.5 else sample_motion(rng, 2)[0]
        share = rng.uniform(0.13, 0.25)
        drawn = draw_character(style, rig, size_px=POOL_PX, eye_share=share)
        rgba.append(straight_bytes(drawn.rgba))
        points.append(drawn.landmarks)
    return np.stack(rgba), np.stack(points)


def render_heads(seed: int, count: int, *, split: Split = "train") -> tuple[Array, Array]:
    """Render 3-D heads, four states each: as `render_drawn`."""
    rng = np.random.default_rng([seed, split == "test", 3])
    rgba, points = [], []
    while len(rgba) < count:
        head = makehuman.Head(makehuman.sample_description(rng, split=split))
        for rig in [sample_reference(rng), *sample_motion(rng, 3)]:
            camera = makehuman.Camera(
                view_height_dm=rng.uniform(2.6, 5.0),
                offset_dm=(rng.normal(0, 0.2), rng.uniform(-0.9, 0.1)),
                distance_dm=rng.uniform(6, 16),
            )
            shown = head.render(rig, size_px=POOL_PX, supersample=2, camera=camera)
            rgba.append(straight_bytes(shown.rgba))
            points.append(shown.landmarks)
    return np.stack(rgba[:count]), np.stack(points[:count]).astype(np.float32)


def straight_bytes(rgba: Array) -> Array:
    """Turn premultiplied float [H, W, 4] into straight uint8."""
    colour = rgba[..., :3] / np.maximum(rgba[..., 3:], 1e-3)
    both = np.concatenate([colour, rgba[..., 3:]], -1)
    return (both.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def eye_distance(points: Array) -> float:
    """Return the distance between the middles of the eyes in pixels; points [66, 2]."""
    left, right = eye_centres(points)
    return float(np.linalg.norm(right - left))


def load_pool(path: Path) -> Pool:
    """Read a pool that `main` wrote."""
    with np.load(path) as data:
        return Pool(data["rgba"], data["points"])


def main() -> None:
    """Render the pools that are missing."""
    parser = argparse.ArgumentParser(description="Draw pictures for detector and landmarks.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--drawn", type=int, default=3000)
    parser.add_argument("--heads", type=int, default=800)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    jobs: tuple[tuple[str, Callable[..., tuple[Array, Array]], int, Split], ...] = (
        ("drawn_test", render_drawn, 160, "test"),
        ("heads_test", render_heads, 160, "test"),
        ("drawn_train", render_drawn, args.drawn, "train"),
        ("heads_train", render_heads, args.heads, "train"),
    )
    for name, make, count, split in jobs:
        path = args.out / f"{name}.npz"
        if path.exists():
            continue
        rgba, points = make(0, count, split=split)
        np.savez(path, rgba=rgba, points=points)
        print(f"{path.name}: {count} pictures", flush=True)


if __name__ == "__main__":
    main()
