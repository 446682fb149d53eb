"""Puts another background behind an avatar: none, a colour, a picture, or its own out of focus.

Place in the flow: avatar of the importer -> here -> the same avatar before another background. Only
pixels change: movement, lips and lids stay. Shape letters: N canvas pixels.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar, Backdrop
from rest_bridge.errors import AvatarError
from rest_bridge.portrait.backdrop import no_backdrop
from rest_bridge.portrait.pictures import read_picture
from rest_bridge.types import ByteArray

OWN, TRANSPARENT, BLUR, PICTURE = "own", "transparent", "blur", "picture"
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")
_BLUR: Final = 0.045
"""Sigma as a share of the canvas."""


def check_background(kind: str) -> None:
    """Refuse what is no background.

    Raises:
        AvatarError: it is none of own, transparent, blur, picture and #rrggbb.
    """
    if kind not in (OWN, TRANSPARENT, BLUR, PICTURE) and not _COLOUR.fullmatch(kind):
        raise AvatarError(
            f'The background "{kind[:40]}" is not possible; choose own, transparent, blur, '
            "picture, or a colour like #336699."
        )


def with_background(avatar: Avatar, kind: str, picture: Path | None = None) -> Avatar:
    """Put an avatar before another background.

    Args:
        avatar: as imported.
        kind: "own" (as it is), "transparent", "blur", "picture", or a colour "#rrggbb".
        picture: the file that "picture" means; it covers the canvas.

    Returns:
        The avatar.

    Raises:
        AvatarError: the kind is unknown, the picture cannot be read, or the person cannot be told
            from the background.
    """
    check_background(kind)
    if kind == OWN:
        return avatar
    person = person_of(avatar)
    if kind == TRANSPARENT:
        return replace(avatar, picture=person, backdrop=no_backdrop())
    behind = _behind(avatar, kind, picture)
    share = person[..., 3:].astype(np.float32) / 255
    whole = person[..., :3] * share + behind * (1 - share)
    opaque = np.full((*whole.shape[:2], 1), 255, np.uint8)
    covered = np.where(person[..., 3:] > 0, opaque, np.uint8(0))
    plate = np.concatenate([behind, covered], -1)
    soft = (person[..., 3:] > 0) & (person[..., 3:] < 255)
    cutout = np.concatenate([np.where(soft, person[..., :3], 0), person[..., 3:]], -1)
    return replace(
        avatar,
        picture=np.concatenate([np.rint(whole).astype(np.uint8), opaque], -1),
        backdrop=Backdrop(cutout.astype(np.uint8), plate.astype(np.uint8)),
    )


def person_of(avatar: Avatar) -> ByteArray:
    """Return uint8 [N, N, 4], straight alpha: the person without the background.

    Raises:
        AvatarError: the two cannot be told apart.
    """
    if not avatar.backdrop.stands_still:
        if bool((avatar.picture[..., 3] == 255).all()):
            raise AvatarError(
                "In this picture the person cannot be told from the background; use a picture "
                "with a plainer background, or one that is already cut out (PNG, WebP)."
            )
        return avatar.picture
    cutout = avatar.backdrop.cutout
    soft = (cutout[..., 3:] > 0) & (cutout[..., 3:] < 255)
    colour = np.where(soft, cutout[..., :3], avatar.picture[..., :3])
    colour = np.where(cutout[..., 3:] > 0, colour, 0)
    return np.concatenate([colour, cutout[..., 3:]], -1).astype(np.uint8)


def _behind(avatar: Avatar, kind: str, picture: Path | None) -> ByteArray:
    """Return uint8 [N, N, 3]."""
    size = len(avatar.picture)
    if kind == PICTURE:
        if picture is None or not picture.is_file():
            raise AvatarError("The background's picture is missing; choose one.")
        return _cover(read_picture(picture), size)
    if kind == BLUR:
        sigma = _BLUR * size
        return np.asarray(cv2.GaussianBlur(_own_background(avatar), (0, 0), sigma), np.uint8)
    rgb = [int(kind[i : i + 2], 16) for i in (1, 3, 5)]
    return np.full((size, size, 3), rgb, np.uint8)


def _own_background(avatar: Avatar) -> ByteArray:
    """Return what is behind the person; behind a cut-out portrait, its own colours."""
    plate = avatar.backdrop.plate
    if avatar.backdrop.stands_still:
        return np.where(plate[..., 3:] > 0, plate[..., :3], avatar.picture[..., :3])
    share = avatar.picture[..., 3:].astype(np.float32) / 255
    mean = (avatar.picture[..., :3] * share).sum((0, 1)) / max(float(share.sum()), 1.0)
    mixed = avatar.picture[..., :3] * share + mean * (1 - share)
    return np.rint(mixed * 0.7).astype(np.uint8)


def _cover(rgba: ByteArray, size: int) -> ByteArray:
    """Fill a square with a picture, cut at its longer side; its own transparency becomes dark."""
    height, width = rgba.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    part = rgba[top : top + side, left : left + side].astype(np.float32)
    part[..., :3] *= part[..., 3:] / 255
    method = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
    scaled = cv2.resize(part[..., :3], (size, size), interpolation=method)
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
