"""How the surroundings of a head in a photo move with it: hair, ears, collar, background.

Place: under `photo`. The mesh has no hair and no hat: what is near the head goes with it, as at run
time (`portrait.head_geometry.head_field`); shoulders rest. So the truth off the mesh is a
convention, the same one as the runtime's; the background's is nobody's (training leaves it out by
the importer's matte). Until 2026-11-23 everything near the picture's borders rested, too: hair was
squeezed between a turning head and the border, in the pictures and in what counted as true.
Lengths of the head are centimetres, y up; places are shares of the picture, y down.
"""

from typing import Final

import cv2
import numpy as np

from rest_bridge.generator.base_flow import FULL_BOX
from rest_bridge.generator.fields import grid_points, smoothstep
from rest_bridge.portrait.raster import fill_outside
from rest_bridge.rig import NECK_REACH
from rest_bridge.training.render.ict_head import CAMERA_DEPTH, FittedHead, ict_model
from rest_bridge.training.render.pose import rotation
from rest_bridge.training.render.raster import Array, cover

CELLS: Final = 64
FOLLOWS: Final = (1.6, 3.5)
"""Eye distances from the head within which things follow fully, and beyond which they rest."""


class Surroundings:
    """Forward motion of everything around one fitted head, from the photo's own state."""

    def __init__(self, head: FittedHead, size_px: int) -> None:
        """Measure the head as the photo shows it.

        Args:
            head: fitted to the photo.
            size_px: width of the picture that it was fitted in.
        """
        self._head, self._own = head, rotation(*head.rig[:3])
        self._unit = head.scale / size_px  # share of the picture a centimetre
        own = head.rig.copy()
        own[3:6] = 0
        points = head.project(own)[1]
        shown = points * np.array([CELLS / size_px, CELLS / size_px, 1], np.float32)
        coverage = cover(shown, head.mesh, None, (CELLS, CELLS))
        self.places = grid_points(FULL_BOX, CELLS, CELLS)
        chin = points[ict_model().landmarks[8], :2] / size_px
        down = -self._own[:2, 1] * np.array([1, -1])
        below = (self.places - chin) @ (down / np.linalg.norm(down)).astype(np.float32)
        below = below / (head.eye_distance * self._unit)
        covered = (coverage.triangle >= 0) & (below < 0.1)
        away = cv2.distanceTransform((~covered).astype(np.uint8), cv2.DIST_L2, 5)
        away = away / CELLS / (head.eye_distance * self._unit)
        pivot = head.pivot
        towards = (CAMERA_DEPTH - coverage.depth) * covered
        near = fill_outside(towards[..., None], covered)
        far = smoothstep(0.0, 1.0, away)
        depth = near[..., 0] * (1 - far) + pivot[2] * far
        flat = self.places / self._unit * np.array([1, -1]) - head.shift / head.scale * [1, 1]
        self._relative = np.concatenate([flat, depth[..., None]], -1) - pivot
        weight = (1 - smoothstep(*NECK_REACH, below)) * (1 - smoothstep(*FOLLOWS, away))
        weight *= 1 - smoothstep(-0.7, 0.1, below) * smoothstep(0.25, 1.1, away)  # shoulders
        self._weight = weight[..., None]

    def forward(self, rig: Array) -> Array:
        """Return float32 [64, 64, 2], where each place of the photo goes, in widths."""
        turn = (1 + float(rig[5])) * rotation(*rig[:3]) @ self._own.T
        moved = (self._relative @ turn.T - self._relative)[..., :2]
        moved = moved + rig[3:5] * self._head.eye_distance
        forward = moved * self._weight * self._unit * np.array([1, -1])
        return forward.astype(np.float32)
