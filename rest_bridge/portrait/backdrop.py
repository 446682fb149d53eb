"""Cuts the person out of an opaque portrait and paints what stands behind.

Place in the flow: portrait, landmarks and fitted head -> here -> `avatar.Backdrop`. The head then
moves before a background that stands still, instead of bending it. The outline comes from the
colours of person and surroundings (GrabCut, Rother et al. 2004, from a guess by the fitted head),
its hair from a guided filter (He et al. 2010), the hidden background from its own mirror image.
Distances in eye distances unless said otherwise. Shape letters: N canvas pixels, H/W cells.
"""

from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Backdrop
from rest_bridge.portrait.fit import FittedHead
from rest_bridge.portrait.raster import fill_outside, rasterise
from rest_bridge.types import Array, ByteArray

_CELLS: Final = 176
"""Resolution at which person and surroundings are told apart."""
_ROUNDS: Final = 4
_SOFT_CELLS: Final = 384
"""Resolution of the guided filter."""
_BAND: Final = 0.12
"""Hair within this distance of the outline may be half transparent."""
_BUSY_BAND: Final = 0.045
"""The same before a busy background, whose own dark pieces would count as hair."""
_FILTER_REACH: Final = 0.1
_FILTER_EPS: Final = (6.0 / 255) ** 2
_RIM: Final = 0.04
"""Width of the rim around the outline that goes with the person."""
_PLAIN_RIM: Final = 0.1
"""The same before a plain background, which is easily told from a haze of hair or veil."""
_DETAIL: Final = 0.1
"""What of a plain background is finer than this is its grain, and is painted behind the person."""
_PIECE: Final = 0.8
"""Side of the piece of background that it is taken from."""
_RIM_SHARE: Final = 0.5
_PLATE_REACH: Final = 0.9
"""How far behind the person the background is mirrored; deeper it is a smooth fill."""
_PLAIN: Final = 2.5
_BUSY: Final = 6.0
"""Typical grey levels between the background and its blurred self."""
_MEETS: Final = 0.1
_LOOSE_REACH: Final = 0.4
_LOOSE_LEVELS: Final = 22
_LEAST_HEAD: Final = 0.9
"""Share of the fitted head that must count as person, or the cut is not trusted."""
_MOST_PERSON: Final = 0.97
"""Share of the picture; where all is person there is no background to hold still."""


def no_backdrop() -> Backdrop:
    """Return the layer of a portrait whose background, if any, is not told apart."""
    empty = np.zeros((2, 2, 4), np.uint8)
    return Backdrop(empty, empty)


def cut_out(
    picture: ByteArray, fitted: FittedHead, landmarks: Array, eye_distance: float
) -> Backdrop:
    """Tell the person from the background.

    Args:
        picture: uint8 [N, N, 4], opaque.
        fitted: the head, in canvas pixels.
        landmarks: float32 [66, 2], canvas units.
        eye_distance: canvas units.

    Returns:
        The layer; empty where the two cannot be told apart.
    """
    guess, head = _guess(fitted, landmarks, eye_distance, len(picture))
    person = _grab(picture, guess)
    if (person & head).sum() < _LEAST_HEAD * head.sum() or person.mean() > _MOST_PERSON:
        return no_backdrop()
    matte = soft_edge(picture, person, eye_distance)
    return _separate(picture, matte, eye_distance)


def _guess(
    fitted: FittedHead, landmarks: Array, eye_distance: float, canvas_px: int
) -> tuple[Array, Array]:
    """Return GrabCut's labels uint8 [H, W] as the head suggests them, and the head, bool."""
    cells = _CELLS
    coverage = rasterise(fitted.vertices * (cells / canvas_px), fitted.triangles, cells, cells)
    places = (np.stack(np.meshgrid(np.arange(cells), np.arange(cells)), -1) + 0.5) / cells
    across = landmarks[42:48].mean(0) - landmarks[36:42].mean(0)
    across = across / max(float(np.linalg.norm(across)), 1e-6)
    down = np.array([-across[1], across[0]])
    below = (places - landmarks[8]) @ down / eye_distance
    beside = np.abs((places - landmarks[8]) @ across) / eye_distance
    head = coverage.covered & (below < 0.1)
    away = cv2.distanceTransform((~head).astype(np.uint8), cv2.DIST_L2, 5) / cells / eye_distance
    outline = np.concatenate([landmarks[:17], landmarks[17:27] - 0.55 * eye_distance * down])
    face = np.zeros((cells, cells), np.uint8)
    cv2.fillConvexPoly(
        face, cv2.convexHull((outline * cells).astype(np.float32)).astype(np.int32), 1
    )
    core = cv2.erode(head.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2)

    labels = np.full((cells, cells), cv2.GC_PR_BGD, np.uint8)
    labels[away < 0.5] = cv2.GC_PR_FGD
    labels[(below > 0) & (beside < 0.55 + 2.6 * np.maximum(below - 0.35, 0))] = cv2.GC_PR_FGD
    labels[(away > 1.7) & (below < 0)] = cv2.GC_BGD
    rim = (places.min(-1) < 0.02) | (places[..., 0] > 0.98)
    labels[rim & (away > 0.9) & (below < 0.2)] = cv2.GC_BGD
    labels[(core > 0) | (face > 0) | ((below > 0) & (beside < 0.3))] = cv2.GC_FGD
    return labels, core > 0


def _grab(picture: ByteArray, labels: Array) -> Array:
    """Return bool [H, W], the person: one piece without holes."""
    small = cv2.resize(picture[..., :3], labels.shape[::-1], interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    if not ((labels == cv2.GC_BGD) | (labels == cv2.GC_PR_BGD)).any():
        return np.ones(labels.shape, bool)
    cv2.setRNGSeed(0)  # its colour clusters start by chance; equal pictures give equal avatars
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(lab, labels, (0, 0, 1, 1), *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    person = (labels & 1).astype(np.uint8)
    person = cv2.morphologyEx(person, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, parts, stats, _ = cv2.connectedComponentsWithStats(person, connectivity=4)
    if count > 1:
        person = (parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    holes, parts, stats, _ = cv2.connectedComponentsWithStats(1 - person, connectivity=4)
    for hole in range(1, holes):  # background seen through a lock of hair may stay
        if stats[hole, cv2.CC_STAT_AREA] < 0.002 * person.size:
            person[parts == hole] = 1
    return person > 0


def soft_edge(picture: ByteArray, person: Array, eye_distance: float) -> Array:
    """Refine the outline to the picture's own edges.

    Args:
        picture: uint8 [N, N, 4].
        person: bool [H, W].
        eye_distance: canvas units.

    Returns:
        float32 [N, N], 0..1, coverage by the person.
    """
    canvas_px = len(picture)
    cells = min(_SOFT_CELLS, canvas_px)
    guide = cv2.resize(picture[..., :3], (cells, cells), interpolation=cv2.INTER_AREA) / 255.0
    mask = cv2.resize(person.astype(np.float32), (cells, cells), interpolation=cv2.INTER_LINEAR)
    linear, offset = _guided(guide, mask, max(2, round(_FILTER_REACH * eye_distance * cells)))
    size = (canvas_px, canvas_px)
    linear, offset = cv2.resize(linear, size), cv2.resize(offset, size)
    matte = (linear * (picture[..., :3] / np.float32(255))).sum(-1) + offset
    matte = np.clip((matte - 0.12) / 0.76, 0, 1).astype(np.float32)
    signed = cv2.resize(_signed_distance(person) / len(person) / eye_distance, size)
    hard = np.clip(signed * eye_distance * canvas_px + 0.5, 0, 1)
    outside = cv2.resize((signed < -_BAND).astype(np.uint8), size) > 0
    busy = _texture(picture[..., :3].astype(np.float32), outside, eye_distance)
    narrower = np.float32(busy * (_BUSY_BAND - _BAND))
    band = np.float32(_BAND) + narrower * (signed < 0)
    trust = np.clip((band - np.abs(signed)) / (0.4 * band), 0, 1)
    return matte * trust + hard.astype(np.float32) * (1 - trust)


def _guided(guide: Array, mask: Array, radius: int) -> tuple[Array, Array]:
    """Fit mask = linear . colour + offset around every place: [H, W, 3] and [H, W]."""
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(values: Array) -> Array:
        return cv2.blur(values.astype(np.float32), size)

    guide = guide.astype(np.float32)
    centre, level = mean(guide), mean(mask)
    moments = np.stack([mean(guide * guide[..., k : k + 1]) for k in range(3)], -1)
    spread = moments - centre[..., :, None] * centre[..., None, :]
    spread += _FILTER_EPS * np.eye(3, dtype=np.float32)
    shared = mean(guide * mask[..., None]) - centre * level[..., None]
    linear = np.linalg.solve(spread, shared[..., None])[..., 0]
    offset = level - (linear * centre).sum(-1)
    return mean(linear), mean(offset)


def _signed_distance(person: Array) -> Array:
    """Return float32 [H, W], cells to the outline, positive inside."""
    inside = person.astype(np.uint8)
    distance = [cv2.distanceTransform(part, cv2.DIST_L2, 5) for part in (inside, 1 - inside)]
    return np.where(person, distance[0] - 0.5, 0.5 - distance[1]).astype(np.float32)


def _separate(picture: ByteArray, matte: Array, eye_distance: float) -> Backdrop:
    """Split the picture into person and background, which together give it (nearly) exactly."""
    colour = picture[..., :3].astype(np.float32)
    unit = eye_distance * len(picture)
    outline = matte > 0.03
    rim = max(1, round(_RIM * unit))
    hidden = _widened(outline, rim)
    busy = _texture(colour, hidden == 0, eye_distance)
    if busy < 1:
        rim = max(1, round((busy * _RIM + (1 - busy) * _PLAIN_RIM) * unit))
        hidden = _widened(outline, rim)
        loose = _loose_hair(colour, outline, eye_distance)
        hidden = np.maximum(hidden, cv2.dilate(loose, np.ones((3, 3), np.uint8)))
    behind = _behind(colour, hidden == 0, busy, eye_distance)
    # A thin rim goes with the person: what the matte missed of the hair must not stay behind.
    depth = cv2.distanceTransform(np.pad(hidden, 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1]
    share = np.maximum(matte, _RIM_SHARE * np.clip(depth / (rim + 1), 0, 1))[..., None]
    # No less than what it takes to mix the picture's colour from the background's exactly.
    lighter = (colour - behind) / np.maximum(255 - behind, 1)
    darker = (behind - colour) / np.maximum(behind, 1)
    needed = np.clip(np.maximum(lighter, darker).max(-1, keepdims=True), 0, 1)
    share = np.where(hidden[..., None] > 0, np.maximum(share, needed), 0)
    person = np.clip((colour - (1 - share) * behind) / np.maximum(share, 1e-3), 0, 255)
    soft = (share > 0) & (share < 1)
    cutout = np.concatenate([np.where(soft, person, 0), share * 255], -1)
    plate = np.concatenate([behind, np.full_like(share, 255)], -1) * hidden[..., None]
    return Backdrop(_as_bytes(cutout), _as_bytes(plate))


def _widened(outline: Array, by_px: int) -> Array:
    """Return uint8 [N, N], a mask and what lies next to it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by_px + 1, 2 * by_px + 1))
    return np.asarray(cv2.dilate(outline.astype(np.uint8), kernel), np.uint8)


def _loose_hair(colour: Array, outline: Array, eye_distance: float) -> Array:
    """Find what lies loose about the person before a plain background: uint8 [N, N], 0 or 1."""
    away = cv2.distanceTransform((~outline).astype(np.uint8), cv2.DIST_L2, 5)
    away = away / (eye_distance * len(outline))
    wall = fill_outside(colour, away > _LOOSE_REACH)
    differs = np.abs(colour - wall).max(-1) > _LOOSE_LEVELS
    return (differs & (away < _LOOSE_REACH)).astype(np.uint8)


def _behind(colour: Array, free: Array, busy: float, eye_distance: float) -> Array:
    """Continue the background behind the person: float32 [N, N, 3].

    A busy one is mirrored at the outline; where the mirror shows no background, a smooth fill.
    """
    canvas_px = len(colour)
    smooth = fill_outside(colour, free) + (1 - busy) * _grain(colour, free, eye_distance)
    if busy == 0:
        return np.where(free[..., None], colour, smooth)
    cells = min(256, canvas_px)
    small = cv2.resize(free.astype(np.uint8), (cells, cells), interpolation=cv2.INTER_NEAREST) > 0
    unit = eye_distance * cells
    # Distances to a background that is nowhere are endless, and OpenCV reflects step by step.
    depth = np.clip(_signed_distance(~small), -cells, cells)
    depth = cv2.GaussianBlur(depth, (0, 0), max(1.0, 0.12 * unit))
    slope = np.stack([cv2.Sobel(depth, cv2.CV_32F, 1, 0, scale=1 / 8),
                      cv2.Sobel(depth, cv2.CV_32F, 0, 1, scale=1 / 8)], -1)  # fmt: skip
    length = np.maximum(np.linalg.norm(slope, axis=-1, keepdims=True), 0.3)
    away = -slope / length * (2 * np.maximum(depth, 0) + 1.5)[..., None]
    gain = canvas_px / cells
    jump = cv2.resize(away * np.float32(gain), (canvas_px, canvas_px))
    rows, columns = np.mgrid[0:canvas_px, 0:canvas_px].astype(np.float32)
    x, y = columns + jump[..., 0], rows + jump[..., 1]
    # A little out of focus: a sharp piece in a wrong place draws the eye.
    known = free.astype(np.float32)
    sigma = max(0.5, 0.035 * eye_distance * canvas_px)
    soft = cv2.GaussianBlur(colour * known[..., None], (0, 0), sigma)
    soft /= cv2.GaussianBlur(known, (0, 0), sigma)[..., None] + 1e-3
    mirror = cv2.remap(soft, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    seen = cv2.remap(known, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    depth = cv2.resize(depth, (canvas_px, canvas_px)) / unit
    near = np.clip(1.5 * (1 - depth / _PLATE_REACH), 0, 1)
    # Next to the known background only the smooth fill meets it everywhere without a step.
    inside = cv2.distanceTransform((~free).astype(np.uint8), cv2.DIST_L2, 5)
    near = near * np.clip(inside / (_MEETS * eye_distance * canvas_px), 0, 1)
    share = cv2.GaussianBlur((seen * near).astype(np.float32), (0, 0), sigma)
    share = busy * np.minimum(share, seen)[..., None]
    filled = mirror * share + smooth * (1 - share)
    return np.where(free[..., None], colour, filled)


def _grain(colour: Array, free: Array, eye_distance: float) -> Array:
    """Return the grain or brush of a background, float32 [N, N, 3], about 0; a fill has none.

    Taken from a free piece of usual contrast; mirrored tiles meet without a seam.
    """
    side = max(8, round(_PIECE * eye_distance * len(free)))
    step, half = max(1, side // 4), side // 2
    kernel = np.ones((side, side), np.uint8)
    whole = cv2.erode(np.pad(free, 1).astype(np.uint8), kernel)[1:-1, 1:-1]
    corners = np.argwhere(whole[::step, ::step]) * step - half
    if not len(corners):
        return np.zeros_like(colour)
    fine = colour - cv2.GaussianBlur(colour, (0, 0), _DETAIL * eye_distance * len(free))
    pieces = [fine[max(r, 0) : max(r, 0) + side, max(c, 0) : max(c, 0) + side] for r, c in corners]
    spread = [float(np.abs(piece).mean()) for piece in pieces]
    piece = pieces[int(np.argsort(spread)[len(spread) // 2])]
    even = np.concatenate([piece, piece[:, ::-1]], 1)
    even = np.concatenate([even, even[::-1]])
    tiles = [-(-size // length) for size, length in zip(free.shape, even.shape[:2], strict=True)]
    return np.tile(even, (*tiles, 1))[: len(free), : free.shape[1]]


def _texture(colour: Array, free: Array, eye_distance: float) -> float:
    """Say how busy the background is, 0..1: before a plain wall a mirrored wisp of hair shows."""
    grey = cv2.resize(colour.mean(-1), (192, 192), interpolation=cv2.INTER_AREA)
    known = cv2.resize(free.astype(np.float32), (192, 192), interpolation=cv2.INTER_AREA)
    sigma = max(1.0, 0.12 * eye_distance * 192)
    level = cv2.GaussianBlur(grey * known, (0, 0), sigma)
    level /= cv2.GaussianBlur(known, (0, 0), sigma) + 1e-3
    away = cv2.distanceTransform((known > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    beside = (known > 0.99) & (away < 0.8 * eye_distance * 192)
    if not beside.any():
        return 0.0
    detail = float(np.median(np.abs(grey - level)[beside]))
    return float(np.clip((detail - _PLAIN) / (_BUSY - _PLAIN), 0, 1))


def _as_bytes(picture: Array) -> ByteArray:
    return np.ascontiguousarray(np.rint(np.clip(picture, 0, 255)).astype(np.uint8))
