"""Lids and gaze of one eye: where every place around the eye comes from, for any lid state.

Place in the flow: ARKit weights -> here -> small backward fields -> compositor. The upper lid is a
sheet that slides over the eyeball; its skin comes from the open portrait while nearly open and from
the painted closed eye while nearly closed, each stretched so that the lash lines coincide.
Lengths along t in eye widths, down positive. Shape letters: H/W cells.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from rest_bridge.avatar import EyeLayer
from rest_bridge.generator.fields import grid_points, to_local
from rest_bridge.rig import ARKIT_NAMES
from rest_bridge.types import Array

_CELLS: Final = (44, 56)
_STILL: Final = 0.004
"""Weights up to here move nothing by a quarter of a pixel."""
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
        self._s = local[..., 0]
        self._t = local[..., 1] / self._width
        self._unit = eye.axes[1] / self._width
        at = {n: np.interp(self._s, eye.places, getattr(eye, n)).astype(np.float32)
              for n in ("upper", "lower", "closed", "top", "bottom")}  # fmt: skip
        self._upper, self._lower, self._closed = at["upper"], at["lower"], at["closed"]
        self._top = np.minimum(at["top"], np.minimum(self._upper, self._closed) - 0.12)
        self._bottom = np.maximum(at["bottom"], self._lower + 0.05)
        names = ("Blink", "Wide", "Squint", "LookDown", "LookUp", "LookIn", "LookOut")
        self._index = [ARKIT_NAMES.index(f"eye{name}{side}") for name in names]
        inwards = 1.0 if side == "Right" else -1.0  # the person's right eye looks in to the right
        self._gaze_sign = np.array([inwards, 1.0], np.float32)
        self._beside = (self._s < 0) | (self._s > 1)
        self._lash = eye.lash
        self._eye = eye
        self.slides = bool(eye.slides)
        # The gaze fades out towards the corners, so that nothing from beyond them is pulled in.
        self._bump = np.clip(1 - (2 * self._s - 1) ** 2, 0, 1).astype(np.float32)

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
        upper = self._upper + close_upper * (self._closed - self._upper)
        lower = self._lower + close_lower * (self._closed - self._lower)
        t = self._t
        open_t = self._lid_source(t, upper, lower, self._upper, self._lower)
        shut_t = self._lid_source(t, upper, lower, self._closed, self._closed)
        if self.slides:
            above = np.where(t > self._upper - 0.05, t - upper + self._closed, t)
            shut_t = np.where(t < (upper + lower) / 2, above, shut_t)
        edge = np.minimum(t - upper, lower - t)
        under = np.where(self._beside, -1.0, t - (upper + lower) / 2)
        gaze = np.array([inside - outside, down - up], np.float32) * self._gaze_sign * _GAZE_REACH
        ball_s, ball_t = self._ball_source(t, upper, lower, gaze)
        return LidState(
            open_lid=self._canvas(np.zeros_like(t), open_t - t),
            shut_lid=self._canvas(np.zeros_like(t), shut_t - t),
            ball=self._canvas(ball_s - self._s, ball_t - t),
            inside=(edge * self._width).astype(np.float32),
            under=(under * self._width).astype(np.float32),
            closed=float(np.clip(close_upper, 0, 1)),
        )

    def _ball_source(
        self, t: Array, upper: Array, lower: Array, gaze: Array
    ) -> tuple[Array, Array]:
        """Turn the eyeball: places keep their share of the portrait's opening, so none is skin."""
        from_upper, from_lower = self._upper, self._lower
        wide = upper < from_upper
        opening = np.where(wide, lower - upper, from_lower - from_upper)
        share = (t - np.where(wide, upper, from_upper)) / np.maximum(opening, 1e-3)
        share = np.clip(share, 0, 1)
        share = share - gaze[1] * 4 * share * (1 - share)
        s = self._s - gaze[0] * self._bump
        if gaze[0] != 0:
            from_upper = np.interp(s, self._eye.places, self._eye.upper)
            from_lower = np.interp(s, self._eye.places, self._eye.lower)
        source = from_upper + share * (from_lower - from_upper)
        return s, np.where(opening > 0.01, source, t)

    def _lid_source(
        self,
        t: Array,
        upper: Array,
        lower: Array,
        from_upper: Array,
        from_lower: Array,
    ) -> Array:
        """Stretch the skin above and below so that edges at `from_*` come to `upper`, `lower`."""
        band = np.minimum(self._lash, 0.5 * np.minimum(upper, from_upper) - 0.5 * self._top)
        edge, from_edge = upper - band, from_upper - band
        gain = (from_edge - self._top) / np.maximum(edge - self._top, 0.02)
        above = np.where(t > edge, t - upper + from_upper, self._top + (t - self._top) * gain)
        gain = (self._bottom - from_lower) / np.maximum(self._bottom - lower, 0.02)
        below = self._bottom - (self._bottom - t) * gain
        source = np.where(t < (upper + lower) / 2, above, below)
        return np.where((t <= self._top) | (t >= self._bottom), t, source)

    def _canvas(self, along: Array, across: Array) -> Array:
        x = along * self._unit[0] - across * self._unit[1]
        y = along * self._unit[1] + across * self._unit[0]
        return (np.stack([x, y], -1) * self._width).astype(np.float32)
