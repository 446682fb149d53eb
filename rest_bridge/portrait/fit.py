"""Fits the morphable head to 66 landmarks of a portrait.

Place in the flow: landmarks -> here -> fitted head -> geometry grids. Weak perspective; pose and
shape alternate, then the remaining error of the landmarks is spread over the head by a linear
radial basis in the head's own space (in the picture's plane the lips would fold).
Shape letters: V vertices, K modes, L = 66 landmarks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from rest_bridge.rig import ARKIT_NAMES
from rest_bridge.types import Array

_STATES: Final[tuple[tuple[str, ...], ...]] = (
    ("jawOpen",),
    ("mouthSmileLeft", "mouthSmileRight"),
    ("mouthFunnel",),
    ("mouthPucker",),
    ("mouthUpperUpLeft", "mouthUpperUpRight"),
    ("mouthLowerDownLeft", "mouthLowerDownRight"),
    ("browInnerUp",),
    ("browOuterUpLeft", "browOuterUpRight"),
    ("browDownLeft", "browDownRight"),
)
"""Expressions looked for in the portrait itself; both sides together, as landmarks are noisy."""
_ROUNDS: Final = 6


@dataclass(frozen=True, slots=True)
class FittedHead:
    """A head that projects onto the portrait.

    Attributes:
        vertices: float32 [V, 3] in the camera's frame, in pixels: x right, y DOWN, z to the viewer.
        displacement: float32 [52, V, 3], what each full ARKit weight adds to `vertices`.
        triangles: int [N, 3].
        scale: pixels per centimetre of the model.
        rotation: float32 [3, 3], from the model's frame (y up) to the camera's (y up).
        expression: ARKit name -> weight found in the portrait (0..1).
        error: root mean square distance of the landmarks before spreading, in eye distances.
    """

    vertices: Array
    displacement: Array
    triangles: Array
    scale: float
    rotation: Array
    expression: Mapping[str, float]
    error: float

    def pose_degrees(self) -> tuple[float, float, float]:
        """Return yaw, pitch and roll of the portrait itself (R = Rz Rx Ry), in degrees."""
        r = self.rotation
        pitch = np.arcsin(np.clip(r[2, 1], -1, 1))
        yaw = np.arctan2(-r[2, 0], r[2, 2])
        roll = np.arctan2(-r[0, 1], r[1, 1])
        degrees = np.degrees([yaw, pitch, roll])
        return float(degrees[0]), float(degrees[1]), float(degrees[2])


def fit_head(
    landmarks: Array, head: Mapping[str, Array], confidence: Array | None = None
) -> FittedHead:
    """Fit pose, identity and expression, then match the landmarks exactly.

    Args:
        landmarks: float [66, 2], pixels, y down.
        head: arrays of the package's head.npz.
        confidence: float [66], 0..1; all 1 if None.

    Returns:
        The fitted head.
    """
    target = landmarks.astype(np.float64) * [1.0, -1.0]
    weight = np.ones(len(target)) if confidence is None else confidence.astype(np.float64)
    weight = np.clip(weight, 0.05, 1.0)
    weight[:17] *= 0.4  # the outline slides over the head as it turns
    index = head["landmarks"].astype(np.int64)
    mean = head["mean"].astype(np.float64)
    identity = head["identity"].astype(np.float64)
    expression = head["expression"].astype(np.float64)
    states = np.stack([sum(expression[ARKIT_NAMES.index(n)] for n in names) for names in _STATES])
    modes = np.concatenate([identity, states])[:, index]
    prior = np.concatenate([np.ones(len(identity)), np.full(len(states), 2.5)])
    coefficients = np.zeros(len(modes))
    scale, rotation, shift = 1.0, np.eye(3), np.zeros(2)
    for _ in range(_ROUNDS):
        points = mean[index] + np.tensordot(coefficients, modes, 1)
        scale, rotation, shift = _pose(points, target, weight)
        basis = (modes @ rotation[:2].T).reshape(len(modes), -1).T * scale
        wanted = (target - shift - scale * mean[index] @ rotation[:2].T).ravel()
        rows = np.repeat(weight, 2)
        normal = (basis * rows[:, None]).T @ basis + np.diag(prior) * (0.5 * scale) ** 2
        coefficients = np.linalg.solve(normal, (basis * rows[:, None]).T @ wanted)
        coefficients[: len(identity)] = coefficients[: len(identity)].clip(-2.5, 2.5)
        coefficients[len(identity) :] = coefficients[len(identity) :].clip(0.0, 1.0)
    shape = mean + np.tensordot(coefficients[: len(identity)], identity, 1)
    shape = shape + np.tensordot(coefficients[len(identity) :], states, 1)
    camera = scale * shape @ rotation.T
    camera[:, :2] += shift
    residual = target - camera[index, :2]
    # Unsure points pull less: what the modes could not explain is more likely their error.
    camera[:, :2] += _spread(mean, mean[index], residual * np.minimum(1.0, 2 * weight[:, None]))
    displacement = scale * expression @ rotation.T
    flip = np.array([1.0, -1.0, 1.0])
    eye_distance = np.linalg.norm(target[36:42].mean(0) - target[42:48].mean(0))
    found = coefficients[len(identity) :]
    return FittedHead(
        vertices=(camera * flip).astype(np.float32),
        displacement=(displacement * flip).astype(np.float32),
        triangles=head["triangles"].astype(np.int64),
        scale=float(scale),
        rotation=rotation.astype(np.float32),
        expression={n: float(v) for names, v in zip(_STATES, found, strict=True) for n in names},
        error=float(np.sqrt((residual[17:] ** 2).sum(1).mean()) / eye_distance),
    )


def _pose(points: Array, target: Array, weight: Array) -> tuple[float, Array, Array]:
    """Weak perspective by least squares: scale, rotation and shift."""
    total = weight.sum()
    centre = (points * weight[:, None]).sum(0) / total
    middle = (target * weight[:, None]).sum(0) / total
    root = np.sqrt(weight)[:, None]
    affine = np.linalg.lstsq((points - centre) * root, (target - middle) * root, rcond=None)[0].T
    u, singular, vt = np.linalg.svd(affine, full_matrices=False)
    rows = u @ vt
    scale = float(singular.mean())
    rotation = np.concatenate([rows, np.cross(rows[0], rows[1])[None]])
    return scale, rotation, middle - scale * rows @ centre


def _spread(points: Array, nodes: Array, values: Array) -> Array:
    """Interpolate `values` at `nodes` to `points` with phi(r) = -r and an affine part."""
    count = len(nodes)
    distance = np.linalg.norm(nodes[:, None] - nodes[None], axis=2)
    system = np.zeros((count + 4, count + 4))
    system[:count, :count] = -distance + 0.1 * np.eye(count)
    system[:count, count] = 1.0
    system[:count, count + 1 :] = nodes
    system[count:, :count] = system[:count, count:].T
    right = np.concatenate([values, np.zeros((4, values.shape[1]))])
    solution = np.linalg.solve(system, right)
    out = -np.linalg.norm(points[:, None] - nodes[None], axis=2) @ solution[:count]
    return out + solution[count] + points @ solution[count + 1 :]
