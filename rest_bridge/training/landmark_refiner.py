"""Trains the weights of `portrait.refine` by regression: minutes on one core, no torch.

Pictures with true points: AI portraits (index < 300), rendered heads, drawn characters. Every
sample starts from disturbed points, as the landmark net leaves them.

    python -m rest_bridge.training.landmark_refiner ASSETS POOLS PACKAGE
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rest_bridge.portrait.refine import (
    LEFT_EYE,
    MOUTH,
    NUM_STAGES,
    RIGHT_EYE,
    Part,
    cut_patch,
    hidden_features,
    patch_affine,
    patch_features,
    predict,
    to_picture,
)
from rest_bridge.training.package_writer import npz_bytes, write_package_part
from rest_bridge.types import Array

_SAMPLES: Final = 9000
_COMPONENTS: Final = 180
_MIXTURES: Final = 900
_SHIFT: Final = (0.045, 0.02)
"""Spread of the starting points of each stage, in eye distances."""
_RIDGE: Final = 30.0

Example = tuple[Array, Array]
"""Grey picture float32 [H, W] and points [66, 2]."""


def portrait_examples(assets: Path, first: int, last: int) -> list[Example]:
    """Load AI portraits by their index in the manifest."""
    folder = assets / "t2i_synthetic_faces"
    entries = json.loads((folder / "manifest.json").read_text())[first:last]
    examples: list[Example] = []
    for entry in entries:
        grey = cv2.imread(str(folder / "images" / entry["file"]), cv2.IMREAD_GRAYSCALE)
        points = np.array(entry["landmarks66"], np.float64)[:, :2]
        examples.append((np.asarray(grey, np.float32), points))
    return examples


def pool_examples(path: Path, count: int, seed: int) -> list[Example]:
    """Load pictures of a pool of `face_pools`, on plain backgrounds."""
    rng = np.random.default_rng(seed)
    with np.load(path) as pool:
        rgba, points = pool["rgba"], pool["points"]
    chosen = rng.permutation(len(rgba))[:count]
    examples: list[Example] = []
    for index in chosen:
        picture = rgba[index].astype(np.float32)
        grey = picture[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
        alpha = picture[..., 3] / 255
        grey = grey * alpha + rng.uniform(40, 230) * (1 - alpha)
        examples.append((grey, points[index].astype(np.float64)))
    return examples


def _disturbed(points: Array, part: Part, spread: float, rng: np.random.Generator) -> Array:
    """Shift, turn and scale what a patch is cut by."""
    distance = float(np.linalg.norm(points[42:48].mean(0) - points[36:42].mean(0)))
    out = points + rng.normal(0, 0.02, 2) * distance
    eyes = out[36:48].mean(0)
    angle, scale = np.radians(rng.normal(0, 40 * spread)), np.exp(rng.normal(0, 0.7 * spread))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    out[36:48] = (out[36:48] - eyes) @ turn.T + eyes
    numbers = list(part.points)
    wanted = points[numbers].mean(0) + rng.normal(0, spread, 2) * distance
    out[numbers] += wanted - out[numbers].mean(0)
    return out


def _samples(
    sources: Sequence[tuple[float, Sequence[Example]]], parts: Sequence[Part], spread: float,
    count: int, seed: int,
) -> tuple[Array, Array]:  # fmt: skip
    rng = np.random.default_rng(seed)
    shares = np.array([share for share, _ in sources])
    patches: list[Array] = []
    targets: list[Array] = []
    for _ in range(count):
        examples = sources[rng.choice(len(sources), p=shares / shares.sum())][1]
        grey, points = examples[rng.integers(len(examples))]
        part = parts[rng.integers(len(parts))]
        affine = patch_affine(_disturbed(points, part, spread, rng), part)
        patch = cut_patch(grey, affine, part)
        if rng.random() < 0.3:
            patch = cv2.GaussianBlur(patch, (0, 0), rng.uniform(0.4, 1.2))
        patch = patch + rng.normal(0, rng.uniform(0, 4), patch.shape)
        local = points[list(part.points)] @ affine[:, :2].T + affine[:, 2]
        patches.append(patch.astype(np.float32))
        targets.append((local - [part.width_px / 2, part.height_px / 2]).ravel())
    return patch_features(np.stack(patches)), np.stack(targets)


def fit_stage(features: Array, targets: Array, name: str, seed: int) -> dict[str, Array]:
    """Fit one stage of one part: components, random mixtures, ridge regression."""
    rng = np.random.default_rng(seed)
    mean = features.mean(0)
    centred = features - mean
    values, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    axes = axes[:, ::-1][:, :_COMPONENTS] / np.sqrt(values[::-1][:_COMPONENTS] + 1e-4)
    mix = rng.normal(0, 1 / np.sqrt(_COMPONENTS), (_COMPONENTS, _MIXTURES)) * 1.5
    weights = {
        f"{name}_mean": mean.astype(np.float16),
        f"{name}_axes": axes.astype(np.float16),
        f"{name}_mix": mix.astype(np.float16),
    }
    hidden = hidden_features(features, weights, name).astype(np.float64)
    normal = hidden.T @ hidden + _RIDGE * np.eye(hidden.shape[1])
    out = np.linalg.solve(normal, hidden.T @ targets)
    weights[f"{name}_out"] = out.astype(np.float32)
    return weights


def evaluate(examples: Sequence[Example], weights: dict[str, Array], seed: int) -> dict[str, float]:
    """Return the mean error before and after, in eye distances, from disturbed points."""
    rng = np.random.default_rng(seed)
    errors: dict[str, list[float]] = {}
    for grey, points in examples:
        distance = float(np.linalg.norm(points[42:48].mean(0) - points[36:42].mean(0)))
        for part in (LEFT_EYE, RIGHT_EYE, MOUTH):
            numbers = list(part.points)
            current = _disturbed(points, part, _SHIFT[0], rng)
            start = np.linalg.norm(current[numbers] - points[numbers], axis=1).mean() / distance
            for stage in range(NUM_STAGES):
                affine = patch_affine(current, part)
                features = patch_features(cut_patch(grey, affine, part)[None])
                local = predict(features, weights, f"{part.name}{stage}")[0].reshape(-1, 2)
                current[numbers] = to_picture(local, affine, part)
            end = np.linalg.norm(current[numbers] - points[numbers], axis=1).mean() / distance
            errors.setdefault(f"{part.name} before", []).append(start)
            errors.setdefault(f"{part.name} after", []).append(end)
    return {name: float(np.mean(values)) for name, values in errors.items()}


def main(arguments: list[str]) -> None:
    """Train, report and write refine.npz."""
    assets, pools, package = (Path(argument) for argument in arguments)
    sources = [
        (0.5, portrait_examples(assets, 0, 300)),
        (0.35, pool_examples(pools / "drawn_train.npz", 2500, 1)),
        (0.15, pool_examples(pools / "heads_train.npz", 500, 2)),
    ]
    weights: dict[str, Array] = {}
    for parts in ((LEFT_EYE, RIGHT_EYE), (MOUTH,)):
        for stage in range(NUM_STAGES):
            name = f"{parts[0].name}{stage}"
            features, targets = _samples(sources, parts, _SHIFT[stage], _SAMPLES, 10 + stage)
            weights |= fit_stage(features, targets, name, 20 + stage)
            print(name, "fitted", flush=True)
    report = {
        "portraits": evaluate(portrait_examples(assets, 300, 328), weights, 5),
        "drawn": evaluate(pool_examples(pools / "drawn_test.npz", 80, 6), weights, 6),
        "heads": evaluate(pool_examples(pools / "heads_test.npz", 80, 7), weights, 7),
    }
    print(json.dumps(report, indent=1))
    write_package_part(
        package,
        files={"refine.npz": npz_bytes(weights)},
        sections={"refine": {"error_eye_distances": report}},
    )


if __name__ == "__main__":
    main(sys.argv[1:])
