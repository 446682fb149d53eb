"""Avatars of the built-in faces, scaled down so that tests stay fast."""

import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rest_bridge.avatar import Avatar, Style
from rest_bridge.gallery import FACES_PATH
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.importer import import_portrait

SIDE_PX = 400
STYLES: dict[str, Style] = {
    "luna": "drawn", "theo": "drawn", "maya": "photo", "idris": "photo", "vera": "painting",
}  # fmt: skip


def built_in_avatar(name: str, package: ModelPackage) -> Avatar:
    """Import a built-in face at 400 px from its own landmarks; once a test run."""
    if not (FACES_PATH / name / "portrait.png").is_file():
        pytest.skip("no built-in face yet")
    return _imported(name, package.path)


@cache
def _imported(name: str, package_path: Path) -> Avatar:
    source = FACES_PATH / name
    image = Image.open(source / "portrait.png")
    points = json.loads((source / "landmarks.json").read_text())
    points = points.get("points", points) if isinstance(points, dict) else points
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "portrait.png"
        image.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS).save(path)
        return import_portrait(
            path,
            ModelPackage.load(package_path, verify=False),
            landmarks=np.array(points, np.float32) * SIDE_PX / image.width,
            style=STYLES[name],
        )
