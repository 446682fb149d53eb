"""Takes closed eyes and an open mouth from pictures that the user supplies (sprites, PNG tubers).

Place in the flow: avatar painted by `paint` -> here -> the same avatar with those parts replaced.
The other pictures show the same pose at the same size, already cut to the avatar's canvas.
"""

from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar, EyeLayer, MouthLayer
from rest_bridge.portrait.contours import Axes, box_points, lip_curves, sample_picture
from rest_bridge.portrait.raster import fill_outside
from rest_bridge.types import Array, ByteArray

_CHANGED: Final = 40
"""Colour difference (sum of the three channels, 0..765) from which a pixel counts as redrawn."""


def use_eyes_closed(avatar: Avatar, picture: ByteArray) -> Avatar:
    """Take the closed eyes from a picture.

    Args:
        avatar: the avatar of the portrait.
        picture: uint8 [N, N, 4], the same canvas with closed eyes.

    Returns:
        The avatar with both eye layers replaced.
    """
    return replace(
        avatar,
        left_eye=_shut(avatar.left_eye, picture),
        right_eye=_shut(avatar.right_eye, picture),
    )


def _shut(eye: EyeLayer, picture: ByteArray) -> EyeLayer:
    axes = Axes(eye.axes[0], eye.axes[1])
    width = float(np.linalg.norm(eye.axes[1]))
    rows = 41
    reach = np.linspace(-0.15, 1.3, rows, dtype=np.float32)[:, None]
    heights = eye.upper + reach * (eye.lower - eye.upper)
    inside = (eye.places > 0.02) & (eye.places < 0.98)
    local = np.stack(np.broadcast_arrays(eye.places, heights * width), -1)
    colours = sample_picture(picture[..., :3], axes.canvas(local)).sum(-1)
    # The lid line is the darkest place of each column; smooth over the columns.
    darkness = np.maximum(np.median(colours, 0, keepdims=True) - colours, 0) ** 2 + 1e-3
    found = (darkness * reach).sum(0) / darkness.sum(0)
    share = np.polyval(np.polyfit(eye.places[inside], found[inside], 2), eye.places)
    closed = eye.upper + np.clip(share, 0.2, 1.05).astype(np.float32) * (eye.lower - eye.upper)
    shut = sample_picture(picture, box_points(eye.box, *eye.shut.shape[:2]))
    return replace(
        eye,
        closed=closed.astype(np.float32),
        shut=np.rint(shut).astype(np.uint8),
        switch=np.array([0.55, 0.56], np.float32),
    )


def use_mouth_open(avatar: Avatar, picture: ByteArray, landmarks: Array | None = None) -> Avatar:
    """Take teeth, tongue and cavity from a picture.

    What is pale at the top of the opening becomes the upper teeth, which rest; all else hangs on
    the jaw. The lips stay the portrait's own.

    Args:
        avatar: the avatar of the portrait.
        picture: uint8 [N, N, 4], the same canvas with an open mouth.
        landmarks: float32 [66, 2] of that picture, canvas units; without them the opening is found
            by its colours.

    Returns:
        The avatar with the mouth's inside replaced; unchanged where no opening is found.
    """
    mouth = avatar.mouth
    places = box_points(mouth.inside_box, *mouth.teeth.shape[:2])
    inside = None
    if landmarks is not None:
        lips = lip_curves(landmarks, picture, avatar.eye_distance, split_line=True)
        local = lips.axes.local(places)
        upper, lower = (
            np.interp(local[..., 0], lips.places, curve) for curve in (lips.upper, lips.lower)
        )
        rim = 0.02 * avatar.eye_distance
        inside = (local[..., 1] > upper + rim) & (local[..., 1] < lower - rim)
        inside &= np.abs(local[..., 0]) < 1
    if inside is None or not inside.any():
        inside = _opening(avatar, picture, places)
    if inside is None:
        return avatar
    colours = sample_picture(picture[..., :3], places)
    return replace(avatar, mouth=_with_inside(mouth, inside, colours, avatar.eye_distance))


def _opening(avatar: Avatar, picture: ByteArray, places: Array) -> Array | None:
    """Find the opened mouth, bool [H, W]: redrawn pixels that are no skin and no lip."""
    mouth = avatar.mouth
    before = sample_picture(avatar.picture[..., :3], places)
    after = sample_picture(picture[..., :3], places)
    changed = np.abs(after - before).sum(-1) > _CHANGED
    axes = Axes(mouth.axes[0], mouth.axes[1])
    local = axes.local(places)
    lips = axes.local(mouth.contour_upper)
    skin = np.median(before.reshape(-1, 3), 0)
    # Cavity and tongue are darker than the skin, teeth paler and less coloured.
    colour = after.max(-1) - after.min(-1)
    dark = after.sum(-1) < 0.8 * skin.sum()
    pale = (colour < 0.6 * (skin.max() - skin.min())) & (after.sum(-1) > 1.02 * skin.sum())
    tongue = _redness(after) - _redness(before) > 25
    near = (np.abs(local[..., 0]) < 1.15) & (local[..., 1] > lips[:, 1].min() - 0.06)
    cell = float(places[0, 1, 0] - places[0, 0, 0])
    size = max(3, round(0.02 * avatar.eye_distance / cell) | 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    found = _largest(changed & near & (dark | pale), kernel)
    # On dark skin a tongue is no darker than the skin; on pale skin a lip is as red as a tongue.
    redder = _largest(changed & near & (dark | pale | tongue), kernel)
    if redder.sum() > 1.35 * found.sum():
        found = redder
    if float(found.sum()) * cell**2 < 0.01 * avatar.eye_distance**2:
        return None
    # The drawn outline belongs to the lips, which bring their own.
    return cv2.erode(_filled(found), kernel) > 0


def _largest(mask: Array, kernel: Array) -> Array:
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed)
    if count < 2:
        return np.zeros_like(closed)
    return (labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)


def _filled(mask: Array) -> Array:
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(mask), outlines, -1, 1, cv2.FILLED)


def _with_inside(
    mouth: MouthLayer, inside: Array, colours: Array, eye_distance: float
) -> MouthLayer:
    height, width = inside.shape
    pixel = float(mouth.inside_box[3] - mouth.inside_box[1]) / height
    rows = np.nonzero(inside.any(1))[0]
    top, bottom = int(rows[0]), int(rows[-1])
    axes = Axes(mouth.axes[0], mouth.axes[1])
    rest_line = float(axes.origin[1] + np.mean(axes.local(mouth.contour_lower)[:, 1]))
    drop = max(0, round(bottom - (rest_line - float(mouth.inside_box[1])) / pixel))
    spread = colours.max(-1) - colours.min(-1)
    pale = inside & (colours.sum(-1) > 560) & (spread < 60)
    pale &= np.arange(height)[:, None] < (top + bottom) / 2
    teeth_alpha = _continued_up(pale)
    teeth = fill_outside(colours, pale) if pale.any() else colours
    behind = cv2.dilate((teeth_alpha > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    soft = fill_outside(colours, inside & ~behind)
    hanging = np.zeros_like(soft)
    hanging[: height - drop] = soft[drop:]
    hanging[height - drop :] = soft[-1]
    solid = np.full((height, width, 1), 255.0)
    return replace(
        mouth,
        teeth=_bytes(np.concatenate([teeth, teeth_alpha[..., None] * 255.0], -1)),
        tongue=_bytes(np.concatenate([hanging, solid], -1)),
        shaded=False,
    )


def _redness(colours: Array) -> Array:
    return colours[..., 0] - colours[..., 1:].mean(-1)


def _continued_up(pale: Array) -> Array:
    """Return the coverage of the teeth, which go on upwards behind the lip."""
    below = np.cumsum(pale[::-1].astype(np.int32), 0)[::-1] > 0
    alpha = below.astype(np.float32)
    return cv2.GaussianBlur(alpha, (3, 3), 0.7)


def _bytes(picture: Array) -> ByteArray:
    return np.ascontiguousarray(np.rint(np.clip(picture, 0, 255)).astype(np.uint8))
