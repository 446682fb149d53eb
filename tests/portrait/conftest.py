"""A small portrait with known landmarks: the built-in drawn face, scaled down."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rest_bridge
from rest_bridge.inference.package import ModelPackage

SIDE_PX = 400


@dataclass(frozen=True)
class Sample:
    picture: Path
    eyes_closed: Path
    mouth_open: Path
    landmarks: np.ndarray
    mouth_open_landmarks: np.ndarray


@pytest.fixture(scope="session")
def package(package_path: Path) -> ModelPackage:
    return ModelPackage.load(package_path, verify=False)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    source = Path(rest_bridge.__file__).parent / "faces" / "luna"
    if not (source / "portrait.png").is_file():
        pytest.skip("no built-in face yet")
    folder = tmp_path_factory.mktemp("portrait")
    paths = []
    scale = 1.0
    for name in ("portrait", "eyes_closed", "mouth_open"):
        image = Image.open(source / f"{name}.png")
        scale = SIDE_PX / image.width
        image.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS).save(folder / f"{name}.png")
        paths.append(folder / f"{name}.png")
    points = [
        np.array(json.loads((source / f"{name}.json").read_text()), np.float32) * scale
        for name in ("landmarks", "landmarks_mouth_open")
    ]
    return Sample(*paths, *points)
