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
_TOGETHER: Final = 8


class VisemeReader:
    """Projects rigs onto the viseme basis."""

    def __init__(self) -> None:
        """Prepare the normal equations."""
        basis = viseme_basis()[:, _MOUTH].astype(np.float64)
        gram = basis @ basis.T + 0.02 * np.eye(len(VISEME_NAMES))
        rate = 1.0 / float(np.linalg.eigvalsh(gram)[-1])
        self._towards, self._keeps = rate * basis, np.eye(len(gram)) - rate * gram

    def read(self, rigs: FloatArray) -> FloatArray:
        """Return the visemes of rigs.

        Args:
            rigs: float32 [F, 58]; a chunk's together take hardly longer than one.

        Returns:
            float32 [F, 15] in `rig.VISEME_NAMES` order, 0..1, sum 1; of each rig the same bits,
            whatever is beside it.
        """
        found = [self._some(rigs[first : first + _TOGETHER])
                 for first in range(0, len(rigs), _TOGETHER)]  # fmt: skip
        return np.concatenate(found) if found else np.zeros((0, len(VISEME_NAMES)), np.float32)

    def _some(self, rigs: FloatArray) -> FloatArray:
        """Return the visemes of up to `_TOGETHER` rigs."""
        # A column a rig, always as many: products of one shape round in one way.
        mouths = np.zeros((len(_MOUTH), _TOGETHER))
        mouths[:, : len(rigs)] = rigs[:, _MOUTH].T
        towards = self._towards @ mouths
        weights, total = np.zeros_like(towards), np.empty(_TOGETHER)
        stepped = np.empty_like(weights)
        for _ in range(_NUM_STEPS):  # sixty times a second: each call and copy counts
            np.dot(self._keeps, weights, out=stepped)
            weights, stepped = stepped, weights
            weights += towards
            weights[0] = 0.0
            np.minimum(np.maximum(weights, 0.0, out=weights), 1.0, out=weights)
            np.maximum(np.add.reduce(weights, 0, out=total), 1.0, out=total)
            weights /= total
        weights[0] = np.maximum(0.0, 1.0 - np.add.reduce(weights, 0))
        return np.ascontiguousarray(weights[:, : len(rigs)].T, np.float32)
