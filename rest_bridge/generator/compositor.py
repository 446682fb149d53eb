"""Draws one frame: the portrait through its backward fields, mouth and eyes as hard-edged layers.

Place in the flow: rig values -> base flow -> here -> RGBA frame. Layers never mix softly (two
references blended softly give ghost lids, STUDY 2); every edge is a signed distance that is turned
into one pixel of antialiasing at the output's own size.
Shape letters: S output pixels, H/W pixels or cells of a part, G cells of the coarse flow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar, EyeLayer
from rest_bridge.generator.base_flow import FULL_BOX, BaseFlow, Expression
from rest_bridge.generator.fields import (
    cells_of,
    grid_points,
    read_cells,
    read_field,
    smoothstep,
    to_local,
)
from rest_bridge.generator.lids import Lids
from rest_bridge.types import Array, ByteArray

Correct = Callable[[Array], Array]
FLOW_CELLS: Final = 128
"""Resolution at which the whole picture's flow is put together."""
CORRECTION_CELLS: Final = 64
"""Resolution of the trained decoder's flow."""
_PART_BLUR_CELLS: Final = 4.0
_MARGIN: Final = 0.15
"""Share of the canvas over which corrections fade out: shoulders are cut off there."""
_MOVES: Final = (0.0008, 0.008)
"""Base flow (canvas units) below which no correction counts, and from which all of it does."""
_EDGE_PX: Final = 1.4
_SHADOW: Final = (0.022, 0.012)
"""Eye distances of upper and lower lip next to their line that closed lips shade."""
_PARTED: Final = 0.05
"""Opening (eye distances) at which that shadow is gone."""
_DIM: Final = 0.45
_LIT: Final = 0.3
"""Light on the tongue behind nearly closed lips, and the opening at which all of it is there."""
_BORDER_CELLS: Final = 5
_EVEN: Final = 0.08


@dataclass(frozen=True, slots=True)
class _Texture:
    """A premultiplied picture over a canvas box, at the resolution that suits the output."""

    pixels: ByteArray
    box: Array

    def read(self, points: Array) -> ByteArray:
        """Sample at canvas points [H, W, 2] -> uint8 [H, W, 4]."""
        height, width = self.pixels.shape[:2]
        return read_cells(self.pixels, cells_of(points, self.box, height, width))


@dataclass(frozen=True, slots=True)
class _Eye:
    """One eye's lids, the picture of it shut, and where the layer fades into the face."""

    lids: Lids
    window: Array
    shut: _Texture
    switch: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Motion:
    """Everything that moves in one frame; fields as in `BaseFlow`."""

    back: Array
    forward: Array
    expression: Expression


class Compositor:
    """Draws frames of one avatar at one size."""

    def __init__(self, avatar: Avatar, size_px: int) -> None:
        """Scale the pictures for the output.

        Args:
            avatar: the avatar.
            size_px: width and height of the frames.
        """
        self._size = size_px
        self._flow = BaseFlow(avatar)
        self._mouth = avatar.mouth
        self._solid = bool((avatar.picture[..., 3] == 255).all())
        native = avatar.picture.shape[0]
        # Twice the output: bilinear reading at rest is then exactly area averaging, and a moving
        # picture keeps the sharpness of a resting one.
        scale = 2 if native >= 1.2 * size_px and size_px <= 768 else 1
        pixels_per_unit = scale * size_px
        self._portrait = _scaled(_person(avatar), FULL_BOX, pixels_per_unit)
        if scale == 2:
            self._portrait = _even(self._portrait)
        self._plate: ByteArray | None = None
        if avatar.backdrop.stands_still:
            self._plate = _plate(avatar, size_px)
        self._teeth = _scaled(avatar.mouth.teeth, avatar.mouth.inside_box, pixels_per_unit)
        self._own: _Texture | None = None
        if avatar.mouth.own[..., 3].any():
            self._own = _scaled(avatar.mouth.own, avatar.mouth.inside_box, pixels_per_unit)
        self._tongue = _scaled(avatar.mouth.tongue, avatar.mouth.inside_box, pixels_per_unit)
        # ARKit's left is the person's, which is the picture's right.
        self._eyes = [
            self._eye(avatar.left_eye, "Right", pixels_per_unit),
            self._eye(avatar.right_eye, "Left", pixels_per_unit),
        ]
        self._coarse = grid_points(FULL_BOX, FLOW_CELLS, FLOW_CELLS)
        # Openings begin half an edge inside, so that a shut one leaves no trace.
        self._half_edge = np.float32(_EDGE_PX / 2 / size_px)
        self._gain = np.float32(pixels_per_unit)
        self._identity = grid_points(FULL_BOX, size_px, size_px) * self._gain - np.float32(0.5)
        self._mouth_window = _window(*avatar.mouth.upper.shape[1:3])
        self._correction_cells = grid_points(FULL_BOX, CORRECTION_CELLS, CORRECTION_CELLS)
        boxes = [avatar.mouth.box, *(eye.lids.box for eye in self._eyes)]
        self._parts = [_covered_by(box, self._correction_cells) for box in boxes]
        margin = np.minimum(self._correction_cells, 1 - self._correction_cells).min(-1)
        self._margin = smoothstep(0.0, _MARGIN, margin)[..., None]

    def draw(self, pose: Array, arkit: Array, correct: Correct | None = None) -> ByteArray:
        """Draw one frame.

        Args:
            pose: float32 [6], relative to the portrait's own pose.
            arkit: float32 [52].
            correct: the trained decoder: given the base flow float32 [G, G, 2] (backward, canvas
                units), what to add to it, likewise.

        Returns:
            uint8 [S, S, 4], straight alpha.
        """
        back, forward = self._flow.pose(pose)
        expression = self._flow.expression(arkit)
        if correct is not None:
            # Added to the pose's part, so that lips and lids move with the face around them.
            cells = self._correction_cells
            base = self._flow.seen(self._flow.whole(back, expression, cells), cells)
            correction = correct(base) * _moving(base)
            back = back + cv2.resize(self._beside_parts(correction, back), back.shape[:2])
        motion = _Motion(back, forward, expression)
        moved = self._flow.whole(back, expression, self._coarse)
        fine = cv2.resize(moved * self._gain, (self._size, self._size))
        fine += self._identity
        frame = read_cells(self._portrait.pixels, fine)
        for eye in self._eyes:
            if eye.lids.moves(arkit):
                self._draw_eye(frame, eye, arkit, motion)
        self._draw_mouth(frame, motion)
        if self._plate is not None:
            return _over(frame, self._plate)
        return frame if self._solid else _unpremultiplied(frame)

    def _beside_parts(self, correction: Array, back: Array) -> Array:
        """Keep a correction off lips, lids and the picture's border.

        Lips and lids only go along as a whole: they have exact edges of their own, which a coarse
        field cannot improve on, and what it says of the jaw would open the mouth more or less far
        than every other portrait's.
        """
        places = self._correction_cells + read_field(back, FULL_BOX, self._correction_cells)
        parts = [read_field(part, FULL_BOX, places)[..., None] for part in self._parts]
        outside = 1.0 - np.maximum.reduce(parts)
        blurred = cv2.GaussianBlur(correction * outside, (0, 0), _PART_BLUR_CELLS)
        weight = cv2.GaussianBlur(outside, (0, 0), _PART_BLUR_CELLS)
        smooth = blurred / (weight[..., None] + np.float32(1e-3))
        for part in parts:
            whole = (smooth * part).sum((0, 1)) / max(float(part.sum()), 1e-3)
            smooth += (whole - smooth) * part
        return ((correction - smooth) * outside + smooth) * self._margin

    def _eye(self, layer: EyeLayer, side: str, pixels: int) -> _Eye:
        lids = Lids(layer, side)
        switch = (float(layer.switch[0]), float(layer.switch[1]))
        return _Eye(lids, _window(*lids.shape), _scaled(layer.shut, layer.box, pixels), switch)

    def _rectangle(self, box: Array, forward: Array) -> tuple[slice, slice] | None:
        """Return the pixels that a part of the portrait can cover after the pose."""
        margin = (box[2:] - box[:2]) / 6
        corners = grid_points(np.concatenate([box[:2] - margin, box[2:] + margin]), 4, 4)
        places = corners + read_field(forward, FULL_BOX, corners)
        low = np.floor(places.reshape(-1, 2).min(0) * self._size).astype(int).clip(0, self._size)
        high = np.ceil(places.reshape(-1, 2).max(0) * self._size).astype(int).clip(0, self._size)
        if (high - low).min() < 2:
            return None
        return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))

    def _places(self, rows: slice, columns: slice, motion: _Motion) -> Array:
        """Return the places before the pose of a rectangle's pixels."""
        box = np.array([columns.start, rows.start, columns.stop, rows.stop], np.float32)
        points = grid_points(box / self._size, rows.stop - rows.start, columns.stop - columns.start)
        points += read_field(motion.back, FULL_BOX, points)
        return points

    def _draw_eye(
        self,
        frame: ByteArray,
        eye: _Eye,
        arkit: Array,
        motion: _Motion,
    ) -> None:
        box = eye.lids.box
        rectangle = self._rectangle(box, motion.forward)
        if rectangle is None:
            return
        state = eye.lids.state(arkit)
        places = self._places(*rectangle, motion)
        places += read_field(motion.expression.face, self._flow.face_box, places)
        cells = cells_of(places, box, *eye.lids.shape)
        skins = read_cells(np.concatenate([state.open_lid, state.shut_lid], -1), cells)
        within = np.concatenate([state.ball, state.inside[..., None], eye.window[..., None]], -1)
        within = read_cells(within, cells)
        begin, end = eye.switch
        share = min(max((state.closed - begin) / (end - begin), 0.0), 1.0)
        if share >= 1:
            lid = eye.shut.read(places + skins[..., 2:])
        else:
            lid = self._portrait.read(places + skins[..., :2])
        if 0 < share < 1:
            shut = eye.shut.read(places + skins[..., 2:])
            lid = np.asarray(cv2.addWeighted(lid, 1 - share, shut, share, 0), np.uint8)
        ball = self._portrait.read(places + within[..., :2]).astype(np.float32)
        inside = _coverage(within[..., 2:3] - self._half_edge, self._size)
        ball -= lid
        ball *= inside
        ball += lid
        _blend(frame[rectangle], ball, within[..., 3:])

    def _draw_mouth(self, frame: ByteArray, motion: _Motion) -> None:
        mouth, expression = self._mouth, motion.expression
        rectangle = self._rectangle(mouth.box, motion.forward)
        if rectangle is None:
            return
        places = self._places(*rectangle, motion)
        cells = cells_of(places, mouth.box, *self._mouth_window.shape)
        sheets = read_cells(np.concatenate([expression.upper, expression.lower], -1), cells)
        window = read_cells(self._mouth_window, cells)[..., None]
        local = to_local(mouth.axes[0], mouth.axes[1], places)
        cell = (local[..., 0] + 1.3) * ((len(expression.upper_line) - 1) / 2.6)
        lines = np.stack([expression.upper_line, expression.lower_line], -1)[None]
        edges = read_cells(lines, np.stack([cell, np.zeros_like(cell)], -1))
        below_upper = local[..., 1] - edges[..., 0]
        above_lower = edges[..., 1] - local[..., 1]
        if mouth.shaded:
            self._part_lips(sheets, below_upper, above_lower, expression)
        upper = self._portrait.read(places + sheets[..., :2])
        lips = self._portrait.read(places + sheets[..., 2:]).astype(np.float32)
        lips -= upper
        lips *= _coverage((below_upper - above_lower) / 2, self._size)[..., None]
        lips += upper
        inside = np.minimum(below_upper, above_lower) - self._half_edge
        inside = _coverage(inside, self._size)
        rows, columns = np.nonzero(inside.any(1))[0], np.nonzero(inside.any(0))[0]
        if len(rows):
            part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            hollow = self._inside(places[part], below_upper[part], above_lower[part], expression)
            hollow -= lips[part]
            lips[part] += hollow * inside[part][..., None]
        _blend(frame[rectangle], lips, window)

    def _part_lips(
        self, sheets: Array, below_upper: Array, above_lower: Array, expression: Expression
    ) -> None:
        """Pull the shadow between closed lips behind the edges of parted ones, in place."""
        unit = self._flow.eye_distance
        axis = self._mouth.axes[1] / np.hypot(*self._mouth.axes[1])
        apart = np.clip((below_upper + above_lower) / (_PARTED * unit), 0, 1)
        if self._mouth.gap > 0:
            apart *= 1 - expression.portrait_opening
        for k, (width, beyond) in enumerate(zip(_SHADOW, (below_upper, above_lower), strict=True)):
            away = np.maximum(-beyond, 0) / np.float32(1.6 * width * unit)
            pull = apart * np.exp(-away) * np.float32((2 * k - 1) * width * unit)
            sheets[..., 2 * k] -= pull * axis[1]
            sheets[..., 2 * k + 1] += pull * axis[0]

    def _inside(
        self,
        places: Array,
        below_upper: Array,
        above_lower: Array,
        expression: Expression,
    ) -> Array:
        """Return float32 [H, W, 4], what is seen between the lips."""
        hollow = self._tongue.read(places - expression.jaw_shift).astype(np.float32)
        if self._mouth.shaded:
            lit = min(expression.opening / (_LIT * self._flow.eye_distance), 1.0)
            hollow[..., :3] *= np.float32(_DIM + (1 - _DIM) * lit)
        teeth = self._teeth.read(places - expression.teeth_shift).astype(np.float32)
        hollow *= 1 - teeth[..., 3:] / 255
        hollow += teeth
        if self._mouth.shaded:
            unit = self._flow.eye_distance
            shade = 1 - 0.5 * np.exp(-np.maximum(below_upper, 0) / (0.035 * unit))
            shade *= 1 - 0.35 * np.exp(-np.maximum(above_lower, 0) / (0.04 * unit))
            if self._mouth.gap > 0:  # the portrait's own teeth carry their own shadow
                shade += (1 - shade) * expression.portrait_opening
            hollow[..., :3] *= shade[..., None]
        if self._own is not None and expression.own_share > 0:
            own = self._own.read(places).astype(np.float32) * np.float32(expression.own_share)
            hollow *= 1 - own[..., 3:] / 255
            hollow += own
        return hollow


def _blend(target: ByteArray, layer: Array, window: Array) -> None:
    """Put a layer over part of the frame, faded out by a window [H, W, 1]; `layer` is spent."""
    layer -= target
    layer *= window
    layer += target
    layer += 0.5
    target[:] = layer.astype(np.uint8)


def _covered_by(box: Array, places: Array) -> Array:
    """Return float32 [G, G], 1 inside the ellipse of a box, 0 well outside of it."""
    away = (places - (box[:2] + box[2:]) / 2) / ((box[2:] - box[:2]) / 2)
    return 1 - smoothstep(0.9, 1.25, np.sqrt((away**2).sum(-1)))


def _moving(base: Array) -> Array:
    """Return float32 [G, G, 1], 0 where the base flow rests: a still place stays still."""
    distance = np.sqrt((base**2).sum(-1))
    return cv2.GaussianBlur(smoothstep(*_MOVES, distance), (0, 0), 1.0)[..., None]


def _coverage(distance: Array, size_px: int) -> Array:
    """Turn a signed distance in canvas units into 0..1 with an antialiased edge."""
    return np.clip(distance * (size_px / _EDGE_PX) + 0.5, 0.0, 1.0)


def _window(height: int, width: int) -> Array:
    rows = np.minimum(np.arange(height), np.arange(height)[::-1])[:, None]
    columns = np.minimum(np.arange(width), np.arange(width)[::-1])[None]
    distance = np.minimum(rows, columns).astype(np.float32)
    return smoothstep(0.0, 1.0, distance / _BORDER_CELLS)


def _scaled(picture: ByteArray, box: Array, pixels_per_unit: int) -> _Texture:
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
    return _Texture(np.rint(pixels).astype(np.uint8), box)


def _person(avatar: Avatar) -> ByteArray:
    """Return what moves, uint8 [N, N, 4], straight alpha: the portrait or the person in it."""
    if not avatar.backdrop.stands_still:
        return avatar.picture
    person = avatar.picture.copy()
    person[..., 3] = avatar.backdrop.cutout[..., 3]
    soft = (person[..., 3] > 0) & (person[..., 3] < 255)
    person[soft] = avatar.backdrop.cutout[soft]
    return person


def _plate(avatar: Avatar, size_px: int) -> ByteArray:
    """Return the background at the output's size, uint8 [S, S, 4], opaque."""
    painted = avatar.backdrop.plate
    whole = np.where(painted[..., 3:] > 0, painted, avatar.picture)
    native = len(whole)
    if native == size_px:
        return np.ascontiguousarray(whole)
    # Twice through the same steps as a frame at rest, so that both have the same sharpness.
    scale = 2 if native >= 1.2 * size_px and size_px <= 768 else 1
    plate = _scaled(whole, FULL_BOX, scale * size_px).pixels
    return np.asarray(cv2.resize(plate, (size_px,) * 2, interpolation=cv2.INTER_AREA), np.uint8)


def _over(frame: ByteArray, plate: ByteArray) -> ByteArray:
    """Lay a premultiplied frame over the background."""
    share = 255 - frame[..., 3]
    rows, columns = np.nonzero(share.any(1))[0], np.nonzero(share.any(0))[0]
    if len(rows) == 0:
        return frame
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    shares = cv2.merge([share[part]] * 4)
    frame[part] = cv2.add(frame[part], cv2.multiply(plate[part], shares, scale=1 / 255))
    return frame


def _even(texture: _Texture) -> _Texture:
    """Soften a texture of twice the output's size by as little as makes its mean sharpness right.

    Read between four of its pixels it is their mean, read on one it is that pixel: without this,
    eyes in motion had 1.2 times the gradients of the portrait at rest.
    """
    kernel = np.array([_EVEN, 1 - 2 * _EVEN, _EVEN], np.float32)
    pixels = cv2.sepFilter2D(texture.pixels, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return _Texture(np.asarray(pixels, np.uint8), texture.box)


def _unpremultiplied(frame: ByteArray) -> ByteArray:
    alpha = frame[..., 3]
    partial = (alpha > 0) & (alpha < 255)
    if partial.any():
        colour = frame[partial].astype(np.float32)
        colour[:, :3] = np.minimum(colour[:, :3] * 255 / colour[:, 3:], 255)
        frame[partial] = np.rint(colour).astype(np.uint8)
    return frame
