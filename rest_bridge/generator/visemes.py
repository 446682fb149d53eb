"""Visemes read off a rig vector, for games and protocols that speak visemes.

Finds the weights (0..1, sum at most 1) whose mixture of `rig.viseme_basis` comes nearest to the
mouth of the rig; what is left to 1 is silence. A fixed number of projected gradient steps, so that
equal rigs give equal bits.
"""

from typing import Final

import numpy as np

from rest_bridge.rig import RIG_INDEX, RIG_NAMES, VISEME_NAMES, viseme_basis
from rest_bridge.types import FloatArray

_MOUTH: Final = np.array(
    [RIG_INDEX[name] for name in RIG_NAMES if name.startswith(("jawOpen", "mouth"))]
)
_NUM_STEPS: Final = 40


class VisemeReader:
    """Projects rigs onto the viseme basis."""

    def __init__(self) -> None:
        """Prepare the normal equations."""
        self._basis = viseme_basis()[:, _MOUTH].astype(np.float64)
        self._gram = self._basis @ self._basis.T + 0.02 * np.eye(len(VISEME_NAMES))
        self._rate = 1.0 / float(np.linalg.eigvalsh(self._gram)[-1])

    def read(self, rig: FloatArray) -> FloatArray:
        """Return the visemes of one rig.

        Args:
            rig: float32 [58].

        Returns:
            float32 [15] in `rig.VISEME_NAMES` order, 0..1, sum 1.
        """
        target = self._basis @ rig[_MOUTH].astype(np.float64)
        weights, step = np.zeros(len(VISEME_NAMES)), np.empty(len(VISEME_NAMES))
        for _ in range(_NUM_STEPS):  # sixty times a second: each call and copy counts
            np.dot(self._gram, weights, out=step)
            step -= target
            step *= self._rate
            weights -= step
            weights[0] = 0.0
            np.minimum(np.maximum(weights, 0.0, out=weights), 1.0, out=weights)
            total = float(np.add.reduce(weights))
            if total > 1.0:
                weights /= total
        weights[0] = max(0.0, 1.0 - float(weights.sum()))
        return weights.astype(np.float32)
