"""Makes a voice louder or softer before anything else hears it."""

from dataclasses import replace

import numpy as np

from rest_bridge.types import AdvancingSource, AudioChunk, AudioSource


class GainSource:
    """Another source, amplified and limited to [-1, 1].

    Args:
        source: to amplify; closed with this one.
        gain_db: in decibels.
    """

    def __init__(self, source: AudioSource, gain_db: float) -> None:
        self.source = source
        self._factor = np.float32(10 ** (gain_db / 20))
        self.name = source.name
        self.sample_rate_hz = source.sample_rate_hz
        self.live = source.live

    @property
    def advance_samples(self) -> int:
        """See `AdvancingSource`; 0 where the source is none."""
        return self.source.advance_samples if isinstance(self.source, AdvancingSource) else 0

    @advance_samples.setter
    def advance_samples(self, value: int) -> None:
        if isinstance(self.source, AdvancingSource):
            self.source.advance_samples = value

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        """Return the next samples (see `AudioSource.read`)."""
        chunk = self.source.read(num_samples, timeout_s)
        return replace(chunk, samples=np.clip(chunk.samples * self._factor, -1.0, 1.0))

    def close(self) -> None:
        """Close the source; idempotent."""
        self.source.close()
