"""Lids and gaze of one eye: where every place around the eye comes from, for any lid state.

Place in the flow: ARKit weights -> here -> small backward fields -> compositor. The upper lid is a
sheet that slides over the eyeball; its skin comes from the open portrait while nearly open and from
the painted closed eye while nearly closed, each stretched so that the lash lines coincide.
Lengths along t in eye widths, down positive. Shape letters: H/W cells.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import EyeLayer
from rest_bridge.generator.fields import grid_points, read_line, to_local
from rest_bridge.rig import ARKIT_NAMES
from rest_bridge.types import Array

_CELLS: Final = (44, 56)
_STILL: Final = 0.004
"""Weights up to here move nothing by a quarter of a pixel."""
_THIN: Final = np.float32(0.02)
"""Eye widths: skin thinner than this stretches no further."""
_GAZE_REACH: Final = np.array([0.18, 0.22], np.float32)
"""Eye widths sideways; share of the opening up and down."""


@dataclass(frozen=True, slots=True)
class LidState:
    """Fields over the eye's box for one instant.

    Attributes:
        open_lid: float32 [H, W, 2], canvas displacement into the portrait.
        shut_lid: float32 [H, W, 2], canvas displacement into the picture of the closed eye.
        ball: float32 [H, W, 2], canvas displacement into the portrait for the eyeball.
        inside: float32 [H, W], distance from the lids' edges, canvas units; positive on the ball.
        under: float32 [H, W], distance below the middle of the opening, canvas units; what lies
            there stays the open portrait's where the lid slides.
        closed: how far the eye is closed, 0..1.
    """

    open_lid: Array
    shut_lid: Array
    ball: Array
    inside: Array
    under: Array
    closed: float


class Lids:
    """The lids of one eye."""

    def __init__(self, eye: EyeLayer, side: str) -> None:
        """Prepare the grid.

        Args:
            eye: the avatar's eye layer.
            side: "Left" or "Right", the person's side as in the ARKit names.
        """
        self.box = eye.box
        self._width = float(np.hypot(*eye.axes[1]))
        local = to_local(eye.axes[0], eye.axes[1], grid_points(eye.box, *_CELLS))
        self.shape = _CELLS
        # All arrays here are small: float32 and few of them.
        self._s = s = np.ascontiguousarray(local[..., 0], np.float32)
        self._t = t = np.ascontiguousarray(local[..., 1] / self._width, np.float32)
        self._unit = eye.axes[1] / self._width
        at = {n: np.interp(s, eye.places, getattr(eye, n)).astype(np.float32)
              for n in ("upper", "lower", "closed", "top", "bottom")}  # fmt: skip
        self._upper, self._lower, self._closed = at["upper"], at["lower"], at["closed"]
        self._top = np.minimum(at["top"], np.minimum(self._upper, self._closed) - np.float32(0.12))
        bottom = np.maximum(at["bottom"], self._lower + np.float32(0.05))
        self._bottom, self._to_bottom = bottom, bottom - t
        self._skin = ((t > self._top) & (t < bottom)).astype(np.float32)
        names = ("Blink", "Wide", "Squint", "LookDown", "LookUp", "LookIn", "LookOut")
        self._index = [ARKIT_NAMES.index(f"eye{name}{side}") for name in names]
        inwards = 1.0 if side == "Right" else -1.0  # the person's right eye looks in to the right
        self._gaze_sign = np.array([inwards, 1.0], np.float32)
        self._beside = (s < 0) | (s > 1)
        self._lash = np.float32(eye.lash)
        self.slides = bool(eye.slides)
        # The gaze fades out towards the corners, so that nothing from beyond them is pulled in.
        self._bump = np.clip(1 - (2 * s - 1) ** 2, 0, 1).astype(np.float32)
        self._line = _Line(eye)

    def moves(self, arkit: Array) -> bool:
        """Say whether anything differs from the open portrait.

        Args:
            arkit: float32 [52], ARKit weights.

        Returns:
            False if the layer can be left out.
        """
        return bool((arkit[self._index] > _STILL).any())

    def state(self, arkit: Array) -> LidState:
        """Place the lids and turn the eyeball.

        Args:
            arkit: float32 [52], ARKit weights.

        Returns:
            The fields.
        """
        blink, wide, squint, down, up, inside, outside = (float(arkit[i]) for i in self._index)
        # A lid that slides is another picture: glances and squints alone do not call for it.
        follows = 0.0 if self.slides else 1.0
        lowered = 1 - (1 - blink) * (1 - 0.3 * follows * down) * (1 - 0.18 * follows * squint)
        raised = (0.2 * wide + 0.12 * up) * (1 - blink)
        close_upper = lowered - raised
        close_lower = 1 - (1 - blink) * (1 - 0.45 * squint) * (1 + 0.1 * wide)
        upper = self._upper + np.float32(close_upper) * (self._closed - self._upper)
        lower = self._lower + np.float32(close_lower) * (self._closed - self._lower)
        t, middle = self._t, (upper + lower) * np.float32(0.5)
        is_upper, sinks = t < middle, self._to_bottom / np.maximum(self._bottom - lower, _THIN)
        lids = [
            np.where(is_upper, self._above(upper, from_upper), sinks * (from_lower - lower))
            * self._skin
            for from_upper, from_lower in ((self._upper, self._lower), (self._closed, self._closed))
        ]
        if self.slides:
            above = np.where(t > self._upper - np.float32(0.05), self._closed - upper, 0)
            lids[1] = np.where(is_upper, above, lids[1])
        edge = np.minimum(t - upper, lower - t)
        under = np.where(self._beside, np.float32(-1), t - middle)
        gaze = np.array([inside - outside, down - up], np.float32) * self._gaze_sign * _GAZE_REACH
        return LidState(
            open_lid=self._canvas(None, lids[0]),
            shut_lid=self._canvas(None, lids[1]),
            ball=self._canvas(*self._ball(upper, lower, gaze)),
            inside=edge * np.float32(self._width),
            under=under * np.float32(self._width),
            closed=float(np.clip(close_upper, 0, 1)),
        )

    def _ball(self, upper: Array, lower: Array, gaze: Array) -> tuple[Array | None, Array]:
        """Turn the eyeball: places keep their share of the portrait's opening, so none is skin.

        Returns:
            How far along s and t each place's source lies; None for nothing along s.
        """
        t, highest = self._t, np.minimum(upper, self._upper)
        opening = np.where(upper < self._upper, lower, self._lower) - highest
        share = np.clip((t - highest) / np.maximum(opening, np.float32(1e-3)), 0, 1)
        share -= gaze[1] * 4 * share * (1 - share)
        from_upper, from_lower, along = self._upper, self._lower, None
        if gaze[0] != 0:
            along = -gaze[0] * self._bump
            from_upper, from_lower = self._line.read(self._s + along)
        source = from_upper + share * (from_lower - from_upper)
        return along, np.where(opening > 0.01, source - t, 0)

    def _above(self, upper: Array, from_upper: Array) -> Array:
        """Return how far along t the skin's source lies above an edge that came from `from_upper`.

        Lashes go along as they are; above them skin stretches up to the brow's side of the lid.
        """
        top = self._top
        room = np.minimum(upper, from_upper) - top
        edge = upper - np.minimum(self._lash, room * np.float32(0.5))
        gain = (from_upper - upper) / np.maximum(edge - top, _THIN)
        return (np.minimum(self._t, edge) - top) * gain

    def _canvas(self, along: Array | None, across: Array) -> Array:
        """Return float32 [H, W, 2], canvas units, of lengths along s and t in eye widths."""
        x, y = (np.float32(one * self._width) for one in self._unit)
        if along is None:
            return cv2.merge([across * -y, across * x])
        return cv2.merge([along * x - across * y, along * y + across * x])


class _Line:
    """The open lids' edges, at any place along the eye."""

    def __init__(self, eye: EyeLayer) -> None:
        even = np.linspace(eye.places[0], eye.places[-1], len(eye.places))
        edges = [np.interp(even, eye.places, one).astype(np.float32)
                 for one in (eye.upper, eye.lower)]  # fmt: skip
        self._edges = cv2.merge([one[None] for one in (*edges, *edges)])
        self._first, self._step = np.float32(even[0]), np.float32(even[1] - even[0])

    def read(self, s: Array) -> tuple[Array, Array]:
        """Return the upper and the lower edge's t at float32 [H, W]."""
        cells = (s - self._first) / self._step
        found = read_line(self._edges, cells)
        return cv2.extractChannel(found, 0), cv2.extractChannel(found, 1)
