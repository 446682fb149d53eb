"""Samples between a resampler, which gives what it can, and a reader that asks for exact numbers.

Shape letters: S samples.
"""

import numpy as np

from rest_bridge.types import FloatArray


class SampleFifo:
    """Samples between a resampler and a reader that asks for exact numbers; one thread only."""

    def __init__(self) -> None:
        self._parts: list[FloatArray] = []
        self.num_samples = 0

    def push(self, samples: FloatArray) -> None:
        """Append float32 [S]."""
        if len(samples):
            self._parts.append(samples)
            self.num_samples += len(samples)

    def pop(self, num_samples: int) -> FloatArray:
        """Remove and return the oldest samples; fewer if fewer are there."""
        if not self._parts:
            return np.zeros(0, np.float32)
        joined = self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)
        taken, rest = joined[:num_samples], joined[num_samples:]
        self._parts = [rest] if len(rest) else []
        self.num_samples = len(rest)
        return taken
