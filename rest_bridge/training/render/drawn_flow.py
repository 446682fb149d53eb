"""True motion of drawn characters: every layer of the drawing moves smoothly with its curves.

Place: beside `drawn`; same use as the 3-D heads (`render` a state, `flow` between two of them).
A drawing has flat fills, so inside a layer the motion is the smooth one that agrees with the
layer's curves (a linear radial basis); layers hide each other, and what is hidden is not visible.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rest_bridge.training.render.drawn import draw_character
from rest_bridge.training.render.drawn_sheet import FACE, NOTHING
from rest_bridge.training.render.drawn_style import Style
from rest_bridge.training.render.landmarks66 import part_boxes
from rest_bridge.training.render.makehuman import Rendered
from rest_bridge.training.render.raster import Array

CELLS: Final = 64
"""Resolution at which a layer's motion is worked out."""
_STIFFNESS: Final = 0.5
"""Pixels: curves that meet (shut lids) share their motion instead of tearing."""


@dataclass(frozen=True, slots=True)
class DrawnGeometry:
    """What one state of a character shows: layers uint8 [H, W], and each layer's curves."""

    layers: Array
    nodes: Mapping[int, Array]


class Character:
    """One drawn character at a fixed framing."""

    def __init__(self, style: Style, *, size_px: int, eye_share: float) -> None:
        """Remember who is drawn.

        Args:
            style: who.
            size_px: height and width.
            eye_share: eye distance over picture width.
        """
        self._style, self._size, self._eye_share = style, size_px, eye_share

    def render(self, rig: Array) -> Rendered:
        """Draw a state; the geometry in it is a `DrawnGeometry`."""
        drawn = draw_character(
            self._style, rig, size_px=self._size, supersample=1, eye_share=self._eye_share
        )
        geometry = DrawnGeometry(drawn.layers, drawn.nodes)
        boxes = part_boxes(drawn.landmarks)
        return Rendered(drawn.rgba, drawn.landmarks, boxes, None, None, geometry)

    def flow(self, frame: DrawnGeometry, target: DrawnGeometry) -> tuple[Array, Array]:
        """Return the motion from one state of this character to another.

        Args:
            frame: of the picture whose pixels are asked about.
            target: of the reference.

        Returns:
            flow: float32 [H, W, 2] pixels, to be added to the frame's pixel position.
            visible: float32 [H, W], 0 or 1.
        """
        size = frame.layers.shape[0]
        flow = np.zeros((size, size, 2), np.float32)
        visible = np.zeros((size, size), np.float32)
        places = (np.arange(CELLS, dtype=np.float32) + 0.5) * (size / CELLS)
        grid = np.stack(np.meshgrid(places, places), -1).reshape(-1, 2)
        columns, rows = np.meshgrid(np.arange(size), np.arange(size))
        for layer in np.unique(frame.layers):
            mine = frame.layers == layer
            if layer == NOTHING:
                visible[mine] = target.layers[mine] == NOTHING
                continue
            known = layer in frame.nodes and layer in target.nodes
            curves = int(layer) if known else FACE
            start, stop = frame.nodes[curves], target.nodes[curves]
            coarse = _spread(start, stop - start, grid).reshape(CELLS, CELLS, 2)
            moved = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)
            flow[mine] = moved[mine]
            # The layer may stand a pixel aside: edges are drawn without antialiasing here.
            shown = cv2.dilate((target.layers == layer).astype(np.uint8), np.ones((3, 3), np.uint8))
            x = np.floor(columns[mine] + 0.5 + moved[mine][:, 0]).astype(np.int64)
            y = np.floor(rows[mine] + 0.5 + moved[mine][:, 1]).astype(np.int64)
            inside = (x >= 0) & (y >= 0) & (x < size) & (y < size)
            visible[mine] = inside * shown[y.clip(0, size - 1), x.clip(0, size - 1)]
        return flow, visible


def _spread(nodes: Array, values: Array, places: Array) -> Array:
    """Interpolate values [N, C] at nodes [N, 2] to places [P, 2]: phi = -r and an affine part."""
    count = len(nodes)
    middle, unit = nodes.mean(0), max(float(np.ptp(nodes)), 1.0)
    here, there = (nodes - middle) / unit, (places - middle) / unit
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = -np.linalg.norm(here[:, None] - here[None], axis=2)
    system[:count, :count] += (_STIFFNESS / unit) * np.eye(count)
    system[:count, count] = 1.0
    system[:count, count + 1 :] = here
    system[count:, :count] = system[:count, count:].T
    solution = np.linalg.solve(system, np.concatenate([values, np.zeros((3, values.shape[1]))]))
    square = (there**2).sum(1)[:, None] + (here**2).sum(1)[None] - 2 * there @ here.T
    out = -np.sqrt(np.maximum(square, 0)) @ solution[:count]
    return (out + solution[count] + there @ solution[count + 1 :]).astype(np.float32)
