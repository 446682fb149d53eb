"""Builds head.npz, the morphable head of the model package, from ICT-FaceKit (MIT).

Place in the flow: assets -> here -> model package -> `portrait.fit`. The topology is our own: a
subset of points chosen densely around lips, lids and nose, triangulated in the chart of the face.
Only the skin is kept: eyes and inner mouth are layers of the picture, not of the mesh.
Shape letters: V vertices, K modes.

    python -m rest_bridge.training.head_model ASSETS PACKAGE
"""

import sys
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from scipy.spatial import Delaunay, cKDTree

from rest_bridge.rig import ARKIT_NAMES
from rest_bridge.training.package_writer import npz_bytes, write_package_part
from rest_bridge.types import Array

NUM_IDENTITY_MODES: Final = 40
LANDMARK_ORDER: Final = (*range(48), 49, 50, 51, 52, 53, 55, 56, 57, 58, 59, *range(60, 68))
"""Index in the 68 Multi-PIE points of each of our 66: the two corners of the outer lip line are
missing; those of the inner line stand at 58 and 62."""
_OPENINGS: Final = (tuple(range(36, 42)), tuple(range(42, 48)), tuple(range(58, 66)))
"""Landmarks around the eyes and the mouth, among our 66: what lies inside is no skin."""


def build_head(assets: Path) -> dict[str, Array]:
    """Choose points, triangulate them and gather their modes.

    Args:
        assets: folder that holds `ict_facekit`.

    Returns:
        mean float32 [V, 3] (centimetres, y up, z to the viewer), identity float16 [K, V, 3],
        expression float16 [52, V, 3] in ARKit order, triangles uint16 [., 3], landmarks
        uint16 [66].
    """
    folder = assets / "ict_facekit"
    with np.load(folder / "base_mesh.npz") as archive:
        base = {name: archive[name] for name in archive.files}
    landmarks = base["multipie68"][list(LANDMARK_ORDER)]
    chart = _face_chart(base, landmarks)
    chosen = _choose(base["vertices"], chart, landmarks)
    triangles = _triangulate(chart, chosen, base, landmarks)
    with np.load(folder / "identity_modes.npz") as archive:
        identity = archive["delta"][:NUM_IDENTITY_MODES, chosen]
    position = {int(vertex): index for index, vertex in enumerate(chosen)}
    return {
        "mean": base["vertices"][chosen].astype(np.float32),
        "identity": identity.astype(np.float16),
        "expression": _expressions(folder, chosen, len(base["vertices"])).astype(np.float16),
        "triangles": triangles.astype(np.uint16),
        "landmarks": np.array([position[int(vertex)] for vertex in landmarks], np.uint16),
    }


def _face_faces(base: dict[str, Array]) -> Array:
    return base["face_material"] == list(base["material_names"]).index("M_Face")


def _face_chart(base: dict[str, Array], landmarks: Array) -> dict[int, Array]:
    """Return vertex -> chart position of every vertex of the face's outer skin."""
    keep = _face_faces(base)
    vertices, coordinates = base["faces"][keep].ravel(), base["faces_uv"][keep].ravel()
    chart = {
        int(vertex): base["uv"][coordinate]
        for vertex, coordinate in zip(vertices, coordinates, strict=True)
    }
    points = np.stack(list(chart.values()))
    hidden = _inside_openings(points, np.stack([chart[int(vertex)] for vertex in landmarks]))
    keep_always = {int(vertex) for vertex in landmarks}
    return {
        vertex: point
        for (vertex, point), inside in zip(chart.items(), hidden, strict=True)
        if not inside or vertex in keep_always
    }


def _inside_openings(points: Array, landmarks: Array) -> Array:
    inside = np.zeros(len(points), bool)
    for ring in _OPENINGS:
        polygon = landmarks[list(ring)].astype(np.float32)
        for row, point in enumerate(points):
            place = (float(point[0]), float(point[1]))
            inside[row] |= cv2.pointPolygonTest(polygon, place, measureDist=False) > 0
    return inside


def _choose(vertices: Array, chart: dict[int, Array], landmarks: Array) -> Array:
    """Pick a blue-noise subset whose spacing grows with the distance from lips, lids and nose."""
    candidates = np.array(sorted(chart))
    points = np.stack([chart[int(vertex)] for vertex in candidates])
    space = vertices[candidates]
    tree = cKDTree(vertices[landmarks[27:]])  # nose, eyes and lips
    distance = tree.query(space)[0]
    spacing = np.clip(0.18 + 0.16 * distance, 0.18, 0.9)  # centimetres
    is_landmark = np.isin(candidates, landmarks)
    order = np.argsort(np.where(is_landmark, -1.0, spacing), kind="stable")
    everything = cKDTree(space)
    removed = np.zeros(len(candidates), bool)
    chosen: list[int] = []
    for index in order:
        if removed[index]:
            continue
        chosen.append(int(index))
        near = np.array(everything.query_ball_point(space[index], spacing[index]))
        # The chart tells the two lips and the two lids apart where they touch in space.
        same_side = np.linalg.norm(points[near] - points[index], axis=1) < 0.06
        near = near[same_side & ~is_landmark[near]]
        removed[near] = True
    return candidates[np.array(sorted(chosen))]


def _triangulate(
    chart: dict[int, Array], chosen: Array, base: dict[str, Array], landmarks: Array
) -> Array:
    """Delaunay in the chart, without the triangles that span mouth, eyes or outside."""
    points = np.stack([chart[int(vertex)] for vertex in chosen])
    triangles = Delaunay(points).simplices
    keep = _face_faces(base)
    centres = base["uv"][base["faces_uv"][keep]].mean(1)
    sizes = np.ptp(base["uv"][base["faces_uv"][keep]], axis=1).max(1)
    distance, nearest = cKDTree(centres).query(points[triangles].mean(1))
    rings = np.stack([chart[int(vertex)] for vertex in landmarks])
    inside = distance < 0.9 * sizes[nearest] + 0.002
    inside &= ~_inside_openings(points[triangles].mean(1), rings)
    triangles = triangles[inside]
    a, b, c = (points[triangles[:, k]] for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    triangles = np.where((area > 0)[:, None], triangles, triangles[:, [0, 2, 1]])
    return triangles[np.abs(area) > 1e-9]


def _expressions(folder: Path, chosen: Array, num_vertices: int) -> Array:
    with np.load(folder / "expressions.npz") as archive:
        shapes: dict[str, Any] = {}
        offsets = archive["offsets"]
        for row, name in enumerate(archive["names"]):
            dense = np.zeros((num_vertices, 3), np.float32)
            part = slice(offsets[row], offsets[row + 1])
            dense[archive["index"][part].astype(np.int64)] = archive["delta"][part]
            shapes[str(name)] = dense[chosen]
    out = np.zeros((len(ARKIT_NAMES), len(chosen), 3), np.float32)
    for row, name in enumerate(ARKIT_NAMES):
        for source in _sources(name):
            if source in shapes:
                out[row] += shapes[source]
    return out


def _sources(name: str) -> tuple[str, ...]:
    if name in ("browInnerUp", "cheekPuff"):
        return (f"{name}_L", f"{name}_R")
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return (name,)
    for suffix, short in (("Left", "_L"), ("Right", "_R")):
        if name.endswith(suffix):
            return (name.removesuffix(suffix) + short,)
    return (name,)


def main(arguments: list[str]) -> None:
    """Build the head and write it into a package."""
    assets, package = Path(arguments[0]), Path(arguments[1])
    head = build_head(assets)
    licence = "learned from ICT-FaceKit (MIT, University of Southern California)"
    write_package_part(
        package,
        files={"head.npz": npz_bytes(head)},
        sections={"head": {"vertices": len(head["mean"]), "source": licence}},
    )
    print(f"head.npz: {len(head['mean'])} vertices, {len(head['triangles'])} triangles")


if __name__ == "__main__":
    main(sys.argv[1:])
