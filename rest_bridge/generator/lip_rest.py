"""Holds the lips still where the voice is somebody else's; everything else of the face goes on.

Place in the flow: rig of each frame -> here -> decoder. How far the lips may move comes from
`lip_guard`; where they rest is learned from the moments in which nothing is heard, so an
expression's mouth stays as it is; until there was one, they rest shut, as a stream may begin in a
crowd. Smile, frown and what else a mood does are never held.
Shape letters: F frames; L lip channels.
"""

from collections.abc import Sequence
from typing import Final, cast

import numpy as np

from rest_bridge.rig import RIG_NAMES
from rest_bridge.types import Array, FloatArray, State

_SPEAKING: Final = (
    "jaw", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRoll", "mouthShrug", "mouthPress",
    "mouthLowerDown", "mouthUpperUp", "mouthStretch", "tongueOut",
)  # fmt: skip
LIPS: Final = [i for i, name in enumerate(RIG_NAMES) if name.startswith(_SPEAKING)]
"""Rig values that are held."""
_LEARN: Final = 0.1
"""A frame: half a second of quiet is enough to know the resting mouth."""


class LipRest:
    """Moves lips between their own motion and rest; pure, its memory is the state it is given."""

    def initial_state(self) -> dict[str, Array]:
        """Return the state before the first frame: lips rest shut."""
        return {"lips.rest": np.zeros(len(LIPS), np.float32)}

    def step(
        self, rig: FloatArray, shares: Sequence[float], quiet: Sequence[bool], state: State
    ) -> tuple[FloatArray, dict[str, Array]]:
        """Hold the lips of the next frames.

        Args:
            rig: float32 [F, 58].
            shares: of each frame, 0 still .. 1 free.
            quiet: of each frame, whether nothing at all is heard in it.
            state: from `initial_state` or the previous call.

        Returns:
            rig: float32 [F, 58]; the same array where nothing is held.
            state: to pass with the next frames.
        """
        rest = cast(FloatArray, state["lips.rest"])
        out = rig if min(shares, default=1.0) >= 1.0 else rig.copy()
        for values, held, share, is_quiet in zip(rig, out, shares, quiet, strict=True):
            lips = values[LIPS]
            if is_quiet:
                rest = rest + np.float32(_LEARN) * (lips - rest)
            if share < 1.0:
                held[LIPS] = rest + np.float32(share) * (lips - rest)
        return out, {"lips.rest": rest}
