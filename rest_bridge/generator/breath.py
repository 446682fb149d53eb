"""Breathing: what lifts a head a little, also of a face that nobody hears.

Place in the flow: rig of each frame -> here -> decoder. 12 to 17 breaths a minute, in 40 % of the
time, out in the rest, no two of them alike; the head rises by a fortieth of the eyes' distance and
tips back by a third of a degree. A pure function of the seed and of time, without memory, as
`life`: any chunking agrees. The network knows nothing of it. Shape letters: F frames.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.rig import RIG_INDEX
from rest_bridge.types import FloatArray

_BREATH_S: Final = 4.2
_WANDER: Final = ((0.031, 0.28), (0.073, 0.14))
"""Frequencies in Hz by which breaths come sooner and later, and by how much of a breath."""
_IN: Final = 0.4
_RISE: Final = 0.025
_PITCH_DEG: Final = 0.35
_NEARER: Final = 0.003


class Breath:
    """One breathing."""

    def __init__(self, seed: int) -> None:
        """Choose a breathing.

        Args:
            seed: equal seeds breathe alike.
        """
        self._phases = np.random.default_rng([seed & 0xFFFF_FFFF, 77]).uniform(0, 1, 4)

    def at(self, times_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return how full the lungs are, float64 [F], about -0.5..0.5, mean 0."""
        place = times_s / _BREATH_S + self._phases[0]
        for (often_hz, much), phase in zip(_WANDER, self._phases[1:3], strict=True):
            place = place + much * np.sin(2 * np.pi * (often_hz * times_s + phase))
        depth = 1.0 + 0.25 * np.sin(2 * np.pi * (0.047 * times_s + self._phases[3]))
        within = place - np.floor(place)
        rising = within / _IN
        falling = (1.0 - within) / (1.0 - _IN)
        x = np.clip(np.minimum(rising, falling), 0.0, 1.0)
        return depth * (x * x * (3.0 - 2.0 * x) - 0.5)

    def lift(
        self, rig: FloatArray, times_s: npt.NDArray[np.float64], amount: FloatArray
    ) -> FloatArray:
        """Return the rig of a face that breathes.

        Args:
            rig: float32 [F, 58]; left untouched.
            times_s: float64 [F], of the stream.
            amount: float32 [F], of head motion: 0 none, 1 and more as people do.
        """
        full = (self.at(times_s) * np.minimum(amount, 1.0)).astype(np.float32)
        lifted = rig.copy()
        lifted[:, RIG_INDEX["headY"]] += _RISE * full
        lifted[:, RIG_INDEX["headPitch"]] -= _PITCH_DEG * full
        lifted[:, RIG_INDEX["headZ"]] += _NEARER * full
        return lifted
