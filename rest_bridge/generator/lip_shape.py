"""Gives lips the shape that the voice asks for, where it is sure of it: p shut, f on the teeth.

Place in the flow: rig, made even by `steady`, and `features.articulation` -> here -> `lip_rest`.
The motion network shows a third of all rounding, and one shape for p and for f, since a squared
error hardly tells them apart; a network that learned the times of phones does. Jaw, timing and
everything else stay the motion network's. Without articulation rounding is enlarged by one factor,
as the errors on validation ask on average.

What the network tells of the two frames of a latent frame is too much alike, as its motion is (see
`steady`): their difference is widened, and the first has a little of the frame before, so that no
border shows. Shape letters: F frames, C articulations.
"""

from typing import Final, cast

import numpy as np

from rest_bridge.rig import ARTICULATIONS, RIG_INDEX, RIG_NAMES
from rest_bridge.types import LATENT_STRIDE, Array, FloatArray, State

_SHUT, _TEETH, _ROUND, _SILENT = (
    ARTICULATIONS.index(name) for name in ("shut", "teeth", "round", "silent")
)
_SURE: Final = {_SHUT: (0.40, 0.70), _TEETH: (0.20, 0.50)}
"""From the first certainty on lips are shaped, wholly from the second on. These and the following
strengths were chosen on the validation sessions (training/LOG.md, fourth session)."""
_STILL: Final = (0.5, 0.9)
"""Of silence: from the first on lips are shaped less, from the second on not at all."""


def _indices(*prefixes: str) -> list[int]:
    return [i for i, name in enumerate(RIG_NAMES) if name.startswith(prefixes)]


_JAW, _CLOSE = RIG_INDEX["jawOpen"], RIG_INDEX["mouthClose"]
_ROLL, _ROLL_UPPER = RIG_INDEX["mouthRollLower"], RIG_INDEX["mouthRollUpper"]
_PRESS, _LOWER = _indices("mouthPress"), _indices("mouthLowerDown")
_UPPER = _indices("mouthUpperUp")
_FUNNEL, _PUCKER = RIG_INDEX["mouthFunnel"], RIG_INDEX["mouthPucker"]
_ROUNDING: Final = [_PUCKER, _FUNNEL]
SHAPED: Final = sorted({_JAW, _CLOSE, _ROLL, _ROLL_UPPER, *_PRESS, *_LOWER, *_UPPER, *_ROUNDING})
"""Rig values that may be changed."""

_JAW_IN_SHUT: Final = 0.7
"""Share of the jaw that stays in p, b, m; `mouthClose` undoes what it opens."""
_JAW_IN_TEETH: Final = (0.04, 0.10)
"""The jaw in f, v: between these."""
_ENLARGED: Final = 2.0
"""Rounding without articulation; chosen on the validation sessions."""
_KEPT: Final = 0.75
"""Factor on the network's own rounding where the articulation is not round, ..."""
_GROWN: Final = 2.0
"""... and how much larger it is where that is wholly round: who rounds little goes on to do so."""
_ADDED: Final = {_PUCKER: 0.05, _FUNNEL: 0.02}
"""Rounding of a wholly round articulation where the network shows none."""
_WIDENED: Final = 1.5
"""Factor on the difference of two frames' certainties, as log odds."""
_FROM_BEFORE: Final = 0.1
"""Share of the frame before in the first frame of a latent frame."""


class LipShaper:
    """Shapes lips; pure, its memory is the state it is given."""

    def __init__(self, strength: float = 1.0) -> None:
        """Prepare.

        Args:
            strength: 0 leaves the motion network's lips as they are, 1 shapes them fully.
        """
        self._strength = np.float32(strength)

    def initial_state(self) -> dict[str, Array]:
        """Return the state before the first frame."""
        return {"shape.last": np.zeros(len(ARTICULATIONS), np.float32)}

    def step(
        self, rig: FloatArray, articulation: FloatArray | None, state: State
    ) -> tuple[FloatArray, dict[str, Array]]:
        """Shape the lips of the next frames.

        Args:
            rig: float32 [F, 58], whole latent frames.
            articulation: float32 [F, C], `rig.ARTICULATIONS`; None where nobody tells.
            state: from `initial_state` or the previous call.

        Returns:
            rig: float32 [F, 58], a copy.
            state: to pass with the next frames.
        """
        rig = rig.copy()
        if articulation is None or not self._strength:
            rig[:, _ROUNDING] = np.minimum(_ENLARGED * rig[:, _ROUNDING], 1)
            return rig, dict(state)
        asked = self._asked(articulation)
        before = np.concatenate(
            [cast(FloatArray, state["shape.last"])[None], asked[1:-1:LATENT_STRIDE]]
        )
        first, second = asked[::LATENT_STRIDE], asked[1::LATENT_STRIDE]
        first += np.float32(_FROM_BEFORE) * (before - first)
        # Rounding is slow: it goes straight from one latent frame to the next, as `steady` has it.
        first[:, _ROUND] = 0.5 * (before[:, _ROUND] + second[:, _ROUND])
        self._round(rig, asked[:, _ROUND])
        _press(rig, asked[:, _SHUT])
        _bite(rig, asked[:, _TEETH])
        return rig, {"shape.last": asked[-1].copy()}

    def _asked(self, articulation: FloatArray) -> FloatArray:
        """Return float32 [F, C]: how much of each shape is wanted."""
        told = _widened(articulation)
        awake = self._strength * (1 - _ramp(told[:, _SILENT], *_STILL))
        asked = told * awake[:, None]
        shut, teeth = (awake * _ramp(told[:, place], *_SURE[place]) for place in (_SHUT, _TEETH))
        asked[:, _SHUT], asked[:, _TEETH] = shut * (1 - teeth), teeth * (1 - shut)
        return asked.astype(np.float32, copy=False)

    def _round(self, rig: FloatArray, rounded: FloatArray) -> None:
        factor = _ENLARGED + self._strength * (_KEPT - _ENLARGED) + np.float32(_GROWN) * rounded
        for place, added in _ADDED.items():
            rig[:, place] = np.minimum(factor * rig[:, place] + np.float32(added) * rounded, 1)


def _press(rig: FloatArray, share: FloatArray) -> None:
    """Shut the lips as p, b and m do, in place; share: float32 [F], 0..1."""
    rig[:, [*_LOWER, *_UPPER]] *= 1 - share[:, None]
    rig[:, _JAW] *= 1 - np.float32(1 - _JAW_IN_SHUT) * share
    rig[:, _CLOSE] = np.maximum(rig[:, _CLOSE], share * rig[:, _JAW])
    for places, weight in (([_ROLL], 0.42), ([_ROLL_UPPER], 0.32), (_PRESS, 0.42)):
        rig[:, places] = np.maximum(rig[:, places], np.float32(weight) * share[:, None])
    rig[:, _FUNNEL] *= 1 - np.float32(0.4) * share


def _bite(rig: FloatArray, share: FloatArray) -> None:
    """Lay the lower lip on the upper teeth as f and v do, in place; share: float32 [F], 0..1."""
    part = share[:, None]
    rig[:, [*_PRESS, _ROLL_UPPER, _CLOSE]] *= 1 - part
    rig[:, _LOWER] *= 1 - np.float32(0.9) * part
    rig[:, _ROUNDING] *= 1 - np.float32(0.5) * part
    rig[:, _JAW] += share * (np.clip(rig[:, _JAW], *_JAW_IN_TEETH) - rig[:, _JAW])
    for places, weight in (([_ROLL], 0.7), (_UPPER, 0.35)):
        rig[:, places] += part * np.maximum(np.float32(weight) - rig[:, places], 0)


def _widened(told: FloatArray) -> FloatArray:
    """Return certainties float32 [F, C] that differ more within a latent frame."""
    odds = np.clip(told, 0.001, 0.999)
    odds = np.log(odds / (1 - odds)).reshape(-1, LATENT_STRIDE, told.shape[1])
    middle = odds.mean(1, keepdims=True)
    odds = middle + np.float32(_WIDENED) * (odds - middle)
    return (1 / (1 + np.exp(-odds))).reshape(told.shape).astype(np.float32)


def _ramp(values: FloatArray, low: float, high: float) -> FloatArray:
    """Return 0 up to `low`, 1 from `high` on, smooth between."""
    place = np.clip((values - low) / (high - low), 0, 1)
    return (place * place * (3 - 2 * place)).astype(np.float32)
