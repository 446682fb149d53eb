"""Finds faces in a portrait and the 66 points in each, with the package's two small nets.

Place: the first step of importing a portrait. Works on photographs, paintings and drawings.
Knows nothing of heads. Points are in the order of the package's landmark net (OpenSeeFace: 0-16
contour, 17-26 brows, 27-35 nose, 36-47 eyes, 48-65 lips), image's left before image's right.

Shape letters: H/W pixels, h/w detector cells.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rest_bridge.errors import AvatarError
from rest_bridge.inference.package import ModelPackage
from rest_bridge.types import Array, ByteArray, FloatArray

SCORE_THRESHOLD: Final = 0.5
"""A heat-map value above it is a face; chosen on held-out pictures (training/LOG.md)."""
_BESIDE_SCORE: Final = 0.7
_BESIDE_SIZE: Final = 0.35
"""A face beside a better one needs this share of its score and of its side: a portrait's folded
hands or a face on a far wall do not make it a group."""
_LONGEST_SIDES_PX: Final = (160, 320)
_CELL_PX: Final = 8
_BASE_FACE_PX: Final = 32.0
_LARGEST_FACE: Final = {160: 400.0, 320: 150.0}
"""Faces larger than this many resized pixels are left to the coarser picture."""
_CROP_PX: Final = 128
_CROP_MARGIN: Final = 1.35
_FRAME: Final = 2.6
"""Eye distances of a face's square."""
_PASSES: Final = 2
_VIEWS: Final = ((0.0, 0.0, 1.0, 0.0), (0.08, 0.0, 1.05, 0.05), (-0.08, 0.0, 0.95, -0.05),
                 (0.0, 0.08, 1.08, -0.06), (0.0, -0.08, 0.93, 0.06))  # fmt: skip
"""Crops whose answers are averaged where there is time: shift in eye distances, size, turn in
radians. Each is looked at in the mirror, too."""
MIRROR: Final = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
     45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
     52, 51, 50, 49, 48, 57, 56, 55, 54, 53, 62, 61, 60, 59, 58, 65, 64, 63]
)  # fmt: skip
"""Point k of the mirrored picture is point MIRROR[k] of the picture."""


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A square around eyes and mouth: middle and side in pixels; the side is 2.6 eye distances."""

    x: float
    y: float
    side: float


@dataclass(frozen=True, slots=True)
class DetectedFace:
    """Where a face is and how sure the net is, 0..1."""

    box: FaceBox
    score: float


def detect_faces(rgb: ByteArray, package: ModelPackage) -> list[DetectedFace]:
    """Find all faces, best first.

    Args:
        rgb: uint8 [H, W, 3].
        package: holds face_detector.onnx.

    Returns:
        Faces with a score above `SCORE_THRESHOLD`; empty if there is none.

    Raises:
        AvatarError: `rgb` is no picture.
        PackageError: the package has no detector.
    """
    _check_picture(rgb)
    found: list[DetectedFace] = []
    for longest in _LONGEST_SIDES_PX:
        found += _detect_at(rgb, package, longest)
    found.sort(key=lambda face: -face.score)
    kept: list[DetectedFace] = []
    for face in found:
        apart = all(_overlap(face.box, other.box) < 0.3 for other in kept)
        if apart and (not kept or _counts_beside(face, kept[0])):
            kept.append(face)
    return kept


def _counts_beside(face: DetectedFace, best: DetectedFace) -> bool:
    large = face.box.side > _BESIDE_SIZE * best.box.side
    return large and face.score > _BESIDE_SCORE * best.score


def find_landmarks(
    rgb: ByteArray, box: FaceBox, package: ModelPackage, *, careful: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Find the 66 points of the face in a box.

    The net runs again on a crop that its own first points centre, scale and level.

    Args:
        rgb: uint8 [H, W, 3].
        box: from `detect_faces`, or drawn by a person.
        package: holds landmarks.onnx.
        careful: look at ten crops instead of one in the end and average: 70 ms of one core more.

    Returns:
        points: float32 [66, 2], pixels (the first pixel's middle is at 0.5).
        confidence: float32 [66], 0..1; 0.8 means an expected error of 1 % of the crop.

    Raises:
        AvatarError: `rgb` is no picture, or the box is empty.
        PackageError: the package has no landmark net.
    """
    _check_picture(rgb)
    if not box.side > 1:
        raise AvatarError(f"Face box is empty (side {box.side:.1f} px); draw it around the face.")
    middle, side, turn = np.array([box.x, box.y]), box.side, 0.0
    points = np.zeros((66, 2), np.float32)
    confidence = np.zeros(66, np.float32)
    for _ in range(_PASSES):
        points, confidence = _look(rgb, package, _crop_affine(middle, side * _CROP_MARGIN, turn))
        middle, side, turn = _framing(points)
    if careful:
        unit = side / _FRAME
        crops = [
            _crop_affine(middle + np.array([x, y]) * unit, side * size * _CROP_MARGIN, turn + more)
            for x, y, size, more in _VIEWS
        ]
        seen = [
            _look(rgb, package, crop, mirrored=mirrored)
            for crop in crops
            for mirrored in (False, True)
        ]
        points = np.mean([one for one, _ in seen], 0).astype(np.float32)
        confidence = np.mean([sure for _, sure in seen], 0).astype(np.float32)
    return points, confidence


def _look(
    rgb: ByteArray, package: ModelPackage, affine: Array, *, mirrored: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Run the net on a crop, perhaps seen in the mirror: points in the picture, confidence."""
    crop = _warp(rgb, affine)
    crop = crop[:, ::-1] if mirrored else crop
    values = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], np.float32) / 255
    outputs = package.session("landmarks").run({"rgb": values})
    local = outputs["points"][0].astype(np.float64) * _CROP_PX
    confidence = outputs["confidence"][0].astype(np.float32)
    if mirrored:
        local, confidence = local[MIRROR], confidence[MIRROR]
        local[:, 0] = _CROP_PX - local[:, 0]
    places = (local - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    return places.astype(np.float32), confidence


def _framing(points: FloatArray) -> tuple[Array, float, float]:
    """Return middle [2], side and turn (radians) of the square that these points ask for."""
    left, right = points[36:42].mean(0), points[42:48].mean(0)
    across = right - left
    middle = ((left + right) / 2 + points[48:66].mean(0)) / 2
    side = _FRAME * max(float(np.hypot(across[0], across[1])), 1.0)
    return middle, side, float(np.arctan2(across[1], across[0]))


def _crop_affine(middle: Array, side: float, turn: float) -> Array:
    """Return float64 [2, 3]: picture position -> crop position, levelled by `turn`."""
    scale = _CROP_PX / side
    cosine, sine = np.cos(turn) * scale, np.sin(turn) * scale
    linear = np.array([[cosine, sine], [-sine, cosine]])
    return np.concatenate([linear, (_CROP_PX / 2 - linear @ middle)[:, None]], 1)


def _warp(rgb: ByteArray, affine: Array) -> Array:
    """Cut uint8 [128, 128, 3]; sampled after a blur where it shrinks."""
    scale = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    picture: Array = rgb
    if scale < 0.5:
        picture = cv2.GaussianBlur(rgb, (0, 0), 0.3 / scale)
    # cv2 counts pixel middles from 0, we from 0.5.
    shifted = affine.copy()
    shifted[:, 2] += affine[:, :2] @ np.array([0.5, 0.5]) - 0.5
    return cv2.warpAffine(picture, shifted, (_CROP_PX, _CROP_PX), borderMode=cv2.BORDER_REPLICATE)


def _detect_at(rgb: ByteArray, package: ModelPackage, longest: int) -> list[DetectedFace]:
    height, width = rgb.shape[:2]
    scale = longest / max(height, width)
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    # Whole cells at the net's coarsest level; the margin repeats the border.
    bottom, right = (-size[1]) % 32, (-size[0]) % 32
    small = cv2.copyMakeBorder(small, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    values = small.transpose(2, 0, 1)[None].astype(np.float32) / 255
    outputs = package.session("face_detector").run({"rgb": values})
    score, box = outputs["score"][0, 0], outputs["box"][0]
    # A cell counts where it is the best of its neighbourhood.
    best = cv2.dilate(score, np.ones((3, 3), np.uint8))
    faces: list[DetectedFace] = []
    for row, column in zip(*np.nonzero((score >= best) & (score > SCORE_THRESHOLD)), strict=True):
        shift_x, shift_y, level = (float(value) for value in box[:, row, column])
        side = _BASE_FACE_PX * 2.0**level
        if side > _LARGEST_FACE[longest]:
            continue
        x, y = (column + 0.5 + shift_x) * _CELL_PX, (row + 0.5 + shift_y) * _CELL_PX
        if x > size[0] or y > size[1]:
            continue
        square = FaceBox(x / scale, y / scale, side / scale)
        faces.append(DetectedFace(square, float(score[row, column])))
    return faces


def _overlap(one: FaceBox, other: FaceBox) -> float:
    """Return the intersection over the smaller square's area."""
    reach = (one.side + other.side) / 2
    wide = max(0.0, min(reach - abs(one.x - other.x), one.side, other.side))
    tall = max(0.0, min(reach - abs(one.y - other.y), one.side, other.side))
    return wide * tall / min(one.side, other.side) ** 2


def _check_picture(rgb: ByteArray) -> None:
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or min(rgb.shape[:2]) < 8:
        raise AvatarError(
            f"Expected a picture uint8 [H, W, 3] of at least 8 pixels a side, got {rgb.dtype} "
            f"{list(rgb.shape)}; convert it to RGB first."
        )
