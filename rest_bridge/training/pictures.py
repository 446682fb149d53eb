"""Makes the pictures of the README and the model card from real output of the shipped package.

Every built-in face speaks the built-in voice through the same pipeline that a user runs; nothing is
retouched. Place in the flow: model package and faces -> here -> docs/images and the card's sheets.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rest_bridge.gallery import built_in_faces, built_in_voice, load_avatar
from rest_bridge.inference.package import DEFAULT_PACKAGE, ModelPackage
from rest_bridge.rig import RIG_INDEX
from rest_bridge.training.evaluate import drive, read_voice, rig_aperture
from rest_bridge.types import VOICE_RATE_HZ, ByteArray, FloatArray

BACKDROP: Final = ((58, 48, 44), (122, 96, 84))
"""Top and bottom colour behind transparent faces (BGR)."""
SECONDS: Final = 12.0
HERO_PX: Final = 320
TILE_PX: Final = 200
JPEG_QUALITY: Final = 88


def on_backdrop(rgba: ByteArray) -> ByteArray:
    """Composite a frame on a soft gradient: uint8 [H, W, 3] BGR."""
    share = np.linspace(0, 1, len(rgba), dtype=np.float32)[:, None, None]
    top, bottom = (np.array(colour, np.float32) for colour in BACKDROP)
    alpha = rgba[..., 3:].astype(np.float32) / 255
    mixed = rgba[..., 2::-1] * alpha + (top + (bottom - top) * share) * (1 - alpha)
    return np.rint(mixed).astype(np.uint8)


def telling_frames(rig: FloatArray, count: int) -> list[int]:
    """Choose frames that show the range: wide open, shut lips, a blink, then evenly spaced ones.

    Args:
        rig: float32 [F, 58].
        count: how many.
    """
    gap, lids = rig_aperture(rig), rig[:, RIG_INDEX["eyeBlinkLeft"]]
    round_lips = rig[:, RIG_INDEX["mouthFunnel"]] + rig[:, RIG_INDEX["mouthPucker"]]
    open_eyes = np.where(lids < 0.2, 1.0, 0.0)
    first = [
        int((gap * open_eyes).argmax()),
        int(lids.argmax()),
        int((round_lips * open_eyes * (gap > 0.05)).argmax()),
    ]
    rest = np.linspace(len(rig) * 0.1, len(rig) - 1, max(0, count - len(first)))
    return sorted({*first, *(int(i) for i in rest)})[:count]


def sheet(pictures: Sequence[ByteArray], columns: int, tile_px: int) -> ByteArray:
    """Lay pictures out in rows: uint8 [rows * tile, columns * tile, 3]."""
    tiles = [cv2.resize(p, (tile_px, tile_px), interpolation=cv2.INTER_AREA) for p in pictures]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    return np.concatenate(rows)


def main() -> None:
    """Render every built-in face and write the pictures."""
    parser = argparse.ArgumentParser(description="Make the pictures of README and model card.")
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    parser.add_argument("--sheets", type=Path, default=DEFAULT_PACKAGE / "sheets")
    args = parser.parse_args()
    package = ModelPackage.load()
    voice = read_voice(built_in_voice())[: int(SECONDS * VOICE_RATE_HZ)]
    args.images.mkdir(parents=True, exist_ok=True)
    args.sheets.mkdir(parents=True, exist_ok=True)
    hero: list[ByteArray] = []
    for row, name in enumerate(built_in_faces()):
        rgba, rig = drive(package, load_avatar(name, package), voice, size_px=512, seed=row)
        shown = [on_backdrop(rgba[i]) for i in telling_frames(rig, 16)]
        path = args.sheets / f"{name}.jpg"
        cv2.imwrite(str(path), sheet(shown, 8, TILE_PX), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        hero += [on_backdrop(rgba[i]) for i in telling_frames(rig, 3)]
        print(f"{name}: {len(rgba)} frames, {path}", flush=True)
    picture = sheet(hero, 6 if len(hero) % 6 == 0 else 3, HERO_PX)
    cv2.imwrite(str(args.images / "hero.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
