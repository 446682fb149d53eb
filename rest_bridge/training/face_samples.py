"""Cuts training samples for the detector and the landmark net from pools of faces.

A landmark sample is a 128 px crop with 66 points; a detector sample is a 160 px scene with none
to three faces. Both are new at every draw: framing, background, manner, colours, quality.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rest_bridge.training.face_pools import FacePicture, eye_distance
from rest_bridge.training.render.augment import degrade, paint_over, recolour
from rest_bridge.training.render.background import sample_background
from rest_bridge.training.render.landmarks66 import MIRROR, face_square
from rest_bridge.training.render.raster import Array

CROP_PX: Final = 128
CROP_MARGIN: Final = 1.35
"""Side of the landmark crop over the face square's."""
SCENE_PX: Final = 160
SMALLEST_FACE_PX: Final = 22.0
_BORDERS: Final = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT, cv2.BORDER_CONSTANT)


@dataclass(frozen=True, slots=True)
class Source:
    """Pictures of one kind, how often they are drawn, and how often they are painted over."""

    pictures: Sequence[FacePicture]
    chance: float
    painted: float


class Sampler:
    """Draws samples from several sources."""

    def __init__(self, sources: Sequence[Source], seed: int) -> None:
        self._sources = sources
        chances = np.array([source.chance for source in sources])
        self._chances = chances / chances.sum()
        self._rng = np.random.default_rng(seed)

    def _draw(self) -> tuple[FacePicture, Source]:
        source = self._sources[self._rng.choice(len(self._sources), p=self._chances)]
        return source.pictures[int(self._rng.integers(len(source.pictures)))], source

    def landmark_batch(self, size: int) -> tuple[Array, Array]:
        """Return crops uint8 [size, 128, 128, 3] and points float32 [size, 66, 2] in 0..1."""
        both = [self._landmark_sample() for _ in range(size)]
        return np.stack([crop for crop, _ in both]), np.stack([points for _, points in both])

    def detector_batch(self, size: int) -> tuple[Array, list[Array]]:
        """Return scenes uint8 [size, 160, 160, 3] and each scene's faces float [N, 3]."""
        both = [self._scene() for _ in range(size)]
        return np.stack([scene for scene, _ in both]), [faces for _, faces in both]

    def _landmark_sample(self) -> tuple[Array, Array]:
        rng = self._rng
        face, source = self._draw()
        x, y, side = face_square(face.points)
        angle = rng.uniform(-30, 30) if rng.random() < 0.25 else rng.normal(0, 9)
        scale = CROP_PX / (side * CROP_MARGIN) * np.exp(np.clip(rng.normal(0, 0.13), -0.3, 0.3))
        aspect = np.exp(np.clip(rng.normal(0, 0.06), -0.18, 0.18))
        turn = np.radians(angle)
        linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        linear = linear @ np.diag([aspect, 1 / aspect])
        mirrored = rng.random() < 0.5
        if mirrored:
            linear = linear @ np.diag([-1.0, 1.0])
        target = CROP_PX / 2 + np.clip(rng.normal(0, 0.055, 2), -0.15, 0.15) * CROP_PX
        affine = np.concatenate([linear, (target - linear @ [x, y])[:, None]], 1)
        points = face.points @ linear.T + affine[:, 2]
        if mirrored:
            points = points[MIRROR]
        border = _BORDERS[rng.integers(3)]
        if face.whole and border != cv2.BORDER_CONSTANT:
            crop = cv2.warpAffine(
                _unaliased(face.rgba, affine), _cv2_affine(affine), (CROP_PX, CROP_PX),
                borderMode=border,
            )  # fmt: skip
        else:
            crop = self._paste(sample_background(rng, CROP_PX), face, affine)
        crop = self._restyle(crop, source)
        if rng.random() < 0.12:
            self._cover_part(crop)
        return degrade(crop, rng), (points / CROP_PX).astype(np.float32)

    def _scene(self) -> tuple[Array, Array]:
        rng = self._rng
        scene = sample_background(rng, SCENE_PX)
        wanted = int(rng.choice(4, p=[0.28, 0.5, 0.13, 0.09]))
        if wanted == 0 and rng.random() < 0.2:
            scene = _grain(rng)
        if wanted == 0 or rng.random() < 0.25:
            for _ in range(rng.integers(1, 4)):
                scene = self._distract(scene)
            if rng.random() < 0.5:
                # Someone whose head is outside the picture.
                reach = rng.uniform(20, 80)
                above = np.array([rng.uniform(0, SCENE_PX), rng.uniform(-reach, 0), reach])
                scene = body_below(scene, above, rng)
        faces: list[Array] = []
        last: Source | None = None
        for _ in range(wanted):
            face, source = self._draw()
            placed = self._place(face, alone=wanted == 1, others=faces)
            if placed is None:
                continue
            affine, square = placed
            if square[2] < 70 and rng.random() < 0.6:
                scene = body_below(scene, square, rng)
            scene = self._paste(scene, face, affine).astype(np.float32) / 255
            faces.append(square)
            last = source
        picture = (scene.clip(0, 1) * 255 + 0.5).astype(np.uint8)
        picture = self._restyle(picture, last or self._sources[0])
        return degrade(picture, rng), np.array(faces, np.float32).reshape(-1, 3)

    def _place(
        self, face: FacePicture, *, alone: bool, others: Sequence[Array]
    ) -> tuple[Array, Array] | None:
        """Choose where a face goes; None where it would hide another."""
        rng = self._rng
        x, y, side = face_square(face.points)
        largest = 330.0 if alone else 62.0
        wanted = np.exp(rng.uniform(np.log(SMALLEST_FACE_PX + 2), np.log(largest)))
        turn = np.radians(np.clip(rng.normal(0, 9), -30, 30))
        scale = wanted / side
        linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        if rng.random() < 0.5:
            linear = linear @ np.diag([-1.0, 1.0])
        room = max(0.0, SCENE_PX / 2 - 0.4 * wanted)
        centre = SCENE_PX / 2 + rng.uniform(-1, 1, 2) * max(room, 0.06 * SCENE_PX)
        square = np.array([*centre, wanted])
        for other in others:
            gap = np.abs(centre - other[:2])
            reach = 0.75 * (wanted + other[2])
            # A person also covers what is below the face.
            if gap[0] < reach and gap[1] < 1.6 * reach:
                return None
        affine = np.concatenate([linear, (centre - linear @ [x, y])[:, None]], 1)
        return affine, square

    def _paste(self, background: Array, face: FacePicture, affine: Array) -> Array:
        """Warp a face onto a background float [S, S, 3]; returns uint8."""
        size = background.shape[0]
        picture, shift = _unaliased(face.rgba, affine), _cv2_affine(affine)
        if face.whole:
            mask = np.full(picture.shape[:2], 255, np.uint8)
            colour = picture
        else:
            colour, mask = picture[..., :3], np.ascontiguousarray(picture[..., 3])
        moved = cv2.warpAffine(
            np.ascontiguousarray(colour), shift, (size, size), borderMode=cv2.BORDER_REPLICATE
        )
        share = cv2.warpAffine(mask, shift, (size, size))[..., None].astype(np.float32) / 255
        mixed = moved * share + background * 255 * (1 - share)
        return (mixed + 0.5).astype(np.uint8)

    def _restyle(self, picture: Array, source: Source) -> Array:
        rng = self._rng
        if rng.random() < source.painted:
            picture = paint_over(picture, rng)
        return recolour(picture, rng) if rng.random() < 0.8 else picture

    def _cover_part(self, crop: Array) -> None:
        """Hide a piece of the crop, as a hand, a microphone or hair would."""
        rng = self._rng
        x, y = (int(value) for value in rng.integers(0, CROP_PX, 2))
        wide, tall = (int(value) for value in rng.integers(8, 40, 2))
        crop[y : y + tall, x : x + wide] = rng.integers(0, 256, 3)

    def _distract(self, scene: Array) -> Array:
        """Paste something that is no face: a body without its head, or a piece beside a face."""
        rng = self._rng
        face, _ = self._draw()
        height, width = face.rgba.shape[:2]
        chin = int(face.points[:17, 1].max() + 0.15 * eye_distance(face.points))
        if rng.random() < 0.5 and chin < height - 24:
            piece = face.rgba[chin:]
        else:
            side = int(rng.integers(16, 1 + max(17, width // 3)))
            left = int(rng.choice([0, max(0, width - side)]))
            top = int(rng.choice([0, max(0, height - side)]))
            piece = face.rgba[top : top + side, left : left + side]
            inside = (face.points >= [left, top]) & (face.points < [left + side, top + side])
            if inside.all(1).sum() > 6:
                return scene
        scale = rng.uniform(0.3, 1.2) * SCENE_PX / max(piece.shape[:2])
        target = rng.uniform(0.2, 0.8, 2) * SCENE_PX
        middle = np.array([piece.shape[1], piece.shape[0]]) / 2
        linear = scale * np.eye(2)
        affine = np.concatenate([linear, (target - linear @ middle)[:, None]], 1)
        part = FacePicture(np.ascontiguousarray(piece), face.points, face.whole)
        return self._paste(scene, part, affine).astype(np.float32) / 255


def _grain(rng: np.random.Generator) -> Array:
    """Noise of cells of one to six pixels, grey or coloured: float32 [160, 160, 3]."""
    cells = SCENE_PX // int(rng.integers(1, 7))
    noise = rng.random((cells, cells, 1 if rng.random() < 0.4 else 3)).astype(np.float32)
    noise = np.clip(0.5 + (noise - 0.5) * rng.uniform(0.3, 1), 0, 1)
    noise = np.ascontiguousarray(np.broadcast_to(noise, (cells, cells, 3)))
    how = (cv2.INTER_NEAREST, cv2.INTER_CUBIC)[rng.integers(2)]
    return cv2.resize(noise, (SCENE_PX, SCENE_PX), interpolation=how).clip(0, 1)


def body_below(scene: Array, square: Array, rng: np.random.Generator) -> Array:
    """Draw clothes, arms, hands and something held below a face, so that they are no faces.

    Args:
        scene: float32 [S, S, 3], 0..1.
        square: (x, y, side) of the face.
        rng: source of chance.

    Returns:
        float32 [S, S, 3].
    """
    x, y, side = (float(value) for value in square)
    size = scene.shape[0]
    cloth = sample_background(rng, size)
    if rng.random() < 0.4:
        cloth = 0.5 * cloth + 0.5 * rng.random(3)
    top, wide = y + 0.75 * side, rng.uniform(0.6, 1.3) * side
    torso = np.array([[x - 0.3 * side, top], [x - wide, top + 0.4 * side],
                      [x - 0.7 * wide, top + 2.2 * side], [x - 1.3 * wide, top + 5 * side],
                      [x + 1.3 * wide, top + 5 * side], [x + 0.7 * wide, top + 2.2 * side],
                      [x + wide, top + 0.4 * side], [x + 0.3 * side, top]])  # fmt: skip
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [torso.astype(np.int32)], 255, cv2.LINE_AA)
    out = np.where(mask[..., None] > 127, cloth, scene).astype(np.float32)
    ink = tuple(float(value) for value in rng.random(3) * 0.4)
    cv2.polylines(out, [torso.astype(np.int32)], True, ink, 1, cv2.LINE_AA)
    skin = np.array([0.95, 0.75, 0.62]) * rng.uniform(0.35, 1.05)
    for way in (-1, 1):
        elbow = [x + way * wide * rng.uniform(0.8, 1.4), top + side * rng.uniform(1.2, 2)]
        hand = [x + way * wide * rng.uniform(-0.4, 1), top + side * rng.uniform(0.9, 3)]
        arm = np.array([[x + way * wide * 0.9, top + 0.5 * side], elbow, hand]).astype(np.int32)
        colour = tuple(float(v) for v in (skin if rng.random() < 0.6 else rng.random(3)))
        thick = max(1, int(side * rng.uniform(0.15, 0.35)))
        cv2.polylines(out, [arm], False, ink, thick + 2, cv2.LINE_AA)
        cv2.polylines(out, [arm], False, colour, thick, cv2.LINE_AA)
        palm = tuple(float(v) for v in skin)
        spot = (int(hand[0]), int(hand[1]))
        cv2.circle(out, spot, max(1, int(0.16 * side)), palm, -1, cv2.LINE_AA)
        for _ in range(rng.integers(0, 5)):
            finger = (spot[0] + int(rng.normal(0, 0.2) * side), spot[1] + int(0.2 * side))
            cv2.line(out, spot, finger, ink, 1, cv2.LINE_AA)
    for _ in range(rng.integers(0, 7)):
        # Folds, buttons, a belt, a book.
        a = (int(x + rng.normal(0, 0.6) * side), int(top + rng.uniform(0.3, 4) * side))
        b = (a[0] + int(rng.normal(0, 0.5) * side), a[1] + int(rng.normal(0, 0.5) * side))
        colour = tuple(float(v) for v in rng.random(3))
        if rng.random() < 0.35:
            cv2.rectangle(out, a, b, colour, -1)
            cv2.rectangle(out, a, b, ink, 1)
        else:
            cv2.line(out, a, b, colour if rng.random() < 0.5 else ink, 1, cv2.LINE_AA)
    return out


def _cv2_affine(affine: Array) -> Array:
    """Turn an affine between positions (pixel centres at .5) into cv2's (centres at 0)."""
    shifted = affine.copy()
    shifted[:, 2] += affine[:, :2] @ [0.5, 0.5] - 0.5
    return shifted


def _unaliased(picture: Array, affine: Array) -> Array:
    """Blur what linear sampling would alias: anything below half size."""
    shrunk = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    return cv2.GaussianBlur(picture, (0, 0), 0.3 / shrunk) if shrunk < 0.5 else picture


def detector_targets(faces: Array, cells: int, *, stride: int) -> tuple[Array, Array, Array]:
    """Return heat [cells, cells], box [3, cells, cells] and where the box counts [cells, cells].

    Args:
        faces: float [N, 3], (x, y, side) in pixels.
        cells: height and width of the map.
        stride: pixels a cell.
    """
    heat = np.zeros((cells, cells), np.float32)
    box = np.zeros((3, cells, cells), np.float32)
    middle = np.arange(cells) + 0.5
    for x, y, side in faces / [stride, stride, 1] if len(faces) else ():
        sigma = max(0.7, 0.09 * side / stride)
        away = (middle[None] - x) ** 2 + (middle[:, None] - y) ** 2
        bump = np.exp(-away / (2 * sigma**2))
        # The cell that holds the centre is the positive one of the focal loss.
        row, column = (int(np.clip(value, 0, cells - 1)) for value in (y, x))
        bump[row, column] = 1.0
        mine = bump > heat
        heat = np.maximum(heat, bump)
        box[0][mine] = (x - np.broadcast_to(middle[None], bump.shape))[mine]
        box[1][mine] = (y - np.broadcast_to(middle[:, None], bump.shape))[mine]
        box[2][mine] = np.log2(side / 32)
    return heat, box, (heat > 0.3).astype(np.float32)
