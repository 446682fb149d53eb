"""Draws one frame: the portrait through its backward fields, mouth and eyes as hard-edged layers.

Place in the flow: rig values -> base flow -> `motion` -> here -> RGBA frame. Eyes and mouth are
drawn by `eye_drawing` and `mouth_drawing`; here are their order, the portrait and its background.
Shape letters: S output pixels, G cells of the coarse flow.
"""

from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.generator.base_flow import FULL_BOX, BaseFlow
from rest_bridge.generator.eye_drawing import EyeDrawing
from rest_bridge.generator.fields import grid_points, read_cells
from rest_bridge.generator.motion import Correct, Correction, Motion, between
from rest_bridge.generator.mouth_drawing import MouthDrawing
from rest_bridge.generator.textures import (
    evened,
    over,
    person_of,
    plate_of,
    read_pixels,
    scaled,
    straight,
)
from rest_bridge.trace import span
from rest_bridge.types import Array, ByteArray

FLOW_CELLS: Final = 128
"""Resolution at which the whole picture's flow is put together."""
_BANDS: Final = 8
"""Strips of a picture that are read as far as the person reaches in them."""
_AROUND: Final = np.ones((3, 3), np.uint8)
_LINE_PIXELS: Final = 16
"""Of a line of the cache."""


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
        solid = bool((avatar.picture[..., 3] == 255).all())
        native = avatar.picture.shape[0]
        # Twice the output: bilinear reading at rest is then exactly area averaging, and a moving
        # picture keeps the sharpness of a resting one.
        scale = 2 if native >= 1.2 * size_px and size_px <= 768 else 1
        pixels_per_unit = scale * size_px
        self._plate: ByteArray | None = None
        if avatar.backdrop.stands_still:
            self._plate = plate_of(avatar, size_px)
        # What is laid over a plate is premultiplied; else frames come out straight as read.
        prepare = scaled if solid or self._plate is not None else straight
        self._portrait = prepare(person_of(avatar), FULL_BOX, pixels_per_unit)
        if scale == 2:
            self._portrait = evened(self._portrait)
        sizes = {"size_px": size_px, "pixels_per_unit": pixels_per_unit}
        # ARKit's left is the person's, which is the picture's right.
        self._eyes = [
            EyeDrawing(avatar.left_eye, "Right", self._portrait, **sizes),
            EyeDrawing(avatar.right_eye, "Left", self._portrait, **sizes),
        ]
        self._mouth = MouthDrawing(avatar, self._portrait, **sizes)
        self._lids = [eye.lids for eye in self._eyes]
        self._correction = Correction(avatar, self._flow, self._lids)
        self._coarse = grid_points(FULL_BOX, FLOW_CELLS, FLOW_CELLS)
        self._pose_cells = grid_points(FULL_BOX, *avatar.head.depth.shape)
        self._gain = np.float32(pixels_per_unit)
        self._rest = self._coarse * self._gain - np.float32(0.5)
        self._borders = _borders(self._rest, size_px, pixels_per_unit)
        self._spare: list[Array] = []
        self._person = _reach(self._portrait.pixels)

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
            back = self._correction.added(correct, back, expression)
        moved = self._flow.whole(back, expression, self._coarse)
        lids = tuple(one.state(arkit) if one.moves(arkit) else None for one in self._lids)
        return Motion(arkit, back, expression, moved, lids, self._mouth.level(expression))

    def between(self, one: Motion, other: Motion, share: float) -> Motion:
        """Return what moves a share of the way from one frame to another, 0..1."""
        return between(one, other, share, self._lids)

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
                None if state is None else eye.bend(fine, state, seen)
                for eye, state in zip(self._eyes, motion.lids, strict=True)
            ]
        with span("mouth"):
            mouth = self._mouth.bend(fine, motion, seen)
        with span("warp"):
            frame = self._read_person(fine, motion)
        with span("layers"):
            for eye, state, view in zip(self._eyes, motion.lids, eyes, strict=True):
                if state is not None and view is not None:
                    eye.draw(frame, state, view)
            if mouth is not None:
                self._mouth.draw(frame, motion, mouth)
        self._spare.append(fine)
        with span("alpha"):
            return frame if self._plate is None else over(frame, self._plate)

    def _sources(self, motion: Motion) -> Array:
        """Return where each pixel comes from, float32 [S, S, 2], pixels of the portrait."""
        try:  # memory that is warm: two megabytes anew take as long as filling them
            fine = self._spare.pop()
        except IndexError:
            fine = np.empty((self._size, self._size, 2), np.float32)
        places = cv2.scaleAdd(motion.moved, float(self._gain), self._rest)
        fine = np.asarray(cv2.resize(places, (self._size, self._size), dst=fine))
        for part, missing in self._borders:
            fine[part] += missing
        return fine

    def _read_person(self, fine: Array, motion: Motion) -> ByteArray:
        """Read the portrait; what is empty is not read, half of a picture without background."""
        new = np.empty if self._person is None else np.zeros
        frame = new((self._size, self._size, 4), np.uint8)
        here = None
        if self._person is not None:
            cells = (self._coarse + motion.moved) * np.float32(FLOW_CELLS) - np.float32(0.5)
            here = cv2.dilate(np.asarray(read_cells(self._person, cells), np.uint8), _AROUND)
        share = self._size / FLOW_CELLS
        for first in range(0, FLOW_CELLS, FLOW_CELLS // _BANDS):
            last = first + FLOW_CELLS // _BANDS
            column, columns = 0, FLOW_CELLS
            if here is not None:
                column, _, columns, _ = cv2.boundingRect(here[first:last])
            if columns:
                rows = slice(int(first * share), int(last * share))
                across = slice(int(column * share), int(np.ceil((column + columns) * share)))
                self._fetch(rows, across)
                read_pixels(self._portrait.pixels, fine[rows, across], out=frame[rows, across])
        return frame

    def _fetch(self, rows: slice, columns: slice) -> None:
        """Bring about what a band of the frame is read from into the cache, one row after another.

        The readings themselves lie scattered: out of memory that other work has pushed out of the
        cache they take 1.6 ms for 512 pixels, and 0.9 with this before them.
        """
        scale = len(self._portrait.pixels) / self._size
        down, across = (
            slice(int(one.start * scale), int(one.stop * scale)) for one in (rows, columns)
        )
        words = self._portrait.pixels.view(np.uint32)[down, across]
        np.bitwise_or.reduce(words[:, ::_LINE_PIXELS], axis=None)


def _borders(
    rest: Array, size_px: int, pixels_per_unit: int
) -> list[tuple[tuple[slice, slice, int], Array]]:
    """Return what resizing leaves out next to the borders, where no cells lie beyond.

    Args:
        rest: float32 [G, G, 2], the places of the cells.
        size_px: S.
        pixels_per_unit: of the places.

    Returns:
        Parts of [S, S, 2], and what has to be added to them for places that rest.
    """
    even = (np.arange(size_px) + 0.5) * (pixels_per_unit / size_px) - 0.5
    row = np.ascontiguousarray(rest[:1, :, 0])
    missing = (even - np.asarray(cv2.resize(row, (size_px, 1)))[0]).astype(np.float32)
    width = -(-size_px // (2 * len(rest)))
    return [
        (part, missing[ends] if part[2] == 0 else missing[ends, None])
        for ends in (slice(0, width), slice(size_px - width, size_px))
        for part in ((slice(None), ends, 0), (ends, slice(None), 1))
    ]


def _reach(portrait: ByteArray) -> ByteArray | None:
    """Return uint8 [G, G], where a picture shows anything, and a cell around; None: everywhere."""
    alpha = np.ascontiguousarray(portrait[..., 3])
    if alpha.all():
        return None
    cells = (FLOW_CELLS, FLOW_CELLS)
    seen = cv2.resize(np.where(alpha > 0, np.float32(1), np.float32(0)), cells,
                      interpolation=cv2.INTER_AREA)  # fmt: skip
    return np.asarray(cv2.dilate((seen > 0).astype(np.uint8), _AROUND), np.uint8)
