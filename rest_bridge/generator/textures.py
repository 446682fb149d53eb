"""Pictures at the size that suits the output, and laying them over one another.

Place in the flow: avatar's layers -> here -> `compositor`. Premultiplied uint8, but for what comes
out with straight alpha.
Shape letters: S output pixels, N canvas pixels, H/W pixels of a part.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.generator.base_flow import FULL_BOX
from rest_bridge.generator.fields import cells_of, read_cells
from rest_bridge.types import Array, ByteArray

_EVEN: Final = 0.08
_SURE: Final = (32.0, 96.0)
"""Alpha up to which a pixel's colour is its neighbours', and from which it is its own."""
_SPREAD_PX: Final = 2.0


@dataclass(frozen=True, slots=True)
class Texture:
    """A premultiplied picture over a canvas box, at the resolution that suits the output."""

    pixels: ByteArray
    box: Array

    def read(self, points: Array) -> ByteArray:
        """Sample at canvas points [H, W, 2] -> uint8 [H, W, 4]."""
        height, width = self.pixels.shape[:2]
        return read_pixels(self.pixels, cells_of(points, self.box, height, width))


def read_pixels(pixels: ByteArray, places: Array, out: ByteArray | None = None) -> ByteArray:
    """Read a picture at its pixels' coordinates, bilinear; beyond its border the border goes on.

    Args:
        pixels: uint8 [N, M, 4].
        places: float32 [H, W, 2], x and y.
        out: uint8 [H, W, 4] to write into.
    """
    remap: Any = cv2.remap  # its stubs know no two-channel map
    mode = cv2.BORDER_REPLICATE
    return remap(pixels, places, None, cv2.INTER_LINEAR, dst=out, borderMode=mode)


def read_through(texture: Texture, sources: Array, cells: Array) -> ByteArray:
    """Read a picture at the canvas points that a small field [H, W, 2] has at cells.

    A linear function read between cells is exact, so the field holds places, not displacements.
    """
    height, width = texture.pixels.shape[:2]
    return read_pixels(
        texture.pixels, read_cells(cells_of(sources, texture.box, height, width), cells)
    )


def mixed(upper: ByteArray, lower: ByteArray, share: Array) -> ByteArray:
    """Lay a picture over another: float32 [H, W] of the upper one, the rest of the lower one."""
    share = np.ascontiguousarray(share, np.float32)
    return np.asarray(cv2.blendLinear(upper, lower, share, 1 - share), np.uint8)


def put(frame: ByteArray, rectangle: tuple[slice, slice], layer: ByteArray, window: Array) -> None:
    """Put a layer over part of the frame, faded out by a window float32 [H, W]."""
    frame[rectangle] = mixed(layer, np.ascontiguousarray(frame[rectangle]), window)


def scaled(picture: ByteArray, box: Array, pixels_per_unit: int) -> Texture:
    """Premultiply and scale a picture so that one canvas unit has `pixels_per_unit` pixels."""
    width = max(2, round(float(box[2] - box[0]) * pixels_per_unit))
    height = max(2, round(float(box[3] - box[1]) * pixels_per_unit))
    pixels = picture.astype(np.float32)
    pixels[..., :3] *= pixels[..., 3:] / 255
    shrinking = width < picture.shape[1]
    mode = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    if (height, width) != picture.shape[:2]:
        pixels = cv2.resize(pixels, (width, height), interpolation=mode)
    pixels = np.clip(pixels, 0, 255)
    pixels[..., :3] = np.minimum(pixels[..., :3], pixels[..., 3:])
    return Texture(np.rint(pixels).astype(np.uint8), box)


def straight(picture: ByteArray, box: Array, pixels_per_unit: int) -> Texture:
    """Scale a picture for frames with straight alpha: colours go on beyond its edges.

    Read between two pixels, one of them transparent, it gives the other one's colour, so nothing
    has to be divided by alpha after each reading.
    """
    whole = scaled(picture, box, pixels_per_unit).pixels
    alpha = np.ascontiguousarray(whole[..., 3])
    near = cv2.GaussianBlur(whole, (0, 0), _SPREAD_PX)
    for rows in np.array_split(np.arange(len(whole)), 16):  # little memory at a time
        own, weight = whole[rows].astype(np.float32), alpha[rows].astype(np.float32)[..., None]
        spread = near[rows].astype(np.float32)
        sure = np.clip((weight - _SURE[0]) / (_SURE[1] - _SURE[0]), 0, 1)
        around = spread[..., :3] * 255 / np.maximum(spread[..., 3:], 1)
        colour = own[..., :3] * 255 / np.maximum(weight, 1) * sure + around * (1 - sure)
        whole[rows, :, :3] = np.rint(np.clip(colour, 0, 255))
    return Texture(whole, box)


def person_of(avatar: Avatar) -> ByteArray:
    """Return what moves, uint8 [N, N, 4], straight alpha: the portrait or the person in it."""
    if not avatar.backdrop.stands_still:
        return avatar.picture
    person = avatar.picture.copy()
    person[..., 3] = avatar.backdrop.cutout[..., 3]
    soft = (person[..., 3] > 0) & (person[..., 3] < 255)
    person[soft] = avatar.backdrop.cutout[soft]
    return person


def plate_of(avatar: Avatar, size_px: int) -> ByteArray:
    """Return the background at the output's size, uint8 [S, S, 4], opaque."""
    painted = avatar.backdrop.plate
    whole = np.where(painted[..., 3:] > 0, painted, avatar.picture)
    native = len(whole)
    if native == size_px:
        return np.ascontiguousarray(whole)
    # Twice through the same steps as a frame at rest, so that both have the same sharpness.
    scale = 2 if native >= 1.2 * size_px and size_px <= 768 else 1
    plate = scaled(whole, FULL_BOX, scale * size_px).pixels
    return np.asarray(cv2.resize(plate, (size_px,) * 2, interpolation=cv2.INTER_AREA), np.uint8)


def over(frame: ByteArray, plate: ByteArray) -> ByteArray:
    """Lay a premultiplied frame over the background, in place."""
    alpha = cv2.extractChannel(frame, 3)
    cv2.copyTo(plate, cv2.compare(alpha, 0, cv2.CMP_EQ), frame)  # type: ignore[call-overload]
    # What is neither empty nor full is an edge: one pixel in fifty.
    edge = np.flatnonzero(cv2.inRange(alpha, 1, 254))  # type: ignore[call-overload]
    pixels, behind = frame.reshape(-1, 4), plate.reshape(-1, 4)
    found = pixels[edge].astype(np.uint16)
    shown = behind[edge] * (255 - found[:, 3:])
    # Round(x / 255) in whole numbers.
    shown = (shown + 128 + ((shown + 128) >> 8)) >> 8
    pixels[edge] = np.minimum(found + shown, 255)
    return frame


def evened(texture: Texture) -> Texture:
    """Soften a texture of twice the output's size by as little as makes its mean sharpness right.

    Read between four of its pixels it is their mean, read on one it is that pixel: without this,
    eyes in motion had 1.2 times the gradients of the portrait at rest.
    """
    kernel = np.array([_EVEN, 1 - 2 * _EVEN, _EVEN], np.float32)
    pixels = cv2.sepFilter2D(texture.pixels, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return Texture(np.asarray(pixels, np.uint8), texture.box)
