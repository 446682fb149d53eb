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
    """Premultiply and scale a picture so that one canvas unit has `pixels_per_unit` pixels.

    In bytes throughout, as somebody waits for it when the face changes: within one level of what
    32-bit numbers give.
    """
    width = max(2, round(float(box[2] - box[0]) * pixels_per_unit))
    height = max(2, round(float(box[3] - box[1]) * pixels_per_unit))
    alpha = cv2.extractChannel(picture, 3)
    opaque = cv2.minMaxLoc(alpha)[0] == 255
    pixels = picture if opaque else _premultiplied(picture, alpha)
    shrinking = width < picture.shape[1]
    mode = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    if (height, width) != picture.shape[:2]:
        pixels = cv2.resize(pixels, (width, height), interpolation=mode)
        if not (opaque or shrinking):  # cubic curves overshoot: no colour above its alpha
            alpha = cv2.extractChannel(pixels, 3)
            pixels = cv2.min(pixels, cv2.merge([alpha] * 4))
    return Texture(np.ascontiguousarray(pixels, np.uint8), box)


def _premultiplied(picture: ByteArray, alpha: Any) -> ByteArray:
    """Return a picture times its alpha uint8 [N, M]."""
    full = cv2.merge([alpha, alpha, alpha, np.full_like(alpha, 255)])
    return np.asarray(cv2.multiply(picture, full, scale=1 / 255), np.uint8)


def straight(picture: ByteArray, box: Array, pixels_per_unit: int) -> Texture:
    """Scale a picture for frames with straight alpha: colours go on beyond its edges.

    Read between two pixels, one of them transparent, it gives the other one's colour, so nothing
    has to be divided by alpha after each reading.
    """
    whole = scaled(picture, box, pixels_per_unit).pixels
    near = cv2.GaussianBlur(whole, (0, 0), _SPREAD_PX)
    # The rest is whole, or empty far and wide: one pixel in fifty is neither.
    alpha, reach = cv2.extractChannel(whole, 3), cv2.extractChannel(near, 3)
    edge = np.flatnonzero((alpha < 255) & (reach > 0))
    own, around = whole.reshape(-1, 4)[edge].astype(np.float32), near.reshape(-1, 4)[edge]
    weight = own[:, 3:]
    sure = np.clip((weight - _SURE[0]) / (_SURE[1] - _SURE[0]), 0, 1)
    spread = around[:, :3] * (np.float32(255) / around[:, 3:])
    colour = own[:, :3] * 255 / np.maximum(weight, 1) * sure + spread * (1 - sure)
    own[:, :3] = np.clip(colour, 0, 255)
    whole.reshape(-1, 4)[edge] = np.rint(own).astype(np.uint8)
    return Texture(whole, box)


def person_of(avatar: Avatar) -> ByteArray:
    """Return what moves, uint8 [N, N, 4], straight alpha: the portrait or the person in it."""
    if not avatar.backdrop.stands_still:
        return avatar.picture
    person, cutout = avatar.picture.copy(), avatar.backdrop.cutout
    alpha = cv2.extractChannel(cutout, 3)
    person = np.asarray(cv2.insertChannel(alpha, person, 3), np.uint8)
    # What is neither empty nor full is an edge, whose colours are the cut-out's own.
    return np.asarray(cv2.copyTo(cutout, cv2.inRange(alpha, 1, 254), person), np.uint8)


def plate_of(avatar: Avatar, size_px: int) -> ByteArray:
    """Return the background at the output's size, uint8 [S, S, 4], opaque."""
    painted = avatar.backdrop.plate
    there = cv2.extractChannel(painted, 3)
    whole = np.asarray(cv2.copyTo(painted, there, avatar.picture.copy()), np.uint8)
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
