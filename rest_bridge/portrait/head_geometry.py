"""Turns a fitted head into the grid by which the whole picture follows its pose.

Place in the flow: fitted head -> here -> `HeadField`: how deep each place of the portrait lies, how
much of it goes along, and where the neck turns. Lengths in canvas units. Shape letters: P cells.
"""

from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import HeadField
from rest_bridge.portrait.contours import box_points
from rest_bridge.portrait.fit import FittedHead
from rest_bridge.portrait.raster import fill_outside, rasterise, smoothstep
from rest_bridge.rig import NECK_REACH, PIVOT_BEHIND_EYES, PIVOT_BELOW_EYES
from rest_bridge.types import Array

_HEAD_CELLS: Final = 96


def head_field(
    fitted: FittedHead,
    landmarks: Array,
    eye_distance: float,
    canvas_px: int,
    *,
    person: Array | None,
    solid: bool,
    relief: float,
) -> HeadField:
    """Build the pose field: depth of every place, and how much it follows the head.

    Args:
        fitted: the head, in canvas pixels.
        landmarks: float32 [66, 2], canvas units.
        eye_distance: canvas units.
        canvas_px: pixels of the canvas.
        person: uint8 [N, N], the person's coverage; None if not told from the background.
        solid: the picture ends in opaque pixels at its borders.
        relief: share of the head's depth to use; drawings are flatter.

    Returns:
        The field.
    """
    cells = _HEAD_CELLS
    coverage = rasterise(fitted.vertices * (cells / canvas_px), fitted.triangles, cells, cells)
    places = box_points(np.array([0, 0, 1, 1], np.float32), cells, cells)
    chin = landmarks[8]
    up = -fitted.rotation[:, 1] * np.array([1, -1, 1], np.float32)
    down = up[:2] / max(float(np.linalg.norm(up[:2])), 1e-6)
    below_chin = (places - chin) @ down / eye_distance
    pivot = _pivot(fitted, landmarks, canvas_px)

    depth = coverage.interpolate(fitted.vertices[:, 2:] / canvas_px)
    inner = cv2.erode(coverage.covered.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    depth = fill_outside(depth, inner)[..., 0]
    head = coverage.covered & (below_chin < 0.1)
    distance = cv2.distanceTransform((~head).astype(np.uint8), cv2.DIST_L2, 5)
    distance = distance / cells / eye_distance
    far = smoothstep(0.0, 1.0, distance)
    depth = depth * (1 - far) + pivot[2] * far
    # A steep side of the head would bulge as it turns: the picture has no side to show.
    depth = cv2.GaussianBlur(depth.astype(np.float32), (0, 0), 0.16 * eye_distance * cells)
    depth = pivot[2] + (depth - pivot[2]) * relief

    weight = 1 - smoothstep(*NECK_REACH, below_chin)
    # Hair goes with the head; a background that is not told from it must not go far.
    reach = (0.4, 1.3) if solid and person is None else (1.6, 3.5)
    weight = weight * (1 - smoothstep(*reach, distance))
    if solid:  # shoulders may stand as high as the chin
        body = smoothstep(-0.7, 0.1, below_chin) * smoothstep(0.25, 1.1, distance)
        weight = weight * (1 - body)
    return HeadField(depth.astype(np.float32), weight.astype(np.float32), pivot)


def _pivot(fitted: FittedHead, landmarks: Array, canvas_px: int) -> Array:
    """Return the top of the neck, where `rest_bridge.rig` says that a head turns: float32 [3]."""
    rings = landmarks[36:42], landmarks[42:48]
    depth = np.mean(
        [_landmark_depth(fitted, point * canvas_px) for ring in rings for point in ring]
    )
    left, right = (ring.mean(0) for ring in rings)
    # A turned head shows its eyes closer together than they are.
    shown = max(float(np.hypot(fitted.rotation[0, 0], fitted.rotation[1, 0])), 0.7)
    eye_distance = float(np.linalg.norm(right - left)) / shown
    # Nodding and a long face look alike, so the fitted pitch is no guide to where the neck is.
    yaw, _pitch, roll = np.radians(fitted.pose_degrees())
    below, behind = PIVOT_BELOW_EYES, PIVOT_BEHIND_EYES * float(np.cos(yaw))
    aside = PIVOT_BEHIND_EYES * float(np.sin(yaw))
    across = np.cos(roll) * aside - np.sin(roll) * below
    up = np.sin(roll) * aside + np.cos(roll) * below
    offset = np.array([across, -up, behind]) * eye_distance
    middle = np.array([*((left + right) / 2), depth / canvas_px])
    return (middle - offset).astype(np.float32)


def _landmark_depth(fitted: FittedHead, point_px: Array) -> float:
    distance = np.linalg.norm(fitted.vertices[:, :2] - point_px, axis=1)
    near = np.argsort(distance)[:8]
    return float(fitted.vertices[near, 2].max())
