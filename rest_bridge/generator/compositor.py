"""Draws one frame: the portrait through its backward fields, mouth and eyes as hard-edged layers.

Place in the flow: rig values -> base flow -> here -> RGBA frame. Layers never mix softly (two
references blended softly give ghost lids, STUDY 2); every edge is a signed distance that is turned
into one pixel of antialiasing at the output's own size.
Shape letters: S output pixels, H/W pixels or cells of a part, G cells of the coarse flow.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final

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
from rest_bridge.generator.lids import Lids, LidState
from rest_bridge.generator.textures import (
    Texture,
    evened,
    mixed,
    over,
    person_of,
    plate_of,
    put,
    read_through,
    scaled,
    unpremultiplied,
)
from rest_bridge.trace import span
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


@dataclass(frozen=True, slots=True)
class _Eye:
    """One eye's lids, the picture of it shut, and where the layer fades into the face.

    `places` float32 [H, W, 2]: the lids' cells on the canvas; `to_cells` float64 [2, 3]: from the
    portrait's pixels to them.
    """

    lids: Lids
    window: Array
    shut: Texture
    switch: tuple[float, float]
    places: Array
    to_cells: Array


@dataclass(frozen=True, slots=True)
class Motion:
    """Everything that moves in one frame: what a picture is drawn from.

    Attributes:
        arkit: float32 [52].
        back, expression: as in `BaseFlow`, the backward field corrected.
        moved: float32 [G, G, 2], backward field of the whole picture.
        lids: of each eye; None where it is as in the portrait.
    """

    arkit: Array
    back: Array
    expression: Expression
    moved: Array
    lids: tuple[LidState | None, ...]


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
        self._portrait = scaled(person_of(avatar), FULL_BOX, pixels_per_unit)
        if scale == 2:
            self._portrait = evened(self._portrait)
        self._plate: ByteArray | None = None
        if avatar.backdrop.stands_still:
            self._plate = plate_of(avatar, size_px)
        self._teeth = scaled(avatar.mouth.teeth, avatar.mouth.inside_box, pixels_per_unit)
        self._own: Texture | None = None
        if avatar.mouth.own[..., 3].any():
            self._own = scaled(avatar.mouth.own, avatar.mouth.inside_box, pixels_per_unit)
        self._tongue = scaled(avatar.mouth.tongue, avatar.mouth.inside_box, pixels_per_unit)
        # ARKit's left is the person's, which is the picture's right.
        self._eyes = [
            self._eye(avatar.left_eye, "Right", pixels_per_unit),
            self._eye(avatar.right_eye, "Left", pixels_per_unit),
        ]
        self._coarse = grid_points(FULL_BOX, FLOW_CELLS, FLOW_CELLS)
        self._pose_cells = grid_points(FULL_BOX, *avatar.head.depth.shape)
        # Openings begin half an edge inside, so that a shut one leaves no trace.
        self._half_edge = np.float32(_EDGE_PX / 2 / size_px)
        self._gain = np.float32(pixels_per_unit)
        self._identity = grid_points(FULL_BOX, size_px, size_px) * self._gain - np.float32(0.5)
        self._mouth_window = _window(*avatar.mouth.upper.shape[1:3])
        self._mouth_places = grid_points(avatar.mouth.box, *avatar.mouth.upper.shape[1:3])
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
        return self.compose(self.motion(pose, arkit, correct))

    def motion(self, pose: Array, arkit: Array, correct: Correct | None = None) -> Motion:
        """Find what moves; arguments as for `draw`."""
        back, _ = self._flow.pose(pose)
        expression = self._flow.expression(arkit)
        if correct is not None:
            # Added to the pose's part, so that lips and lids move with the face around them.
            cells = self._correction_cells
            base = self._flow.seen(self._flow.whole(back, expression, cells), cells)
            correction = correct(base) * _moving(base)
            back = back + cv2.resize(self._beside_parts(correction, back), back.shape[:2])
        moved = self._flow.whole(back, expression, self._coarse)
        lids = tuple(eye.lids.state(arkit) if eye.lids.moves(arkit) else None for eye in self._eyes)
        return Motion(arkit, back, expression, moved, lids)

    def between(self, one: Motion, other: Motion, share: float) -> Motion:
        """Return what moves a share of the way from one frame to another, 0..1."""
        if share <= 0:
            return one
        if share >= 1:
            return other
        lids: list[LidState | None] = []
        for eye, before, after in zip(self._eyes, one.lids, other.lids, strict=True):
            if before is None and after is None:
                lids.append(None)
                continue
            before = before or eye.lids.state(one.arkit)
            after = after or eye.lids.state(other.arkit)
            lids.append(LidState(**_mixed_fields(before, after, share)))
        return Motion(
            _mix(one.arkit, other.arkit, share),
            _mix(one.back, other.back, share),
            Expression(**_mixed_fields(one.expression, other.expression, share)),
            _mix(one.moved, other.moved, share),
            tuple(lids),
        )

    def compose(self, motion: Motion) -> ByteArray:
        """Draw the picture of a motion.

        Args:
            motion: from `motion`, or between two of them.

        Returns:
            uint8 [S, S, 4], straight alpha.
        """
        with span("warp"):
            fine = cv2.resize(motion.moved * self._gain, (self._size, self._size))
            fine += self._identity
            frame = read_cells(self._portrait.pixels, fine)
        with span("eyes"):
            for eye, state in zip(self._eyes, motion.lids, strict=True):
                if state is not None:
                    self._draw_eye(frame, eye, state, motion, fine)
        with span("mouth"):
            self._draw_mouth(frame, motion)
        with span("alpha"):
            if self._plate is not None:
                return over(frame, self._plate)
            return frame if self._solid else unpremultiplied(frame)

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
        size = lids.box[2:] - lids.box[:2]
        # A portrait's pixel, (x + 0.5) / pixels on the canvas, in cells of the eye's box.
        scale = np.array(lids.shape[::-1], np.float64) / size
        shift = (0.5 / pixels - lids.box[:2]) * scale - 0.5
        to_cells = np.array([[scale[0] / pixels, 0, shift[0]], [0, scale[1] / pixels, shift[1]]])
        return _Eye(
            lids,
            _window(*lids.shape),
            scaled(layer.shut, layer.box, pixels),
            switch,
            grid_points(lids.box, *lids.shape),
            to_cells,
        )

    def _rectangle(self, box: Array, motion: Motion) -> tuple[slice, slice] | None:
        """Return the pixels that show a part of the portrait's own view after the pose."""
        sources = self._pose_cells + motion.back
        low, high = ([float(one) for one in corner] for corner in (box[:2], box[2:]))
        inside = cv2.inRange(sources, np.array(low), np.array(high))
        first_column, first_row, columns, rows = cv2.boundingRect(inside)
        if not columns:
            return None
        # A cell more on each side: the part's border lies somewhere between two of them.
        share = self._size / len(inside)
        spans = ((first_row, rows), (first_column, columns))
        down, across = (
            slice(
                max(0, int((first - 0.5) * share)),
                min(self._size, int((first + count + 0.5) * share) + 1),
            )
            for first, count in spans
        )
        return down, across

    def _places(self, rows: slice, columns: slice, motion: Motion) -> Array:
        """Return the places before the pose of a rectangle's pixels."""
        box = np.array([columns.start, rows.start, columns.stop, rows.stop], np.float32)
        points = grid_points(box / self._size, rows.stop - rows.start, columns.stop - columns.start)
        points += read_field(motion.back, FULL_BOX, points)
        return points

    def _draw_eye(
        self, frame: ByteArray, eye: _Eye, state: LidState, motion: Motion, sources: Array
    ) -> None:
        """Draw lids and eyeball; `sources` float32 [S, S, 2], the portrait's pixels."""
        rectangle = self._rectangle(eye.lids.box, motion)
        if rectangle is None:
            return
        cells = cv2.transform(sources[rectangle], eye.to_cells)
        shape = read_cells(np.stack([state.inside, eye.window], -1), cells)
        begin, end = eye.switch
        share = min(max((state.closed - begin) / (end - begin), 0.0), 1.0)
        if share >= 1:
            skin = read_through(eye.shut, eye.places + state.shut_lid, cells)
        else:
            skin = read_through(self._portrait, eye.places + state.open_lid, cells)
            if share > 0:
                shut = read_through(eye.shut, eye.places + state.shut_lid, cells)
                skin = np.asarray(cv2.addWeighted(skin, 1 - share, shut, share, 0), np.uint8)
        ball = read_through(self._portrait, eye.places + state.ball, cells)
        inside = _coverage(shape[..., 0] - self._half_edge, self._size)
        put(frame, rectangle, mixed(ball, skin, inside), cv2.extractChannel(shape, 1))

    def _draw_mouth(self, frame: ByteArray, motion: Motion) -> None:
        mouth, expression = self._mouth, motion.expression
        rectangle = self._rectangle(mouth.box, motion)
        if rectangle is None:
            return
        places = self._places(*rectangle, motion)
        cells = cells_of(places, mouth.box, *self._mouth_window.shape)
        height, width = self._portrait.pixels.shape[:2]
        sheets = [
            read_cells(cells_of(self._mouth_places + sheet, FULL_BOX, height, width), cells)
            for sheet in (expression.upper, expression.lower)
        ]
        window = read_cells(self._mouth_window, cells)
        local = to_local(mouth.axes[0], mouth.axes[1], places)
        cell = (local[..., 0] + 1.3) * ((len(expression.upper_line) - 1) / 2.6)
        where = cv2.merge([cell, np.zeros_like(cell)])
        edges = (expression.upper_line, expression.lower_line, self._level(expression))
        upper_edge, lower_edge, level = (read_cells(line[None], where) for line in edges)
        across = cv2.extractChannel(local, 1)
        below_upper, above_lower = across - upper_edge, lower_edge - across
        if mouth.shaded and expression.opening > 0:
            self._part_lips(sheets, below_upper, above_lower, expression)
        upper, lower = (read_cells(self._portrait.pixels, sheet) for sheet in sheets)
        lips = mixed(lower, upper, _coverage((below_upper - above_lower) / 2, self._size))
        inside = np.minimum(below_upper, above_lower) * level - self._half_edge
        inside = _coverage(inside, self._size)
        rows, columns = np.nonzero(inside.any(1))[0], np.nonzero(inside.any(0))[0]
        if len(rows):
            part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            hollow = self._inside(places[part], below_upper[part], above_lower[part], expression)
            hollow = np.rint(hollow).clip(0, 255).astype(np.uint8)
            lips[part] = mixed(hollow, lips[part], inside[part])
        put(frame, rectangle, lips, window)

    def _level(self, expression: Expression) -> Array:
        """Return float32 [S], how level the opening's edges run: distances to steep ones shrink."""
        step = 2.6 / (len(expression.upper_line) - 1) * float(np.hypot(*self._mouth.axes[1]))
        lines = expression.upper_line, expression.lower_line
        rise = np.maximum(*(np.abs(np.gradient(line, step)) for line in lines))
        return (1 / np.sqrt(1 + rise**2)).astype(np.float32)

    def _part_lips(
        self, sheets: list[Array], below_upper: Array, above_lower: Array, expression: Expression
    ) -> None:
        """Pull the shadow between closed lips behind the edges of parted ones, in place."""
        unit = self._flow.eye_distance
        axis = self._mouth.axes[1] / np.hypot(*self._mouth.axes[1])
        apart = np.clip((below_upper + above_lower) / (_PARTED * unit), 0, 1)
        if self._mouth.gap > 0:
            apart *= 1 - expression.portrait_opening
        for k, (width, beyond) in enumerate(zip(_SHADOW, (below_upper, above_lower), strict=True)):
            away = np.maximum(-beyond, 0) / np.float32(1.6 * width * unit)
            pull = apart * np.exp(-away) * np.float32((2 * k - 1) * width * unit * self._gain)
            sheets[k][..., 0] -= pull * axis[1]
            sheets[k][..., 1] += pull * axis[0]

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


def _mixed_fields(one: Any, other: Any, share: float) -> dict[str, Any]:
    names = [field.name for field in fields(one)]
    return {name: _mix(getattr(one, name), getattr(other, name), share) for name in names}


def _mix(one: Any, other: Any, share: float) -> Any:
    """Return a share of the way from one number or array to another."""
    if isinstance(one, float):
        return one + (other - one) * share
    return cv2.addWeighted(one, 1 - share, other, share, 0).reshape(one.shape)


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
