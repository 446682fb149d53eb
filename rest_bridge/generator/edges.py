"""Hard edges and the rectangles they are drawn in: what eyes and mouth have in common.

Place in the flow: distances and boxes of a layer -> here -> shares and pixels of a frame. Layers
never mix softly (two references blended softly give ghost lids, STUDY 2); every edge is a signed
distance that is turned into one pixel of antialiasing at the output's own size.
Shape letters: S output pixels, H/W pixels or cells of a part, P cells of the pose's grid.
"""

from typing import Final

import cv2
import numpy as np

from rest_bridge.generator.fields import smoothstep
from rest_bridge.types import Array

Rectangle = tuple[slice, slice]
"""Rows and columns of a picture."""
EDGE_PX: Final = 1.4
_BORDER_CELLS: Final = 5


def rectangle_of(box: Array, seen: Array, size_px: int) -> Rectangle | None:
    """Return the pixels that show a part of the portrait's own view after the pose.

    Args:
        box: float32 [4], the part.
        seen: float32 [P, P, 2], the places before the pose of a coarse grid's cells.
        size_px: width and height of the frame.
    """
    low, high = ([float(one) for one in corner] for corner in (box[:2], box[2:]))
    first_column, first_row, columns, rows = cv2.boundingRect(
        cv2.inRange(seen, np.array(low), np.array(high))
    )
    if not columns:
        return None
    # A cell more on each side: the part's border lies somewhere between two of them.
    share = size_px / len(seen)
    spans = ((first_row, rows), (first_column, columns))
    down, across = (
        slice(
            max(0, int((first - 0.5) * share)),
            min(size_px, int((first + count + 0.5) * share) + 1),
        )
        for first, count in spans
    )
    return down, across


def bounds_of(values: Array, low: float, high: float | None = None) -> Rectangle | None:
    """Return the rectangle around values above `low` (and below `high`); None if there are none."""
    if high is None:
        inside = cv2.compare(values, low, cv2.CMP_GT)  # type: ignore[call-overload]
    else:
        inside = cv2.inRange(values, low, high)  # type: ignore[call-overload]
    column, row, columns, rows = cv2.boundingRect(inside)
    return (slice(row, row + rows), slice(column, column + columns)) if columns else None


def within(rectangle: Rectangle, part: Rectangle) -> Rectangle:
    """Return a part of a rectangle as a rectangle of the picture."""
    rows, columns = (
        slice(whole.start + one.start, whole.start + one.stop)
        for whole, one in zip(rectangle, part, strict=True)
    )
    return rows, columns


def coverage(distance: Array, size_px: int) -> Array:
    """Turn a signed distance in canvas units into 0..1 with an antialiased edge."""
    return np.clip(distance * (size_px / EDGE_PX) + 0.5, 0.0, 1.0)


def window_of(height: int, width: int) -> Array:
    """Return float32 [H, W]: 1 inside a layer, 0 at its border."""
    rows = np.minimum(np.arange(height), np.arange(height)[::-1])[:, None]
    columns = np.minimum(np.arange(width), np.arange(width)[::-1])[None]
    distance = np.minimum(rows, columns).astype(np.float32)
    return smoothstep(0.0, 1.0, distance / _BORDER_CELLS)
