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

from rest_bridge.avatar import Avatar, EyeLayer, MouthLayer
from rest_bridge.generator.base_flow import FULL_BOX, BaseFlow, Expression
from rest_bridge.generator.fields import (
    cells_of,
    grid_points,
    read_cells,
    read_field,
    smoothstep,
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
    read_pixels,
    read_through,
    scaled,
    straight,
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
_SHUT: Final = 0.75
"""How far a sliding lid has come down when nothing of the open eye's lower lid is to be seen."""
_BORDER_CELLS: Final = 5
_BANDS: Final = 8
"""Strips of a picture that are read as far as the person reaches in them."""
_AROUND: Final = np.ones((3, 3), np.uint8)
_STILL_PX: Final = 0.05
"""A lid that moves its skin by less leaves it where it is."""
_LINE_REACH: Final = 1.3
"""The lips' edges are known over s from minus this to this, see `BaseFlow.line_places`."""


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
class _EyeView:
    """Where an eye is seen in a frame.

    `cells` float32 [H, W, 2]: places on the lids' grid of a rectangle's pixels; `inside` float32
    [H, W]: distance from the lids' edges; `window` likewise: 1 inside, 0 at the layer's border;
    `shut`: how much of the picture of the closed eye is seen, 0..1.
    """

    rectangle: tuple[slice, slice]
    cells: Array
    inside: Array
    window: Array
    shut: float


@dataclass(frozen=True, slots=True)
class _MouthView:
    """Where the mouth is seen in a frame; arrays float32 [H, W] of a rectangle's pixels.

    `below_upper`, `above_lower`: distances from the lips' edges, canvas units; `level`: how level
    these are; `window`: 1 inside, 0 at the layer's border; `seam`: the part where both lips are
    seen in one pixel, `sheets` their places there, pixels of the portrait.
    """

    rectangle: tuple[slice, slice]
    below_upper: Array
    above_lower: Array
    level: Array
    window: Array
    seam: tuple[slice, slice]
    sheets: tuple[Array, Array]


@dataclass(frozen=True, slots=True)
class Motion:
    """Everything that moves in one frame: what a picture is drawn from.

    Attributes:
        arkit: float32 [52].
        back, expression: as in `BaseFlow`, the backward field corrected.
        moved: float32 [G, G, 2], backward field of the whole picture.
        lids: of each eye; None where it is as in the portrait.
        level: float32 [S], how level the lips' edges run: distances to steep ones shrink.
    """

    arkit: Array
    back: Array
    expression: Expression
    moved: Array
    lids: tuple[LidState | None, ...]
    level: Array


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
        self._plate: ByteArray | None = None
        if avatar.backdrop.stands_still:
            self._plate = plate_of(avatar, size_px)
        # What is laid over a plate is premultiplied; else frames come out straight as read.
        prepare = scaled if self._solid or self._plate is not None else straight
        self._portrait = prepare(person_of(avatar), FULL_BOX, pixels_per_unit)
        if scale == 2:
            self._portrait = evened(self._portrait)
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
        self._spare: list[Array] = []
        self._person = _reach(self._portrait.pixels)
        self._mouth_window = _window(*avatar.mouth.upper.shape[1:3])
        grid = avatar.mouth.upper.shape[1:3]
        pixels = grid_points(avatar.mouth.box, *grid) * self._gain - np.float32(0.5)
        self._lip_pixels = np.concatenate([pixels, pixels], -1)
        self._to_lips = _lip_matrix(avatar.mouth, grid)
        self._pose_map = cells_of(
            grid_points(FULL_BOX, size_px, size_px), FULL_BOX, *avatar.head.depth.shape
        )
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
        return Motion(arkit, back, expression, moved, lids, self._level(expression))

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
            _mix(one.level, other.level, share),
        )

    def compose(self, motion: Motion) -> ByteArray:
        """Draw the picture of a motion.

        Args:
            motion: from `motion`, or between two of them.

        Returns:
            uint8 [S, S, 4], straight alpha.
        """
        with span("flow"):
            fine = self._sources(motion)
            seen = self._pose_cells + motion.back
        with span("eyes"):
            eyes = [
                None if state is None else self._bend_lids(fine, eye, state, seen)
                for eye, state in zip(self._eyes, motion.lids, strict=True)
            ]
        with span("mouth"):
            mouth = self._bend_lips(fine, motion, seen)
        with span("warp"):
            frame = self._read_person(fine, motion)
        with span("layers"):
            for eye, state, view in zip(self._eyes, motion.lids, eyes, strict=True):
                if state is not None and view is not None:
                    self._draw_eye(frame, eye, state, view)
            if mouth is not None:
                self._draw_mouth(frame, motion, mouth)
        self._spare.append(fine)
        with span("alpha"):
            return frame if self._plate is None else over(frame, self._plate)

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

    def _sources(self, motion: Motion) -> Array:
        """Return where each pixel comes from, float32 [S, S, 2], pixels of the portrait."""
        try:  # memory that is warm: two megabytes anew take as long as filling them
            fine = self._spare.pop()
        except IndexError:
            fine = np.empty_like(self._identity)
        shape = (self._size, self._size)
        fine = np.asarray(cv2.resize(motion.moved * self._gain, shape, dst=fine))
        return np.add(fine, self._identity, out=fine)

    def _read_person(self, fine: Array, motion: Motion) -> ByteArray:
        """Read the portrait; what is empty is not read, half of a picture without background."""
        if self._person is None:
            return read_pixels(self._portrait.pixels, fine)
        cells = (self._coarse + motion.moved) * np.float32(FLOW_CELLS) - np.float32(0.5)
        here = cv2.dilate(np.asarray(read_cells(self._person, cells), np.uint8), _AROUND)
        frame = np.zeros((self._size, self._size, 4), np.uint8)
        share = self._size / FLOW_CELLS
        for first in range(0, FLOW_CELLS, FLOW_CELLS // _BANDS):
            last = first + FLOW_CELLS // _BANDS
            column, _, columns, _ = cv2.boundingRect(here[first:last])
            if columns:
                rows = slice(int(first * share), int(last * share))
                across = slice(int(column * share), int(np.ceil((column + columns) * share)))
                read_pixels(self._portrait.pixels, fine[rows, across], out=frame[rows, across])
        return frame

    def _rectangle(self, box: Array, seen: Array) -> tuple[slice, slice] | None:
        """Return the pixels that show a part of the portrait's own view after the pose.

        Args:
            box: float32 [4], the part.
            seen: float32 [P, P, 2], the places before the pose of a coarse grid's cells.
        """
        low, high = ([float(one) for one in corner] for corner in (box[:2], box[2:]))
        first_column, first_row, columns, rows = cv2.boundingRect(
            cv2.inRange(seen, np.array(low), np.array(high))
        )
        if not columns:
            return None
        # A cell more on each side: the part's border lies somewhere between two of them.
        share = self._size / len(seen)
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

    def _bend_lids(self, fine: Array, eye: _Eye, state: LidState, seen: Array) -> _EyeView | None:
        """Let the skin of the lids move, in place; `fine` float32 [S, S, 2], portrait's pixels.

        Only what differs from the open portrait is touched, a fifth of the layer's box, unless the
        picture of the shut eye is seen.
        """
        begin, end = eye.switch
        shut = min(max((state.closed - begin) / (end - begin), 0.0), 1.0)
        box = eye.lids.box if shut > 0 else self._touched(eye, state)
        rectangle = None if box is None else self._rectangle(box, seen)
        if rectangle is None:
            return None
        cells = cv2.transform(fine[rectangle], eye.to_cells)
        below = eye.lids.slides and state.closed < _SHUT
        still = shut >= 1 and not below
        weight = eye.window * np.float32(0 if still else self._gain)
        field = np.empty((*eye.window.shape, 4), np.float32)  # 4 channels are read twice as fast
        for axis in (0, 1):
            np.multiply(state.open_lid[..., axis], weight, out=field[..., axis])
        field[..., 2], field[..., 3] = state.inside, eye.window
        found = read_cells(field, cells)
        if not still:
            part = fine[rectangle]
            for axis in (0, 1):  # pairs are ten times slower to add than columns
                part[..., axis] += found[..., axis]
        inside = cv2.extractChannel(found, 2) - self._half_edge
        return _EyeView(rectangle, cells, inside, cv2.extractChannel(found, 3), shut)

    def _touched(self, eye: _Eye, state: LidState) -> Array | None:
        """Return the box in which a lid moves its skin or shows the eyeball; None if nowhere."""
        still = _STILL_PX / self._size
        moved = cv2.bitwise_not(cv2.inRange(state.open_lid, (-still,) * 2, (still,) * 2))
        edge = float(self._half_edge) - _EDGE_PX / self._size
        open_here = cv2.compare(state.inside, edge, cv2.CMP_GT)  # type: ignore[call-overload]
        column, row, columns, rows = cv2.boundingRect(cv2.bitwise_or(moved, open_here))
        if not columns:
            return None
        corner, height, width = eye.lids.box[:2], *moved.shape
        cell = (eye.lids.box[2:] - corner) / np.array([width, height], np.float32)
        first, last = (column - 1, row - 1), (column + columns + 1, row + rows + 1)
        box = [corner + np.array(one, np.float32) * cell for one in (first, last)]
        low, high = np.maximum(box[0], corner), np.minimum(box[1], eye.lids.box[2:])
        return np.concatenate([low, high])

    def _draw_eye(self, frame: ByteArray, eye: _Eye, state: LidState, view: _EyeView) -> None:
        """Draw the shut eye and the eyeball between the lids."""
        if view.shut > 0:
            shut = read_through(eye.shut, eye.places + state.shut_lid, view.cells)
            share = view.window * np.float32(view.shut)
            if eye.lids.slides and state.closed < _SHUT:  # below it the open drawing stays
                share *= 1 - _coverage(read_cells(state.under, view.cells), self._size)
            put(frame, view.rectangle, shut, share)
        part = _bounds(view.inside, -_EDGE_PX / 2 / self._size)
        if part is not None:
            ball = read_through(self._portrait, eye.places + state.ball, view.cells[part])
            share = _coverage(view.inside[part], self._size) * view.window[part]
            put(frame, _within(view.rectangle, part), ball, share)

    def _bend_lips(self, fine: Array, motion: Motion, seen: Array) -> _MouthView | None:
        """Let the skin follow the lips' two sheets, in place; arguments as for `_bend_lids`."""
        mouth, expression = self._mouth, motion.expression
        rectangle = self._rectangle(mouth.box, seen)
        if rectangle is None:
            return None
        # Everything that is linear in the place before the pose is read in one go.
        known = read_cells(cv2.transform(seen, self._to_lips), self._pose_map[rectangle])
        across_cells, down_cells, along, across = cv2.split(known)
        field = cv2.merge([*cv2.split(expression.upper), *cv2.split(expression.lower)])
        field *= self._gain
        field += self._lip_pixels
        sheets = list(cv2.split(_read_at(field, across_cells, down_cells)))
        window = _read_at(self._mouth_window, across_cells, down_cells)
        lines = (expression.upper_line, expression.lower_line, motion.level)
        edges = cv2.merge([line[None] for line in (*lines, motion.level)])
        upper_edge, lower_edge, level, _ = cv2.split(_read_at(edges, along, across))
        below_upper, above_lower = across - upper_edge, lower_edge - across
        if mouth.shaded and expression.opening > 0:
            self._part_lips(sheets, below_upper, above_lower, expression)
        lower = below_upper - above_lower  # of the line between the lips, twice the distance
        edge = _EDGE_PX / self._size
        seam = _bounds(lower, -edge, edge) or (slice(0, 0), slice(0, 0))
        both = cv2.merge([one[seam] for one in sheets]) if seam[0].stop else None
        is_lower = cv2.compare(lower, 0.0, cv2.CMP_GT)  # type: ignore[call-overload]
        chosen = [cv2.copyTo(sheets[k + 2], is_lower, sheets[k]) for k in (0, 1)]
        self._blend(fine, rectangle, chosen, window)
        return _MouthView(
            rectangle, below_upper, above_lower, level, window, seam,
            (both[..., :2].copy(), both[..., 2:].copy()) if both is not None else (lower, lower),
        )  # fmt: skip

    def _blend(
        self, fine: Array, rectangle: tuple[slice, slice], chosen: list[Array], window: Array
    ) -> None:
        """Lay places over those of a rectangle, by a window, in place."""
        for axis, places in enumerate(chosen):
            part = fine[rectangle][..., axis]
            part += (places - part) * window

    def _draw_mouth(self, frame: ByteArray, motion: Motion, view: _MouthView) -> None:
        """Draw the line where lips meet, and what is seen between them."""
        if view.seam[0].stop:
            upper, lower = (read_pixels(self._portrait.pixels, sheet) for sheet in view.sheets)
            distance = (view.below_upper[view.seam] - view.above_lower[view.seam]) / 2
            lips = mixed(lower, upper, _coverage(distance, self._size))
            put(frame, _within(view.rectangle, view.seam), lips, view.window[view.seam])
        inside = np.minimum(view.below_upper, view.above_lower)
        inside *= view.level
        inside -= self._half_edge
        part = _bounds(inside, -_EDGE_PX / 2 / self._size)
        if part is None:
            return
        where = _within(view.rectangle, part)
        hollow = self._inside(
            self._places(*where, motion), view.below_upper[part], view.above_lower[part],
            motion.expression,
        )  # fmt: skip
        hollow = np.rint(hollow).clip(0, 255).astype(np.uint8)
        put(frame, where, hollow, _coverage(inside[part], self._size) * view.window[part])

    def _level(self, expression: Expression) -> Array:
        """Return float32 [S], how level the opening's edges run: distances to steep ones shrink."""
        step = (
            2
            * _LINE_REACH
            / (len(expression.upper_line) - 1)
            * float(np.hypot(*self._mouth.axes[1]))
        )
        lines = expression.upper_line, expression.lower_line
        rise = np.maximum(*(np.abs(np.gradient(line, step)) for line in lines))
        return (1 / np.sqrt(1 + rise**2)).astype(np.float32)

    def _part_lips(
        self, sheets: list[Array], below_upper: Array, above_lower: Array, expression: Expression
    ) -> None:
        """Pull the shadow between closed lips behind the edges of parted ones, in place.

        `sheets`: x and y of the upper lip's places, then of the lower one's, pixels.
        """
        unit = self._flow.eye_distance
        axis = self._mouth.axes[1] / np.hypot(*self._mouth.axes[1])
        apart = np.clip((below_upper + above_lower) / (_PARTED * unit), 0, 1)
        if self._mouth.gap > 0:
            apart *= 1 - expression.portrait_opening
        for k, (width, beyond) in enumerate(zip(_SHADOW, (below_upper, above_lower), strict=True)):
            away = np.maximum(-beyond, 0) / np.float32(1.6 * width * unit)
            pull = apart * np.exp(-away) * np.float32((2 * k - 1) * width * unit * self._gain)
            sheets[2 * k] -= pull * axis[1]
            sheets[2 * k + 1] += pull * axis[0]

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


def _reach(portrait: ByteArray) -> ByteArray | None:
    """Return uint8 [G, G], where a picture shows anything, and a cell around; None: everywhere."""
    alpha = np.ascontiguousarray(portrait[..., 3])
    if alpha.all():
        return None
    cells = (FLOW_CELLS, FLOW_CELLS)
    seen = cv2.resize(np.where(alpha > 0, np.float32(1), np.float32(0)), cells,
                      interpolation=cv2.INTER_AREA)  # fmt: skip
    return np.asarray(cv2.dilate((seen > 0).astype(np.uint8), _AROUND), np.uint8)


def _lip_matrix(mouth: MouthLayer, cells: tuple[int, int]) -> Array:
    """Return float64 [4, 3]: a place's cell (x, y) in the mouth's grid, in its lines, and its t."""
    size = mouth.box[2:] - mouth.box[:2]
    gain = np.array([cells[1], cells[0]], np.float64) / size
    shift = -mouth.box[:2] * gain - 0.5
    origin, along = (np.asarray(one, np.float64) for one in mouth.axes)
    length = float(np.hypot(*along))
    unit = along / length
    sideways, down = unit / length, np.array([-unit[1], unit[0]])
    step = (BaseFlow.line_places.size - 1) / (2 * _LINE_REACH)
    return np.array(
        [
            [gain[0], 0, shift[0]],
            [0, gain[1], shift[1]],
            [*(sideways * step), (_LINE_REACH - sideways @ origin) * step],
            [*down, -down @ origin],
        ]
    )


def _read_at(field: Array, x: Array, y: Array) -> Array:
    """Read a field float32 [H, W, C] at cells whose coordinates float32 [H', W'] are apart."""
    return cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _bounds(values: Array, low: float, high: float | None = None) -> tuple[slice, slice] | None:
    """Return the rectangle around values above `low` (and below `high`); None if there are none."""
    if high is None:
        inside = cv2.compare(values, low, cv2.CMP_GT)  # type: ignore[call-overload]
    else:
        inside = cv2.inRange(values, low, high)  # type: ignore[call-overload]
    column, row, columns, rows = cv2.boundingRect(inside)
    return (slice(row, row + rows), slice(column, column + columns)) if columns else None


def _within(rectangle: tuple[slice, slice], part: tuple[slice, slice]) -> tuple[slice, slice]:
    """Return a part of a rectangle as a rectangle of the picture."""
    rows, columns = (
        slice(whole.start + one.start, whole.start + one.stop)
        for whole, one in zip(rectangle, part, strict=True)
    )
    return rows, columns


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
