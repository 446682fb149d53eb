"""Contact sheets: what each kind of portrait looks like at the moments that matter.

For a photo, a painting, a 3-D head, a cartoon and an anime with alpha: a vowel, a closed p, an f, a
wide e, an o, silence, a blink, a smile and three head poses, beside the still portrait. The moments
are taken from real output: the built-in voice drives the shipped package through the same pipeline
that a user runs; its phones (forced alignment of the known text) say where a p is. Nothing is
retouched. `python -m rest_bridge.training.pictures --kinds`. Shape letters: F frames, H/W pixels.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.gallery import built_in_voice
from rest_bridge.generator.decoder import FaceDecoder
from rest_bridge.generator.steering import Steering
from rest_bridge.loader import portrait_at
from rest_bridge.rig import RIG_INDEX
from rest_bridge.training.curves import lip_aperture
from rest_bridge.training.evaluation.agreement import frames_within
from rest_bridge.training.evaluation.driving import Driver, read_voice
from rest_bridge.training.phonemes import Phone, align
from rest_bridge.training.recordings import load_audio
from rest_bridge.types import ByteArray, FloatArray

KINDS: Final = {
    "photo": "idris", "painting": "vera", "3-D": "maya", "cartoon": "theo", "anime": "luna",
}  # fmt: skip
"""Kind -> built-in face that shows it."""
HELD_OUT: Final = {
    "photo (held out)": "t2i_302", "painting (held out)": "raphael", "pencil (held out)": "pencil",
    "anime (held out)": "sylvie",
}  # fmt: skip
"""Kind -> portrait of the evaluation; shown, but not kept with the package."""
COLUMNS: Final = 6
TILE_PX: Final = 300
_LABEL_PX: Final = 26
_VIVID: Final = 2.0
_SMILE: Final = 0.8
_VOWELS, _WIDE, _ROUND, _LIPS, _TEETH = (
    ("AA", "AE", "AH"),
    ("IY",),
    ("OW", "UW", "AO"),
    ("P", "B", "M"),
    ("F", "V"),
)
_LIDS: Final = [RIG_INDEX["eyeBlinkLeft"], RIG_INDEX["eyeBlinkRight"]]


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame worth showing: its label and its rig, float32 [58]."""

    label: str
    rig: FloatArray


def voice_phones() -> list[Phone]:
    """Return the phones of the built-in voice, aligned with its known text.

    Raises:
        ValueError: the alignment failed.
    """
    voice = built_in_voice()
    text = json.loads(voice.with_suffix(".json").read_text(encoding="utf-8"))["text"]
    phones = align(load_audio(voice), re.sub(r"[^a-z' ]+", " ", text.lower()))
    if phones is None:
        raise ValueError(f"the built-in voice could not be aligned with its text: {voice}")
    return phones


def telling_moments(driver: Driver, phones: Sequence[Phone]) -> list[Moment]:
    """Choose the frames of real output that show what a face must be able to do.

    Args:
        driver: of the package to be shown.
        phones: of the built-in voice.

    Returns:
        Eleven moments, in the order of the sheet.
    """
    voice = read_voice(built_in_voice())
    speaking = driver.rig_only(voice)
    vivid = driver.rig_only(voice, steering=Steering(head_motion=_VIVID))
    quiet = driver.rig_only(np.zeros_like(voice[: 48_000 * 6]), steering=_smiling())
    gap = lip_aperture(speaking)
    lids = speaking[:, _LIDS].min(1)
    seen = np.where(lids < 0.3, 0.0, 10.0)  # a blink hides what the tile is to show
    round_lips = speaking[:, RIG_INDEX["mouthPucker"]] + speaking[:, RIG_INDEX["mouthFunnel"]]
    roll = speaking[:, RIG_INDEX["mouthRollLower"]] - gap
    stretch = speaking[:, RIG_INDEX["mouthStretchLeft"]]

    def best(symbols: Sequence[str], worth: FloatArray) -> FloatArray:
        inside = np.zeros(len(speaking), bool)
        for phone in phones:
            if phone.symbol in symbols:
                inside |= frames_within(len(speaking), phone.start_s, phone.end_s)
        return speaking[int(np.where(inside, worth - seen, -np.inf).argmax())]

    still = int((-gap - seen - np.abs(speaking[:, :3]).sum(1) / 50).argmax())
    chosen = {
        "vowel (ah)": best(_VOWELS, gap),
        "p, b, m": best(_LIPS, -gap),
        "f, v": best(_TEETH, roll),
        "wide e": best(_WIDE, stretch + 0.5 * gap),
        "o, u": best(_ROUND, round_lips),
        "silence": speaking[still],
        "blink": speaking[int(lids.argmax())],
        "smile": quiet[-25 + int(-quiet[-25:, _LIDS].max(1).argmin())],
        "head to the left": vivid[int(vivid[:, 0].argmin())],
        "head to the right": vivid[int(vivid[:, 0].argmax())],
        "nod and tilt": vivid[int((vivid[:, 1] + np.abs(vivid[:, 2])).argmax())],
    }
    return [Moment(_labelled(label, rig), rig) for label, rig in chosen.items()]


def _smiling() -> Steering:
    return Steering(expression={"smile": _SMILE})


def _labelled(label: str, rig: FloatArray) -> str:
    if label.startswith(("head", "nod")):
        yaw, pitch, roll = (round(float(v)) for v in rig[:3])
        return f"{label} ({yaw}, {pitch}, {roll} deg)"
    return label


def kind_sheet(
    driver: Driver, avatar: Avatar, moments: Sequence[Moment], title: str, tile_px: int = TILE_PX
) -> ByteArray:
    """Draw the sheet of one portrait.

    Args:
        driver: of the package.
        avatar: the portrait.
        moments: what to show.
        title: of the first tile, the still portrait.
        tile_px: side of a tile.

    Returns:
        uint8 [rows * (tile + label), columns * tile, 3] BGR.
    """
    decoder = FaceDecoder(driver.package, avatar, 2 * tile_px)
    tiles = [labelled_tile(portrait_at(avatar, 2 * tile_px), f"{title}: portrait", tile_px)]
    tiles += [labelled_tile(decoder.render(m.rig), m.label, tile_px) for m in moments]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[i : i + COLUMNS], 1) for i in range(0, len(tiles), COLUMNS)]
    return np.concatenate(rows)


def labelled_tile(frame: ByteArray, label: str, tile_px: int) -> ByteArray:
    """Put a frame on a chequered ground (so that transparency shows) under its label.

    Args:
        frame: uint8 [H, W, 4], straight alpha.
        label: a few words.
        tile_px: side of the tile.

    Returns:
        uint8 [tile + label, tile, 3] BGR.
    """
    height, width = frame.shape[:2]
    rows, columns = np.indices((height, width)) // max(height // 24, 1)
    ground = np.where((rows + columns) % 2, 205, 235)[..., None].astype(np.float32)
    alpha = frame[..., 3:].astype(np.float32) / 255
    mixed = frame[..., 2::-1] * alpha + ground * (1 - alpha)
    small = cv2.resize(mixed, (tile_px, tile_px), interpolation=cv2.INTER_AREA)
    bar = np.full((_LABEL_PX, tile_px, 3), 255, np.uint8)
    cv2.putText(bar, label, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.48, (30, 30, 30), 1, cv2.LINE_AA)
    return np.concatenate([bar, np.rint(small).astype(np.uint8)])


def write_sheets(
    sheets: Mapping[str, ByteArray], folder: Path, *, quality: int = 82, png: Path | None = None
) -> list[Path]:
    """Write sheets as kind-NAME.jpg, and as PNG to look at.

    Args:
        sheets: name -> uint8 [H, W, 3] BGR.
        folder: for JPEG.
        quality: of the JPEG.
        png: folder for PNG; None writes none.

    Returns:
        The JPEG files.
    """
    paths: list[Path] = []
    for name, picture in sheets.items():
        stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        paths.append(folder / f"kind-{stem}.jpg")
        cv2.imwrite(str(paths[-1]), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if png is not None:
            cv2.imwrite(str(png / f"kind-{stem}.png"), picture)
    return paths
