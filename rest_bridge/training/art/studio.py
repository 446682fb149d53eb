"""A head in a photo studio: geometry, textures and lamps as arrays for `lighting.expose`.

Takes a person from `rest_bridge.training.render.makehuman` (MakeHuman's CC0 parts), refines the
surfaces (Catmull-Clark), and derives what the textures do not hold: the fine relief of the skin and
the direction of the hair. Lengths are decimetres, y up, the face looks to +z.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rest_bridge.training.art.raytrace import build_tree
from rest_bridge.training.render.assets import assets_path, texture
from rest_bridge.training.render.makehuman import Description, Head, library

Floats = NDArray[np.float32]
Quads = NDArray[np.int64]

SKIN, TEETH, TONGUE, EYE, CLOTH, LASH, BROW, HAIR = range(8)
_CARDS = (EYE, LASH, BROW, HAIR)


@dataclass(frozen=True)
class Lamp:
    """A round soft lamp.

    Attributes:
        place: (x, y, z) from the middle of the eyes, dm.
        radius: dm.
        colour: linear RGB; the light it gives a surface that faces it, seen at the eyes.
    """

    place: tuple[float, float, float]
    radius: float
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Sky:
    """Light from all around: linear RGB from above, from the horizon and from below."""

    above: tuple[float, float, float]
    around: tuple[float, float, float]
    below: tuple[float, float, float]


@dataclass(frozen=True)
class Looks:
    """Make-up: linear RGB factors at the lips and on the irises, and a dye for the hair.

    `dye_share` 0 leaves the hair's own colour, 1 keeps only its brightness; `parting` (0..1)
    darkens a middle parting.
    """

    lips: tuple[float, float, float] = (1.0, 1.0, 1.0)
    iris: tuple[float, float, float] = (1.0, 1.0, 1.0)
    dye: tuple[float, float, float] = (1.0, 1.0, 1.0)
    dye_share: float = 0.0
    parting: float = 0.0

    def rows(self) -> Floats:
        """Return float32 [3, 4] as in `Scene.looks`."""
        return np.array(
            [[*self.lips, self.parting], [*self.iris, 0], [*self.dye, self.dye_share]], np.float32
        )


@dataclass
class Scene:
    """Arrays for the tracer; T triangles, M materials.

    Attributes:
        tree: of `raytrace.build_tree`.
        shapes: (corners, uv, material, has_alpha, atlas, place) as in `raytrace.closest`.
        normals: float32 [T, 9], normals at the corners.
        strands: float32 [T, 9], direction of the hair at the corners (zero elsewhere).
        tints: float32 [M, 3], linear factors on the textures.
        relief: float32 [h, w], height of the skin texture.
        eyes: float64 [2, 4], middle and radius of both eyeballs.
        mouth: float64 [3], middle of the lips.
        looks: float32 [3, 4]: linear factors at the lips, on the irises, and the colour the hair is
            dyed with; last column: shade of the parting (first row), share of the dye (third).
    """

    tree: tuple
    shapes: tuple
    normals: Floats
    strands: Floats
    tints: Floats
    relief: Floats
    eyes: NDArray[np.float64]
    mouth: NDArray[np.float64]
    looks: Floats


def subdivide(vertices: Floats, quads: Quads, uv: Floats, quads_uv: Quads):
    """Refine a quad mesh once by Catmull and Clark; texture coordinates are split linearly.

    Args:
        vertices: float32 [V, 3].
        quads: int64 [Q, 4].
        uv: float32 [U, 2].
        quads_uv: int64 [Q, 4].

    Returns:
        (vertices, quads, uv, quads_uv) with 4 Q quads.
    """
    edges, edge_of, uses = _edges(quads)
    centres = vertices[quads].mean(1)
    ends = vertices[edges].sum(1)
    around = np.zeros((len(edges), 3), np.float32)
    np.add.at(around, edge_of.ravel(), np.repeat(centres, 4, 0))
    inner = (uses == 2)[:, None]
    edge_points = np.where(inner, (ends + around) / 4, ends / 2)
    valence = np.bincount(quads.ravel(), minlength=len(vertices)).astype(np.float32)[:, None]
    face_mean = np.zeros_like(vertices)
    np.add.at(face_mean, quads.ravel(), np.repeat(centres, 4, 0))
    middles, edge_count = np.zeros_like(vertices), np.zeros((len(vertices), 1), np.float32)
    np.add.at(middles, edges.ravel(), np.repeat(ends / 2, 2, 0))
    np.add.at(edge_count, edges.ravel(), 1)
    n = np.maximum(valence, 1)
    smooth = (face_mean / n + 2 * middles / np.maximum(edge_count, 1) + (n - 3) * vertices) / n
    border = edges[uses != 2]
    pull, on_border = np.zeros_like(vertices), np.zeros(len(vertices), np.int64)
    for a, b in ((0, 1), (1, 0)):
        np.add.at(pull, border[:, a], vertices[border[:, b]])
        np.add.at(on_border, border[:, a], 1)
    simple = on_border == 2
    smooth[simple] = 0.75 * vertices[simple] + pull[simple] / 8
    smooth[(on_border > 0) & ~simple | (valence[:, 0] == 0)] = vertices[
        (on_border > 0) & ~simple | (valence[:, 0] == 0)
    ]
    new_quads = _split(quads, edge_of, len(vertices), len(edges))
    uv_edges, uv_edge_of, _ = _edges(quads_uv)
    new_uv = np.concatenate([uv, uv[uv_edges].mean(1), uv[quads_uv].mean(1)])
    new_quads_uv = _split(quads_uv, uv_edge_of, len(uv), len(uv_edges))
    return np.concatenate([smooth, edge_points, centres]), new_quads, new_uv, new_quads_uv


def _edges(quads: Quads):
    pairs = np.stack([quads, np.roll(quads, -1, 1)], 2).reshape(-1, 2)
    edges, inverse, uses = np.unique(
        np.sort(pairs, 1), axis=0, return_inverse=True, return_counts=True
    )
    return edges, inverse.reshape(-1, 4), uses


def _split(quads: Quads, edge_of: Quads, num_vertices: int, num_edges: int) -> Quads:
    middle = num_vertices + edge_of
    centre = np.repeat((num_vertices + num_edges + np.arange(len(quads)))[:, None], 4, 1)
    return np.stack([quads, middle, centre, np.roll(middle, 1, 1)], 2).reshape(-1, 4)


def _textures(d: Description, skin_px: int) -> list[NDArray[np.uint8]]:
    folder = assets_path("makehuman", "textures")
    names = [
        (f"{d.skin}.jpg", skin_px), ("mouth/teeth.jpg", 512), ("mouth/tongue01_diffuse.jpg", 512),
        (f"eyes/{d.iris}.png", 512), (f"clothes/{d.clothes}_diffuse.jpg", 1024),
        (f"brows_lashes/{d.lashes}.png", 512), (f"brows_lashes/{d.brow}.png", 512),
    ]  # fmt: skip
    if d.hair:
        names.append((f"hair/{d.hair}_diffuse.webp", 1024))
    return [texture(folder / name, size) for name, size in names]


def _relief(skin: NDArray[np.uint8], rng: np.random.Generator) -> Floats:
    """Guess the skin's height from its colour: dark specks lie deep, plus a little grain."""
    grey = skin[..., :3].astype(np.float32).mean(2) / 255
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 3.0)
    grain = cv2.GaussianBlur(rng.standard_normal(grey.shape).astype(np.float32), (0, 0), 1.1)
    return (np.clip(fine, -0.05, 0.05) * 1.0 + 0.012 * grain).astype(np.float32)


def _flow(hair: NDArray[np.uint8]) -> Floats:
    """Find the direction of the strands by the structure tensor of the hair texture."""
    grey = hair[..., :3].astype(np.float32).mean(2) * (hair[..., 3].astype(np.float32) / 255)
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    xx, yy, xy = (cv2.GaussianBlur(p, (0, 0), 6.0) for p in (dx * dx, dy * dy, dx * dy))
    across = 0.5 * np.arctan2(2 * xy, xx - yy)
    return (across + np.pi / 2).astype(np.float32)


def build_scene(head: Head, vertices: Floats, *, looks: Looks, skin_px: int = 2048) -> Scene:
    """Turn a person in a state into arrays for the tracer.

    Args:
        head: the person.
        vertices: float32 [V, 3] of `head.vertices(rig)`, perhaps posed.
        looks: make-up.
        skin_px: largest side of the skin texture.

    Returns:
        The scene.
    """
    d, parts = head.description, library()
    names = [f"teeth_{d.teeth}", "tongue_tongue01", "eyes_high-poly", f"clothes_{d.clothes}",
             f"eyelashes_{d.lashes}", f"eyebrows_{d.brow}"]  # fmt: skip
    names += [f"hair_{d.hair}"] if d.hair else []
    hidden = parts.proxy(names[3])["delete_base_vertices"]
    keep = ~np.isin(parts.quads, hidden).all(1)
    meshes = [(vertices[: len(parts.vertices)], parts.quads[keep], parts.uv, parts.quads_uv[keep])]
    start = len(parts.vertices)
    for name in names:
        proxy = parts.proxy(name)
        own = vertices[start : start + len(proxy["ref"])]
        start += len(own)
        meshes.append((own, proxy["faces"].astype(np.int64), proxy["uv"].astype(np.float32),
                       proxy["faces_uv"].astype(np.int64)))  # fmt: skip
    pictures = _textures(d, skin_px)
    corners, coords, normals, strands, material = [], [], [], [], []
    for index, mesh in enumerate(meshes):
        if index not in (LASH, BROW):
            mesh = subdivide(*mesh)
        p, q, t, qt = mesh
        tri = np.concatenate([q[:, [0, 1, 2]], q[:, [0, 2, 3]]])
        tri_uv = np.concatenate([qt[:, [0, 1, 2]], qt[:, [0, 2, 3]]])
        normal = _normals(p, tri)
        a, b, c = p[tri[:, 0]], p[tri[:, 1]], p[tri[:, 2]]
        good = np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-10
        corners.append(np.concatenate([a, b - a, c - a], 1)[good])
        coords.append(t[tri_uv].reshape(-1, 6)[good])
        normals.append(normal[tri].reshape(-1, 9)[good])
        strand = (
            _strands(p, tri, t[tri_uv], _flow(pictures[HAIR]))
            if index == HAIR
            else np.zeros_like(p)
        )
        strands.append(strand[tri].reshape(-1, 9)[good])
        material.append(np.full(int(good.sum()), index, np.int32))
    flat = np.concatenate(corners).astype(np.float32)
    a, b, c = flat[:, :3], flat[:, :3] + flat[:, 3:6], flat[:, :3] + flat[:, 6:]
    tree = build_tree(np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c))
    sizes = np.array([[picture.size, *picture.shape[:2]] for picture in pictures], np.int64)
    place = np.concatenate(
        [np.cumsum(np.concatenate([[0], sizes[:-1, 0]]))[:, None], sizes[:, 1:]], 1
    )
    has_alpha = np.array([i in _CARDS for i in range(len(pictures))])
    shapes = (
        flat, np.concatenate(coords).astype(np.float32), np.concatenate(material), has_alpha,
        np.concatenate([picture.ravel() for picture in pictures]), place.astype(np.int64),
    )  # fmt: skip
    tints = np.ones((8, 3), np.float32)
    tints[SKIN], tints[HAIR] = d.skin_tint, d.hair_tint
    tints[BROW] = 0.5 * np.clip(d.hair_tint, 0.1, 1.5)
    tints[CLOTH], tints[LASH], tints[TEETH] = d.clothes_tint, (0.15, 0.12, 0.12), (1, 0.97, 0.92)
    eyes = np.array([_ball(meshes[EYE][0], side) for side in (-1, 1)])
    rng = np.random.default_rng(3)
    return Scene(
        tree, shapes, np.concatenate(normals).astype(np.float32),
        np.concatenate(strands).astype(np.float32),
        tints, _relief(pictures[SKIN], rng), eyes, _lips(vertices), looks.rows(),
    )  # fmt: skip


def _strands(p: Floats, tri: Quads, coords: Floats, flow: Floats) -> Floats:
    """Find the direction of the hair at each vertex, smooth over the head.

    Args:
        p: float32 [V, 3].
        tri: int64 [T, 3].
        coords: float32 [T, 3, 2], texture coordinates of the corners.
        flow: of `_flow`.

    Returns:
        float32 [V, 3], unit vectors.
    """
    height, width = flow.shape
    middle = coords.mean(1) % 1.0
    angle = flow[
        ((1 - middle[:, 1]) * (height - 1)).astype(int), (middle[:, 0] * (width - 1)).astype(int)
    ]
    (a, b), (c, d) = (coords[:, 1] - coords[:, 0]).T, (coords[:, 2] - coords[:, 0]).T
    det = (a * d - b * c)[:, None] + 1e-12
    e1, e2 = p[tri[:, 1]] - p[tri[:, 0]], p[tri[:, 2]] - p[tri[:, 0]]
    along_u, along_v = (
        (e1 * d[:, None] - e2 * b[:, None]) / det,
        (e2 * a[:, None] - e1 * c[:, None]) / det,
    )
    strand = along_u * np.cos(angle)[:, None] - along_v * np.sin(angle)[:, None]
    strand /= np.linalg.norm(strand, axis=1, keepdims=True) + 1e-12
    # Down and back is the way hair falls: it decides the sign, so that neighbours agree.
    strand *= np.where(strand @ np.array([0.05, -1.0, -0.6], np.float32) < 0, -1.0, 1.0)[:, None]
    total = np.zeros_like(p)
    for k in range(3):
        np.add.at(total, tri[:, k], strand)
    # Vertices are shared along a card; a second pass over its triangles evens out what is left.
    for _ in range(3):
        mean = total[tri].sum(1)
        total = np.zeros_like(p)
        for k in range(3):
            np.add.at(total, tri[:, k], mean)
        total /= np.linalg.norm(total, axis=1, keepdims=True) + 1e-12
    return total


def _normals(p: Floats, tri: Quads) -> Floats:
    face = np.cross(p[tri[:, 1]] - p[tri[:, 0]], p[tri[:, 2]] - p[tri[:, 0]])
    total = np.zeros_like(p)
    for k in range(3):
        np.add.at(total, tri[:, k], face)
    return total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-12)


def _ball(eye_vertices: Floats, side: int) -> NDArray[np.float64]:
    one = eye_vertices[np.sign(eye_vertices[:, 0] - eye_vertices[:, 0].mean()) == side]
    low, high = one.min(0), one.max(0)
    radius = (high[1] - low[1]) / 2
    middle = (low + high) / 2
    middle[2] = low[2] + radius
    return np.array([*middle, radius], np.float64)


def _lips(vertices: Floats) -> NDArray[np.float64]:
    from rest_bridge.training.render.makehuman_points import LANDMARK_VERTICES

    return vertices[LANDMARK_VERTICES[48:]].mean(0).astype(np.float64)
