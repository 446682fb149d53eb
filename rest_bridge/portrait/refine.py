"""Sharpens the landmarks of eyes and mouth on the portrait itself.

Place in the flow: landmark net -> here -> head fit. The net sees a face in 128 pixels; lids and
lips must sit to a pixel or two of a 512 px frame. Here each eye and the mouth is seen alone, at 40
pixels an eye distance, twice: gradients of the patch -> random features -> linear regression of its
points (weights: refine.npz of the model package, `training.landmark_refiner`). Right eyes are
mirrored, so that both are read by the same weights.
Shape letters: B patches, H/W patch pixels, D features, P points of a part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rest_bridge.types import Array, ByteArray

PIXELS_PER_EYE_DISTANCE: Final = 40
_CELL_PX: Final = 4
_DIRECTIONS: Final = 8


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the face that is looked at alone.

    Attributes:
        name: of its arrays in refine.npz.
        points: landmark numbers, in the order of the unmirrored part.
        width_px: of its patch.
        height_px: of its patch.
        mirrored: the patch is turned over left to right.
    """

    name: str
    points: tuple[int, ...]
    width_px: int
    height_px: int
    mirrored: bool = False


LEFT_EYE: Final = Part("eye", (36, 37, 38, 39, 40, 41), 40, 28)
RIGHT_EYE: Final = Part("eye", (45, 44, 43, 42, 47, 46), 40, 28, mirrored=True)
MOUTH: Final = Part("mouth", tuple(range(48, 66)), 52, 40)
NUM_STAGES: Final = 2
_USUAL: Final = 2.5
"""Spreads of a component beyond which a face is too odd to learn from others."""
_PASSES: Final = (0, 1, 1)
"""The fine stage looks twice: the first look centres it."""


def settle_landmarks(picture: ByteArray, landmarks: Array, weights: Mapping[str, Array]) -> Array:
    """Put found points right: the whole shape, then eyes and mouth where the picture shows them.

    Args:
        picture: uint8 [H, W, 4].
        landmarks: float32 [66, 2], pixels, from the landmark net.
        weights: arrays of refine.npz.

    Returns:
        float32 [66, 2].
    """
    points = correct_shape(landmarks, weights)
    # Halfway: their errors differ (eyes .028, .031, halfway .025 eye distances; mouth .036, .036,
    # .030; 28 portraits that neither has seen).
    return ((points + refine_landmarks(picture, points, weights)) / 2).astype(np.float32)


def correct_shape(landmarks: Array, weights: Mapping[str, Array]) -> Array:
    """Take out what the net always gets wrong, by a linear map of the whole shape.

    It draws jaws too round and turned faces too near to the front (`training.landmark_shape`).

    Args:
        landmarks: float [66, 2], any unit.
        weights: arrays of refine.npz; without a map the points stay.

    Returns:
        float [66, 2].
    """
    if "shape_out" not in weights:
        return landmarks
    centre, turn = eye_frame(landmarks)
    local = ((landmarks - centre) @ turn.T).ravel()
    known = np.clip((local - weights["shape_mean"]) @ weights["shape_axes"], -_USUAL, _USUAL)
    change = (np.append(known, 1.0) @ weights["shape_out"]).reshape(-1, 2)
    return (landmarks + change @ np.linalg.inv(turn).T).astype(landmarks.dtype)


def eye_frame(landmarks: Array) -> tuple[Array, Array]:
    """Return the middle of the eyes [2], and the map [2, 2] that levels them one unit apart."""
    left, right = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    across = (right - left).astype(np.float64)
    cosine, sine = across / max(float(across @ across), 1e-12)
    return (left + right) / 2, np.array([[cosine, sine], [-sine, cosine]])


def refine_landmarks(picture: ByteArray, landmarks: Array, weights: Mapping[str, Array]) -> Array:
    """Move eyes and mouth to where the picture shows them.

    Args:
        picture: uint8 [H, W, 4].
        landmarks: float32 [66, 2], pixels.
        weights: arrays of refine.npz.

    Returns:
        float32 [66, 2]; brows follow their eye by half, all else is unchanged.
    """
    alpha = picture[..., 3:].astype(np.float32) / 255
    grey = cv2.cvtColor(
        np.ascontiguousarray(picture[..., :3] * alpha + 160 * (1 - alpha)), cv2.COLOR_RGB2GRAY
    )
    out = landmarks.astype(np.float32).copy()
    for stage in _PASSES:
        for part in (LEFT_EYE, RIGHT_EYE, MOUTH):
            affine = patch_affine(out, part)
            features = patch_features(cut_patch(grey, affine, part)[None])
            local = predict(features, weights, f"{part.name}{stage}")[0].reshape(-1, 2)
            out[list(part.points)] = to_picture(local, affine, part)
    for eye, brow in ((LEFT_EYE, slice(17, 22)), (RIGHT_EYE, slice(22, 27))):
        numbers = list(eye.points)
        out[brow] += 0.5 * (out[numbers].mean(0) - landmarks[numbers].mean(0))
    return out


def patch_affine(landmarks: Array, part: Part) -> Array:
    """Return float64 [2, 3]: picture pixels -> patch pixels.

    Args:
        landmarks: float [66, 2], pixels.
        part: which part.

    Returns:
        The map; it levels the eyes and centres the part.
    """
    across = landmarks[42:48].mean(0) - landmarks[36:42].mean(0)
    distance = max(float(np.hypot(across[0], across[1])), 1.0)
    cosine, sine = across / distance * (PIXELS_PER_EYE_DISTANCE / distance)
    linear = np.array([[cosine, sine], [-sine, cosine]])
    if part.mirrored:
        linear[0] *= -1
    centre = landmarks[list(part.points)].mean(0)
    middle = np.array([part.width_px / 2, part.height_px / 2])
    return np.concatenate([linear, (middle - linear @ centre)[:, None]], 1)


def cut_patch(grey: Array, affine: Array, part: Part) -> Array:
    """Cut float32 [height, width] out of a grey picture.

    Args:
        grey: uint8 or float32 [H, W].
        affine: from `patch_affine`.
        part: which part.

    Returns:
        The patch, blurred first where it shrinks.
    """
    scale = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    # Only what the patch needs: a portrait may be large.
    inverse = np.linalg.inv(affine[:, :2])
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * [part.width_px, part.height_px]
    places = (corners - affine[:, 2]) @ inverse.T
    margin = 3 / scale + 2
    low = np.floor(places.min(0) - margin).astype(int).clip(0)
    high = np.ceil(places.max(0) + margin).astype(int).clip(low + 2)
    window = grey[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    if window.size == 0:
        return np.zeros((part.height_px, part.width_px), np.float32)
    if scale < 0.8:
        window = cv2.GaussianBlur(window, (0, 0), 0.4 / scale)
    shifted = affine.copy()
    shifted[:, 2] += affine[:, :2] @ (low + 0.5) - 0.5  # OpenCV counts pixel middles from 0
    return cv2.warpAffine(
        window, shifted, (part.width_px, part.height_px), borderMode=cv2.BORDER_REPLICATE
    )


def to_picture(local: Array, affine: Array, part: Part) -> Array:
    """Return picture pixels [..., 2] of points relative to the patch's middle."""
    middle = np.array([part.width_px / 2, part.height_px / 2])
    return (local + middle - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T


def patch_features(patches: Array) -> Array:
    """Describe patches by their gradients' directions in cells, and by their coarse lightness.

    Args:
        patches: float32 [B, H, W], sides multiples of 4.

    Returns:
        float32 [B, D].
    """
    count, height, width = patches.shape
    padded = np.pad(patches, ((0, 0), (1, 1), (1, 1)), mode="edge")
    dx = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    dy = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    strength = np.sqrt(dx**2 + dy**2)
    turn = np.arctan2(dy, dx) / (2 * np.pi) * _DIRECTIONS
    cells = (count, height // _CELL_PX, _CELL_PX, width // _CELL_PX, _CELL_PX)
    maps = [
        (strength * np.clip(1 - np.abs((turn - k + _DIRECTIONS / 2) % _DIRECTIONS
                                       - _DIRECTIONS / 2), 0, 1)).reshape(cells).mean((2, 4))
        for k in range(_DIRECTIONS)
    ]  # fmt: skip
    gradients = np.stack(maps, -1)
    norm = np.sqrt((gradients**2).sum(-1, keepdims=True).mean((1, 2), keepdims=True)) + 1e-3
    gradients = np.sqrt(gradients / norm)
    halves = (count, height // 2, 2, width // 2, 2)
    light = patches.reshape(halves).mean((2, 4)).reshape(count, -1)
    light = (light - light.mean(1, keepdims=True)) / (light.std(1, keepdims=True) + 2.0)
    return np.concatenate([gradients.reshape(count, -1), 0.5 * light], 1).astype(np.float32)


def predict(features: Array, weights: Mapping[str, Array], name: str) -> Array:
    """Regress points from features.

    Args:
        features: float32 [B, D].
        weights: arrays of refine.npz.
        name: part and stage.

    Returns:
        float32 [B, 2P], patch pixels from the patch's middle.
    """
    hidden = hidden_features(features, weights, name)
    return hidden @ weights[f"{name}_out"].astype(np.float32)


def hidden_features(features: Array, weights: Mapping[str, Array], name: str) -> Array:
    """Return float32 [B, .]: principal components, rectified random mixtures of them, and one."""
    centred = features - weights[f"{name}_mean"].astype(np.float32)
    reduced = centred @ weights[f"{name}_axes"].astype(np.float32)
    mixed = np.maximum(reduced @ weights[f"{name}_mix"].astype(np.float32), 0)
    return np.concatenate([reduced, mixed, np.ones((len(features), 1), np.float32)], 1)
