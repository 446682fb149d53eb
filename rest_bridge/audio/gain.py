"""Makes a voice louder or softer before anything else hears it."""

from dataclasses import replace

import numpy as np

from rest_bridge.audio.wrapped import WrappedSource
from rest_bridge.types import AudioChunk, AudioSource


class GainSource(WrappedSource):
    """Another source, amplified and limited to [-1, 1].

    Args:
        source: to amplify; closed with this one.
        gain_db: in decibels.
    """

    def __init__(self, source: AudioSource, gain_db: float) -> None:
        super().__init__(source)
        self._factor = np.float32(10 ** (gain_db / 20))

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        """Return the next samples (see `AudioSource.read`)."""
        chunk = self.source.read(num_samples, timeout_s)
        return replace(chunk, samples=np.clip(chunk.samples * self._factor, -1.0, 1.0))
