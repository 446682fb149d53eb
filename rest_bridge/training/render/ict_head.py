"""A scan-based 3-D head (ICT-FaceKit) fitted to 66 landmarks and moved by a rig.

Place: under `photo`, and the rough base flow of `faces_data`. Knows no pictures. Lengths are
centimetres, y up, the face looks to +z; the fitted view is a weak perspective.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy.interpolate import RBFInterpolator

from rest_bridge.rig import (
    ARKIT_NAMES,
    PIVOT_BEHIND_EYES,
    PIVOT_BELOW_EYES,
    RIG_INDEX,
    RIG_NAMES,
)
from rest_bridge.training.render.assets import Targets, assets_path
from rest_bridge.training.render.landmarks66 import MOUTH, MULTIPIE68
from rest_bridge.training.render.pose import angles, pose_vertices, rotation
from rest_bridge.training.render.raster import Array, Mesh

FITTED_EXPRESSIONS: Final = (
    "jawOpen", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthPucker", "browInnerUp", "browDownLeft", "browDownRight", "eyeWideLeft", "eyeWideRight",
    "eyeSquintLeft", "eyeSquintRight",
)  # fmt: skip
"""Shapes that the fit may find in the picture; more would trade places with identity modes."""
SKIN, BACK, GUMS, TEETH, SCLERA = range(5)
"""Materials of the head's triangles."""
_MATERIAL_CODES: Final = {
    "M_Face": SKIN, "M_BackHead": BACK, "M_GumsTongue": GUMS, "M_Teeth": TEETH,
    "M_ScleraLeft": SCLERA, "M_ScleraRight": SCLERA,
}  # fmt: skip
CAMERA_DEPTH: Final = 200.0
_LOOK_ASIDE, _LOOK_UP, _LOOK_DOWN = 30.0, 15.0, 20.0
"""Degrees of a full weight, as far as MakeHuman's eyes go."""


@dataclass(frozen=True, slots=True)
class IctModel:
    """The head's arrays: V vertices, F triangles with material and side, 64 identity modes.

    `expression` names the ICT shapes of each ARKit name; `paintable` [V] marks lids and the inner
    mouth, `lash` [V] nearness to an upper lid's margin, `landmarks` [66] the face points.
    """

    vertices: Array
    triangles: Array
    material: Array
    side: Array
    identity: Array
    expression: dict[str, list[str]]
    targets: Targets
    landmarks: Array
    paintable: Array
    lash: Array


@lru_cache(maxsize=1)
def ict_model() -> IctModel:
    """Load the ICT head once and mark what may be painted."""
    with np.load(assets_path("ict_facekit", "base_mesh.npz")) as data:
        vertices = data["vertices"].astype(np.float32)
        code = np.array([_MATERIAL_CODES.get(str(name), -1) for name in data["material_names"]])
        material = code[data["face_material"]]
        quads = data["faces"][material >= 0].astype(np.int32)
        landmarks = data["multipie68"][MULTIPIE68].astype(np.int64)
    material = material[material >= 0]
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    material = np.concatenate([material, material]).astype(np.int32)
    whole = (triangles[:, 0] != triangles[:, 2]) & (triangles[:, 1] != triangles[:, 2])
    triangles, material = np.ascontiguousarray(triangles[whole]), material[whole]
    with np.load(assets_path("ict_facekit", "identity_modes.npz")) as data:
        identity = data["delta"].astype(np.float32)
    targets = Targets.load(assets_path("ict_facekit", "expressions.npz"))
    paintable, lash = _paintable(vertices, landmarks)
    return IctModel(
        vertices, triangles, material,
        (vertices[triangles, 0].mean(1) > 0).astype(np.int32),
        identity, {name: _ict_names(name, targets) for name in ARKIT_NAMES}, targets, landmarks,
        paintable, lash,
    )  # fmt: skip


def _ict_names(name: str, targets: Targets) -> list[str]:
    """Return the ICT shapes of one ARKit name (two for browInnerUp and cheekPuff)."""
    if name.endswith("Left") and f"{name[:-4]}_L" in targets.items:
        return [f"{name[:-4]}_L"]
    if name.endswith("Right") and f"{name[:-5]}_R" in targets.items:
        return [f"{name[:-5]}_R"]
    return [n for n in (name, f"{name}_L", f"{name}_R") if n in targets.items]


def _paintable(vertices: Array, landmarks: Array) -> tuple[Array, Array]:
    """Return float32 [V] each: lids and inner mouth; nearness to an upper lid's margin."""
    paint, lash = np.zeros(len(vertices), np.float32), np.zeros(len(vertices), np.float32)
    for eye in (slice(36, 42), slice(42, 48)):
        rim = vertices[landmarks[eye]]
        middle, extent = (rim.min(0) + rim.max(0)) / 2, rim.max(0) - rim.min(0)
        away = ((vertices[:, 0] - middle[0]) / (0.62 * extent[0])) ** 2
        away += ((vertices[:, 1] - middle[1]) / (1.15 * extent[1])) ** 2
        paint = np.maximum(paint, np.clip((1.25 - away) / 0.3, 0, 1))
        upper = vertices[landmarks[eye][:4]]
        line = np.interp(vertices[:, 0], upper[:, 0], upper[:, 1])
        near = np.exp(-(((vertices[:, 1] - line) / 0.045) ** 2)) * (away < 1.4)
        lash = np.maximum(lash, near * (vertices[:, 2] > upper[:, 2].min() - 0.3))
    mouth = vertices[landmarks[MOUTH]]
    middle, extent = (mouth.min(0) + mouth.max(0)) / 2, mouth.max(0) - mouth.min(0)
    away = ((vertices[:, 0] - middle[0]) / (0.6 * extent[0])) ** 2
    away += ((vertices[:, 1] - middle[1]) / (0.7 * extent[1])) ** 2
    inside = (away < 1) & (vertices[:, 2] < mouth[:, 2].max() - 0.7)
    return np.maximum(paint, inside.astype(np.float32)), lash.astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Fit:
    neutral: Array
    turn: Array
    scale: float
    shift: Array
    rig: Array


def fit_head(landmarks: Array, rig: Array | None = None) -> _Fit:
    """Fit identity, expression and weak-perspective pose to 66 points.

    Args:
        landmarks: float [66, 2], pixels, y down.
        rig: float32 [58], pose and expression where they are known; fitted if None.

    Returns:
        neutral float32 [V, 3] (personal head without expression), turn [3, 3], scale (pixels a
        centimetre), shift [2] pixels (y up), rig float32 [58] of the picture itself.
    """
    model = ict_model()
    index = model.landmarks
    mean = model.vertices[index].astype(np.float64)
    target = landmarks.astype(np.float64) * [1, -1]
    expression = np.stack([_dense(model, name, index) for name in FITTED_EXPRESSIONS])
    basis = np.concatenate([model.identity[:, index], expression]).astype(np.float64)
    prior = np.concatenate([np.full(len(model.identity), 1.0), np.full(len(expression), 12.0)])
    if rig is not None:
        basis, prior = basis[: len(model.identity)], prior[: len(model.identity)]
        offset = np.zeros_like(model.vertices)
        mean = mean + express(offset, rig)[index]
    weight = np.ones(66)
    weight[:17] = 0.4
    coefficients = np.zeros(len(basis))
    num_modes = len(model.identity)
    turn, scale, shift = _weak_perspective(mean, target, weight, rig)
    for step in range(6):
        if step > 0:
            shape = mean + np.tensordot(coefficients, basis, 1)
            turn, scale, shift = _weak_perspective(shape, target, weight, rig)
        rows = scale * np.einsum("kpc,rc->kpr", basis, turn[:2]).reshape(len(basis), -1).T
        residual = (target - scale * mean @ turn[:2].T - shift).ravel()
        row_weight = np.repeat(weight, 2)
        normal = (rows * row_weight[:, None]).T @ rows + np.diag(prior) * scale**2
        coefficients = np.linalg.solve(normal, (rows * row_weight[:, None]).T @ residual)
        identity = coefficients[:num_modes].clip(-2.5, 2.5)
        coefficients = np.concatenate([identity, coefficients[num_modes:].clip(0, 0.9)])
    identity = coefficients[:num_modes].astype(np.float32)
    neutral = model.vertices + np.tensordot(identity, model.identity, 1)
    if rig is None:
        rig = np.zeros(len(RIG_NAMES), np.float32)
        for name, value in zip(FITTED_EXPRESSIONS, coefficients[num_modes:], strict=True):
            rig[RIG_INDEX[name]] = value
        rig[:3] = angles(turn)
    expressed = express(neutral.copy(), rig)
    residual = target - (scale * expressed[index] @ turn[:2].T + shift)
    # Spread in the neutral head's own space, not in the picture: there the lips would fold.
    sites = model.vertices[index].astype(np.float64)
    spread = RBFInterpolator(sites, residual, kernel="linear", smoothing=0.3)
    moved = np.concatenate([spread(model.vertices) / scale, np.zeros((len(neutral), 1))], 1) @ turn
    moved[inner_vertices()] *= 0.5
    return _Fit(
        (neutral + moved).astype(np.float32), turn.astype(np.float32), float(scale), shift, rig
    )


def _weak_perspective(
    shape: Array, target: Array, weight: Array, rig: Array | None
) -> tuple[Array, float, Array]:
    """Return rotation [3, 3], scale and shift that carry `shape` onto `target` best."""
    shape_mean = weight @ shape / weight.sum()
    target_mean = weight @ target / weight.sum()
    centred = (shape - shape_mean) * weight[:, None]
    affine = np.linalg.lstsq(centred, (target - target_mean) * weight[:, None], rcond=None)[0].T
    # Nearest rotation rows: polar decomposition keeps both rows' directions balanced.
    left, size, right = np.linalg.svd(affine, full_matrices=False)
    scale = float(size.mean())
    first, second = left @ right
    if rig is not None:
        turn = rotation(*rig[:3]).astype(np.float64)
        flat = centred @ turn[:2].T
        aim = (target - target_mean) * weight[:, None]
        scale = float((flat * aim).sum() / (flat * flat).sum())
        return turn, scale, target_mean - scale * turn[:2] @ shape_mean
    yaw, pitch, roll = angles(np.stack([first, second, np.cross(first, second)]))
    # Points alone hardly tell nodding from a long face: half of it is taken for the face.
    turn = rotation(yaw, 0.5 * pitch, roll).astype(np.float64)
    return turn, scale, target_mean - scale * turn[:2] @ shape_mean


def _dense(model: IctModel, name: str, index: Array) -> Array:
    moved = np.zeros_like(model.vertices)
    for part in model.expression[name]:
        model.targets.add(moved, part, 1.0)
    return moved[index]


def express(vertices: Array, rig: Array) -> Array:
    """Add a rig's ARKit shapes to `vertices` (float32 [V, 3], in place) and return it."""
    model = ict_model()
    for name, value in zip(ARKIT_NAMES, rig[6:], strict=True):
        for part in model.expression[name]:
            model.targets.add(vertices, part, float(value))
    return vertices


@lru_cache(maxsize=1)
def inner_vertices() -> Array:
    """Return the vertices of gums, tongue and teeth."""
    model = ict_model()
    return np.unique(model.triangles[np.isin(model.material, (GUMS, TEETH))])


@lru_cache(maxsize=1)
def _eyeballs() -> tuple[Array, Array]:
    """Return the vertices of both eyeballs, image's left first."""
    model = ict_model()
    balls = np.unique(model.triangles[model.material == SCLERA])
    left = model.vertices[balls, 0] < 0
    return balls[left], balls[~left]


def _look(expressed: Array, ball: Array, rig: Array, side: str) -> None:
    """Turn an eyeball, in place: the shapes move its lids only."""

    def value(way: str) -> float:
        return float(rig[RIG_INDEX[f"eyeLook{way}{side}"]])

    outwards = value("Out") - value("In")
    aside = outwards if side == "Left" else -outwards  # the person's left is the picture's right
    down = _LOOK_DOWN * value("Down") - _LOOK_UP * value("Up")
    middle = expressed[ball].mean(0)
    turned = (expressed[ball] - middle) @ rotation(_LOOK_ASIDE * aside, down, 0.0).T
    expressed[ball] = middle + turned


class FittedHead:
    """A head fitted to one picture's landmarks, projected into that picture in any state."""

    def __init__(self, landmarks: Array, *, rig: Array | None = None) -> None:
        """Fit; arguments as for `fit_head`."""
        model = ict_model()
        self._fit = fit_head(landmarks, rig)
        self.rig = self._fit.rig
        """The picture's own state: float32 [58]."""
        self.mesh = Mesh(
            model.triangles, model.triangles, np.zeros((1, 2), np.float32), model.material
        )
        eyes = self._fit.neutral[model.landmarks[36:48]]
        self._eyes = eyes.mean(0)
        self.eye_distance = float(np.linalg.norm(eyes[:6].mean(0) - eyes[6:].mean(0)))
        """Centimetres."""
        self.scale, self.shift = self._fit.scale, self._fit.shift
        """Pixels a centimetre, and pixels [2] (y up)."""
        below = np.array([0, PIVOT_BELOW_EYES, PIVOT_BEHIND_EYES]) * self.eye_distance
        self.pivot = self._fit.turn @ (self._eyes - below)
        """Where the head turns, in the camera's frame: float [3], centimetres."""

    def project(self, rig: Array) -> tuple[Array, Array]:
        """Return the expressed head [V, 3] and its points in the picture (pixels, depth) [V, 3].

        The picture's own headX, headY and headZ count as zero.
        """
        model, fit = ict_model(), self._fit
        expressed = express(fit.neutral.copy(), rig)
        inner = inner_vertices()
        # Teeth do not follow the landmarks' residual: kept smaller, they stay behind the lips.
        middle = expressed[model.landmarks[MOUTH]].mean(0)
        expressed[inner, 0] = middle[0] + (expressed[inner, 0] - middle[0]) * 0.9
        expressed[inner, 2] -= 0.25
        # The residual leaves some eyeballs in front of their lids.
        for side, ball in zip(("Right", "Left"), _eyeballs(), strict=True):
            expressed[ball, 2] -= 0.3 * rig[RIG_INDEX[f"eyeBlink{side}"]]
            _look(expressed, ball, rig, side)
        # The head turns from the picture's own pose to the rig's; the shoulders keep theirs.
        own = rotation(*self.rig[:3])
        relative = fit.turn.T @ (rotation(*rig[:3]) @ own.T) @ fit.turn
        pose = np.array([*angles(relative), *rig[3:6]], np.float32)
        moved = pose_vertices(
            expressed, pose, eyes=self._eyes,
            chin_y=float(fit.neutral[model.landmarks[8], 1]), eye_distance=self.eye_distance,
        )  # fmt: skip
        seen = moved @ fit.turn.T
        x = seen[:, 0] * fit.scale + fit.shift[0]
        y = -(seen[:, 1] * fit.scale + fit.shift[1])
        points = np.stack([x, y, CAMERA_DEPTH - seen[:, 2]], 1).astype(np.float32)
        return expressed, points
