"""Finds what moves in a frame: pose, expression and the trained correction put together.

Place in the flow: rig values -> base flow -> here -> `compositor`. A correction counts only where
the base flow moves something, and leaves lips and lids as they are.
Shape letters: S cells along the lips' lines, G cells of a coarse flow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.generator.base_flow import FULL_BOX, BaseFlow, Expression
from rest_bridge.generator.fields import grid_points, read_field, smoothstep
from rest_bridge.generator.lids import Lids, LidState
from rest_bridge.types import Array

Correct = Callable[[Array], Array]
CORRECTION_CELLS: Final = 64
"""Resolution of the trained decoder's flow."""
_PART_BLUR_CELLS: Final = 4.0
_MARGIN: Final = 0.15
"""Share of the canvas over which corrections fade out: shoulders are cut off there."""
_MOVES: Final = (0.0008, 0.008)
"""Base flow (canvas units) below which no correction counts, and from which all of it does."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Everything that moves in one frame: what a picture is drawn from.

    Attributes:
        arkit: float32 [52].
        back, expression: as in `BaseFlow`, the backward field corrected.
        moved: float32 [G, G, 2], backward field of the whole picture.
        lids: of each eye; None where it is as in the portrait.
        level: float32 [S], how level the lips' edges run: distances to steep ones shrink.
    """

    arkit: Array
    back: Array
    expression: Expression
    moved: Array
    lids: tuple[LidState | None, ...]
    level: Array


class Correction:
    """Adds the trained decoder's flow to the pose's, where it counts."""

    def __init__(self, avatar: Avatar, flow: BaseFlow, lids: Sequence[Lids]) -> None:
        """Find where it counts.

        Args:
            avatar: the avatar.
            flow: its base flow.
            lids: of its eyes.
        """
        self._flow = flow
        self._cells = grid_points(FULL_BOX, CORRECTION_CELLS, CORRECTION_CELLS)
        boxes = [avatar.mouth.box, *(one.box for one in lids)]
        covered = [_covered_by(box, self._cells) for box in boxes]
        self._parts = cv2.merge([*covered, np.zeros_like(covered[0])])  # four are read at once
        margin = np.minimum(self._cells, 1 - self._cells).min(-1)
        self._margin = smoothstep(0.0, _MARGIN, margin)

    def added(self, correct: Correct, back: Array, expression: Expression) -> Array:
        """Return the pose's backward field with the correction.

        Added to the pose's part, so that lips and lids move with the face around them.

        Args:
            correct: as in `Compositor.draw`.
            back: float32 [P, P, 2], of the pose.
            expression: of the frame.
        """
        base = self._flow.seen(self._flow.whole(back, expression, self._cells), self._cells)
        found, moving = correct(base), _moving(base)
        correction = [found[..., axis] * moving for axis in (0, 1)]  # planes: pairs are slow
        return back + cv2.resize(self._beside_parts(correction, back), back.shape[:2])

    def _beside_parts(self, correction: list[Array], back: Array) -> Array:
        """Keep a correction, its x and its y, off lips, lids and the picture's border; in place.

        Lips and lids only go along as a whole: they have exact edges of their own, which a coarse
        field cannot improve on, and what it says of the jaw would open the mouth more or less far
        than every other portrait's.
        """
        places = self._cells + read_field(back, FULL_BOX, self._cells)
        *parts, _ = cv2.split(read_field(self._parts, FULL_BOX, places))
        outside = 1 - np.maximum.reduce(parts)
        beside = cv2.merge([*(one * outside for one in correction), outside])
        *smooth, weight = cv2.split(cv2.GaussianBlur(beside, (0, 0), _PART_BLUR_CELLS))
        weight += np.float32(1e-3)
        for own, plane in zip(correction, smooth, strict=True):
            plane /= weight
            for part in parts:
                whole = float(np.vdot(plane, part)) / max(float(part.sum()), 1e-3)
                plane += (np.float32(whole) - plane) * part
            own -= plane
            own *= outside
            own += plane
            own *= self._margin
        return cv2.merge(correction)


def between(one: Motion, other: Motion, share: float, lids: Sequence[Lids]) -> Motion:
    """Return what moves a share of the way from one frame to another.

    Args:
        one: of the first frame.
        other: of the second.
        share: of the way, 0..1.
        lids: of the eyes.
    """
    if share <= 0:
        return one
    if share >= 1:
        return other
    states: list[LidState | None] = []
    for each, before, after in zip(lids, one.lids, other.lids, strict=True):
        if before is None and after is None:
            states.append(None)
            continue
        before = before or each.state(one.arkit)
        after = after or each.state(other.arkit)
        states.append(LidState(**_mixed_fields(before, after, share)))
    return Motion(
        _mix(one.arkit, other.arkit, share),
        _mix(one.back, other.back, share),
        Expression(**_mixed_fields(one.expression, other.expression, share)),
        _mix(one.moved, other.moved, share),
        tuple(states),
        _mix(one.level, other.level, share),
    )


def _mixed_fields(one: Any, other: Any, share: float) -> dict[str, Any]:
    return {
        name: _mix(getattr(one, name), getattr(other, name), share) for name in _names(type(one))
    }


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _mix(one: Any, other: Any, share: float) -> Any:
    """Return a share of the way from one number or array to another."""
    if isinstance(one, float):
        return one + (other - one) * share
    return cv2.addWeighted(one, 1 - share, other, share, 0).reshape(one.shape)


def _covered_by(box: Array, places: Array) -> Array:
    """Return float32 [G, G], 1 inside the ellipse of a box, 0 well outside of it."""
    away = (places - (box[:2] + box[2:]) / 2) / ((box[2:] - box[:2]) / 2)
    return 1 - smoothstep(0.9, 1.25, np.sqrt((away**2).sum(-1)))


def _moving(base: Array) -> Array:
    """Return float32 [G, G], 0 where the base flow rests: a still place stays still."""
    distance = cv2.magnitude(*cv2.split(base))
    return cv2.GaussianBlur(smoothstep(*_MOVES, distance), (0, 0), 1.0)
