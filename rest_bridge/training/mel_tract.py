"""Other vocal tracts and bands that are missing, drawn anew for every crop of stored features.

Place in the flow: `speech_data.batches` -> here. Sessions come by few talkers; a network that sees
them thousands of times learns the talkers. Formants are moved by bending the frequency axis of the
log-mel (vocal tract length perturbation, Jaitly and Hinton 2013); a few neighbouring bins are
silenced (SpecAugment, arXiv:1904.08779), so that no single band is relied on. Nothing is moved in
time: the lips keep theirs. Shape letters: M mel frames.
"""

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.features.mel import NUM_BINS, mel_filters
from rest_bridge.types import MODEL_RATE_HZ, FloatArray

_LEAST_FACTOR: Final = 0.87
_MOST_FACTOR: Final = 1.15
_MASK_SHARE: Final = 0.5
"""Of the crops that are changed at all: a band is missing."""
_LEAST_MASK, _MOST_MASK = 3, 12
_FADE_HZ: Final = 6000.0
"""Above it the bend returns to the identity, so that no bin reads beyond the last."""


def change_talker(mel: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a crop as another talker would have been heard.

    Args:
        mel: float32 [M, 80], normalised.
        rng: source of chance.

    Returns:
        float32 [M, 80].
    """
    changed = bend(mel, float(rng.uniform(_LEAST_FACTOR, _MOST_FACTOR)))
    if rng.random() < _MASK_SHARE:
        width = int(rng.integers(_LEAST_MASK, _MOST_MASK + 1))
        first = int(rng.integers(NUM_BINS - width + 1))
        changed[:, first : first + width] = 0
    return changed


def bend(mel: FloatArray, factor: float) -> FloatArray:
    """Move formants up by a factor (a shorter vocal tract) along the frequency axis.

    Args:
        mel: float32 [M, 80].
        factor: of all frequencies below 6 kHz or so; 1 changes nothing.

    Returns:
        float32 [M, 80], a new array.
    """
    own_hz = _frequencies_hz()
    source_hz = own_hz / factor
    last_hz = float(own_hz[-1])
    knee_hz = _FADE_HZ * min(factor, 1.0)
    above = own_hz > knee_hz
    rise = (last_hz - knee_hz / factor) / (last_hz - knee_hz)
    source_hz[above] = knee_hz / factor + (own_hz[above] - knee_hz) * rise
    places = np.interp(source_hz, own_hz, np.arange(NUM_BINS))
    low = np.minimum(places.astype(np.intp), NUM_BINS - 2)
    share = (places - low).astype(np.float32)
    return mel[:, low] * (1 - share) + mel[:, low + 1] * share


@cache
def _frequencies_hz() -> npt.NDArray[np.float64]:
    """Return float64 [80]: the centre of each bin."""
    filters = mel_filters().astype(np.float64)
    bins_hz = np.linspace(0, MODEL_RATE_HZ / 2, filters.shape[1])
    return filters @ bins_hz / filters.sum(1)
