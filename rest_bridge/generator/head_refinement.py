"""The trained reference encoder: looks once at a portrait and refines how its head moves.

Place in the flow: avatar and model package -> here -> avatar with better depth, weight and pivot,
and the features that the flow decoder reads every frame. It changes no pixel and no expression.
Shape letters: G = 64 cells, P cells of the head's own grid.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar, HeadField
from rest_bridge.generator.base_flow import FULL_BOX
from rest_bridge.generator.fields import grid_points, smoothstep
from rest_bridge.inference.package import ModelPackage
from rest_bridge.types import Array, FloatArray

GRAPH: Final = "reference_encoder"
CELLS: Final = 64
BORDER: Final = 0.09
"""Share of the canvas next to its border where the weight is left alone."""
_SPOT: Final = 0.3
"""Radius, in eye distances, of the spots that mark eyes, mouth and chin."""
_PLACE_GAIN: Final = 0.25
MIRRORED_MAPS: Final = [0, 1, 2, 4, 3, 5, 6, 7, 8]
"""Which of the maps of `reference_input` a mirror shows in place of each: the eyes change sides."""
MAP_ACROSS: Final = 7
"""The map of places to the right of the eyes."""


@dataclass(frozen=True, slots=True)
class Refinement:
    """What the reference encoder found: the better head, and features [1, C, S, S] by name."""

    head: HeadField
    features: dict[str, Array]


def reference_input(
    depth: Array, weight: Array, person: Array, landmarks: Array, eye_distance: float
) -> FloatArray:
    """Put what the importer knows of a portrait into maps.

    Args:
        depth: float [G, G], towards the viewer, from the pivot, canvas units.
        weight: float [G, G], how much each place follows the head.
        person: float [G, G], 0..1, what is not background.
        landmarks: float [66, 2], canvas units.
        eye_distance: canvas units.

    Returns:
        float32 [9, G, G]: depth in eye distances, weight, person, spots at both eyes, mouth and
        chin, places from the middle of the eyes in eye distances.
    """
    places = grid_points(FULL_BOX, CELLS, CELLS)
    eyes = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    spots = [
        np.exp(-(((places - point) / (_SPOT * eye_distance)) ** 2).sum(-1))
        for point in (*eyes, landmarks[48:66].mean(0), landmarks[8])
    ]
    away = (places - (eyes[0] + eyes[1]) / 2) * (_PLACE_GAIN / eye_distance)
    maps = [depth / eye_distance, weight, person, *spots, away[..., 0], away[..., 1]]
    return np.stack(maps).astype(np.float32)


def refined_maps(
    depth: Array, weight: Array, change: Array, eye_distance: float
) -> tuple[FloatArray, FloatArray]:
    """Apply a refinement [2, P, P]; next to the canvas's border the weight stays as it is.

    Returns:
        depth and weight, float32 [P, P].
    """
    size = depth.shape[0]
    places = grid_points(FULL_BOX, size, size)
    margin = smoothstep(0.0, BORDER, np.minimum(places, 1 - places).min(-1))
    better = np.clip(weight + change[1] * margin, 0, 1)
    return (depth + change[0] * eye_distance).astype(np.float32), better.astype(np.float32)


def refine(avatar: Avatar, package: ModelPackage) -> Refinement:
    """Run the reference encoder.

    Args:
        avatar: whose portrait is the reference.
        package: with reference_encoder.onnx.

    Returns:
        The refined head and the decoder's features.
    """
    section = package.section("decoder")
    head = avatar.head
    picture, maps = _reference(avatar, int(section["reference_size"])), _maps(avatar)[None]
    session = package.shared_session(GRAPH)
    found = session.run({"reference": picture, "maps": maps})
    mirror = session.run(
        {"reference": np.ascontiguousarray(picture[..., ::-1]), "maps": _mirrored(maps)}
    )
    features = {name: found[name] for name in section["features"]}
    # Seen in the mirror as well: what differs is no more than the network's error.
    refined = (found["refined"][0] + mirror["refined"][0, ..., ::-1]) / 2
    shift = (found["pivot"][0] + mirror["pivot"][0] * np.array([-1, 1, 1], np.float32)) / 2
    size = head.depth.shape
    change = np.stack([cv2.resize(one, size[::-1]) for one in refined])
    depth, weight = refined_maps(head.depth, head.weight, change, avatar.eye_distance)
    pivot = head.pivot + shift * avatar.eye_distance
    # A pivot further back is a greater depth of everything: depths are absolute.
    return Refinement(HeadField(depth, weight, pivot.astype(np.float32)), features)


def _maps(avatar: Avatar) -> FloatArray:
    size = (CELLS, CELLS)
    head = avatar.head
    cover = avatar.backdrop.cutout if avatar.backdrop.stands_still else avatar.picture
    person = cv2.resize(cover[..., 3], size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return reference_input(
        cv2.resize(head.depth - head.pivot[2], size), cv2.resize(head.weight, size), person,
        avatar.landmarks, avatar.eye_distance,
    )  # fmt: skip


def _mirrored(maps: FloatArray) -> FloatArray:
    """Return the maps of the portrait seen in a mirror; maps [1, 9, G, G] of `reference_input`."""
    turned = maps[:, MIRRORED_MAPS, :, ::-1].copy()
    turned[:, MAP_ACROSS] *= -1
    return turned


def _reference(avatar: Avatar, size: int) -> FloatArray:
    """Return the portrait on mid grey, float32 [1, 3, size, size]."""
    small = cv2.resize(avatar.picture, (size, size), interpolation=cv2.INTER_AREA)
    alpha = small[..., 3:].astype(np.float32) / 255
    colour = small[..., :3].astype(np.float32) / 255
    on_grey = colour * alpha + 0.5 * (1 - alpha)
    return np.ascontiguousarray(on_grey.transpose(2, 0, 1)[None], np.float32)
