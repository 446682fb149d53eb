"""A portrait photograph animated through a 3-D head that is fitted to its 66 landmarks.

Place: `faces_data` draws training samples from it; same interface as `makehuman.Head`. The
picture's own pose and expression are part of the fit, so a rig means the same here as for a
rendered head. What the photo does not show (lids, teeth, the mouth's inside) is painted in plain
colours.
"""

from typing import Final

import cv2
import numba as nb
import numpy as np

from rest_bridge.generator.base_flow import FULL_BOX
from rest_bridge.generator.fields import invert, read_field
from rest_bridge.training.render.ict_head import (
    BACK,
    GUMS,
    SCLERA,
    SKIN,
    TEETH,
    FittedHead,
    ict_model,
)  # fmt: skip
from rest_bridge.training.render.landmarks66 import MOUTH, part_boxes
from rest_bridge.training.render.makehuman import Geometry, Rendered
from rest_bridge.training.render.raster import Array, cover, shrink
from rest_bridge.training.render.shading import vertex_normals
from rest_bridge.training.render.surroundings import Surroundings

_DEPTH_TOLERANCE: Final = 0.8


class PhotoHead:
    """One portrait, fitted, to be rendered in any state at one fixed framing."""

    def __init__(
        self,
        picture: Array,
        landmarks: Array,
        *,
        size_px: int,
        supersample: int = 2,
        eye_share: float = 0.22,
        rng: np.random.Generator | None = None,
    ) -> None:
        """Crop and fit.

        Args:
            picture: uint8 [H, W, 3].
            landmarks: float [66, 2], pixels of `picture`.
            size_px: height and width of rendered frames.
            supersample: samples along each side of a pixel.
            eye_share: eye distance over frame width.
            rng: moves the framing and the painted colours a little; None = plain.
        """
        self.size_px, self.supersample = size_px, supersample
        fine = size_px * supersample
        left, right = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
        zoom = float(eye_share * fine / np.linalg.norm(right - left))
        jitter = rng.normal(0, 0.02, 2) if rng is not None else np.zeros(2)
        origin = (left + right) / 2 - (np.array([0.5, 0.42]) + jitter) * fine / zoom
        source = picture.astype(np.float32) / 255
        if zoom < 0.7:
            source = cv2.GaussianBlur(source, (0, 0), 0.35 / zoom)
        affine = np.array([[zoom, 0, -origin[0] * zoom], [0, zoom, -origin[1] * zoom]])
        # cv2 counts pixel centres from 0, we from 0.5.
        affine[:, 2] += 0.5 * (zoom - 1)
        self.photo = cv2.warpAffine(
            source, affine, (fine, fine), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        self.landmarks = (landmarks - origin) * zoom
        self._head = FittedHead(self.landmarks)
        self.rig = self._head.rig
        """The picture's own state: float32 [58]."""
        self._paint = self._colours(rng)
        self._surroundings = Surroundings(self._head, fine)
        self._source = self.geometry(self.rig)

    def _colours(self, rng: np.random.Generator | None) -> Array:
        """Return float32 [5 materials, 2 sides, 3]: what to paint hidden surfaces with."""
        points, colour = self.landmarks, self._median
        cheek = (colour(points[2] * 0.45 + points[31] * 0.55)
                 + colour(points[14] * 0.45 + points[35] * 0.55)) / 2  # fmt: skip
        paint = np.zeros((5, 2, 3), np.float32)
        eyes = (((37, 38), (19, 20), 41), ((43, 44), (23, 24), 46))
        for side, (upper, brow, lower) in enumerate(eyes):
            lid = colour(points[list(upper)].mean(0) * 0.55 + points[list(brow)].mean(0) * 0.45)
            reach = points[lower] - points[list(upper)].mean(0)
            below = colour(points[lower] + reach * 0.8)
            paint[SKIN, side] = 0.35 * lid + 0.65 * below
        paint[BACK] = cheek
        bright = float(np.clip(cheek.mean() * 1.2 + 0.1, 0.35, 1))
        flush = np.exp(rng.normal(0, 0.1, 3)) if rng is not None else np.ones(3)
        paint[GUMS] = np.array([0.6, 0.28, 0.27]) * bright * flush
        paint[TEETH] = np.array([0.93, 0.9, 0.84]) * bright
        paint[SCLERA] = np.array([0.88, 0.86, 0.85]) * bright
        return paint

    def _median(self, point: Array) -> Array:
        radius = max(1, self.photo.shape[0] // 96)
        x, y = (int(np.clip(value, radius, self.photo.shape[0] - radius - 1)) for value in point)
        patch = self.photo[y - radius : y + radius + 1, x - radius : x + radius + 1]
        return np.median(patch.reshape(-1, 3), 0)

    def geometry(self, rig: Array) -> Geometry:
        """Pose the head; enough to serve as a reference without a picture."""
        return self._expressed(rig)[1]

    def _expressed(self, rig: Array) -> tuple[Array, Geometry]:
        expressed, points = self._head.project(rig)
        fine = self.size_px * self.supersample
        coverage = cover(points, self._head.mesh, None, (fine, fine))
        return expressed, Geometry(points, coverage, self._surroundings.forward(rig))

    def render(self, rig: Array, *, reference: Geometry | None = None) -> Rendered:
        """Draw the portrait in a state; `reference` as for `makehuman.Head.render`."""
        model = ict_model()
        fine = self.size_px * self.supersample
        expressed, geometry = self._expressed(rig)
        lips = expressed[model.landmarks[MOUTH], 2].max()
        dark = np.clip(1.0 - (lips - 0.6 - expressed[:, 2]) * 0.15, 0.1, 1.0)
        normals = vertex_normals(expressed, model.triangles)
        tone = (0.92 + 0.1 * normals[:, 1]) * (1 - 0.5 * model.lash)
        flow, visible = self.flow(geometry, self._source)
        rgba = np.ones((fine, fine, 4), np.float32)
        _colour(
            geometry.coverage.triangle, geometry.coverage.weight, model.triangles, model.material,
            model.side, model.paintable, dark.astype(np.float32), tone.astype(np.float32),
            self._paint, flow, visible, self.photo, rgba,
        )  # fmt: skip
        landmarks = geometry.points[model.landmarks, :2] / self.supersample
        back = (None, None) if reference is None else self.flow(geometry, reference)
        return Rendered(
            shrink(rgba, self.supersample), landmarks, part_boxes(landmarks), *back, geometry
        )

    def flow(self, frame: Geometry, target: Geometry) -> tuple[Array, Array]:
        """Return the motion from one state to another of this portrait, both as `geometry` gives.

        Off the mesh, hair and what is near follow the head as at run time (`Surroundings`).

        Returns:
            flow: float32 [H, W, 2] pixels, to be added to the frame's pixel position.
            visible: float32 [H, W], 0..1.
        """
        coverage, model = frame.coverage, ict_model()
        covered = coverage.triangle >= 0
        corner = model.triangles[coverage.triangle[covered]]
        share = coverage.weight[covered]
        moved = (target.points - frame.points)[:, :2]
        rule = self._rule(frame, target)
        flow = np.zeros((*covered.shape, 2), np.float32)
        flow[covered] = (
            moved[corner[:, 0]] * share[:, :1]
            + moved[corner[:, 1]] * share[:, 1:]
            + moved[corner[:, 2]] * (1 - share.sum(1, keepdims=True))
        )
        beyond = rule + extrapolate((flow - rule) * covered[..., None], covered)
        flow = np.where(covered[..., None], flow, beyond).astype(np.float32)
        visible = np.ones(covered.shape, np.float32)
        _visibility(
            coverage.triangle, model.triangles, model.material, frame.points,
            target.points, target.coverage.depth, coverage.weight, model.paintable, flow, visible,
        )  # fmt: skip
        return flow, visible

    def _rule(self, frame: Geometry, target: Geometry) -> Array:
        """Return how the surroundings of the head move from `frame` to `target`, in pixels."""
        if frame.field is None or target.field is None:
            raise ValueError("The geometry is another renderer's; use this portrait's own.")
        fine, places = self.size_px * self.supersample, self._surroundings.places
        back = invert(frame.field, FULL_BOX)
        back += read_field(target.field, FULL_BOX, places + back)
        return cv2.resize(back * np.float32(fine), (fine, fine), interpolation=cv2.INTER_LINEAR)


def extrapolate(flow: Array, covered: Array) -> Array:
    """Carry a motion [S, S, 2], 0 where not covered, softly past the mesh."""
    size = flow.shape[0]
    small = (size // 4, size // 4)
    mass = cv2.resize(covered.astype(np.float32), small, interpolation=cv2.INTER_AREA)
    moved = cv2.resize(flow * covered[..., None], small, interpolation=cv2.INTER_AREA)
    sigma = 0.09 * small[0]
    mass = cv2.GaussianBlur(mass, (0, 0), sigma)
    moved = cv2.GaussianBlur(moved, (0, 0), sigma)
    return cv2.resize(moved / (mass[..., None] + 0.03), (size, size))


@nb.njit(cache=True, fastmath=True)
def _visibility(
    triangle, triangles, material, points, target, target_depth, weight, paintable, flow, visible
):  # fmt: skip
    size = triangle.shape[0]
    for y in range(size):
        for x in range(size):
            t = triangle[y, x]
            if t < 0:
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            b0, b1 = weight[y, x, 0], weight[y, x, 1]
            depth = target[a, 2] * b0 + target[b, 2] * b1 + target[c, 2] * (1 - b0 - b1)
            column = int(np.floor(x + 0.5 + flow[y, x, 0]))
            row = int(np.floor(y + 0.5 + flow[y, x, 1]))
            seen = 0.0
            if 0 <= column < size and 0 <= row < size:
                for dy in range(-1, 2):
                    for dx in range(-1, 2):
                        near_x = min(max(column + dx, 0), size - 1)
                        near_y = min(max(row + dy, 0), size - 1)
                        if abs(target_depth[near_y, near_x] - depth) < _DEPTH_TOLERANCE:
                            seen = 1.0
            elif material[t] == 0:
                seen = 1.0
            if material[t] <= 1 and seen > 0:
                here = (points[b, 0] - points[a, 0]) * (points[c, 1] - points[a, 1])
                here -= (points[c, 0] - points[a, 0]) * (points[b, 1] - points[a, 1])
                there = (target[b, 0] - target[a, 0]) * (target[c, 1] - target[a, 1])
                there -= (target[c, 0] - target[a, 0]) * (target[b, 1] - target[a, 1])
                stretch = here / there if abs(there) > 1e-6 else 1e9
                # Skin stretched seven times shows streaks, lids earlier; turned over it is gone.
                hidden = paintable[a] * b0 + paintable[b] * b1 + paintable[c] * (1 - b0 - b1)
                limit, soft = 7.0 - 4.0 * hidden, 4.0 - 2.5 * hidden
                seen = 0.0 if stretch < 0 else min(max((limit - stretch) / soft, 0.0), 1.0)
            visible[y, x] = seen


@nb.njit(cache=True, fastmath=True)
def _colour(
    triangle, weight, triangles, material, side, paintable, dark, tone, paint,
    flow, visible, photo, out,
):  # fmt: skip
    size = triangle.shape[0]
    for y in range(size):
        for x in range(size):
            t = triangle[y, x]
            u = min(max(x + flow[y, x, 0], 0.0), size - 1.001)
            v = min(max(y + flow[y, x, 1], 0.0), size - 1.001)
            iu, iv = int(u), int(v)
            fu, fv = u - iu, v - iv
            share, shade, m = 1.0, 1.0, 0
            if t >= 0:
                a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
                b0, b1 = weight[y, x, 0], weight[y, x, 1]
                b2 = 1 - b0 - b1
                m = material[t]
                share = visible[y, x]
                if m <= 1:
                    hidden = paintable[a] * b0 + paintable[b] * b1 + paintable[c] * b2
                    share = max(share, 1 - hidden)
                shade = tone[a] * b0 + tone[b] * b1 + tone[c] * b2
                if 2 <= m < 4:
                    shade *= dark[a] * b0 + dark[b] * b1 + dark[c] * b2
            for k in range(3):
                value = (photo[iv, iu, k] * (1 - fu) + photo[iv, iu + 1, k] * fu) * (1 - fv)
                value += (photo[iv + 1, iu, k] * (1 - fu) + photo[iv + 1, iu + 1, k] * fu) * fv
                if share < 1:
                    value = value * share + (1 - share) * paint[m, side[t], k] * shade
                out[y, x, k] = value
