"""The list of built-in faces and how each becomes files (pictures, landmarks, face.json)."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rest_bridge.training.art.face_states import EYES_CLOSED, MOUTH_OPEN, NUM_LANDMARKS, REST

LICENCE = "Apache-2.0 (made by the code in rest_bridge/training/art of this repository)"
_MAX_BYTES = 1_200_000


@dataclass(frozen=True)
class Face:
    """One built-in face.

    Attributes:
        module: module of this package with `draw(state)` and `landmarks(state)`; None for the
            people of `people.PEOPLE`.
        title: what a person reads.
        style: "photo", "painting" or "drawn".
        credits: whose work went into it.
        description: one sentence.
        second_references: also write mouth_open.png and eyes_closed.png.
    """

    module: str | None
    title: str
    style: str
    credits: list[str]
    description: str
    second_references: bool = False


FACES = {
    "luna": Face(
        "anime",
        "Luna",
        "drawn",
        ["Drawn by code for rest_bridge."],
        "Anime-style character with lilac hair and violet eyes, transparent background.",
        second_references=True,
    ),
    "theo": Face(
        "cartoon",
        "Theo",
        "drawn",
        ["Drawn by code for rest_bridge."],
        "Soft vector portrait of a man with a headset, transparent background.",
        second_references=True,
    ),
}

_MAKEHUMAN = (
    "Rendered for rest_bridge from MakeHuman's base mesh, targets, proxies and textures "
    "(CC0 1.0, Data Collection AB, Joel Palmius, Jonas Hauquier and the MakeHuman community)."
)
FACES |= {
    "maya": Face(
        None,
        "Maya",
        "photo",
        [_MAKEHUMAN],
        "Rendered portrait of a young woman with long brown hair.",
    ),
    "idris": Face(
        None, "Idris", "photo", [_MAKEHUMAN], "Rendered portrait of a grey-haired man in a suit."
    ),
}

FACES["vera"] = Face(
    "painted",
    "Vera",
    "painting",
    [_MAKEHUMAN],
    "Painted portrait of a red-haired woman, from our own rendering, stroke by stroke.",
)

_STATES = {"portrait": REST, "mouth_open": MOUTH_OPEN, "eyes_closed": EYES_CLOSED}


def save_picture(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write a PNG of at most 1.2 MB, with coarser colours only where it would not fit otherwise.

    Args:
        pixels: uint8 [H, W, 3 or 4], straight alpha.
        path: where to.

    Raises:
        ValueError: even with 64 levels a channel the picture is too large.
    """
    for step in (1, 2, 3, 4):
        coarse = pixels if step == 1 else np.round(pixels.astype(np.float32) / step) * step
        Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8)).save(path, optimize=True)
        if path.stat().st_size <= _MAX_BYTES:
            return
    raise ValueError(f"{path} has {path.stat().st_size} bytes; at most {_MAX_BYTES} are allowed.")


def build_face(name: str, out: Path) -> Path:
    """Draw face `name` and write its folder.

    Args:
        name: key of `FACES`.
        out: the folder of all faces.

    Returns:
        The face's own folder.
    """
    face = FACES[name]
    artist = (
        importlib.import_module(f"rest_bridge.training.art.{face.module}")
        if face.module
        else importlib.import_module("rest_bridge.training.art.people").Sitting(name)
    )
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    for kind, state in _STATES.items():
        if kind != "portrait" and not face.second_references:
            continue
        save_picture(artist.draw(state), folder / f"{kind}.png")
        suffix = "" if kind == "portrait" else f"_{kind}"
        marks = np.round(artist.landmarks(state), 1)
        if marks.shape != (NUM_LANDMARKS, 2):
            raise ValueError(f"{name}: landmarks of shape {marks.shape}, expected (66, 2).")
        (folder / f"landmarks{suffix}.json").write_text(json.dumps(marks.tolist()) + "\n")
    about = {
        "title": face.title,
        "style": face.style,
        "description": face.description,
        "licence": LICENCE,
        "credits": face.credits,
    }
    (folder / "face.json").write_text(json.dumps(about, indent=2) + "\n")
    return folder
