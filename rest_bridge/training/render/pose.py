"""How the six pose values of a rig move a head, alike for every kind of 3-D head."""

from typing import Final

import numpy as np

from rest_bridge.rig import NECK_REACH, PIVOT_BEHIND_EYES, PIVOT_BELOW_EYES
from rest_bridge.training.render.raster import Array

LEVER: Final = (0.0, PIVOT_BELOW_EYES, PIVOT_BEHIND_EYES)
DRAWN_LEVER: Final = (0.0, PIVOT_BELOW_EYES, 0.62 * PIVOT_BEHIND_EYES)
"""Drawings are flatter."""


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Array:
    """Return float32 [3, 3] Rz(roll) Rx(pitch) Ry(yaw), y up, z towards the viewer."""
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    cy, sy, cp, sp, cr, sr = (
        np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll),
    )  # fmt: skip
    turn_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    turn_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    turn_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return (turn_z @ turn_x @ turn_y).astype(np.float32)


def pose_vertices(
    vertices: Array, pose: Array, *, eyes: Array, chin_y: float, eye_distance: float
) -> Array:
    """Turn, enlarge and shift the head, with the neck following smoothly; the shoulders rest.

    Args:
        vertices: float32 [V, 3], y up, z to the viewer.
        pose: float32 [6] as in `rest_bridge.rig.POSE_NAMES`.
        eyes: float32 [3], middle of the lids.
        chin_y: height of the chin.
        eye_distance: in the unit of `vertices`.

    Returns:
        float32 [V, 3].
    """
    turn = rotation(*pose[:3])
    pivot = eyes - eye_distance * np.array([0, PIVOT_BELOW_EYES, PIVOT_BEHIND_EYES])
    pivot = pivot.astype(np.float32)
    low, high = (chin_y - reach * eye_distance for reach in reversed(NECK_REACH))
    share = np.clip((vertices[:, 1:2] - low) / (high - low), 0, 1)
    share = (share * share * (3 - 2 * share)).astype(np.float32)
    shift = (np.array([pose[3], pose[4], 0]) * eye_distance).astype(np.float32)
    grown = np.float32(1 + pose[5]) * (vertices - pivot) @ turn.T + pivot
    return vertices + share * (grown + shift - vertices)


def relative_pose(
    pose: Array, reference: Array, lever: tuple[float, float, float] = LEVER
) -> Array:
    """Return the pose that the runtime needs to bring a reference's pose to another.

    The runtime knows where a portrait's eyes are and takes the top of the neck from there; how far
    the portrait nods it can hardly know (a nod looks like a long face), so its pivot leaves that
    out. What turning about the true pivot moves beyond that is part of the shift.

    Args:
        pose: float [6], absolute.
        reference: float [6], absolute pose of the reference picture.
        lever: from the pivot to the lids in the head's frame, eye distances.

    Returns:
        float32 [6]: angles of R(pose) R(reference)^T, shift in eye distances, ratio of sizes.
    """
    own, known = rotation(*reference[:3]), rotation(reference[0], 0.0, reference[2])
    turn = rotation(*pose[:3]).astype(float) @ own.T.astype(float)
    size = (1 + pose[5]) / (1 + reference[5])
    beyond = (size * turn - np.eye(3)) @ (own - known).astype(float) @ np.array(lever)
    shift = (pose[3:5] - reference[3:5]) / (1 + reference[5]) + beyond[:2]
    return np.array([*angles(turn), *shift, size - 1], np.float32)


def angles(turn: Array) -> Array:
    """Return yaw, pitch, roll in degrees of Rz(roll) Rx(pitch) Ry(yaw)."""
    pitch = np.arcsin(np.clip(turn[2, 1], -1, 1))
    yaw = np.arctan2(-turn[2, 0], turn[2, 2])
    roll = np.arctan2(-turn[0, 1], turn[1, 1])
    return np.degrees([yaw, pitch, roll]).astype(np.float32)
