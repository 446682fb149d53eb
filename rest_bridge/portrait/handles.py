"""The few points that a person drags, and how the 66 points of the face follow them.

Place in the flow: control page -> here -> `importer` with the moved points. A handle moves its part
as a whole: eye corners turn, scale and shift the eye and its brow, mouth corners the lips, the chin
pulls the contour. All in pixels of the picture, y DOWN.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from rest_bridge.errors import AvatarError
from rest_bridge.portrait.contours import BROWS, EYES, MOUTH_LEFT, MOUTH_RIGHT
from rest_bridge.types import Array, FloatArray

HANDLES: Final[dict[str, int]] = {
    "left_eye_outer": 36,
    "left_eye_inner": 39,
    "right_eye_inner": 42,
    "right_eye_outer": 45,
    "mouth_left": MOUTH_LEFT,
    "mouth_right": MOUTH_RIGHT,
    "chin": 8,
}
"""Index of the point that each handle holds; left and right as seen in the picture."""
_NOSE: Final = slice(27, 36)
_LIPS: Final = slice(48, 66)
_CONTOUR: Final = slice(0, 17)
_LEAST_SPAN: Final = 0.2
"""Corners may come as near to each other as this share of what they were."""


def handles_of(points: Array) -> dict[str, list[float]]:
    """Return where the handles are.

    Args:
        points: float32 [66, 2].

    Returns:
        [x, y] by name.
    """
    return {name: [float(v) for v in points[index]] for name, index in HANDLES.items()}


def move(points: Array, wanted: Mapping[str, tuple[float, float]]) -> FloatArray:
    """Let the face follow handles that were dragged.

    Args:
        points: float32 [66, 2], as they are.
        wanted: where handles are to be, by name; the others stay.

    Returns:
        float32 [66, 2].

    Raises:
        AvatarError: there is no such handle, or the corners of an eye or of the mouth cross.
    """
    for name in wanted:
        if name not in HANDLES:
            raise AvatarError(f'There is no handle "{name[:40]}"; there is {", ".join(HANDLES)}.')
    before = np.asarray(points, np.float64)
    after = before.copy()
    target = {name: np.asarray(wanted.get(name, before[i])) for name, i in HANDLES.items()}
    for side in ("left", "right"):
        outer, inner = f"{side}_eye_outer", f"{side}_eye_inner"
        if outer in wanted or inner in wanted:
            part = [*EYES[side], *BROWS[side]]
            after[part] = _carried(before, part, (outer, inner), target)
    if "mouth_left" in wanted or "mouth_right" in wanted:
        part = list(range(66))[_LIPS]
        after[part] = _carried(before, part, ("mouth_left", "mouth_right"), target)
    eyes, lips = _shift(before, after, slice(36, 48)), _shift(before, after, _LIPS)
    after[_NOSE] += (eyes + lips) / 2
    # The contour hangs between temples, which go with the eyes, and the chin.
    chin = target["chin"] - before[8] if "chin" in wanted else lips
    share = np.cos((np.arange(17) - 8) / 8 * np.pi / 2)[:, None] ** 2
    after[_CONTOUR] += share * chin + (1 - share) * eyes
    return after.astype(np.float32)


def _carried(
    points: Array, part: list[int], corners: tuple[str, str], target: Mapping[str, Array]
) -> Array:
    """Turn, scale and shift a part so that its two corners come where they are wanted."""
    one, two = points[HANDLES[corners[0]]], points[HANDLES[corners[1]]]
    span, wanted = two - one, target[corners[1]] - target[corners[0]]
    length = float(np.hypot(*span))
    along, across = float(span @ wanted), float(span[0] * wanted[1] - span[1] * wanted[0])
    if length < 1e-3 or along < _LEAST_SPAN * length**2:
        part_name = "mouth" if "mouth" in corners[0] else "eye"
        raise AvatarError(
            f"The corners of the {part_name} would meet or cross; keep the left one left of the "
            "right one, and apart."
        )
    a, b = along / length**2, across / length**2
    turn = np.array([[a, -b], [b, a]])
    return (points[part] - one) @ turn.T + target[corners[0]]


def _shift(before: Array, after: Array, part: slice) -> Array:
    return (after[part] - before[part]).mean(0)
