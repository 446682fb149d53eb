"""Learns what the landmark net always gets wrong: too round a jaw, turned faces too near the front.

The net regresses to the mean, alike on faces that it was trained on and on others, so it can be
read off its own training pictures: a linear map from the whole found shape to its error, by ridge
regression on principal components. No torch, two minutes of one core.

    python -m rest_bridge.training.landmark_shape FACES PACKAGE

FACES holds shards of `faces_data`. Place in the flow: pictures with true points -> here ->
refine.npz of the package -> `portrait.refine`. Shape letters: N pictures, K components.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.detect import detect_faces, find_landmarks
from rest_bridge.portrait.refine import correct_shape, eye_frame
from rest_bridge.training.face_subjects import KINDS, PHOTOS, portrait
from rest_bridge.training.package_writer import npz_bytes, write_package_part
from rest_bridge.types import Array, ByteArray, FloatArray

COMPONENTS: Final = 30
_RIDGE: Final = 0.02
"""Of the standardised components, in pictures."""
_WRONG_FACE: Final = 0.12
"""Mean error in eye distances from which on another face was found."""
_PICTURE_PX: Final = 256
_EACH: Final = 130
"""Rendered pictures of each kind."""

Example = tuple[ByteArray, FloatArray]
"""Picture uint8 [H, W, 3] and true points float [66, 2], pixels."""


def portraits(first: int, last: int) -> Iterator[Example]:
    """Yield AI portraits by their index in the manifest."""
    for index in range(first, last):
        picture, points = portrait(index)
        yield np.ascontiguousarray(picture), points


def rendered(folder: Path, kind: str, count: int, split: str = "train") -> Iterator[Example]:
    """Yield references of one kind from shards of `faces_data`, at most `count`."""
    for path in sorted(folder.glob(f"{split}_*.npz")):
        with np.load(path) as shard:
            rows = np.flatnonzero(shard["kind"] == KINDS.index(kind))[::2]
            pictures, points = shard["ref"][rows], shard["landmarks_ref"][rows]
        for picture, true in zip(pictures, points, strict=True):
            if count == 0:
                return
            count -= 1
            size = (_PICTURE_PX, _PICTURE_PX)
            yield cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), true * _PICTURE_PX


def found_and_true(package: ModelPackage, examples: Iterator[Example]) -> tuple[Array, Array]:
    """Find the points of pictures as an import does.

    Args:
        package: with detector and landmark net.
        examples: pictures with their true points.

    Returns:
        Found and true points float64 [N, 66, 2], both in the frame of the found eyes; pictures in
        which no face, or another, was found are left out.
    """
    pairs: list[tuple[Array, Array]] = []
    for picture, true in examples:
        faces = detect_faces(picture, package)
        if not faces:
            continue
        points, _ = find_landmarks(picture, faces[0].box, package, careful=True)
        centre, turn = eye_frame(points)
        local, wanted = ((shape - centre) @ turn.T for shape in (points, true))
        if np.linalg.norm(local - wanted, axis=1).mean() < _WRONG_FACE:
            pairs.append((local, wanted))
    found, true_points = (np.stack(side) for side in zip(*pairs, strict=True))
    return found, true_points


def fit(found: Array, true: Array) -> dict[str, Array]:
    """Fit the correction.

    Args:
        found: float64 [N, 66, 2].
        true: float64 [N, 66, 2].

    Returns:
        shape_mean [132], shape_axes [132, K] (to components of unit spread), shape_out
        [K + 1, 132]; float32.
    """
    flat, wanted = (shape.reshape(len(shape), -1) for shape in (found, true))
    mean = flat.mean(0)
    _, size, rows = np.linalg.svd(flat - mean, full_matrices=False)
    count = min(COMPONENTS, len(size) - 1)
    axes = rows[:count].T / (size[:count] / np.sqrt(len(flat)))
    known = np.concatenate([(flat - mean) @ axes, np.ones((len(flat), 1))], 1)
    cost = np.append(np.full(count, _RIDGE * len(flat)), 0.0)
    out = np.linalg.solve(known.T @ known + np.diag(cost), known.T @ (wanted - flat))
    arrays = {"shape_mean": mean, "shape_axes": axes, "shape_out": out}
    return {name: value.astype(np.float32) for name, value in arrays.items()}


def main() -> None:
    """Fit on training pictures, report on held-out portraits, write into the package."""
    parser = argparse.ArgumentParser(description="Learn the landmark net's constant errors.")
    parser.add_argument("faces", type=Path, help="folder of shards of faces_data")
    parser.add_argument("package", type=Path)
    args = parser.parse_args()
    package = ModelPackage.load(args.package, verify=False)
    sources = [found_and_true(package, portraits(*PHOTOS["train"]))]
    sources += [found_and_true(package, rendered(args.faces, kind, _EACH)) for kind in KINDS]
    found, true = (np.concatenate(side) for side in zip(*sources, strict=True))
    weights = fit(found, true)
    report: dict[str, list[float]] = {}
    held_out = {"portraits": portraits(*PHOTOS["test"])}
    held_out |= {kind: rendered(args.faces, kind, 40, "val") for kind in KINDS}
    for name, examples in held_out.items():
        before, wanted = found_and_true(package, examples)
        after = np.stack([correct_shape(shape, weights) for shape in before])
        report[name] = [
            round(float(np.linalg.norm(shapes - wanted, axis=-1).mean()), 4)
            for shapes in (before, after)
        ]
    print(json.dumps({"pictures": len(found), "held out, eye distances": report}))
    write_package_part(
        args.package,
        files={"refine.npz": npz_bytes(dict(package.arrays("refine")) | weights)},
        sections={"shape": {"error_eye_distances": report}},
    )


if __name__ == "__main__":
    main()
