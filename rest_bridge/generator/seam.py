"""How the lips meet: the opening's outline along the mouth, for any expression.

Place in the flow: moved lips -> here -> lips that meet exactly -> compositor. The stored fields say
where each lip goes; where the two overtake each other, leave a slit too thin for soft lips, or are
rounded, the gap between them is given another outline, and BOTH lips follow it with their skin, so
that no edge shows what lies beyond it. Lengths in canvas units.
Shape letters: S samples along the lips, H/W cells of the mouth's grid.
"""

from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.generator.fields import read_line, to_local
from rest_bridge.rig import ARKIT_NAMES
from rest_bridge.types import Array

_ROUND: Final = {"mouthFunnel": 1.2, "mouthPucker": 1.0}
"""How much each shape rounds the opening."""
_ROUNDING: Final = [ARKIT_NAMES.index(name) for name in _ROUND]
_FREELY: Final = 0.4
"""Sum of the rounding shapes up to which a mouth rounds as it is told, ..."""
_MOST_ROUNDED: Final = 0.75
"""... and which it comes ever nearer to: pursed any further it is no mouth but a slit on end."""
_NARROWED: Final = 0.28
"""Share of the lips that touch at the corners of a fully rounded mouth."""
_OPENS: Final = 0.9
"""Share of the lips that part when a mouth opens unrounded: its corners are soft."""
_FULL: Final = 0.7
"""How much of an ellipse an open jaw's outline has; the scans alone give a shield."""
_ENDS: Final = 0.12
"""Share of the lips over which an opening ends."""
_REACH: Final = 0.26
"""Eye distances over which the skin beside the lips follows."""
_UPPER_SHARE: Final = 0.45
_UPPER_WIDENS: Final = 0.15
_PRESSED: Final = 0.6
"""Share of the lips' overlap that hides red, as pressed lips do; the rest they push aside."""
_BITE: Final = 0.05
"""Eye distances of upper teeth that show on a lower lip drawn under them (f, v)."""
_BITE_FULL: Final = 0.2
"""Product of rolled lower and raised upper lip at a full f."""


def softly_rounded(arkit: Array) -> Array:
    """Return weights whose rounding ends softly where lips can purse no further.

    Speech asks for a pucker of 1 beside a funnel of 0.5 at times, which the shapes add up; people
    measured in real video narrow their mouths far less (training/LOG.md, seventh session).

    Args:
        arkit: float32 [52].

    Returns:
        float32 [52], the same array where nothing is to be done.
    """
    asked = float(sum(arkit[place] for place in _ROUNDING))
    if asked <= _FREELY:
        return arkit
    room = _MOST_ROUNDED - _FREELY
    kept = _FREELY + room * (1 - float(np.exp((_FREELY - asked) / room)))
    softer = arkit.copy()
    softer[_ROUNDING] *= np.float32(kept / asked)
    return softer


class Seam:
    """Shapes the gap between the lips of one avatar."""

    def __init__(self, avatar: Avatar, places: Array) -> None:
        """Measure the mouth.

        Args:
            avatar: the avatar.
            places: float32 [H, W, 2], the cells of the mouth's fields.
        """
        mouth, unit = avatar.mouth, avatar.eye_distance
        origin, along = mouth.axes
        along_unit = along / np.hypot(along[0], along[1])
        self._normal = np.array([-along_unit[1], along_unit[0]], np.float32)
        samples = len(mouth.contour_upper)
        self._s = np.linspace(-1, 1, samples, dtype=np.float32)
        local = to_local(origin, along, places)
        cell_s = np.clip(local[..., 0], -1, 1)
        self._falls: list[Array] = []
        for contour, sign in ((mouth.contour_upper, 1.0), (mouth.contour_lower, -1.0)):
            line = to_local(origin, along, contour)
            away = sign * (np.interp(cell_s, line[:, 0], line[:, 1]) - local[..., 1])
            fall = np.exp(-((np.maximum(away, 0) / (_REACH * unit)) ** 2))
            self._falls.append(fall.astype(np.float32))
        # Where each cell lies on a line of S samples.
        self._on_line = ((cell_s + 1) * ((samples - 1) / 2)).astype(np.float32)
        self._unit = np.float32(unit)
        self._arch = np.sqrt(np.maximum(1 - self._s**2, 0))
        corner = np.abs(self._s) ** 4
        self._slit = (unit * (0.01 + 0.032 * corner)).astype(np.float32)
        self._weights = [(ARKIT_NAMES.index(name), gain) for name, gain in _ROUND.items()]
        self._roll = ARKIT_NAMES.index("mouthRollLower")
        self._raise = [ARKIT_NAMES.index(f"mouthUpperUp{side}") for side in ("Left", "Right")]

    def shape(
        self,
        arkit: Array,
        own: float,
        points: tuple[Array, Array],
        sheets: tuple[Array, Array],
        pursed: float = 0.0,
    ) -> None:
        """Let the lips meet as lips do; changes points and sheets in place.

        Args:
            arkit: float32 [52].
            own: how much of the portrait's own open mouth is shown, 0..1: that is left alone.
            points: float32 [S, 2] each, the moved edges of upper and lower lip.
            sheets: float32 [H, W, 2] each, forward fields above and below the lips.
            pursed: canvas units by which pursed lips close again what their shapes alone open.
        """
        gap = (points[1] - points[0]) @ self._normal
        rounded = min(sum(gain * float(arkit[i]) for i, gain in self._weights), 1.0)
        closer = np.where(gap > 0, np.maximum(gap - pursed * self._arch, 0), gap)
        wanted, bite = self._outline(arkit, own, rounded, closer)
        change = gap - wanted
        # A jaw opens wider downwards, an o to both sides; what closes, closes from both sides.
        widens = _UPPER_WIDENS + (_UPPER_SHARE - _UPPER_WIDENS) * rounded
        share = np.where(bite > 0, 0.0, np.where(change < 0, widens, _UPPER_SHARE))
        for k, moves in enumerate((change * share, change * (share - 1))):
            points[k][:] += moves[:, None] * self._normal
            over = read_line(moves.astype(np.float32)[None], self._on_line)
            over *= self._falls[k]
            sheets[k][:] += cv2.merge([over * part for part in self._normal])

    def _outline(self, arkit: Array, own: float, rounded: float, gap: Array) -> tuple[Array, Array]:
        """Return the gap float32 [S] that the lips shall have, and how far teeth hold it open."""
        open_gap = np.maximum(gap - self._slit * (1 - own), 0)
        middle = float(open_gap[len(gap) // 3 : -(len(gap) // 3)].mean())
        reach = _OPENS - (_NARROWED + _OPENS - 1) * rounded
        ellipse = np.sqrt(np.maximum(1 - (self._s / reach) ** 2, 0))
        share = max(_FULL, rounded) * (1 - own)
        # Beyond the outline's ends the lips touch: what is left there looks like horns.
        held_open = open_gap * np.clip((reach - np.abs(self._s)) / _ENDS, own, 1)
        wanted = held_open + share * (1.15 * middle * ellipse - held_open)
        wanted += _PRESSED * np.minimum(gap, 0)
        raised = float(arkit[self._raise].mean())
        bite = min(float(arkit[self._roll]) * raised / _BITE_FULL, 1.0) * _BITE * self._unit
        held = bite * np.sqrt(np.maximum(1 - (self._s / 0.8) ** 2, 0))
        more = np.maximum(held - wanted, 0)
        return (wanted + more).astype(np.float32), more
