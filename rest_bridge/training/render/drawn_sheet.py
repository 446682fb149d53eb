"""A sheet to draw a character on: turning the face's relief, filling and stroking curves.

Units as in `drawn_style`: half face widths, y DOWN, origin between the eyes.
"""

from typing import Final

import cv2
import numpy as np

from rest_bridge.rig import PIVOT_BELOW_EYES, RIG_INDEX
from rest_bridge.training.render.drawn_style import Style
from rest_bridge.training.render.pose import rotation
from rest_bridge.training.render.raster import Array

FRACTION_BITS: Final = 4
"""Of cv2's fixed-point coordinates."""
(NOTHING, BACK_HAIR, BODY, FACE, WHITE_RIGHT, WHITE_LEFT, IRIS_RIGHT, IRIS_LEFT, LASH_RIGHT,
 LASH_LEFT, MOUTH_INSIDE, FRONT_HAIR) = range(12)  # fmt: skip
"""Layers of a drawing, each of which moves smoothly in itself. Right and left are the person's."""


class Sheet:
    """A transparent canvas uint8 [S, S, 4] and the character's pose on it."""

    def __init__(self, style: Style, rig: Array, size: int, eye_share: float) -> None:
        self.style, self.rig, self.size = style, rig, size
        self.unit = eye_share * size / (2 * style.eye_x)
        self.turn = rotation(*rig[:3])
        self.rng = np.random.default_rng(style.seed)
        self.canvas = np.zeros((size, size, 4), np.uint8)
        self.layers = np.zeros((size, size), np.uint8)
        """Which layer each pixel shows."""
        self.layer = NOTHING
        """What is being drawn."""
        self.nodes: dict[int, list[Array]] = {}
        """Layer -> curves [N, 2] in pixels that move with it, alike in every state."""
        self.shift = np.array([rig[3], rig[4], 0]) * 2 * style.eye_x
        self.origin = np.array([0.5, 0.44]) * size
        self.points = np.zeros((66, 2))

    def value(self, name: str) -> float:
        """Return one rig value."""
        return float(self.rig[RIG_INDEX[name]])

    def relief(self, xy: Array) -> Array:
        """Return how far points [N, 2] of the face stand out: [N]."""
        inside = 1 - (xy[:, 0] / 1.08) ** 2 - ((xy[:, 1] - 0.2) / 1.9) ** 2
        return self.style.depth * np.sqrt(np.clip(inside, 0, 1))

    def place(
        self, xy: Array, depth: Array | float | None = None, share: Array | float = 1.0
    ) -> Array:
        """Move points [N, 2] with the head (share [N] or for all; 0 = body): pixels [N, 2]."""
        xy = np.atleast_2d(np.asarray(xy, float))
        z = self.relief(xy) if depth is None else np.broadcast_to(depth, len(xy))
        # As deep as the runtime takes drawings to be.
        pivot = np.array([0, -2 * PIVOT_BELOW_EYES * self.style.eye_x, -0.4])
        solid = np.stack([xy[:, 0], -xy[:, 1], z], 1)
        size = 1 + float(self.rig[5])
        moved = size * (solid - pivot) @ self.turn.T.astype(float) + pivot + self.shift
        solid = solid + np.broadcast_to(share, len(xy))[:, None] * (moved - solid)
        return self.origin + np.stack([solid[:, 0], -solid[:, 1]], 1) * self.unit

    def fill(self, pixels: Array, colour: Array) -> None:
        """Fill a closed shape."""
        curve = [fixed(pixels)]
        cv2.fillPoly(self.canvas, curve, _rgba255(colour), cv2.LINE_AA, shift=FRACTION_BITS)
        cv2.fillPoly(self.layers, curve, (self.layer,), cv2.LINE_8, shift=FRACTION_BITS)

    def follow(self, pixels: Array) -> Array:
        """Let the layer that is being drawn move with a curve [N, 2], and return the curve."""
        self.nodes.setdefault(self.layer, []).append(pixels)
        return pixels

    def stroke(self, pixels: Array, colour: Array, weight: float, *, closed: bool = False) -> None:
        """Draw a line; `weight` in half face widths."""
        thick = max(1, round(weight * self.unit))
        curve, bits = [fixed(pixels)], FRACTION_BITS
        cv2.polylines(self.canvas, curve, closed, _rgba255(colour), thick, cv2.LINE_AA, bits)
        cv2.polylines(self.layers, curve, closed, (self.layer,), thick, cv2.LINE_8, bits)

    def shape(self, pixels: Array, colour: Array) -> None:
        """Fill and outline a closed shape in the character's line."""
        self.fill(pixels, colour)
        if self.style.line > 0:
            self.stroke(pixels, self.style.ink, self.style.line, closed=True)


def smooth(points: Array, *, closed: bool = True, steps: int = 6) -> Array:
    """Return a Catmull-Rom curve through points [N, 2]: [N * steps, 2]."""
    if closed:
        ring = np.concatenate([points[-1:], points, points[:2]])
    else:
        ring = np.concatenate([points[:1], points, points[-1:]])
    before, start, stop, after = ring[:-3], ring[1:-2], ring[2:-1], ring[3:]
    t = (np.arange(steps) / steps)[None, :, None]
    p0, p1, p2, p3 = (p[:, None] for p in (before, start, stop, after))
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
                   + (3 * p1 - p0 - 3 * p2 + p3) * t**3)  # fmt: skip
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, points[-1:]])


def ellipse(width: float, height: float) -> Array:
    """Return 24 points [24, 2] around the origin."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return np.stack([width * np.cos(angle), height * np.sin(angle)], 1)


def fixed(pixels: Array) -> Array:
    """Pixels (centres at .5) as cv2's fixed-point coordinates (centres at 0)."""
    return np.round((pixels - 0.5) * (1 << FRACTION_BITS)).astype(np.int32)


def _rgba255(colour: Array) -> tuple[float, float, float, float]:
    red, green, blue = (float(v) for v in np.clip(colour, 0, 1) * 255)
    return red, green, blue, 255.0
