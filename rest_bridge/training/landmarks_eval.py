"""Measures the package's face detector and landmark net on pictures that training never saw.

`python -m rest_bridge.training.landmarks_eval --package DIR --pools DIR --shards DIR`. Runs the
runtime's own `portrait.detect`, so the figures hold for what users get.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.detect import DetectedFace, FaceBox, detect_faces, find_landmarks
from rest_bridge.training.face_pools import FacePicture, Pool, PortraitPool, load_pool, shard_pool
from rest_bridge.training.face_samples import Sampler, Source
from rest_bridge.training.render.background import sample_background
from rest_bridge.training.render.landmarks66 import face_square, inter_ocular
from rest_bridge.training.render.raster import Array

PARTS = {
    "contour": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "mouth": slice(48, 66),
}


def landmark_errors(faces: Iterable[FacePicture], package: ModelPackage, seed: int = 0) -> Array:
    """Return float [N, 66]: distance to the true points over the eye distance.

    The first box is the true one, moved by 6 % and resized by 10 % (standard deviations), as a
    detector or a hand would place it.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for face in faces:
        picture = face.rgba
        if not face.whole:
            share = picture[..., 3:].astype(np.float32) / 255
            background = sample_background(rng, picture.shape[0]) * 255
            picture = (picture[..., :3] * share + background * (1 - share)).astype(np.uint8)
        x, y, side = (float(value) for value in face_square(face.points))
        x, y = x + rng.normal(0, 0.06) * side, y + rng.normal(0, 0.06) * side
        box = FaceBox(x, y, side * float(np.exp(rng.normal(0, 0.1))))
        points, _ = find_landmarks(np.ascontiguousarray(picture), box, package)
        distance = np.linalg.norm(points - face.points, axis=1)
        rows.append(distance / inter_ocular(face.points))
    return np.stack(rows)


def detector_scores(
    scenes: Sequence[Array], faces: Sequence[Array], package: ModelPackage
) -> dict[str, float]:
    """Return precision, recall, share of pictures counted right, and false alarms.

    Args:
        scenes: uint8 [H, W, 3] each.
        faces: float [N, 3] (x, y, side) true squares of each.
        package: holds face_detector.onnx.
    """
    hits = found = wanted = alarms = empty = right = 0
    for scene, true in zip(scenes, faces, strict=True):
        boxes = detect_faces(np.ascontiguousarray(scene), package)
        matched = _matches(boxes, true)
        hits += matched
        found += len(boxes)
        wanted += len(true)
        empty += len(true) == 0
        alarms += len(true) == 0 and len(boxes) > 0
        right += min(len(boxes), 2) == min(len(true), 2)
    return {
        "precision": hits / max(found, 1),
        "recall": hits / max(wanted, 1),
        "counted right (none, one, several)": right / len(scenes),
        "false alarms per faceless picture": alarms / max(empty, 1),
        "faces": float(wanted),
        "pictures": float(len(scenes)),
    }


def _matches(found: Sequence[DetectedFace], true: Array) -> int:
    """Count true squares that a found box overlaps by more than 0.4 (intersection over union)."""
    left = [face.box for face in found]
    hits = 0
    for x, y, side in true:
        shares = [_iou(box, FaceBox(x, y, side)) for box in left]
        if shares and max(shares) > 0.4:
            left.pop(int(np.argmax(shares)))
            hits += 1
    return hits


def _iou(one: FaceBox, other: FaceBox) -> float:
    reach = (one.side + other.side) / 2
    wide = min(reach - abs(one.x - other.x), one.side, other.side)
    tall = min(reach - abs(one.y - other.y), one.side, other.side)
    if wide <= 0 or tall <= 0:
        return 0.0
    common = wide * tall
    return common / (one.side**2 + other.side**2 - common)


def test_pools(pools: Path, shards: Path) -> dict[str, Sequence[FacePicture]]:
    """Return the held-out sets by name."""
    rendered = shard_pool(sorted(shards.glob("val_*.npz")), every=5)
    photo = np.concatenate([_photo_flags(path) for path in sorted(shards.glob("val_*.npz"))])
    return {
        "AI portraits (index >= 300)": PortraitPool(300, 328),
        "3-D heads, held-out parts": load_pool(pools / "heads_test.npz"),
        "animated portraits (270-299)": Pool(rendered.rgba[photo], rendered.points[photo]),
        "drawn, held-out manner": load_pool(pools / "drawn_test.npz"),
    }


def _photo_flags(path: Path) -> Array:
    """Say of each picture of `shard_pool(..., every=5)` whether it is an animated photo."""
    with np.load(path) as data:
        frames = data["frames"][:, ::5].shape[1]
        return np.concatenate([data["photo"], np.repeat(data["photo"], frames)])


def main() -> None:
    """Print both nets' figures."""
    parser = argparse.ArgumentParser(description="Measure the detector and the landmark net.")
    parser.add_argument("--package", type=Path)
    parser.add_argument("--pools", type=Path, required=True)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--most", type=int, default=120, help="pictures of each set")
    args = parser.parse_args()
    package = ModelPackage.load(args.package)
    held_out = test_pools(args.pools, args.shards)
    for name, faces in held_out.items():
        some = [
            faces[i] for i in np.linspace(0, len(faces) - 1, min(args.most, len(faces)), dtype=int)
        ]
        errors = landmark_errors(some, package)
        each = errors.mean(1)
        parts = ", ".join(f"{part} {errors[:, where].mean():.3f}" for part, where in PARTS.items())
        print(
            f"{name}: n {len(some)}, NME mean {each.mean():.4f} median {np.median(each):.4f} "
            f"over 0.1: {(each > 0.1).mean():.0%}; {parts}"
        )
    sampler = Sampler([Source(faces, 1.0, 0.15) for faces in held_out.values()], seed=77)
    scenes, faces = sampler.detector_batch(args.scenes)
    for title, picked in (
        ("all scenes", range(len(scenes))),
        ("two or three faces", [i for i, true in enumerate(faces) if len(true) > 1]),
        ("one face", [i for i, true in enumerate(faces) if len(true) == 1]),
    ):
        scores = detector_scores([scenes[i] for i in picked], [faces[i] for i in picked], package)
        print(title, {name: round(value, 3) for name, value in scores.items()})


if __name__ == "__main__":
    main()
