"""Paints the inside of a portrait's mouth.

Place in the flow: portrait and contours -> here -> layers of the avatar; once per portrait, at its
own resolution, in its own manner (photo and painting: skin, lash line and light of the portrait;
drawn: flat fill and the drawing's own line). Lengths in eye distances unless said otherwise.
Shape letters: H/W pixels of a painted part, S samples along a curve.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Style
from rest_bridge.portrait.contours import LipCurves, box_points, sample_picture
from rest_bridge.portrait.light import Light
from rest_bridge.portrait.lip_fields import SEAL_SHARE
from rest_bridge.portrait.raster import fill_outside
from rest_bridge.types import Array, ByteArray

_UPPER_TEETH: Final = np.array([0.128, 0.226, 0.312, 0.375, 0.425], np.float32)
"""Outer edge of each upper tooth from the middle, as seen from the front."""
_LOWER_TEETH: Final = np.array([0.083, 0.17, 0.25, 0.32, 0.38], np.float32)
_BITES_AT: Final = 0.075
"""How far the upper teeth reach below the resting upper lip."""
_TOOTH: Final = np.array([238, 229, 213], np.float32)
_GUM: Final = np.array([176, 92, 92], np.float32)
_TONGUE: Final = np.array([186, 92, 92], np.float32)
_CAVITY: Final = np.array([62, 22, 22], np.float32)


@dataclass(frozen=True, slots=True)
class MouthPictures:
    """Painted inside of the mouth; see `avatar.MouthLayer`."""

    box: Array
    teeth: ByteArray
    tongue: ByteArray
    own: ByteArray


def paint_mouth(
    picture: ByteArray, lips: LipCurves, light: Light, style: Style, eye_distance: float
) -> MouthPictures:
    """Paint teeth, tongue and cavity.

    Args:
        picture: uint8 [N, N, 4].
        lips: contours of the portrait's mouth.
        light: the portrait's light.
        style: manner of painting.
        eye_distance: canvas units.

    Returns:
        The pictures; the lower one is drawn as with closed teeth and moves with the jaw.
    """
    half = float(np.linalg.norm(lips.axes.along)) * 1.3
    centre = lips.axes.origin
    reach = np.array([half, 0.45 * eye_distance, half, 0.8 * eye_distance], np.float32)
    box = np.concatenate([centre - reach[:2], centre + reach[2:]]).astype(np.float32)
    canvas_px = picture.shape[0]
    height, width = (round(float(n) * canvas_px) for n in (box[3] - box[1], box[2] - box[0]))
    local = lips.axes.local(box_points(box, height, width))
    x = local[..., 0] * float(np.linalg.norm(lips.axes.along)) / eye_distance
    y = local[..., 1] / eye_distance
    pixel = 1 / (canvas_px * eye_distance)
    middle = len(lips.upper) // 2
    upper_edge, lower_edge = (float(c[middle]) / eye_distance for c in (lips.upper, lips.lower))
    # An open mouth's upper lip comes down when it closes; its teeth stay behind it.
    upper_edge += SEAL_SHARE * lips.gap / eye_distance
    scale = float(np.linalg.norm(lips.axes.along)) / eye_distance / 0.4
    if style == "drawn":
        teeth = _flat_teeth(x, y - upper_edge, pixel, scale)
        tongue = _flat_tongue(x, y - lower_edge, pixel, scale, light)
    else:
        teeth = _teeth(x / scale, y - upper_edge, pixel, light, style)
        tongue = _tongue(x / scale, y - lower_edge, pixel, light, style)
    own = np.zeros((2, 2, 4))
    if lips.gap > 0:
        shown = _own_teeth(teeth, picture, lips, local, box, pixel * eye_distance)
        if _shows_teeth(shown, lips, local, light):
            teeth = shown
        else:
            own = shown
    if style != "drawn":
        teeth = _in_manner(teeth, light, pixel * eye_distance, keep=lips.gap > 0)
        tongue = _in_manner(tongue, light, pixel * eye_distance, keep=False)
    return MouthPictures(box, _as_bytes(teeth), _as_bytes(tongue), _as_bytes(own))


def _in_manner(painted: Array, light: Light, pixel: float, *, keep: bool) -> Array:
    """Give painted parts the picture's own sharpness and grain; `keep`: they are the picture's."""
    if keep:
        return painted
    # The sharpest edges are seldom steps: lashes and lips are soft themselves.
    sigma = float(np.sqrt(max((0.6 * light.blur / pixel) ** 2 - 0.4, 0.0)))
    out = painted.astype(np.float32)
    out[..., :3] *= out[..., 3:] / 255
    if sigma > 0.3:
        out = cv2.GaussianBlur(out, (0, 0), sigma)
    share = np.maximum(out[..., 3:], 1.0) / 255
    out[..., :3] /= share
    size = len(light.grain)
    tiles = [-(-side // size) for side in out.shape[:2]]
    even = np.concatenate([light.grain, light.grain[:, ::-1]], 1)
    even = np.concatenate([even, even[::-1]])  # mirrored tiles meet without a seam
    grain = np.tile(even, (*tiles, 1))[: out.shape[0], : out.shape[1]]
    strength = out[..., :3].mean(-1, keepdims=True) / max(float(light.skin.mean()), 1.0)
    out[..., :3] += grain * np.clip(strength, 0.0, 1.0)
    return out


def _shows_teeth(shown: Array, lips: LipCurves, local: Array, light: Light) -> bool:
    """Say whether a fifth of the portrait's open mouth is pale and hardly coloured."""
    s, t = local[..., 0], local[..., 1]
    upper = np.interp(s, lips.places, lips.upper)
    lower = np.interp(s, lips.places, lips.lower)
    inside = (t > upper) & (t < lower) & (np.abs(s) < 0.8)
    colours = shown[inside][:, :3]
    if len(colours) == 0:
        return False
    brightness = colours.mean(1) / max(float(light.skin.mean()), 1.0)
    colour = np.ptp(colours, axis=1) / np.maximum(colours.max(1), 1.0)
    skin = float(np.ptp(light.skin) / max(float(light.skin.max()), 1.0))
    return float(((brightness > 0.6) & (colour < 0.85 * skin + 0.05)).mean()) > 0.2


def _row(x: Array, y: Array, edges: Array, bow: float, pixel: float) -> tuple[Array, Array, Array]:
    """Return coverage of a row biting at y = 0 (crowns above), its gaps, and place in the tooth."""
    distance = np.abs(x)
    number = np.searchsorted(edges, distance.ravel()).reshape(x.shape)
    bounded = np.minimum(number, len(edges) - 1)
    inner = np.concatenate([[0.0], edges])[bounded]
    outer = edges[bounded]
    place = (distance - inner) / (outer - inner) * 2 - 1
    round_off = 0.009 * np.abs(place) ** 3 + 0.007 * (bounded == 1)
    edge = -bow * x**2 - round_off
    coverage = np.clip((edge - y) / pixel + 0.5, 0, 1) * (number < len(edges))
    gap = np.exp(-(((1 - np.abs(place)) * (outer - inner) / 2 / 0.007) ** 2))
    return coverage.astype(np.float32), gap.astype(np.float32), place.astype(np.float32)


def _tooth(light: Light) -> Array:
    """Return the colour of teeth in full light: near the whites of the eyes, not above the skin."""
    lit = _TOOTH * light.gain * 0.9
    level = 0.5 * float(light.white.mean()) + 0.5 * float(lit.mean())
    # Eyes in shadow say too little; dark or grey teeth look blue beside warm skin, so they take
    # some of its colour.
    level = float(np.clip(level, 0.92 * light.skin.mean(), 1.2 * light.skin.mean() + 10))
    tint = _TOOTH * (light.skin / max(float(light.skin.mean()), 1.0)) ** 0.55
    return level * tint / tint.mean()


def _teeth(x: Array, y: Array, pixel: float, light: Light, style: Style) -> Array:
    coverage, gap, place = _row(x, y - _BITES_AT, _UPPER_TEETH, 0.22, pixel)
    side = np.exp(-((x / 0.36) ** 2))
    crown = np.clip((y - _BITES_AT + 0.19) / 0.19, 0, 1)  # 0 at the gum, 1 at the edge
    tooth = _tooth(light) * (0.62 + 0.38 * side)[..., None] * (0.9 + 0.1 * crown)[..., None]
    tooth = tooth * (1 - 0.06 * np.abs(place) ** 2)[..., None]
    contrast = 0.26 if style == "photo" else 0.16
    tooth = tooth * (1 - contrast * gap * (0.4 + 0.6 * (1 - crown)))[..., None]
    gum_edge = _BITES_AT - 0.165 - 0.02 * (1 - np.abs(place) ** 2) + 0.1 * x**2
    gum = np.clip((gum_edge - y) / (3 * pixel) + 0.5, 0, 1)[..., None]
    gums = _GUM * light.gain * (0.55 + 0.35 * side)[..., None]
    colour = tooth * (1 - gum) + gums * gum
    coverage = np.maximum(coverage, gum[..., 0] * (np.abs(x) < 0.5))
    return np.concatenate([colour, coverage[..., None] * 255], -1)


def _tongue(x: Array, y: Array, pixel: float, light: Light, style: Style) -> Array:
    depth = np.clip(-y / 0.45, 0, 1)
    colour = _CAVITY * (1 - 0.62 * depth)[..., None]
    top = -0.105 + 0.9 * x**2 + 0.012 * np.exp(-((x / 0.03) ** 2))
    below = y - top
    body = np.clip(below / 0.035 + 0.5, 0, 1)
    lit = 0.5 + 0.42 * np.exp(-(((below - 0.07) / 0.075) ** 2)) * np.exp(-((x / 0.22) ** 2))
    lit = lit - 0.1 * np.exp(-((x / 0.015) ** 2)) * (below > 0)
    tongue = _TONGUE * lit[..., None]
    colour = colour * (1 - body[..., None]) + tongue * body[..., None]
    # Lower teeth stand before the tongue; their row bites upwards.
    coverage, gap, _ = _row(x, -(y + 0.012), _LOWER_TEETH, -0.05, pixel)
    side = np.exp(-((x / 0.3) ** 2))
    tooth = _tooth(light) * (0.5 + 0.3 * side - 0.18 * gap)[..., None]
    colour = colour * light.gain
    colour = colour * (1 - coverage[..., None]) + tooth * coverage[..., None]
    return np.concatenate([colour, np.full((*x.shape, 1), 255.0)], -1)


def _flat_teeth(x: Array, y: Array, pixel: float, scale: float) -> Array:
    strip = np.clip((0.055 * scale - y) / pixel + 0.5, 0, 1)
    white = np.full((*x.shape, 3), 250.0)
    return np.concatenate([white, strip[..., None] * 255], -1)


def _flat_tongue(x: Array, y: Array, pixel: float, scale: float, light: Light) -> Array:
    cavity = 0.55 * np.array([150, 50, 58]) + 0.45 * light.line
    tongue = np.array([226, 116, 118]) * np.clip(light.gain, 0.7, 1.05)
    top = (-0.1 + 0.8 * (x / scale) ** 2) * scale
    body = np.clip((y - top) / pixel + 0.5, 0, 1)[..., None]
    colour = cavity * (1 - body) + tongue * body
    return np.concatenate([colour, np.full((*x.shape, 1), 255.0)], -1)


def _own_teeth(
    teeth: Array,
    picture: ByteArray,
    lips: LipCurves,
    local: Array,
    box: Array,
    pixel: float,
) -> Array:
    """Use what the portrait shows between its lips, continued upwards under the lip."""
    own = sample_picture(picture, box_points(box, *local.shape[:2]))
    s, t = local[..., 0], local[..., 1]
    upper = np.interp(s, lips.places, lips.upper)
    lower = np.interp(s, lips.places, lips.lower)
    # Of the lower lip not even its edge: it would hang below the teeth of an open mouth.
    inside = (t > upper - pixel) & (t < lower - 2 * pixel) & (np.abs(s) < 1)
    core = (t > upper + 2 * pixel) & (t < lower - 2 * pixel) & (np.abs(s) < 0.95)
    filled = fill_outside(own[..., :3], core)
    share = np.clip((lower - t) / pixel + 1.0, 0, 1)[..., None]
    colour = np.where(inside[..., None], own[..., :3], filled)
    alpha = np.where((t < lower + pixel)[..., None], share * 255, 0)
    reach = (np.abs(s) < 1.0)[..., None]
    return np.concatenate(
        [np.where(reach, colour, teeth[..., :3]), np.where(reach, alpha, teeth[..., 3:] * 0)], -1
    )


def _as_bytes(picture: Array) -> ByteArray:
    return np.ascontiguousarray(np.rint(np.clip(picture, 0, 255)).astype(np.uint8))
