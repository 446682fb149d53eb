"""Turns a fitted head into the grids that move the portrait's skin.

Place in the flow: fitted head and contours -> here -> `FaceField` and the mouth's two sheets; what
the pose does is `head_geometry`'s. Every cell of a grid is a place in the PORTRAIT; it stores how
the surface seen there moves with each rig value. So the movement is exact at run time and needs
neither mesh nor rasteriser. Lengths in canvas units.
Shape letters: V vertices, K shapes, H/W cells.
"""

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import FaceField
from rest_bridge.portrait.contours import LipCurves, box_points, sample_picture
from rest_bridge.portrait.fit import FittedHead
from rest_bridge.portrait.lip_fields import (
    EMPHASIS,
    OPENS,
    SHAPES,
    below_line,
    chin_gains,
    narrowing,
    seals,
)
from rest_bridge.portrait.raster import fill_outside, rasterise, smoothstep
from rest_bridge.rig import ARKIT_NAMES
from rest_bridge.types import Array

_FACE_CELLS: Final = (96, 80)
_MOUTH_CELLS: Final = (56, 72)
_CHEEKS: Final = ("eyeSquint", "cheek", "mouth", "nose")
"""Shapes that must not press the eyeballs; brows keep the head's own falloff."""
_JAW: Final = ("jawForward", "jawLeft", "jawRight", "jawOpen")
_ROUND: Final = ("mouthFunnel", "mouthPucker")
_JOIN: Final = (0.05, 0.22)
"""Eye distances from the border of the mouth's box over which its sheets become the face's."""
_JAW_OPENING: Final = 0.43
"""Eye distances between the lips at a full jawOpen, as on the mean of the scans."""


@dataclass(frozen=True, slots=True)
class MouthSheets:
    """Fields of the mouth's two sheets; see `avatar.MouthLayer` for shapes and meaning."""

    box: Array
    upper: Array
    lower: Array
    seal_upper: Array
    seal_lower: Array
    gap_gain: Array
    jaw_shift: Array
    teeth_shift: Array


def face_field(
    fitted: FittedHead,
    landmarks: Array,
    lips: LipCurves,
    eye_distance: float,
    canvas_px: int,
    *,
    chin: float = 1.0,
) -> FaceField:
    """Build the expression field of the whole face.

    Args:
        fitted: the head, in canvas pixels.
        landmarks: float32 [66, 2], canvas units.
        lips: the mouth's contours.
        eye_distance: canvas units.
        canvas_px: pixels of the canvas.
        chin: how much of the jaw's way the chin goes; in drawings it hardly moves.

    Returns:
        The field.
    """
    middle = (landmarks[36:42].mean(0) + landmarks[42:48].mean(0)) / 2
    reach = np.array([2.3, 1.9, 2.3, 3.3], np.float32) * eye_distance
    box = np.concatenate([middle - reach[:2], middle + reach[2:]]).astype(np.float32)
    skin = _skin(fitted, landmarks, box, _FACE_CELLS, eye_distance, canvas_px)
    places, inside = skin.places, skin.inside
    basis = fill_outside(skin.values, skin.known)
    cell = float(box[2] - box[0]) / _FACE_CELLS[1]
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5) * cell
    # Under an opening jaw the neck gives way; smiles and brows end with the face.
    reach = np.where([ARKIT_NAMES[i] in _JAW for i in SHAPES], 0.65, 0.25).repeat(2) * eye_distance
    damping = np.exp(-((distance[..., None] / reach) ** 2))
    basis = basis + narrowing(fitted, lips, places, eye_distance, canvas_px)
    basis = basis * chin_gains(lips, places, eye_distance, chin)
    basis = cv2.GaussianBlur(basis.reshape(*_FACE_CELLS, -1), (3, 3), 0.7)
    window = np.minimum(1.0, _edge_distance(*_FACE_CELLS) / 6)
    basis = basis * damping * window[..., None]
    spared = np.repeat([ARKIT_NAMES[i].startswith(_CHEEKS) for i in SHAPES], 2)
    basis = basis * (1 - _eye_mask(landmarks, places)[..., None] * spared)
    upper, lower = seals(lips, places, eye_distance)
    is_lower = below_line(lips, places)
    seal = np.where(is_lower[..., None], lower, upper).astype(np.float32)
    return FaceField(box, SHAPES, _as_basis(basis), seal)


def mouth_sheets(
    fitted: FittedHead,
    landmarks: Array,
    lips: LipCurves,
    eye_distance: float,
    canvas_px: int,
    *,
    chin: float = 1.0,
) -> MouthSheets:
    """Build the fields above and below the lip line, each continued beyond it.

    Args:
        fitted: the head, in canvas pixels.
        landmarks: float32 [66, 2], canvas units.
        lips: the mouth's contours.
        eye_distance: canvas units.
        canvas_px: pixels of the canvas.
        chin: as for `face_field`.

    Returns:
        The two sheets.
    """
    half = float(np.linalg.norm(lips.axes.along))
    reach = np.array([half + 0.3 * eye_distance, 0.5 * eye_distance, 0, 0.85 * eye_distance])
    centre = lips.axes.origin
    box = np.array([centre[0] - reach[0], centre[1] - reach[1],
                    centre[0] + reach[0], centre[1] + reach[3]], np.float32)  # fmt: skip
    skin = _skin(fitted, landmarks, box, _MOUTH_CELLS, eye_distance, canvas_px)
    places = skin.places
    local = lips.axes.local(places)
    between = np.abs(local[..., 0]) < 1.0
    upper_line = np.interp(local[..., 0], lips.places, lips.upper)
    lower_line = np.interp(local[..., 0], lips.places, lips.lower)
    # Head and picture disagree about the line by a few pixels: that band follows the lip beside.
    band = 0.045 * eye_distance * (1 - smoothstep(0.85, 1.0, np.abs(local[..., 0])))
    beyond = between & (local[..., 1] > upper_line - band)
    before = between & (local[..., 1] < lower_line + band)
    upper, lower = (fill_outside(skin.values, skin.known & ~line) for line in (beyond, before))
    narrower = narrowing(fitted, lips, places, eye_distance, canvas_px)
    held = chin_gains(lips, places, eye_distance, chin)
    upper, lower = (
        cv2.GaussianBlur((sheet + narrower) * held, (3, 3), 0.7) for sheet in (upper, lower)
    )
    seal_upper, seal_lower = seals(lips, places, eye_distance)
    middle = np.stack([lips.points(lips.upper), lips.points(lips.lower)])[:, 11:22]
    unit = lips.axes.along / half
    normal = np.array([-unit[1], unit[0]], np.float32)
    at_upper, at_lower = (
        _lookup(sheet, box, line).reshape(len(line), len(SHAPES), 2).mean(0)
        for sheet, line in ((upper, middle[0]), (lower, middle[1]))
    )
    gain = (at_lower - at_upper) @ normal
    # Teeth follow the jaw; of what only the lip does they follow most, so that they stay behind it.
    # Rounded lips hide both rows.
    is_round = np.array([ARKIT_NAMES[i] in _ROUND for i in SHAPES])
    follows = np.array([1.0 if ARKIT_NAMES[i] in _JAW + _ROUND else 0.75 for i in SHAPES])
    return MouthSheets(
        box=box,
        upper=_as_basis(upper),
        lower=_as_basis(lower),
        seal_upper=seal_upper,
        seal_lower=seal_lower,
        gap_gain=gain.astype(np.float32),
        jaw_shift=(at_lower * follows[:, None]).astype(np.float32),
        teeth_shift=((at_upper - 0.06 * eye_distance * normal) * is_round[:, None]).astype(
            np.float32
        ),
    )


def joined(sheets: MouthSheets, face: FaceField, eye_distance: float) -> MouthSheets:
    """Let the mouth's sheets end as the face around them moves.

    They continue the lips' skin without end; where their box ended in a neck that rests, collars
    were drawn twice whenever the mouth smiled.

    Args:
        sheets: from `mouth_sheets`.
        face: from `face_field`.
        eye_distance: canvas units.

    Returns:
        The sheets, the face's own near the border of their box.
    """
    height, width = sheets.seal_upper.shape[:2]
    places = box_points(sheets.box, height, width)
    away = np.minimum(places - sheets.box[:2], sheets.box[2:] - places).min(-1)
    own = smoothstep(_JOIN[0] * eye_distance, _JOIN[1] * eye_distance, away)[..., None]
    within = (places - face.box[:2]) / (face.box[2:] - face.box[:2])
    around = np.stack([sample_picture(field, within) for field in face.basis])

    def ends(sheet: Array) -> Array:
        return (around + own * (sheet.astype(np.float32) - around)).astype(sheet.dtype)

    return replace(sheets, upper=ends(sheets.upper), lower=ends(sheets.lower))


def calibrate(
    face: FaceField, sheets: MouthSheets, fitted: FittedHead, eye_distance: float
) -> tuple[FaceField, MouthSheets]:
    """Make the same rig open every portrait equally far, in true eye distances.

    Args:
        face: from `face_field`.
        sheets: from `mouth_sheets`.
        fitted: the head.
        eye_distance: as seen, canvas units; a turned face shows it shortened.

    Returns:
        Both, with the jaw's part scaled.
    """
    shown = max(float(np.hypot(fitted.rotation[0, 0], fitted.rotation[1, 0])), 0.7)
    jaw = list(SHAPES).index(ARKIT_NAMES.index("jawOpen"))
    opening = max(float(sheets.gap_gain[jaw]), 1e-4)
    gain = float(np.clip(_JAW_OPENING * eye_distance / shown / opening, 0.7, 1.5))
    gains = np.where([ARKIT_NAMES[i] in OPENS for i in SHAPES], gain, 1.0).astype(np.float32)

    def scaled(values: Array) -> Array:
        shape = (len(gains), *[1] * (values.ndim - 1))
        return (values * gains.reshape(shape)).astype(values.dtype)

    return replace(face, basis=scaled(face.basis)), replace(
        sheets,
        upper=scaled(sheets.upper),
        lower=scaled(sheets.lower),
        gap_gain=scaled(sheets.gap_gain),
        jaw_shift=scaled(sheets.jaw_shift),
    )


@dataclass(frozen=True, slots=True)
class _Skin:
    """What the fitted head says of the cells of a box.

    Attributes:
        places: float32 [H, W, 2].
        inside: bool [H, W], within the outline of jaw and forehead.
        known: bool [H, W], where the head's displacements may be taken.
        values: float32 [H, W, 2K], displacements at full weight.
    """

    places: Array
    inside: Array
    known: Array
    values: Array


def _skin(
    fitted: FittedHead,
    landmarks: Array,
    box: Array,
    cells: tuple[int, int],
    eye_distance: float,
    canvas_px: int,
) -> _Skin:
    places = box_points(box, *cells)
    covered, values = _surface(fitted, places, box, canvas_px)
    inside = _face_mask(landmarks, places, eye_distance)
    return _Skin(places, inside, covered & _shrunk(inside, box, eye_distance), values)


def _surface(fitted: FittedHead, places: Array, box: Array, canvas_px: int) -> tuple[Array, Array]:
    """Rasterise the head over a box: covered cells and [H, W, 2K] displacements."""
    height, width = places.shape[:2]
    cells = np.array([width, height], np.float32) / (box[2:] - box[:2])
    points = fitted.vertices / np.float32(canvas_px)
    scaled = np.concatenate([(points[:, :2] - box[:2]) * cells, points[:, 2:] * cells[0]], 1)
    coverage = rasterise(scaled.astype(np.float32), fitted.triangles, height, width)
    gain = np.array([EMPHASIS.get(ARKIT_NAMES[i], 1.0) for i in SHAPES]) / canvas_px
    moves = fitted.displacement[SHAPES][..., :2].transpose(1, 0, 2) * gain[:, None]
    moves = moves.astype(np.float32)
    return coverage.covered, coverage.interpolate(moves.reshape(len(points), -1))


def _as_basis(values: Array) -> Array:
    height, width = values.shape[:2]
    split = values.reshape(height, width, len(SHAPES), 2).transpose(2, 0, 1, 3)
    return np.ascontiguousarray(split).astype(np.float16)


def _face_mask(landmarks: Array, places: Array, eye_distance: float) -> Array:
    """Say which cells lie within the outline of jaw and forehead."""
    brows = landmarks[17:27]
    middle = (landmarks[36:42].mean(0) + landmarks[42:48].mean(0)) / 2
    across = landmarks[42:48].mean(0) - landmarks[36:42].mean(0)
    upwards = np.array([across[1], -across[0]]) / np.linalg.norm(across)
    forehead = brows + upwards * 0.9 * eye_distance
    outline = np.concatenate([landmarks[:17], forehead[::-1]])
    hull = cv2.convexHull(((outline - middle) * 1.0 + middle).astype(np.float32))
    low, size = places[0, 0], places[-1, -1] - places[0, 0]
    scale = np.array([places.shape[1] - 1, places.shape[0] - 1]) / size
    mask = np.zeros(places.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, np.round((hull[:, 0] - low) * scale).astype(np.int32), 1)
    return mask > 0


def _shrunk(mask: Array, box: Array, eye_distance: float) -> Array:
    """Leave out the rim: right below the chin's edge the neck, which rests, shines through."""
    cell = float(box[2] - box[0]) / mask.shape[1]
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) * cell > 0.1 * eye_distance


def _eye_mask(landmarks: Array, places: Array) -> Array:
    """Return 1 inside the eyes: cheeks and brows must not press the eyeballs."""
    mask = np.zeros(places.shape[:2], np.float32)
    for ring in (landmarks[36:42], landmarks[42:48]):
        centre, width = ring.mean(0), float(np.linalg.norm(ring[3] - ring[0]))
        across = (ring[3] - ring[0]) / width
        offset = places - centre
        s = offset @ across / (0.55 * width)
        t = offset @ np.array([-across[1], across[0]]) / (0.3 * width)
        mask = np.maximum(mask, 1 - smoothstep(0.6, 1.8, np.sqrt(s**2 + t**2)))
    return mask


def _lookup(field: Array, box: Array, points: Array) -> Array:
    """Read a field [H, W, C] at canvas points [S, 2], nearest cell."""
    height, width = field.shape[:2]
    place = (points - box[:2]) / (box[2:] - box[:2]) * [width, height]
    column = place[:, 0].astype(np.int64).clip(0, width - 1)
    row = place[:, 1].astype(np.int64).clip(0, height - 1)
    return field[row, column]


def _edge_distance(height: int, width: int) -> Array:
    rows = np.minimum(np.arange(height), np.arange(height)[::-1])[:, None]
    columns = np.minimum(np.arange(width), np.arange(width)[::-1])[None]
    return np.minimum(rows, columns).astype(np.float32)
