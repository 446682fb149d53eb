"""How the six pose values of a rig move a head, alike for every kind of 3-D head."""

from typing import Final

import numpy as np

from rest_bridge.training.render.raster import Array

PIVOT_BELOW_EYES: Final = 2.2
"""The head turns about a point this many eye distances below and ..."""
PIVOT_BEHIND_EYES: Final = 1.5
"""... this many behind the middle of the eyes: the top of the neck."""


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
    """Turn and shift the head, with the neck following smoothly and the shoulders hardly.

    Args:
        vertices: float32 [V, 3], y up, z to the viewer.
        pose: float32 [6] as in `rest_bridge.rig.POSE_NAMES`; headZ is the camera's affair.
        eyes: float32 [3], middle of the eyes.
        chin_y: height of the chin.
        eye_distance: in the unit of `vertices`.

    Returns:
        float32 [V, 3].
    """
    turn = rotation(*pose[:3])
    pivot = eyes - eye_distance * np.array([0, PIVOT_BELOW_EYES, PIVOT_BEHIND_EYES])
    pivot = pivot.astype(np.float32)
    low, high = chin_y - 1.6 * eye_distance, chin_y - 0.16 * eye_distance
    share = np.clip((vertices[:, 1:2] - low) / (high - low), 0, 1)
    share = (share * share * (3 - 2 * share)).astype(np.float32)
    shift = (np.array([pose[3], pose[4], 0]) * eye_distance).astype(np.float32)
    moved = vertices + share * ((vertices - pivot) @ turn.T + pivot - vertices)
    return moved + shift * (0.4 + 0.6 * share)
