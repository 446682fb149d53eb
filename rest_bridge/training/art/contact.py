"""One picture of all built-in faces, for the documentation."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

_TILE = 272
_GAP = 12
_MAX_BYTES = 480_000


def contact_sheet(faces: Path, target: Path) -> Path:
    """Lay the portraits of all faces side by side and write a PNG of less than 500 kB.

    Args:
        faces: folder of the faces.
        target: the PNG.

    Returns:
        `target`.
    """
    order = {"drawn": 0, "photo": 1, "painting": 2}
    folders = sorted(
        (path.parent for path in faces.glob("*/face.json")),
        key=lambda folder: (order[json.loads((folder / "face.json").read_text())["style"]], folder),
    )
    sheet = Image.new("RGBA", (len(folders) * (_TILE + _GAP) - _GAP, _TILE), (0, 0, 0, 0))
    corners = _rounded()
    for index, folder in enumerate(folders):
        with Image.open(folder / "portrait.png") as picture:
            tile = picture.convert("RGBA").resize((_TILE, _TILE), Image.Resampling.LANCZOS)
        ground = Image.fromarray(_ground(index))
        ground.alpha_composite(tile)
        ground.putalpha(Image.fromarray(corners))
        sheet.paste(ground, (index * (_TILE + _GAP), 0))
    target.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.asarray(sheet).astype(np.float32)
    for step in (1, 2, 3, 4, 6):
        coarse = np.clip(np.round(pixels / step) * step, 0, 255).astype(np.uint8)
        Image.fromarray(coarse).save(target, optimize=True)
        if target.stat().st_size < _MAX_BYTES:
            break
    return target


def _ground(index: int) -> np.ndarray:
    """A plain gradient behind what is cut out: uint8 [tile, tile, 4]."""
    pairs = (((222, 230, 250), (176, 190, 232)), ((216, 240, 236), (150, 200, 200)))
    top, bottom = (np.array(c, np.float32) for c in pairs[index % 2])
    share = np.linspace(0, 1, _TILE, dtype=np.float32)[:, None, None]
    row = top * (1 - share) + bottom * share
    full = np.broadcast_to(row, (_TILE, _TILE, 3))
    return np.dstack([full, np.full((_TILE, _TILE), 255)]).astype(np.uint8)


def _rounded() -> np.ndarray:
    big = np.zeros((_TILE * 4, _TILE * 4), np.uint8)
    radius, end = 72, _TILE * 4 - 1
    cv2.rectangle(big, (radius, 0), (end - radius, end), 255, -1)
    cv2.rectangle(big, (0, radius), (end, end - radius), 255, -1)
    for x in (radius, end - radius):
        for y in (radius, end - radius):
            cv2.circle(big, (x, y), radius, 255, -1)
    return cv2.resize(big, (_TILE, _TILE), interpolation=cv2.INTER_AREA)
