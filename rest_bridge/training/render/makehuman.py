"""Textured 3-D heads built from MakeHuman's CC0 parts, with an ARKit rig.

Place: `faces_data` and the art tools describe a head (`sample_description`), build it (`Head`)
and render it at any size from a rig vector. A frame knows its geometry, so a later frame can be
given its motion back to it. Lengths are decimetres, y up, the face looks to +z.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from rest_bridge.rig import ARKIT_NAMES, RIG_INDEX
from rest_bridge.training.render.assets import assets_path, texture, triangulate
from rest_bridge.training.render.landmarks66 import part_boxes
from rest_bridge.training.render.makehuman_people import (
    Description,
    Split,
    library,
    sample_description,
    triple,
)
from rest_bridge.training.render.makehuman_points import LANDMARK_VERTICES
from rest_bridge.training.render.pose import pose_vertices
from rest_bridge.training.render.raster import (
    Array,
    Coverage,
    Materials,
    Mesh,
    cover,
    flow_to_reference,
    shrink,
)
from rest_bridge.training.render.shading import Lights, light_reach, shade, vertex_normals

SKIN_WRAP: Final = (0.6, 0.37, 0.33)
"""Red light passes further through skin than green and blue."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera in front of the face.

    Attributes:
        view_height_dm: what the picture's height spans at the eyes' depth.
        offset_dm: (right, up) shift of the picture's middle from the middle of the eyes.
        distance_dm: from the eyes; smaller gives stronger perspective.
    """

    view_height_dm: float = 3.0
    offset_dm: tuple[float, float] = (0.0, -0.28)
    distance_dm: float = 12.0


@dataclass(frozen=True, slots=True)
class Geometry:
    """A posed head in a picture: all that is needed to be, or to be led to, a reference.

    Attributes:
        points: float32 [V, 3], projected, pixels and depth.
        coverage: which triangle each pixel shows, and where.
        field: float32 [H, W, 2], motion of the surroundings since the photo; None for 3-D heads.
    """

    points: Array
    coverage: Coverage
    field: Array | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """One picture of a head with its truths.

    Attributes:
        rgba: float32 [H, W, 4], display RGB 0..1 premultiplied by coverage; coverage 0..1.
        landmarks: float32 [66, 2], pixels of the picture.
        boxes: float32 [3, 3], (x, y, side) of the eyes and the mouth, pixels.
        flow: float32 [H * supersample, W * supersample, 2] to the reference, in pixels of that
            finer grid; None without a reference.
        visible: float32, same grid, 0 or 1; None without a reference.
        geometry: to serve as a reference for other frames of the same head and camera.
    """

    rgba: Array
    landmarks: Array
    boxes: Array
    flow: Array | None
    visible: Array | None
    geometry: Geometry


class Head:
    """One person, built from a description, to be rendered in any state."""

    def __init__(
        self, description: Description, *, texture_px: int = 1024, soft_light: int = 10
    ) -> None:
        """Build the person.

        Args:
            description: what to build.
            texture_px: longest side of the skin; other textures half of it (512 at most 1024).
            soft_light: how many directions the sky and the key light are averaged over;
                0 = no shadows at all, 10 for data sets, 64 for stills.
        """
        self.description = description
        parts = library()
        shape = parts.vertices.copy()
        for name, weight in description.macro.items():
            parts.macro.add(shape, name, weight)
        for name, weight in description.shape.items():
            parts.shape.add(shape, name, weight)
        self._shape = shape
        left, right = shape[_LEFT_EYE_CAGE].mean(0), shape[_RIGHT_EYE_CAGE].mean(0)
        self.eyes = ((left + right) / 2).astype(np.float32)
        self.eye_distance = float(abs(left[0] - right[0]))
        self._lids = shape[LANDMARK_VERTICES[36:48]].mean(0).astype(np.float32)
        self._chin_y = float(shape[LANDMARK_VERTICES[8], 1])
        self._assemble(texture_px, soft_alpha=soft_light > 10)
        self._lights = Lights(
            description.light_direction.astype(np.float32),
            description.light_colour.astype(np.float32),
            description.light_ambient.astype(np.float32),
            description.two_tone,
        )
        self._openness = self._measure_openness(soft_light)

    def _assemble(self, texture_px: int, *, soft_alpha: bool) -> None:
        """Join body and proxies into one mesh with one material a part."""
        d, parts, small = self.description, library(), max(256, texture_px // 2)
        ones, cloth = (1.0, 1.0, 1.0), (0.25, 0.25, 0.25)
        hair_file = {"afro01": "afro_diffuse_512", "bob01": "bob01_diffuse_512"}
        # proxy, texture, its size, alpha threshold, tint, specular, gloss, wrap
        rows = [
            ("", f"{d.skin}.jpg", texture_px, 0, d.skin_tint, 0.10, 16.0, SKIN_WRAP),
            (f"teeth_{d.teeth}", "mouth/teeth.jpg", 256, 0, (1, 0.97, 0.9), 0.15, 24.0, cloth),
            ("tongue_tongue01", "mouth/tongue01_diffuse.jpg", 256, 0, ones, 0.1, 16.0, SKIN_WRAP),
            ("eyes_high-poly", f"eyes/{d.iris}.png", 512, 100, ones, 0.3, 40.0, cloth),
            (f"clothes_{d.clothes}", f"clothes/{d.clothes}_diffuse.jpg", small, 0,
             d.clothes_tint, 0.02, 8.0, cloth),
            (f"eyelashes_{d.lashes}", f"brows_lashes/{d.lashes}.png", small, 150,
             (0.3, 0.3, 0.3), 0.0, 1.0, cloth),
            (f"eyebrows_{d.brow}", f"brows_lashes/{d.brow}.png", small, 80,
             triple(np.clip(d.hair_tint, 0.2, 2)), 0.0, 1.0, cloth),
        ]  # fmt: skip
        if d.hair:
            name = hair_file.get(d.hair, f"{d.hair}_diffuse")
            rows.append((f"hair_{d.hair}", f"hair/{name}.webp", texture_px, 110,
                         d.hair_tint, 0.06, 20.0, cloth))  # fmt: skip
        quads, quads_uv = parts.quads, parts.quads_uv
        hidden = parts.proxy(rows[4][0])["delete_base_vertices"]
        keep = ~np.isin(quads, hidden).all(1)
        first, first_uv = triangulate(quads[keep], quads_uv[keep])
        triangles, triangles_uv, uv = [first], [first_uv], [parts.uv]
        material = [np.zeros(len(first), np.int32)]
        num_vertices, num_uv = len(self._shape), len(parts.uv)
        self._fits: list[tuple[Array, Array, Array]] = []
        self._starts: list[int] = [0]
        for index, row in enumerate(rows[1:], 1):
            proxy = parts.proxy(row[0])
            own, own_uv = triangulate(proxy["faces"].astype(np.int64), proxy["faces_uv"])
            triangles.append(own + num_vertices)
            triangles_uv.append(own_uv + num_uv)
            uv.append(proxy["uv"])
            material.append(np.full(len(own), index, np.int32))
            # Offsets scale with the neutral head: with the posed one teeth stretch with the jaw.
            scale = np.ones(3, np.float32)
            for axis, (one, two, length) in enumerate(proxy["scale_ref"]):
                if length > 0:
                    span = self._shape[int(one), axis] - self._shape[int(two), axis]
                    scale[axis] = abs(span) / length
            self._fits.append(
                (proxy["ref"].astype(np.int64), proxy["weight"], proxy["offset"] * scale)
            )
            self._starts.append(num_vertices)
            num_vertices += len(proxy["ref"])
            num_uv += len(proxy["uv"])
        self.mesh = Mesh(
            np.concatenate(triangles), np.concatenate(triangles_uv),
            np.concatenate(uv).astype(np.float32), np.concatenate(material),
        )  # fmt: skip
        textures = assets_path("makehuman", "textures")
        self._materials = Materials.join(
            [texture(textures / row[1], row[2]) for row in rows],
            alpha_threshold=[row[3] for row in rows],
            soft_alpha=soft_alpha,
            tint=[np.array(row[4]) for row in rows],
            specular=[row[5] for row in rows],
            gloss=[row[6] for row in rows],
            wrap=[np.array(row[7]) for row in rows],
        )

    def _measure_openness(self, soft_light: int) -> Array:
        """Return float32 [V, 2]: how open each vertex is to the sky and to the key light."""
        state = np.zeros(len(RIG_INDEX), np.float32)
        # Measured with the mouth ajar: else the teeth would be black when it opens.
        state[RIG_INDEX["jawOpen"]] = 0.35
        positions = self.vertices(state)
        normals = vertex_normals(positions, self.mesh.triangles)
        openness = np.ones((len(positions), 2), np.float32)
        if soft_light > 0:
            key = self.description.light_direction[0]
            sky = _spread(np.array([0.0, 0.25, 1.0]), soft_light, 1.3)
            area = _spread(key, max(4, soft_light // 2), 0.28)
            for column, directions in enumerate((sky, area)):
                openness[:, column] = light_reach(
                    positions, normals, self.mesh, self._materials, directions
                )
            openness[:, 0] = 0.25 + 0.75 * openness[:, 0]
            openness[:, 1] = 0.12 + 0.88 * openness[:, 1]
        behind_lips = positions[LANDMARK_VERTICES[48:], 2].max() - positions[:, 2]
        inside = slice(self._starts[1], self._starts[3])
        dark = np.clip(0.85 - behind_lips * 1.3, 0.06, 0.85)
        openness[inside] = dark[inside, None]
        # The mouth's inner skin is body: a box in the base mesh, behind the lips.
        base = library().vertices
        near = (np.abs(base[:, 0]) < 0.29) & (base[:, 1] > 6.45) & (base[:, 1] < 6.8)
        near = np.flatnonzero(near & (base[:, 2] < 1.25) & (base[:, 2] > 0.2))
        dark = np.clip(0.85 - behind_lips[near] * 1.2, 0.06, 1)
        openness[near] = np.minimum(openness[near], dark[:, None])
        return openness

    def vertices(self, rig: Array) -> Array:
        """Return float32 [V, 3]: body and proxies with an expression, before the head's pose."""
        body = self._shape.copy()
        expression = library().expression
        for name, weight in zip(ARKIT_NAMES, rig[6:], strict=True):
            expression.add(body, name, float(weight))
        # The targets leave the tongue at the palate, where it hides the upper teeth.
        fall = min(1.0, 2.5 * rig[RIG_INDEX["jawOpen"]]) * (1 - rig[RIG_INDEX["tongueOut"]])
        body[_TONGUE, 1] -= np.float32(0.13 * fall)
        pieces = [body]
        for corner, weight, offset in self._fits:
            pieces.append(np.einsum("vkc,vk->vc", body[corner], weight) + offset)
        return np.concatenate(pieces).astype(np.float32)

    def project(self, posed: Array, camera: Camera, size_px: int) -> Array:
        """Return float32 [V, 3]: pixels (y down) and depth of posed vertices."""
        focal = size_px * camera.distance_dm / camera.view_height_dm
        depth = camera.distance_dm - (posed[:, 2] - self.eyes[2] + 0.6)
        middle = self.eyes[:2] + np.array(camera.offset_dm, np.float32)
        across = focal * (posed[:, 0] - middle[0]) / depth
        up = focal * (posed[:, 1] - middle[1]) / depth
        half = size_px / 2
        return np.stack([half + across, half - up, depth], 1).astype(np.float32)

    def render(
        self,
        rig: Array,
        *,
        size_px: int,
        supersample: int = 2,
        camera: Camera | None = None,
        reference: Geometry | None = None,
    ) -> Rendered:
        """Draw the head.

        Args:
            rig: float32 [58].
            size_px: height and width.
            supersample: samples along each side of a pixel; 4 makes soft hair.
            camera: the same one for all frames that share a reference.
            reference: geometry of another frame of this head at this size; adds the flow to it.
        """
        camera = camera or Camera()
        fine = size_px * supersample
        neutral = self.vertices(rig)
        posed = pose_vertices(
            neutral, rig[:6], eyes=self._lids, chin_y=self._chin_y, eye_distance=self.eye_distance
        )
        points = self.project(posed, camera, fine)
        coverage = cover(points, self.mesh, self._materials, (fine, fine))
        eye = np.array([*self.eyes[:2] + np.array(camera.offset_dm), camera.distance_dm])
        rgba = shade(
            coverage, self.mesh, self._materials, self._lights,
            positions=posed, normals=vertex_normals(posed, self.mesh.triangles),
            openness=self._openness, eye=eye,
        )  # fmt: skip
        landmarks = points[LANDMARK_VERTICES, :2] / supersample
        geometry = Geometry(points, coverage)
        back = (None, None) if reference is None else self.flow(geometry, reference)
        return Rendered(
            shrink(rgba, supersample), landmarks, part_boxes(landmarks), *back, geometry
        )

    def flow(self, frame: Geometry, target: Geometry) -> tuple[Array, Array]:
        """Return the motion from one picture of this head to another one by the same camera.

        Returns:
            flow: float32 [H, W, 2] pixels, to be added to the frame's pixel position.
            visible: float32 [H, W], 0 or 1.
        """
        return flow_to_reference(
            frame.coverage, self.mesh, target.points, target.coverage.depth, depth_tolerance=0.07
        )


def _spread(direction: Array, count: int, width: float) -> Array:
    """Return float32 [count, 3] unit vectors around a direction, evenly spread (Fibonacci)."""
    centre = direction / np.linalg.norm(direction)
    side = np.cross([0.0, 1.0, 0.0], centre)
    side /= np.linalg.norm(side) + 1e-9
    up = np.cross(centre, side)
    radius = width * np.sqrt((np.arange(count) + 0.5) / count)[:, None]
    angle = (np.arange(count) * 2.399963)[:, None]
    around = centre + radius * (np.cos(angle) * side + np.sin(angle) * up)
    return around / np.linalg.norm(around, axis=1, keepdims=True)


_LEFT_EYE_CAGE: Final = slice(14598, 14670)
_RIGHT_EYE_CAGE: Final = slice(14670, 14742)
_TONGUE: Final = slice(13380, 13606)
__all__ = [
    "Camera",
    "Description",
    "Geometry",
    "Head",
    "Rendered",
    "Split",
    "library",
    "sample_description",
]
