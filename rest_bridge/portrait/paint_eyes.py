"""Paints a portrait's eyes closed, in its own manner.

Place in the flow: portrait, lid curves and light -> here -> `avatar.EyeLayer.shut`; once per
portrait, at its own resolution. Photo and painting: a sheet of the skin around the eye, grain, the
portrait's own darkest colour as lash line. Drawn: the drawing's own lash line pulled down, or flat
fill and one line where hair hangs over the lid. Lengths in eye widths.
Shape letters: H/W pixels of the painted part, S samples along a curve.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from rest_bridge.avatar import Style
from rest_bridge.portrait.contours import LidCurves, box_points, sample_picture
from rest_bridge.portrait.light import Light
from rest_bridge.portrait.raster import fill_outside, smoothstep
from rest_bridge.types import Array, ByteArray


def paint_shut_eye(
    picture: ByteArray, lids: LidCurves, light: Light, style: Style, outline: Array | None = None
) -> tuple[Array, ByteArray]:
    """Paint the portrait's eye with the lids closed.

    Args:
        picture: uint8 [N, N, 4].
        lids: the eye's curves.
        light: the portrait's light.
        style: manner of painting.
        outline: float32 [P, 2], jaw and brows: what a drawing has beyond them stays; None: nothing
            does.

    Returns:
        box float32 [4] and picture uint8 [H, W, 4].
    """
    covered = style == "drawn" and not lid_is_bare(picture, lids, light)
    beside = 0.7 if covered else 0.4  # there the lashes' ends have to go as well
    corners = np.array([[s, t] for s in (-beside, 1 + beside) for t in (
        float(lids.top.min()) - 0.1, float(lids.bottom.max()) + 0.1)], np.float32)  # fmt: skip
    width = float(np.linalg.norm(lids.axes.along))
    placed = lids.axes.canvas(corners * [1, width])
    box = np.concatenate([placed.min(0), placed.max(0)]).astype(np.float32)
    canvas_px = picture.shape[0]
    height_px, width_px = (round(float(n) * canvas_px) for n in
                           (box[3] - box[1], box[2] - box[0]))  # fmt: skip
    places = box_points(box, height_px, width_px)
    local = lids.axes.local(places)
    s, t = local[..., 0], local[..., 1] / width
    curve = {n: np.interp(s, lids.places, getattr(lids, n)).astype(np.float32)
             for n in ("upper", "lower", "closed", "top", "bottom")}  # fmt: skip
    face = _inside(outline, box, places.shape[:2]) if outline is not None else s > -np.inf
    eye = _EyePlace(picture, lids, s, t, curve, 1 / (width * canvas_px), places, face)
    if style != "drawn":
        painted = _skin_lid(eye, light, style)
    elif covered:
        painted = _filled_lid(eye, light)
    else:
        painted = _flat_lid(eye)
    original = sample_picture(picture, places)
    return box, _as_bytes(np.concatenate([painted, original[..., 3:]], -1))


_HANG = 1.3
"""Shortening of the lashes of a shut eye: they point at the viewer's feet."""
_LASH_REACH = 0.32
"""Eye widths over which a drawing's lashes leave the ball."""
_LINE_LEVELS = 72
"""Difference from the line's colour (largest channel) up to which a pixel belongs to a line."""


_LID_LIGHT = 0.58
"""A shut lid's least brightness, in the cheek's."""
_LID_LIFT = 1.7
"""How much brighter than the skin around the open eye a shut lid may become."""
_SKIN_LEVELS = 80
"""Difference from the skin's colour up to which a pixel is skin to be continued."""
_SOFT_EDGE = 0.04
"""Eye widths of the soft edge of lines and of the eye's white."""
_SPECK_LEVELS = (85, 45)
"""Differences from the skin's colour by which bits are told from it: at the higher one a dark bit
is a piece of its own, the lower one sees what is left of the eye's white."""
_LARGEST_SPECK = 0.3
"""Side, eye widths, of the largest bit that is wiped away."""


@dataclass(frozen=True, slots=True)
class _EyePlace:
    """Pixels around an eye in its own frame (units of its width) and its curves there."""

    picture: ByteArray
    lids: LidCurves
    s: Array
    t: Array
    curve: dict[str, Array]
    pixel: float
    places: Array
    face: Array

    def read(self, s: Array, t: Array, source: Array | None = None) -> Array:
        """Read the portrait (or a version of it) at (s, t) -> [H, W, 3]."""
        width = float(np.linalg.norm(self.lids.axes.along))
        points = self.lids.axes.canvas(np.stack([s, t * width], -1))
        return sample_picture(self.picture[..., :3] if source is None else source, points)


def _inside(outline: Array, box: Array, shape: tuple[int, ...]) -> Array:
    """Say which pixels [H, W] of a box the hull of some canvas points [P, 2] holds."""
    height, width = shape[:2]
    pixels = (outline - box[:2]) / (box[2:] - box[:2]) * [width, height]
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(pixels).astype(np.int32)), 1)
    return mask > 0


def _skin_lid(eye: _EyePlace, light: Light, style: Style) -> Array:
    s, t, curve = eye.s, eye.t, eye.curve
    upper, lower, closed = curve["upper"], curve["lower"], curve["closed"]
    # Below the line: the lower lid, pushed up a little.
    gain = (curve["bottom"] - lower) / np.maximum(curve["bottom"] - closed, 0.02)
    below = eye.read(
        s, np.where(t < curve["bottom"], curve["bottom"] - (curve["bottom"] - t) * gain, t)
    )
    # Above it: a smooth sheet hung between the skin all around the eye, so that no rim shows.
    bare, lashes = _lashes(eye)
    is_lid = smoothstep(0.0, 0.08, t - curve["top"])[..., None]  # the brow keeps its hair
    own = eye.read(s, t, bare) * is_lid + eye.read(s, t) * (1 - is_lid)
    around = (t < upper - 0.17) | (t > lower + 0.13) | (s < -0.07) | (s > 1.07)
    sigma = max(1.0, 0.05 / eye.pixel)
    lid = cv2.GaussianBlur(fill_outside(own, around), (0, 0), sigma)
    height = np.maximum(closed - curve["top"], 0.05)
    v = np.clip((closed - t) / height, 0, 1)[..., None]
    lid = _lit(lid, eye)
    lid = lid * (1 + 0.06 * np.exp(-(((v - 0.35) / 0.22) ** 2)) - 0.1 * np.exp(-v / 0.1))
    picture = eye.picture[..., :3].astype(np.float32)
    picture = np.where(bare < picture, picture, bare)
    detail = picture - cv2.GaussianBlur(picture, (0, 0), max(1.0, 0.35 * sigma))
    lid = lid + 0.8 * eye.read(s, curve["bottom"] + 0.02 + 0.5 * (closed - t), detail)
    kept = smoothstep(0.08, 0.2, upper - t)[..., None]
    lid = lid * (1 - kept) + own * kept
    over = np.clip((closed - t) / eye.pixel + 0.5, 0, 1)[..., None]
    out = below * (1 - over) + lid * over
    # The lash line, in the portrait's own darkest colour, thickest in the outer half.
    along = np.clip(s, 0, 1)
    outer = along if eye.lids.axes.origin[0] > 0.5 else 1 - along
    body = np.sin(np.pi * along).clip(0) ** 0.5 * (0.75 + 0.5 * outer) * ((s > 0) & (s < 1))
    thick = 0.035 * body
    away = np.abs(t - closed + 0.3 * thick)
    line = np.exp(-((away / np.maximum(thick, 1e-4)) ** 2)) * np.minimum(1, body * 1.5)
    shadow = 0.22 * np.exp(-(np.maximum(t - closed, 0) / 0.05)) * (t > closed) * body
    out = out * (1 - shadow)[..., None]
    # The portrait's own upper lashes hang down from there.
    hanging = eye.read(s, curve["upper"] - _HANG * (t - closed), lashes[..., None])[..., 0]
    hanging *= np.clip((t - closed) / eye.pixel + 0.5, 0, 1) * (
        1 - smoothstep(0.12, 0.24, t - closed)
    )
    out = out * (1 - 0.85 * hanging)[..., None]
    strength = 0.88 if style == "photo" else 0.75
    out = out * (1 - strength * line)[..., None] + light.line * (strength * line)[..., None]
    return np.where(((s > -0.02) & (s < 1.02))[..., None], out, eye.read(s, t))


def _lit(lid: Array, eye: _EyePlace) -> Array:
    """Brighten a lid [H, W, 3] that make-up around an open eye has made a dark hollow of.

    A lid bulges into the light that falls on the cheek below it; of its make-up the hue stays.
    """
    s = np.linspace(0.2, 0.8, 9, dtype=np.float32)
    under = np.linspace(0.3, 0.6, 7, dtype=np.float32)[:, None]
    lower = np.interp(s, eye.lids.places, eye.lids.lower).astype(np.float32)
    cheek = eye.read(np.broadcast_to(s, (7, 9)), lower + under)
    wanted = _LID_LIGHT * float(np.median(cheek.mean(-1)))
    found = np.maximum(lid.mean(-1, keepdims=True), 4.0)
    lift = np.clip(wanted / found, 1.0, _LID_LIFT) - 1
    beside = 1 - smoothstep(0.5, 1.0, np.abs(2 * eye.s - 1))
    bulge = beside * smoothstep(-0.12, 0.06, eye.t - eye.curve["upper"])
    return lid * (1 + lift * bulge[..., None])


def _lashes(eye: _EyePlace) -> tuple[Array, Array]:
    """Part the portrait into skin without lashes, float32 [N, N, 3], and their darkness [N, N].

    Only above the eye: thin dark lines there stay where the open lid was unless they are taken out.
    """
    picture = eye.picture[..., :3].astype(np.float32)
    width = 1 / eye.pixel  # of the eye, in pixels
    size = max(3, round(0.09 * width) | 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    corner = (eye.places[0, 0] * len(picture)).astype(int) - 2 * size
    stop = (eye.places[-1, -1] * len(picture)).astype(int) + 2 * size
    low = np.maximum(corner, 0)
    part = slice(low[1], max(stop[1], low[1] + 2)), slice(low[0], max(stop[0], low[0] + 2))
    closed = cv2.morphologyEx(picture[part], cv2.MORPH_CLOSE, kernel)
    darker = (closed - picture[part]).mean(-1) / np.maximum(closed.mean(-1), 8)
    share = np.clip((darker - 0.08) / 0.12, 0, 1)
    soft = cv2.GaussianBlur(closed, (0, 0), max(0.8, 0.3 * size))
    bare, lashes = picture.copy(), np.zeros(picture.shape[:2], np.float32)
    bare[part] = picture[part] * (1 - share[..., None]) + soft * share[..., None]
    lashes[part] = np.clip(darker, 0, 0.9) * share
    return bare, lashes


def lid_is_bare(picture: ByteArray, lids: LidCurves, light: Light) -> bool:
    """Say whether a drawing shows plain skin above the eye, so that it may be stretched.

    Args:
        picture: uint8 [N, N, 4].
        lids: the eye's curves.
        light: the portrait's light.

    Returns:
        False where hair hangs over the lid.
    """
    inside = (lids.places > 0.1) & (lids.places < 0.9)
    width = float(np.linalg.norm(lids.axes.along))
    share = np.linspace(0.15, 0.9, 9, dtype=np.float32)[:, None]
    heights = lids.upper - 0.14 + share * (lids.top - lids.upper + 0.14)
    local = np.stack(np.broadcast_arrays(lids.places, heights * width), -1)[:, inside]
    colours = sample_picture(picture[..., :3], lids.axes.canvas(local))
    return float((np.abs(colours - light.skin).max(-1) < 45).mean()) > 0.7


def _filled_lid(eye: _EyePlace, light: Light) -> Array:
    """Fill the eye with the skin around it and close it with one line in the lashes' own colour."""
    own = eye.read(eye.s, eye.t)
    hide = _drawn_eye(eye, own, light)
    hide = np.maximum(hide, _specks(eye, own, hide, light))[..., None]
    # The skin's own shading goes on under the lid: a flat fill looks cut out.
    is_skin = (hide[..., 0] == 0) & (np.abs(own - light.skin).max(-1) < _SKIN_LEVELS)
    reach = max(1, round(0.05 / eye.pixel))  # lines have soft edges
    is_skin = cv2.erode(is_skin.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=reach) > 0
    skin = np.broadcast_to(light.skin, own.shape)
    if is_skin.mean() > 0.05:
        skin = cv2.GaussianBlur(fill_outside(own, is_skin), (0, 0), max(1.0, 0.04 / eye.pixel))
    return _lash_line(eye, own * (1 - hide) + skin * hide, light)


def _drawn_eye(eye: _EyePlace, own: Array, light: Light) -> Array:
    """Return the coverage [H, W] of ball and lashes: the ball, grown into the lines that touch it.

    So hair that hangs over the lid stays.
    """
    s, t, curve = eye.s, eye.t, eye.curve
    ball = (t > curve["upper"] - 0.02) & (t < curve["lower"] + 0.05) & (s > -0.02) & (s < 1.02)
    near = (s > -0.42) & (s < 1.42) & (t < curve["lower"] + 0.15)
    near &= t > float(curve["upper"].min()) - 0.05  # lashes stand high beside the ball, too
    near &= eye.face
    is_line = np.abs(own - light.line).max(-1) < _LINE_LEVELS
    is_line |= own.mean(-1) < 0.42 * float(light.skin.mean())
    grown = ball.astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    for _ in range(max(1, round(_LASH_REACH / eye.pixel))):
        grown = cv2.dilate(grown, kernel) & (ball | (near & is_line))
    # The line's soft edge goes as well, but not what has another colour.
    paler = np.abs(own - light.skin).max(-1) < 110
    rounds = max(1, round(_SOFT_EDGE / eye.pixel))
    for k in range(rounds):
        rim = near if 2 * k < rounds else near & (t > curve["upper"] - 0.05)
        grown |= cv2.dilate(grown, kernel) & (paler | rim)
    return cv2.GaussianBlur(grown.astype(np.float32), (3, 3), 0.6)


def _specks(eye: _EyePlace, own: Array, hide: Array, light: Light) -> Array:
    """Return the coverage [H, W] of what would stay of the eye: bits that hang on to nothing."""
    s, t, curve = eye.s, eye.t, eye.curve
    near = (s > -0.55) & (s < 1.55) & (t < float(curve["lower"].max()) + 0.05)
    near &= t > float(curve["upper"].min()) - 0.2
    away = np.abs(own - light.skin).max(-1)
    out = np.zeros(own.shape[:2], np.uint8)
    for level in _SPECK_LEVELS:
        left = ((hide < 0.5) & (away > level)).astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(left, connectivity=8)
        for part in range(1, count):
            inside = parts == part
            small = stats[part, cv2.CC_STAT_AREA] < (_LARGEST_SPECK / eye.pixel) ** 2
            if small and near[inside].all():
                out[inside] = 1
    grown = cv2.dilate(out, np.ones((3, 3), np.uint8), iterations=max(1, round(0.03 / eye.pixel)))
    return cv2.GaussianBlur(grown.astype(np.float32), (3, 3), 0.6)


def _lash_line(eye: _EyePlace, out: Array, light: Light) -> Array:
    """Draw the line of a shut eye, as thick and as dark as the open one's upper lid."""
    s, t, closed = eye.s, eye.t, eye.curve["closed"]
    inner = np.linspace(0.15, 0.85, 21, dtype=np.float32)
    upper = np.interp(inner, eye.lids.places, eye.lids.upper)
    steps = np.linspace(-0.16, 0.1, 27, dtype=np.float32)[:, None]
    strip = eye.read(np.broadcast_to(inner, (27, 21)), (upper + steps).astype(np.float32))
    darkness = 1 - strip.mean(-1) / max(float(light.skin.mean()), 1.0)
    is_dark = darkness > 0.45
    thick = float(np.clip(np.median(is_dark.sum(0)) * 0.26 / 27, 0.1, 0.14))
    ink = np.median(strip[is_dark], 0) if is_dark.sum() > 20 else light.line
    outer = s if eye.lids.axes.origin[0] > 0.5 else 1 - s
    along = np.clip((s + 0.05) / 1.1, 0, 1)
    body = np.sin(np.pi * along).clip(0) ** 0.45 * (0.55 + 0.45 * outer.clip(0, 1))
    half = np.maximum(0.5 * thick * body, 0)
    line = np.clip((half - np.abs(t - closed + half)) / eye.pixel + 0.5, 0, 1) * (body > 0.05)
    return out * (1 - line[..., None]) + ink * line[..., None]


def _flat_lid(eye: _EyePlace) -> Array:
    """Pull the drawing's own upper lash line, with its flat skin above, down over the eye."""
    t, curve = eye.t, eye.curve
    upper, lower, closed, top, bottom = (
        curve[n] for n in ("upper", "lower", "closed", "top", "bottom")
    )
    band = np.minimum(0.18, 0.5 * (upper - top))
    gain = (upper - band - top) / np.maximum(closed - band - top, 0.02)
    above = np.where(t > closed - band, t - closed + upper, top + (t - top) * gain)
    gain = (bottom - lower) / np.maximum(bottom - closed, 0.02)
    source = np.where(t < closed, above, bottom - (bottom - t) * gain)
    return eye.read(eye.s, np.where((t < top) | (t > bottom), t, source))


def _as_bytes(picture: Array) -> ByteArray:
    return np.ascontiguousarray(np.rint(np.clip(picture, 0, 255)).astype(np.uint8))
