"""Reads off a portrait how it is lit and how it was made.

Place in the flow: portrait and landmarks -> here -> whoever paints on it (`paint`, `paint_eyes`,
`drawn_features`). Lengths in eye distances unless said otherwise. Shape letters: N canvas pixels.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Style
from rest_bridge.portrait.contours import sample_picture
from rest_bridge.types import Array, ByteArray

_STYLE_PIXELS: Final = 40
"""Pixels an eye distance at which the style is judged."""
_FLAT_SHARE: Final = 0.13
"""Measured: photos, renders and paintings 0.00 to 0.08 of the face without any gradient, flat
drawings 0.18 to 0.36."""
_TYPICAL_SKIN: Final = np.array([205, 160, 138], np.float32)


@dataclass(frozen=True, slots=True)
class Light:
    """How the portrait is lit, read off its skin.

    Attributes:
        gain: float32 [3], colour of the light against white on a typical skin.
        skin: float32 [3], median skin colour, 0..255.
        line: float32 [3], colour of the darkest lines around eyes and mouth, 0..255.
        white: float32 [3], colour of the whites of the eyes, 0..255.
        blur: width (standard deviation) of the sharpest edges of eyes and lips, canvas units.
        grain: float32 [G, G, 3], what of the cheek's detail is grain or brush, about 0.
    """

    gain: Array
    skin: Array
    line: Array
    white: Array
    blur: float
    grain: Array


def read_light(picture: ByteArray, landmarks: Array, eye_distance: float) -> Light:
    """Read skin colour, light and line colour off a portrait.

    Args:
        picture: uint8 [N, N, 4].
        landmarks: float32 [66, 2].
        eye_distance: canvas units.

    Returns:
        The light.
    """
    cheeks = np.stack([
        0.5 * landmarks[2] + 0.5 * landmarks[31],
        0.5 * landmarks[14] + 0.5 * landmarks[35],
        0.5 * landmarks[30] + 0.5 * landmarks[27],
    ])  # fmt: skip
    reach = 0.08 * eye_distance
    offsets = np.stack(np.meshgrid(*[np.linspace(-reach, reach, 9)] * 2), -1).reshape(1, -1, 2)
    samples = sample_picture(picture[..., :3], (cheeks[:, None] + offsets).astype(np.float32))
    skin = np.median(samples.reshape(-1, 3), 0)
    brightness = float(np.clip(skin.mean() / _TYPICAL_SKIN.mean(), 0.45, 1.1)) ** 0.7
    tint = skin / max(float(skin.mean()), 1.0) / (_TYPICAL_SKIN / _TYPICAL_SKIN.mean())
    gain = brightness * np.clip(tint, 0.7, 1.35) ** 0.6
    dark: list[Array] = []
    for a, b in ((36, 39), (42, 45), (58, 62)):
        s = np.linspace(0.1, 0.9, 25)[:, None, None]
        t = np.linspace(-0.12, 0.12, 17)[None, :, None] * eye_distance
        along = landmarks[b] - landmarks[a]
        normal = np.array([-along[1], along[0]]) / np.linalg.norm(along)
        points = (landmarks[a] + s * along + t * normal).astype(np.float32)
        colours = sample_picture(picture[..., :3], points).reshape(-1, 3)
        order = np.argsort(colours.sum(1))
        dark.append(colours[order[: len(order) // 20]].mean(0))
    line = np.mean(dark, 0)
    return Light(
        gain=gain.astype(np.float32),
        skin=skin.astype(np.float32),
        line=line.astype(np.float32),
        white=_eye_white(picture, landmarks),
        blur=_edge_width(picture, landmarks, eye_distance),
        grain=_grain(picture, landmarks, eye_distance),
    )


def _eye_white(picture: ByteArray, landmarks: Array) -> Array:
    """Return the colour of the brightest fifth of the eyes, highlights left out: float32 [3]."""
    size = picture.shape[0]
    mask = np.zeros((size, size), np.uint8)
    for ring in (landmarks[36:42], landmarks[42:48]):
        cv2.fillConvexPoly(mask, np.round(ring * size).astype(np.int32), 1)
    colours = picture[..., :3][mask > 0].astype(np.float32)
    order = np.argsort(colours.sum(1))
    picked = colours[order[int(0.75 * len(order)) : max(int(0.95 * len(order)), 1)]]
    if len(picked) == 0:
        return np.full(3, 200.0, np.float32)
    return np.median(picked, 0).astype(np.float32)


def _edge_width(picture: ByteArray, landmarks: Array, eye_distance: float) -> float:
    """Measure sharpness: a step of C blurred by sigma rises by C / (2.5 sigma) a pixel."""
    size = picture.shape[0]
    reach = max(2, round(0.05 * eye_distance * size))
    points = landmarks[36:66] * size
    low = np.floor(points.min(0) - reach).astype(int).clip(0)
    high = np.ceil(points.max(0) + reach).astype(int).clip(low + 4)
    grey = cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_RGB2GRAY)
    grey = grey[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8),
                     cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8))  # fmt: skip
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    contrast = cv2.dilate(grey, window) - cv2.erode(grey, window)
    steep = slope >= np.percentile(slope, 98)
    width = np.median(contrast[steep] / np.maximum(slope[steep], 1e-3)) / 2.507
    return float(width / size)


def _grain(picture: ByteArray, landmarks: Array, eye_distance: float) -> Array:
    """Cut the fine detail of the evener cheek, float32 [G, G, 3]."""
    size = picture.shape[0]
    half = max(4, round(0.11 * eye_distance * size))
    found: list[Array] = []
    for edge, wing in ((3, 31), (13, 35)):
        centre = ((0.45 * landmarks[edge] + 0.55 * landmarks[wing]) * size).astype(int)
        row, column = (int(np.clip(centre[k], half, size - half)) for k in (1, 0))
        patch = picture[row - half : row + half, column - half : column + half, :3]
        patch = patch.astype(np.float32)
        found.append(patch - cv2.GaussianBlur(patch, (0, 0), max(1.5, 0.18 * half)))
    return min(found, key=lambda patch: float(patch.std()))


def detect_style(picture: ByteArray, landmarks: Array, eye_distance: float) -> Style:
    """Guess how a portrait was made from the statistics of its face.

    Flat drawings have areas without any gradient between few edges. Paintings look like photos to
    this measure, and photos' manner suits them; `painting` can be asked for.

    Args:
        picture: uint8 [N, N, 4].
        landmarks: float32 [66, 2].
        eye_distance: canvas units.

    Returns:
        The style.
    """
    size = picture.shape[0]
    low = (landmarks.min(0) * size).astype(int).clip(0, size - 4)
    high = (landmarks.max(0) * size).astype(int).clip(low + 4, size)
    face = np.ascontiguousarray(picture[low[1] : high[1], low[0] : high[0], :3])
    scale = _STYLE_PIXELS / max(eye_distance * size, 1.0)
    shape = [max(4, round(float(n) * scale)) for n in high - low]
    face = cv2.resize(face, (shape[0], shape[1]), interpolation=cv2.INTER_AREA).astype(np.float32)
    along = np.abs(np.diff(face, axis=1))[:-1].max(-1)
    down = np.abs(np.diff(face, axis=0))[:, :-1].max(-1)
    return "drawn" if float((np.maximum(along, down) < 2).mean()) > _FLAT_SHARE else "photo"
