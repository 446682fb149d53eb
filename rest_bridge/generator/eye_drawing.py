"""Draws one eye: lids that move their skin, the picture of it shut, the eyeball between them.

Place in the flow: lids' fields -> here -> the frame's sources (in place), then its pixels. It knows
nothing of the face around it but where each pixel of the frame comes from.
Shape letters: S output pixels, H/W pixels or cells of a part.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import EyeLayer
from rest_bridge.generator.edges import (
    EDGE_PX,
    Rectangle,
    bounds_of,
    coverage,
    rectangle_of,
    window_of,
    within,
)
from rest_bridge.generator.fields import grid_points, read_cells
from rest_bridge.generator.lids import Lids, LidState
from rest_bridge.generator.textures import Texture, put, read_through, scaled
from rest_bridge.types import Array, ByteArray

_SHUT: Final = 0.75
"""How far a sliding lid has come down when nothing of the open eye's lower lid is to be seen."""
_STILL_PX: Final = 0.05
"""A lid that moves its skin by less leaves it where it is."""


@dataclass(frozen=True, slots=True)
class EyeView:
    """Where an eye is seen in a frame.

    `cells` float32 [H, W, 2]: places on the lids' grid of a rectangle's pixels; `inside` float32
    [H, W]: distance from the lids' edges; `window` likewise: 1 inside, 0 at the layer's border;
    `shut`: how much of the picture of the closed eye is seen, 0..1.
    """

    rectangle: Rectangle
    cells: Array
    inside: Array
    window: Array
    shut: float


class EyeDrawing:
    """Draws one eye of an avatar at one size.

    Attributes:
        lids: how they move.
    """

    def __init__(
        self, layer: EyeLayer, side: str, portrait: Texture, *, size_px: int, pixels_per_unit: int
    ) -> None:
        """Scale the picture of the shut eye for the output.

        Args:
            layer: the avatar's.
            side: "Left" or "Right" as in ARKit's names, the person's.
            portrait: the whole person; the eyeball is read from it.
            size_px: width and height of the frames.
            pixels_per_unit: of the portrait, for the canvas's width.
        """
        self.lids = lids = Lids(layer, side)
        self._size, self._portrait, self._gain = size_px, portrait, np.float32(pixels_per_unit)
        # Openings begin half an edge inside, so that a shut one leaves no trace.
        self._half_edge = np.float32(EDGE_PX / 2 / size_px)
        self._switch = (float(layer.switch[0]), float(layer.switch[1]))
        size = lids.box[2:] - lids.box[:2]
        # A portrait's pixel, (x + 0.5) / pixels on the canvas, in cells of the eye's box.
        pixels = pixels_per_unit
        scale = np.array(lids.shape[::-1], np.float64) / size
        shift = (0.5 / pixels - lids.box[:2]) * scale - 0.5
        self._to_cells = np.array(
            [[scale[0] / pixels, 0, shift[0]], [0, scale[1] / pixels, shift[1]]]
        )
        self._window = window_of(*lids.shape)
        self._pull = cv2.merge([self._window * self._gain] * 2)
        self._shut = scaled(layer.shut, layer.box, pixels)
        self._places = grid_points(lids.box, *lids.shape)
        """float32 [H, W, 2], the lids' cells on the canvas."""

    def bend(self, fine: Array, state: LidState, seen: Array) -> EyeView | None:
        """Let the skin of the lids move, in place.

        Only what differs from the open portrait is touched, a fifth of the layer's box, unless the
        picture of the shut eye is seen.

        Args:
            fine: float32 [S, S, 2], where each pixel comes from, pixels of the portrait.
            state: of the lids.
            seen: float32 [P, P, 2], the places before the pose of a coarse grid's cells.

        Returns:
            Where the eye is seen; None where nowhere.
        """
        begin, end = self._switch
        shut = min(max((state.closed - begin) / (end - begin), 0.0), 1.0)
        box = self.lids.box if shut > 0 else self._touched(state)
        rectangle = None if box is None else rectangle_of(box, seen, self._size)
        if rectangle is None:
            return None
        cells = cv2.transform(fine[rectangle], self._to_cells)
        below = self.lids.slides and state.closed < _SHUT
        still = shut >= 1 and not below
        field = np.empty((*self._window.shape, 4), np.float32)  # 4 channels are read twice as fast
        pairs = field.view(np.complex64)
        pairs[..., :1] = 0 if still else (state.open_lid * self._pull).view(np.complex64)
        pairs[..., 1:] = cv2.merge([state.inside, self._window]).view(np.complex64)
        found = read_cells(field, cells)
        if not still:
            # Pairs as one number each: ten times faster to add.
            part = fine.view(np.complex64)[rectangle]
            part += found.view(np.complex64)[..., :1]
        inside = cv2.extractChannel(found, 2) - self._half_edge
        return EyeView(rectangle, cells, inside, cv2.extractChannel(found, 3), shut)

    def draw(self, frame: ByteArray, state: LidState, view: EyeView) -> None:
        """Draw the shut eye and the eyeball between the lids."""
        if view.shut > 0:
            shut = read_through(self._shut, self._places + state.shut_lid, view.cells)
            share = view.window * np.float32(view.shut)
            if self.lids.slides and state.closed < _SHUT:  # below it the open drawing stays
                share *= 1 - coverage(read_cells(state.under, view.cells), self._size)
            put(frame, view.rectangle, shut, share)
        part = bounds_of(view.inside, -EDGE_PX / 2 / self._size)
        if part is not None:
            ball = read_through(self._portrait, self._places + state.ball, view.cells[part])
            share = coverage(view.inside[part], self._size) * view.window[part]
            put(frame, within(view.rectangle, part), ball, share)

    def _touched(self, state: LidState) -> Array | None:
        """Return the box in which a lid moves its skin or shows the eyeball; None if nowhere."""
        still = _STILL_PX / self._size
        moved = cv2.bitwise_not(cv2.inRange(state.open_lid, (-still,) * 2, (still,) * 2))
        edge = float(self._half_edge) - EDGE_PX / self._size
        open_here = cv2.compare(state.inside, edge, cv2.CMP_GT)  # type: ignore[call-overload]
        column, row, columns, rows = cv2.boundingRect(cv2.bitwise_or(moved, open_here))
        if not columns:
            return None
        corner, height, width = self.lids.box[:2], *moved.shape
        cell = (self.lids.box[2:] - corner) / np.array([width, height], np.float32)
        first, last = (column - 1, row - 1), (column + columns + 1, row + rows + 1)
        box = [corner + np.array(one, np.float32) * cell for one in (first, last)]
        low, high = np.maximum(box[0], corner), np.minimum(box[1], self.lids.box[2:])
        return np.concatenate([low, high])
