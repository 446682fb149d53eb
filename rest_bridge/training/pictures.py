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
from rest_bridge.inference.package import ModelPackage
from rest_bridge.rig import RIG_INDEX
from rest_bridge.training import hard_moments, kind_sheets
from rest_bridge.training.curves import lip_aperture
from rest_bridge.training.evaluation.driving import Driver, read_voice, stack_rig
from rest_bridge.training.evaluation.portraits import PortraitShelf
from rest_bridge.types import VOICE_RATE_HZ, ByteArray, FloatArray

BACKDROP: Final = ((58, 48, 44), (122, 96, 84))
"""Top and bottom colour behind transparent faces (BGR)."""
SECONDS: Final = 12.0
HERO_PX: Final = 240
TILE_PX: Final = 200
JPEG_QUALITY: Final = 88
LARGE_QUALITY: Final = 68


def on_backdrop(rgba: ByteArray) -> ByteArray:
    """Composite a frame on a soft gradient: uint8 [H, W, 3] BGR."""
    share = np.linspace(0, 1, len(rgba), dtype=np.float32)[:, None, None]
    top, bottom = (np.array(colour, np.float32) for colour in BACKDROP)
    alpha = rgba[..., 3:].astype(np.float32) / 255
    mixed = rgba[..., 2::-1] * alpha + (top + (bottom - top) * share) * (1 - alpha)
    return np.rint(mixed).astype(np.uint8)


def spoken_frame(rig: FloatArray) -> int:
    """Return the frame with the widest lips and open eyes; rig float32 [F, 58]."""
    open_eyes = rig[:, RIG_INDEX["eyeBlinkLeft"]] < 0.2
    return int((lip_aperture(rig) * open_eyes).argmax())


def blink_frame(rig: FloatArray) -> int:
    """Return the frame with the most closed lids; rig float32 [F, 58]."""
    return int(rig[:, RIG_INDEX["eyeBlinkLeft"]].argmax())


def telling_frames(rig: FloatArray, count: int) -> list[int]:
    """Choose a wide mouth, a blink and evenly spaced frames between them, in order of time.

    Args:
        rig: float32 [F, 58].
        count: how many.
    """
    chosen = {spoken_frame(rig), blink_frame(rig)}
    evenly = np.linspace(0, len(rig) - 1, 4 * count).round().astype(int)
    step = np.random.default_rng(0).permutation(len(evenly))
    for place in step:
        if len(chosen) < count:
            chosen.add(int(evenly[place]))
    return sorted(chosen)


def sheet(pictures: Sequence[ByteArray], columns: int, tile_px: int) -> ByteArray:
    """Lay pictures out in rows: uint8 [rows * tile, columns * tile, 3]."""
    tiles = [cv2.resize(p, (tile_px, tile_px), interpolation=cv2.INTER_AREA) for p in pictures]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    return np.concatenate(rows)


def main() -> None:
    """Render every built-in face, or every kind of portrait, and write the pictures."""
    parser = argparse.ArgumentParser(description="Make the pictures of README and model card.")
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    parser.add_argument("--sheets", type=Path, default=None, help="default: beside the model card")
    parser.add_argument("--package", type=Path, default=None, help="model package (shipped one)")
    parser.add_argument("--kinds", action="store_true", help="labelled sheets of each kind")
    parser.add_argument("--hard", action="store_true", help="a sheet of teeth and fast motion")
    parser.add_argument("--png", type=Path, default=None, help="with --kinds: PNG to look at")
    parser.add_argument(
        "--assets", type=Path, default=None, help="with --kinds: held-out portraits, too (PNG only)"
    )
    args = parser.parse_args()
    package = ModelPackage.load(args.package)
    sheets = args.sheets or package.path / "sheets"
    for folder in (args.images, sheets, args.png):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    if args.kinds:
        draw_kinds(package, sheets, args.png, args.assets)
    elif args.hard:
        draw_hard(package, args.images)
    else:
        draw_faces(package, args.images, sheets)


def draw_kinds(package: ModelPackage, sheets: Path, png: Path | None, assets: Path | None) -> None:
    """Write the sheet of each kind of portrait.

    Args:
        package: to be shown.
        sheets: folder for JPEG.
        png: folder for PNG to look at.
        assets: the data folder; its portraits go to `png` alone, as they are not ours to ship.
    """
    driver = Driver(package, size_px=2 * kind_sheets.TILE_PX, seed=0)
    moments = kind_sheets.telling_moments(driver, kind_sheets.voice_phones())
    for kind, name in kind_sheets.KINDS.items():
        picture = kind_sheets.kind_sheet(driver, load_avatar(name, package), moments, kind)
        for path in kind_sheets.write_sheets({kind: picture}, sheets, png=png):
            print(path, flush=True)
    if assets is not None and png is not None:
        shelf = PortraitShelf(package, assets, png / "avatars")
        for kind, name in kind_sheets.HELD_OUT.items():
            picture = kind_sheets.kind_sheet(driver, shelf.avatar(name), moments, kind)
            kind_sheets.write_sheets({kind: picture}, png, png=png)
            print(png / kind, flush=True)


def draw_hard(package: ModelPackage, images: Path) -> None:
    """Write the sheet of what the paper is weak at, and say how sharp each face is in motion.

    Args:
        package: to be shown.
        images: folder for hard-moments.jpg.
    """
    driver = Driver(package, size_px=2 * kind_sheets.TILE_PX, seed=0)
    avatars = {kind: load_avatar(name, package) for kind, name in kind_sheets.KINDS.items()}
    picture, sharp = hard_moments.hard_sheet(driver, avatars)
    path = images / "hard-moments.jpg"
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, LARGE_QUALITY])
    for kind, values in sharp.items():
        print(f"{kind}: sharpness over the still", {k: round(v, 2) for k, v in values.items()})
    print(path, flush=True)


def draw_faces(package: ModelPackage, images: Path, sheets: Path) -> None:
    """Write a sheet of each built-in face and the README's picture of all.

    Args:
        package: to be shown.
        images: folder of the README's pictures.
        sheets: folder for the faces' sheets.
    """
    voice = read_voice(built_in_voice())[: int(SECONDS * VOICE_RATE_HZ)]
    hero: list[list[ByteArray]] = []
    for row, name in enumerate(built_in_faces()):
        driver = Driver(package, size_px=512, seed=row)
        frames = list(driver.pictures(load_avatar(name, package), name, voice))
        rgba, rig = [frame.rgba for frame in frames], stack_rig(frames)
        shown = [on_backdrop(rgba[i]) for i in telling_frames(rig, 16)]
        path = sheets / f"{name}.jpg"
        cv2.imwrite(str(path), sheet(shown, 8, TILE_PX), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        hero.append([on_backdrop(rgba[i]) for i in (spoken_frame(rig), blink_frame(rig))])
        print(f"{name}: {len(rgba)} frames, {path}", flush=True)
    rows = [tile for row in zip(*hero, strict=True) for tile in row]
    picture = sheet(rows, len(hero), HERO_PX)
    cv2.imwrite(str(images / "hero.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
