"""The movement of a portrait that the fitted head prescribes, exactly and without a mesh.

Place in the flow: rig values -> here -> backward fields -> compositor. Two steps: the expression
moves the skin within the portrait's own view (a linear sum of stored fields, then inverted), the
pose then moves everything by its depth. Knows nothing of pixels.

Measured against a ridge regression from rig to flow (STUDY: 0.5 to 1 px error at 128 px and nearly
a minute of fitting): no fitting, no error, 2 ms a frame, and lips stay two sheets with an edge.
Shape letters: K shapes, H/W cells, S samples along a curve.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.generator.fields import grid_points, invert, read_field, to_local
from rest_bridge.generator.picture_border import PictureBorder
from rest_bridge.generator.seam import Seam, softly_rounded
from rest_bridge.rig import ARKIT_NAMES
from rest_bridge.types import Array

FULL_BOX: Final = np.array([0, 0, 1, 1], np.float32)
_LINE_SAMPLES: Final = 65
_PURSED: Final = {"mouthFunnel": 0.5, "mouthPucker": 1.0}
"""Share of what the scans' rounding opens that pursed lips do not open: rig values say how far a
mouth is open by its jaw, and the 'u' of a nearly closed mouth was drawn wider open than its 'a'."""
_COVERAGE_CELLS: Final = 128
_POSE_LIMITS: Final = np.array([40, 25, 30, 0.6, 0.6, 0.4], np.float32)
_FACING: Final = 40.0
"""Degrees from the camera beyond which a face shows a side that no portrait has; a portrait that is
turned already goes less far that way."""
_LEAST_TURN: Final = 10.0
_NOD: Final = 16.0
"""Degrees down at which a chin comes over the mouth."""
_EASE: Final = 0.85
"""Share of a limit from which on turns grow less."""


@dataclass(frozen=True, slots=True)
class Expression:
    """What an expression does, in the portrait's own view.

    Attributes:
        face: float32 [H, W, 2], backward field over the face's box.
        upper: float32 [H, W, 2], backward field of the sheet above the lips, mouth box.
        lower: float32 [H, W, 2], same below the lips.
        upper_line: float32 [S], t of the upper lip's edge over s = linspace(-1.3, 1.3, S).
        lower_line: float32 [S], t of the lower lip's edge; never above `upper_line`.
        opening: largest distance of the two lines, canvas units.
        own_share: how much of what the portrait's open mouth shows is still seen, 0..1.
        portrait_opening: how much of the portrait's own opening is reached, 0..1.
        jaw_shift: float32 [2], displacement of tongue and lower teeth.
        teeth_shift: float32 [2], displacement of the upper teeth.
    """

    face: Array
    upper: Array
    lower: Array
    upper_line: Array
    lower_line: Array
    opening: float
    own_share: float
    portrait_opening: float
    jaw_shift: Array
    teeth_shift: Array


class BaseFlow:
    """Backward fields of one avatar for any rig state."""

    line_places: Array = np.linspace(-1.3, 1.3, _LINE_SAMPLES, dtype=np.float32)

    def __init__(self, avatar: Avatar) -> None:
        """Unpack the avatar's fields.

        Args:
            avatar: the avatar.
        """
        head, face, mouth = avatar.head, avatar.face, avatar.mouth
        self._person = _coverage_of(avatar)
        cells = head.depth.shape[0]
        self.eye_distance = avatar.eye_distance
        self._border = PictureBorder(avatar, cells)
        own_yaw = float(avatar.own_pose[0])
        self._turns = tuple(
            min(max(_FACING - side * own_yaw, _LEAST_TURN), float(_POSE_LIMITS[0]))
            for side in (-1, 1)
        )
        self._head_places = grid_points(FULL_BOX, cells, cells)
        relative = np.concatenate(
            [self._head_places - head.pivot[:2], (head.depth - head.pivot[2])[..., None]], -1
        ) * np.array([1, -1, 1], np.float32)
        # Times the weight, and the weight: a pose is then one linear map of four numbers to two.
        weight = head.weight[..., None]
        self._carried = np.concatenate([relative * weight, weight], -1).astype(np.float32)
        self._shapes = face.shapes.astype(np.int64)
        names = [ARKIT_NAMES[place] for place in self._shapes]
        self._pursing = mouth.gap_gain * [_PURSED.get(name, 0.0) for name in names]
        self.face_box = face.box
        self._mouth_box = mouth.box
        self._mouth = mouth
        contours = (mouth.contour_upper, mouth.contour_lower)
        sheets = (mouth.upper.astype(np.float32), mouth.lower.astype(np.float32))
        seals = (mouth.seal_upper, mouth.seal_lower)
        at_lines = [
            _smooth_along(
                np.stack([read_field(f, mouth.box, line[None])[0] for f in (*sheet, seal)])
            )
            for line, sheet, seal in zip(contours, sheets, seals, strict=True)
        ]
        self._parts = (face.seal.shape, mouth.seal_upper.shape, mouth.seal_lower.shape,
                       at_lines[0].shape[1:], at_lines[1].shape[1:])  # fmt: skip
        # One matrix for everything that is linear in the weights; its last row is the seal.
        rows = [np.concatenate([face.basis.astype(np.float32), face.seal[None]])]
        rows += [np.concatenate([sheet, seal[None]])
                 for sheet, seal in zip(sheets, seals, strict=True)]  # fmt: skip
        rows += at_lines
        self._linear = np.concatenate([part.reshape(len(part), -1) for part in rows], 1)
        self._seam = Seam(avatar, grid_points(mouth.box, *mouth.seal_upper.shape[:2]))
        self._rest_gap = float(mouth.gap_gain @ mouth.rest)

    def pose(self, pose: Array) -> tuple[Array, Array]:
        """Move the head.

        Args:
            pose: float32 [6], yaw, pitch, roll in degrees, x, y in eye distances, relative size;
                relative to the portrait's own pose.

        Returns:
            backward float32 [P, P, 2] and forward float32 [P, P, 2] over the whole canvas; the
            latter knows of no borders.
        """
        limited = self._within_reach(pose)
        change = rotation(*limited[:3]) * (1.0 + limited[5]) - np.eye(3)
        shift = limited[3:5] * self.eye_distance
        forward = cv2.transform(
            self._carried, np.concatenate([change[:2], shift[:, None]], 1) * [[1], [-1]]
        )
        return self._border.kept(invert(forward, FULL_BOX), self._head_places), forward

    def _within_reach(self, pose: Array) -> Array:
        """Return a pose that the portrait can show: turns end softly where its far side folds."""
        limited = np.clip(pose, -_POSE_LIMITS, _POSE_LIMITS)
        yaw, pitch = float(limited[0]), float(limited[1])
        limited[0] = _eased(yaw, self._turns[1]) if yaw > 0 else -_eased(-yaw, self._turns[0])
        limited[1] = _eased(pitch, _NOD) if pitch > 0 else pitch
        return limited

    def whole(self, back: Array, expression: Expression, cells: Array) -> Array:
        """Put pose and expression together.

        Args:
            back: from `pose`, perhaps corrected.
            expression: from `expression`.
            cells: float32 [G, G, 2], canvas places.

        Returns:
            float32 [G, G, 2], backward, of the person; what it says beside the person is not seen
            where the background stands still.
        """
        moved = read_field(back, FULL_BOX, cells)
        moved += read_field(expression.face, self.face_box, cells + moved)
        return moved

    def seen(self, moved: Array, cells: Array) -> Array:
        """Set a flow of the person to zero where it shows the background, which stands still.

        Args:
            moved: from `whole`.
            cells: float32 [G, G, 2], as given to `whole`.

        Returns:
            float32 [G, G, 2]: the flow of the picture.
        """
        if self._person is None:
            return moved
        return moved * read_field(self._person, FULL_BOX, cells + moved)[..., None]

    def expression(self, arkit: Array) -> Expression:
        """Move the skin.

        Args:
            arkit: float32 [52], ARKit weights.

        Returns:
            Backward fields and the lips' edges.
        """
        mouth, arkit = self._mouth, softly_rounded(arkit)
        weights = arkit[self._shapes]
        pursed = float(self._pursing @ weights)
        ratio = 1.0
        if self._rest_gap > 0:
            ratio = (float(mouth.gap_gain @ weights) - pursed) / self._rest_gap
        reached = min(max(ratio, 0.0), 1.0)
        effective = np.append(weights - reached * mouth.rest, 1.0 - reached).astype(np.float32)
        flat = effective @ self._linear
        face, upper, lower, at_upper, at_lower = self._split(flat)
        upper_points = mouth.contour_upper + at_upper
        lower_points = mouth.contour_lower + at_lower
        for end in (0, -1):  # the sheets join at the corners of the mouth
            upper_points[end] = lower_points[end] = (upper_points[end] + lower_points[end]) / 2
        own = reached if self._rest_gap > 0 else 0.0
        self._seam.shape(arkit, own, (upper_points, lower_points), (upper, lower), pursed)
        upper_line = self._line(upper_points)
        lower_line = self._line(lower_points)
        middle = (upper_line + lower_line) / 2
        half = np.maximum(lower_line - upper_line, 0) / 2
        upper_line, lower_line = middle - half, middle + half
        return Expression(
            face=invert(face, self.face_box),
            upper=invert(upper, self._mouth_box),
            lower=invert(lower, self._mouth_box),
            upper_line=upper_line,
            lower_line=lower_line,
            opening=float((lower_line - upper_line).max()),
            own_share=min(max((1.8 - ratio) / 0.8, 0.0), 1.0),
            portrait_opening=reached,
            jaw_shift=effective[:-1] @ mouth.jaw_shift,
            teeth_shift=effective[:-1] @ mouth.teeth_shift,
        )

    def _split(self, flat: Array) -> list[Array]:
        parts: list[Array] = []
        start = 0
        for shape in self._parts:
            stop = start + int(np.prod(shape))
            parts.append(flat[start:stop].reshape(shape))
            start = stop
        return parts

    def _line(self, points: Array) -> Array:
        """Return t of a moved contour at `line_places`; straight on beyond its ends."""
        origin, along = self._mouth.axes
        local = to_local(origin, along, points)
        # Where a contour folds back at its ends, the outermost place counts.
        inner = np.clip(local[:, 0], local[0, 0], local[-1, 0])
        s = np.maximum.accumulate(inner) + np.arange(len(inner), dtype=np.float32) * 1e-6
        s[-1] = max(float(s[-1]), float(local[-1, 0]))
        return np.interp(self.line_places, s, local[:, 1]).astype(np.float32)


def _coverage_of(avatar: Avatar) -> Array | None:
    """Return the person's coverage, float32 [P, P], 0..1; None if nothing stands still."""
    if not avatar.backdrop.stands_still:
        return None
    cells = (_COVERAGE_CELLS, _COVERAGE_CELLS)
    matte = cv2.resize(avatar.backdrop.cutout[..., 3], cells, interpolation=cv2.INTER_AREA)
    return matte.astype(np.float32) / 255


def _eased(angle: float, limit: float) -> float:
    """Return an angle >= 0 that never passes a limit and is itself up to a share of it."""
    begin = _EASE * limit
    if angle <= begin:
        return angle
    return begin + (limit - begin) * float(np.tanh((angle - begin) / (limit - begin)))


def _smooth_along(values: Array) -> Array:
    """Smooth [K, S, 2] along a contour: the grid's steps would show at the lips' edges."""
    padded = np.pad(values, ((0, 0), (2, 2), (0, 0)), mode="edge")
    count = values.shape[1]
    weights = (1, 4, 6, 4, 1)
    total = sum(w * padded[:, k : k + count] for k, w in enumerate(weights))
    return np.asarray(total / sum(weights), np.float32)


def rotation(yaw: float, pitch: float, roll: float) -> Array:
    """Return Rz(roll) Rx(pitch) Ry(yaw) for degrees, y up and z to the viewer, float32 [3, 3]."""
    y, p, r = np.radians([yaw, pitch, roll])
    turn_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    turn_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return (turn_z @ turn_x @ turn_y).astype(np.float32)
