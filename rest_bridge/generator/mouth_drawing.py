"""Draws the mouth: two sheets of lips, the line where they meet, and what is seen between them.

Place in the flow: an expression's sheets and lines -> here -> the frame's sources (in place), then
its pixels. It knows nothing of the face around it but where each pixel of the frame comes from.
Shape letters: S cells along the lips' lines, H/W pixels or cells of a part.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar, MouthLayer
from rest_bridge.generator.base_flow import FULL_BOX, BaseFlow, Expression
from rest_bridge.generator.edges import (
    EDGE_PX,
    Rectangle,
    bounds_of,
    coverage,
    rectangle_of,
    window_of,
    within,
)
from rest_bridge.generator.fields import (
    cells_of,
    grid_points,
    mapped_four,
    planes,
    read_cells,
    read_field,
    read_line,
)
from rest_bridge.generator.motion import Motion
from rest_bridge.generator.textures import Texture, mixed, put, read_pixels, scaled
from rest_bridge.types import Array, ByteArray

_SHADOW: Final = (0.022, 0.012)
"""Eye distances of upper and lower lip next to their line that closed lips shade."""
_FADES: Final = 1.6
_FADED: Final = 7 * _FADES
"""Widths of that shadow over which it is pulled less and less, and after which no more."""
_PARTED: Final = 0.05
"""Opening (eye distances) at which that shadow is gone."""
_DIM: Final = 0.45
_LIT: Final = 0.3
"""Light on the tongue behind nearly closed lips, and the opening at which all of it is there."""
_WARM: Final = np.array([0.8, 1.05, 1.08], np.float32)
"""How much the lips' shadow takes of red, green and blue: what light is left there is the lips'
own. Teeth that are darkened evenly are grey, and grey looks blue beside warm skin."""
_LINE_REACH: Final = 1.3
"""The lips' edges are known over s from minus this to this, see `BaseFlow.line_places`."""


@dataclass(frozen=True, slots=True)
class MouthView:
    """Where the mouth is seen in a frame; arrays float32 [H, W] of a rectangle's pixels.

    `below_upper`, `above_lower`: distances from the lips' edges, canvas units; `level`: how level
    these are; `window`: 1 inside, 0 at the layer's border; `seam`: the part where both lips are
    seen in one pixel, `sheets` their places there, pixels of the portrait.
    """

    rectangle: Rectangle
    below_upper: Array
    above_lower: Array
    level: Array
    window: Array
    seam: Rectangle
    sheets: tuple[Array, Array]


class MouthDrawing:
    """Draws the mouth of an avatar at one size."""

    def __init__(
        self, avatar: Avatar, portrait: Texture, *, size_px: int, pixels_per_unit: int
    ) -> None:
        """Scale the pictures for the output.

        Args:
            avatar: the avatar.
            portrait: the whole person; the lips are read from it.
            size_px: width and height of the frames.
            pixels_per_unit: of the portrait, for the canvas's width.
        """
        self._mouth, self._unit = avatar.mouth, avatar.eye_distance
        self._size, self._portrait, self._gain = size_px, portrait, np.float32(pixels_per_unit)
        self._teeth = scaled(avatar.mouth.teeth, avatar.mouth.inside_box, pixels_per_unit)
        self._own: Texture | None = None
        if avatar.mouth.own[..., 3].any():
            self._own = scaled(avatar.mouth.own, avatar.mouth.inside_box, pixels_per_unit)
        self._tongue = scaled(avatar.mouth.tongue, avatar.mouth.inside_box, pixels_per_unit)
        # Openings begin half an edge inside, so that a shut one leaves no trace.
        self._half_edge = np.float32(EDGE_PX / 2 / size_px)
        grid = avatar.mouth.upper.shape[1:3]
        pixels = grid_points(avatar.mouth.box, *grid) * self._gain - np.float32(0.5)
        window = window_of(*grid)
        # The upper lip's sheet, below it the lower one's: places, and the layer's window.
        self._sheets = cv2.merge([*cv2.split(np.concatenate([pixels] * 2)),
                                  *[np.concatenate([window] * 2)] * 2])  # fmt: skip
        self._to_lips = _lip_matrix(avatar.mouth, grid)
        self._pose_map = cells_of(
            grid_points(FULL_BOX, size_px, size_px), FULL_BOX, *avatar.head.depth.shape
        )

    def level(self, expression: Expression) -> Array:
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

    def bend(self, fine: Array, motion: Motion, seen: Array) -> MouthView | None:
        """Let the skin follow the lips' two sheets, in place.

        Args:
            fine: float32 [F, F, 2], where each pixel comes from, pixels of the portrait.
            motion: what moves.
            seen: float32 [P, P, 2], the places before the pose of a coarse grid's cells.

        Returns:
            Where the mouth is seen; None where nowhere.
        """
        mouth, expression = self._mouth, motion.expression
        rectangle = rectangle_of(mouth.box, seen, self._size)
        if rectangle is None:
            return None
        # Everything that is linear in the place before the pose is read in one go.
        known = read_cells(mapped_four(seen, self._to_lips), self._pose_map[rectangle])
        column, row, along, across = planes(known)
        lines = (expression.upper_line, expression.lower_line, motion.level)
        upper_edge, lower_edge, level, _ = planes(
            read_line(cv2.merge([line[None] for line in (*lines, motion.level)]), along)
        )
        below_upper, above_lower = across - upper_edge, lower_edge - across
        lower = below_upper - above_lower  # of the line between the lips, twice the distance
        edge = EDGE_PX / self._size
        seam = bounds_of(lower, -edge, edge) or (slice(0, 0), slice(0, 0))
        field, rows = self._moved_sheets(expression), len(self._sheets) // 2
        np.clip(row, 0, rows - 1, out=row)
        both = [_read_at(one, column[seam], row[seam]) if seam[0].stop else lower[..., None]
                for one in (field[:rows], field[rows:])]  # fmt: skip
        sheets = [np.ascontiguousarray(one[..., :2]) for one in both]
        is_lower = cv2.compare(lower, 0.0, cv2.CMP_GT)  # type: ignore[call-overload]
        row += is_lower * np.float32(rows / 255)
        x, y, window, _ = planes(_read_at(field, column, row))
        view = MouthView(
            rectangle, below_upper, above_lower, level, window, seam, (sheets[0], sheets[1])
        )
        if mouth.shaded and expression.opening > 0:
            self._part_lips(view, (x, y), is_lower, expression)
        _blend(fine, rectangle, (x, y), window)
        return view

    def _moved_sheets(self, expression: Expression) -> Array:
        """Return `_sheets` with each lip's own displacement."""
        moved = self._sheets.copy()
        pairs = moved.view(np.complex64)[..., 0]
        rows = len(moved) // 2
        for part, sheet in ((pairs[:rows], expression.upper), (pairs[rows:], expression.lower)):
            part += (sheet * self._gain).view(np.complex64)[..., 0]
        return moved

    def draw(self, frame: ByteArray, motion: Motion, view: MouthView) -> None:
        """Draw the line where lips meet, and what is seen between them."""
        if view.seam[0].stop:
            upper, lower = (read_pixels(self._portrait.pixels, sheet) for sheet in view.sheets)
            distance = (view.below_upper[view.seam] - view.above_lower[view.seam]) / 2
            lips = mixed(lower, upper, coverage(distance, self._size))
            put(frame, within(view.rectangle, view.seam), lips, view.window[view.seam])
        inside = np.minimum(view.below_upper, view.above_lower)
        inside *= view.level
        inside -= self._half_edge
        part = bounds_of(inside, -EDGE_PX / 2 / self._size)
        if part is None:
            return
        where = within(view.rectangle, part)
        hollow = self._inside(
            self._places(*where, motion), view.below_upper[part], view.above_lower[part],
            motion.expression,
        )  # fmt: skip
        hollow = np.rint(hollow).clip(0, 255).astype(np.uint8)
        put(frame, where, hollow, coverage(inside[part], self._size) * view.window[part])

    def _places(self, rows: slice, columns: slice, motion: Motion) -> Array:
        """Return the places before the pose of a rectangle's pixels."""
        box = np.array([columns.start, rows.start, columns.stop, rows.stop], np.float32)
        points = grid_points(box / self._size, rows.stop - rows.start, columns.stop - columns.start)
        points += read_field(motion.back, FULL_BOX, points)
        return points

    def _part_lips(
        self, view: MouthView, chosen: tuple[Array, Array], is_lower: Array, expression: Expression
    ) -> None:
        """Pull the shadow between closed lips behind the edges of parted ones, in place.

        Args:
            view: where the mouth is seen; its seam's sheets are changed as well.
            chosen: x and y of each pixel's place.
            is_lower: uint8 [H, W], where that is on the lower lip.
            expression: of the frame.
        """
        axis = self._mouth.axes[1] / np.hypot(*self._mouth.axes[1])
        if view.seam[0].stop:
            pulls = self._pulls(view, view.seam, expression)
            for sheet, pull in zip(view.sheets, pulls, strict=True):
                sheet[..., 0] -= pull * axis[1]
                sheet[..., 1] += pull * axis[0]
        reach = np.float32(_FADED * max(_SHADOW) * self._unit)
        near = np.minimum(np.minimum(view.below_upper, view.above_lower) + reach,
                          view.below_upper + view.above_lower)  # fmt: skip
        part = bounds_of(near, 0.0)
        if part is None:
            return
        upper, lower = self._pulls(view, part, expression)
        pull = np.where(is_lower[part] > 0, lower, upper)
        chosen[0][part] -= pull * axis[1]
        chosen[1][part] += pull * axis[0]

    def _pulls(
        self, view: MouthView, part: Rectangle, expression: Expression
    ) -> tuple[Array, Array]:
        """Return how far upper and lower lip are pulled, pixels of the portrait."""
        unit = self._unit
        below_upper, above_lower = view.below_upper[part], view.above_lower[part]
        apart = np.clip((below_upper + above_lower) / np.float32(_PARTED * unit), 0, 1)
        if self._mouth.gap > 0:
            apart *= 1 - expression.portrait_opening
        upper, lower = (
            apart
            * np.exp(np.minimum(beyond, 0) / np.float32(_FADES * width * unit))
            * np.float32(sign * width * unit * self._gain)
            for sign, width, beyond in zip(
                (-1, 1), _SHADOW, (below_upper, above_lower), strict=True
            )
        )
        return upper, lower

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
            lit = min(expression.opening / (_LIT * self._unit), 1.0)
            hollow[..., :3] *= np.float32(_DIM + (1 - _DIM) * lit)
        teeth = self._teeth.read(places - expression.teeth_shift).astype(np.float32)
        hollow *= 1 - teeth[..., 3:] / 255
        hollow += teeth
        if self._mouth.shaded:
            unit = self._unit
            shade = 1 - 0.5 * np.exp(-np.maximum(below_upper, 0) / (0.035 * unit))
            shade *= 1 - 0.35 * np.exp(-np.maximum(above_lower, 0) / (0.04 * unit))
            if self._mouth.gap > 0:  # the portrait's own teeth carry their own shadow
                shade += (1 - shade) * expression.portrait_opening
            hollow[..., :3] *= 1 - (1 - shade)[..., None] * _WARM
        if self._own is not None and expression.own_share > 0:
            own = self._own.read(places).astype(np.float32) * np.float32(expression.own_share)
            hollow *= 1 - own[..., 3:] / 255
            hollow += own
        return hollow


def _blend(fine: Array, rectangle: Rectangle, chosen: tuple[Array, Array], window: Array) -> None:
    """Lay x and y of places over those of a rectangle, by a window, in place."""
    part = fine[rectangle]
    change = cv2.subtract(cv2.merge(chosen), part)  # NumPy takes four times as long for pairs
    cv2.add(part, cv2.multiply(change, cv2.merge([window, window])), dst=part)


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
