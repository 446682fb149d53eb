"""Turns a fitted head into the grids that move the picture.

Place in the flow: fitted head and contours -> here -> `HeadField`, `FaceField` and the mouth's two
sheets. Every cell of a grid is a place in the PORTRAIT; it stores how the surface seen there moves
with each rig value. So the movement is exact at run time and needs neither mesh nor rasteriser.
Lengths in canvas units. Shape letters: V vertices, K shapes, H/W cells.
"""

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import FaceField, HeadField
from rest_bridge.portrait.contours import LipCurves, box_points
from rest_bridge.portrait.fit import FittedHead
from rest_bridge.portrait.raster import fill_outside, rasterise
from rest_bridge.rig import ARKIT_NAMES, NECK_REACH, PIVOT_BEHIND_EYES, PIVOT_BELOW_EYES
from rest_bridge.types import Array

_HEAD_CELLS: Final = 96
_FACE_CELLS: Final = (96, 80)
_MOUTH_CELLS: Final = (56, 72)
_LIDS: Final = ("eyeBlink", "eyeLook", "eyeWide")
"""Shapes drawn by the eye layers instead."""
_CHEEKS: Final = ("eyeSquint", "cheek", "mouth", "nose")
"""Shapes that must not press the eyeballs; brows keep the head's own falloff."""
_LEFT_OUT: Final = ("tongueOut",)
_JAW: Final = ("jawForward", "jawLeft", "jawRight", "jawOpen")
_OPENS: Final = ("jawOpen", "mouthClose")
_ROUND: Final = ("mouthFunnel", "mouthPucker")
SHAPES: Final = np.array(
    [i for i, name in enumerate(ARKIT_NAMES) if not name.startswith(_LIDS + _LEFT_OUT)], np.int16
)
_EMPHASIS: Final = {"mouthFunnel": 1.4, "mouthPucker": 1.35, "browInnerUp": 0.8,
                    "browDownLeft": 1.5, "browDownRight": 1.5,
                    "browOuterUpLeft": 0.8, "browOuterUpRight": 0.8}  # fmt: skip
"""The scans' pouts and frowns look weak in a picture, raised brows too strong (judged by eye)."""
_NARROWS: Final = {"mouthFunnel": 0.36, "mouthPucker": 0.46}
"""Share of the mouth's width that each takes away: an o is 35 to 40 mm wide, a u 25 to 30."""
_JAW_OPENING: Final = 0.43
"""Eye distances between the lips at a full jawOpen, as on the mean of the scans."""
_BORDER: Final = 0.09
"""Next to a border that cuts the person off nothing moves: there is nothing to show beyond it."""
_SEAL_SHARE: Final = 0.35
"""Share of an open mouth's gap that the upper lip closes."""


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
    far = _smoothstep(0.0, 1.0, distance)
    depth = depth * (1 - far) + pivot[2] * far
    # A steep side of the head would bulge as it turns: the picture has no side to show.
    depth = cv2.GaussianBlur(depth.astype(np.float32), (0, 0), 0.16 * eye_distance * cells)
    depth = pivot[2] + (depth - pivot[2]) * relief

    weight = 1 - _smoothstep(*NECK_REACH, below_chin)
    # Hair goes with the head; a background that is not told from it must not go far.
    reach = (0.4, 1.3) if solid and person is None else (1.6, 3.5)
    weight = weight * (1 - _smoothstep(*reach, distance))
    if solid:  # shoulders may stand as high as the chin
        body = _smoothstep(-0.7, 0.1, below_chin) * _smoothstep(0.25, 1.1, distance)
        weight = weight * (1 - body)
        weight = weight * _smoothstep(0.0, _BORDER, _from_border(places, person))
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
    places = box_points(box, *_FACE_CELLS)
    known, values = _surface(fitted, places, box, canvas_px)
    inside = _face_mask(landmarks, places, eye_distance)
    basis = fill_outside(values, known & _shrunk(inside, box, eye_distance))
    cell = float(box[2] - box[0]) / _FACE_CELLS[1]
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5) * cell
    # Under an opening jaw the neck gives way; smiles and brows end with the face.
    reach = np.where([ARKIT_NAMES[i] in _JAW for i in SHAPES], 0.65, 0.25).repeat(2) * eye_distance
    damping = np.exp(-((distance[..., None] / reach) ** 2))
    basis = basis + _narrowing(fitted, lips, places, eye_distance, canvas_px)
    basis = basis * _chin(lips, places, eye_distance, chin)
    basis = cv2.GaussianBlur(basis.reshape(*_FACE_CELLS, -1), (3, 3), 0.7)
    window = np.minimum(1.0, _edge_distance(*_FACE_CELLS) / 6)
    basis = basis * damping * window[..., None]
    spared = np.repeat([ARKIT_NAMES[i].startswith(_CHEEKS) for i in SHAPES], 2)
    basis = basis * (1 - _eye_mask(landmarks, places)[..., None] * spared)
    upper, lower = _seals(lips, places, eye_distance)
    is_lower = _below_line(lips, places)
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
    places = box_points(box, *_MOUTH_CELLS)
    known, values = _surface(fitted, places, box, canvas_px)
    known &= _shrunk(_face_mask(landmarks, places, eye_distance), box, eye_distance)
    local = lips.axes.local(places)
    between = np.abs(local[..., 0]) < 1.0
    upper_line = np.interp(local[..., 0], lips.places, lips.upper)
    lower_line = np.interp(local[..., 0], lips.places, lips.lower)
    # Head and picture disagree about the line by a few pixels: that band follows the lip beside.
    band = 0.045 * eye_distance * (1 - _smoothstep(0.85, 1.0, np.abs(local[..., 0])))
    upper = fill_outside(values, known & ~(between & (local[..., 1] > upper_line - band)))
    lower = fill_outside(values, known & ~(between & (local[..., 1] < lower_line + band)))
    narrowing = _narrowing(fitted, lips, places, eye_distance, canvas_px)
    held = _chin(lips, places, eye_distance, chin)
    upper, lower = (
        cv2.GaussianBlur((sheet + narrowing) * held, (3, 3), 0.7) for sheet in (upper, lower)
    )
    seal_upper, seal_lower = _seals(lips, places, eye_distance)
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
    gains = np.where([ARKIT_NAMES[i] in _OPENS for i in SHAPES], gain, 1.0).astype(np.float32)

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


def _narrowing(
    fitted: FittedHead, lips: LipCurves, places: Array, eye_distance: float, canvas_px: int
) -> Array:
    """Return what rounding shapes lack until they narrow a mouth as lips do, [H, W, 2K]."""
    out = np.zeros((*places.shape[:2], len(SHAPES), 2), np.float32)
    half = float(np.linalg.norm(lips.axes.along))
    unit = lips.axes.along / half
    local = lips.axes.local(places)
    beyond = np.maximum(np.abs(local[..., 0]) - 1, 0) * half / (0.3 * eye_distance)
    above = local[..., 1] / (0.45 * eye_distance)
    pull = -np.clip(local[..., 0], -1, 1) * np.exp(-(beyond**2) - above**2)
    corners = lips.points(lips.upper)[[0, -1]]
    for name, share in _NARROWS.items():
        number = list(SHAPES).index(ARKIT_NAMES.index(name))
        moved = _moved(fitted, corners, ARKIT_NAMES.index(name), canvas_px)
        moved = moved * _EMPHASIS.get(name, 1.0)
        inwards = float((moved[0] - moved[1]) @ unit) / 2
        out[..., number, :] = (pull * max(share * half - inwards, 0.0))[..., None] * unit
    return out.reshape(*places.shape[:2], -1)


def _chin(lips: LipCurves, places: Array, eye_distance: float, chin: float) -> Array:
    """Return gains [H, W, 2K] that let the jaw's movement fade from the lip to the chin."""
    local = lips.axes.local(places)
    below = local[..., 1] - np.interp(local[..., 0], lips.places, lips.lower)
    kept = 1 - (1 - chin) * _smoothstep(0.02, 0.38, below / eye_distance)
    opens = np.repeat([ARKIT_NAMES[i] in _OPENS for i in SHAPES], 2)
    return np.where(opens, kept[..., None], 1.0).astype(np.float32)


def _moved(fitted: FittedHead, points: Array, shape: int, canvas_px: int) -> Array:
    """Return how the head's surface at canvas points [S, 2] moves with a full shape."""
    distance = np.linalg.norm(fitted.vertices[None, :, :2] - points[:, None] * canvas_px, axis=-1)
    near = np.argsort(distance, axis=1)[:, :6]
    return fitted.displacement[shape][near, :2].mean(1) / canvas_px


def _from_border(places: Array, person: Array | None) -> Array:
    """Return the distance [P, P] from those borders that cut the person off, canvas units."""
    if person is None:
        return np.minimum(places, 1 - places).min(-1)
    cells = len(places)
    cut = cv2.resize(person, (cells, cells), interpolation=cv2.INTER_AREA) > 40
    cut[1:-1, 1:-1] = False
    if not cut.any():
        return np.full(cut.shape, 1.0, np.float32)
    away = cv2.distanceTransform((~cut).astype(np.uint8), cv2.DIST_L2, 5)
    return away / cells


def _surface(fitted: FittedHead, places: Array, box: Array, canvas_px: int) -> tuple[Array, Array]:
    """Rasterise the head over a box: covered cells and [H, W, 2K] displacements."""
    height, width = places.shape[:2]
    cells = np.array([width, height], np.float32) / (box[2:] - box[:2])
    points = fitted.vertices / np.float32(canvas_px)
    scaled = np.concatenate([(points[:, :2] - box[:2]) * cells, points[:, 2:] * cells[0]], 1)
    coverage = rasterise(scaled.astype(np.float32), fitted.triangles, height, width)
    gain = np.array([_EMPHASIS.get(ARKIT_NAMES[i], 1.0) for i in SHAPES]) / canvas_px
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
        mask = np.maximum(mask, 1 - _smoothstep(0.6, 1.8, np.sqrt(s**2 + t**2)))
    return mask


def _seals(lips: LipCurves, places: Array, eye_distance: float) -> tuple[Array, Array]:
    """Displacements of the upper and lower sheet that close the portrait's open mouth."""
    local = lips.axes.local(places)
    opening = lips.lower - lips.upper if lips.gap > 0 else np.zeros_like(lips.lower)
    gap = np.interp(local[..., 0], lips.places, opening, left=0, right=0)
    over = np.maximum(np.interp(local[..., 0], lips.places, lips.upper) - local[..., 1], 0)
    under = np.maximum(local[..., 1] - np.interp(local[..., 0], lips.places, lips.lower), 0)
    unit = lips.axes.along / np.linalg.norm(lips.axes.along)
    normal = np.array([-unit[1], unit[0]], np.float32)
    upper = _SEAL_SHARE * gap * np.exp(-((over / (0.3 * eye_distance)) ** 2))
    lower = -(1 - _SEAL_SHARE) * gap * np.exp(-((under / (0.6 * eye_distance)) ** 2))
    return (
        (upper[..., None] * normal).astype(np.float32),
        (lower[..., None] * normal).astype(np.float32),
    )


def _below_line(lips: LipCurves, places: Array) -> Array:
    local = lips.axes.local(places)
    return local[..., 1] > np.interp(local[..., 0], lips.places, (lips.upper + lips.lower) / 2)


def _lookup(field: Array, box: Array, points: Array) -> Array:
    """Read a field [H, W, C] at canvas points [S, 2], nearest cell."""
    height, width = field.shape[:2]
    place = (points - box[:2]) / (box[2:] - box[:2]) * [width, height]
    column = place[:, 0].astype(np.int64).clip(0, width - 1)
    row = place[:, 1].astype(np.int64).clip(0, height - 1)
    return field[row, column]


def _landmark_depth(fitted: FittedHead, point_px: Array) -> float:
    distance = np.linalg.norm(fitted.vertices[:, :2] - point_px, axis=1)
    near = np.argsort(distance)[:8]
    return float(fitted.vertices[near, 2].max())


def _edge_distance(height: int, width: int) -> Array:
    rows = np.minimum(np.arange(height), np.arange(height)[::-1])[:, None]
    columns = np.minimum(np.arange(width), np.arange(width)[::-1])[None]
    return np.minimum(rows, columns).astype(np.float32)


def _smoothstep(low: float, high: float, value: Array) -> Array:
    t = np.clip((value - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)
