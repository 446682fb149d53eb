"""Lets a voice through only while it is loud enough: fans, keyboards and neighbours stay out."""

from dataclasses import replace
from typing import Final

import numpy as np

from rest_bridge.audio.wrapped import WrappedSource
from rest_bridge.types import AudioChunk, AudioSource

OFF_DB: Final = -90.0
_HOLD_S: Final = 0.3
"""Ends of words are quiet: the gate stays open so long after the last loud piece."""
_FADE_S: Final = 0.05


class GateSource(WrappedSource):
    """Another source, silent while it is quieter than a threshold.

    It opens with the whole piece that is loud enough (10 ms), so that no onset is cut, holds, and
    closes softly.

    Args:
        source: to listen through; closed with this one.
        threshold_db: root mean square of a piece, decibels of full scale.
    """

    def __init__(self, source: AudioSource, threshold_db: float) -> None:
        super().__init__(source)
        self._threshold = 10 ** (threshold_db / 20)
        self._open_for_s = 0.0

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        """Return the next samples (see `AudioSource.read`)."""
        chunk = self.source.read(num_samples, timeout_s)
        samples = chunk.samples
        if not len(samples):
            return chunk
        if float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) >= self._threshold:
            self._open_for_s = _HOLD_S + _FADE_S
        begin_s = self._open_for_s
        self._open_for_s = max(0.0, begin_s - len(samples) / self.sample_rate_hz)
        if begin_s - len(samples) / self.sample_rate_hz >= _FADE_S:
            return chunk
        left_s = begin_s - np.arange(len(samples)) / self.sample_rate_hz
        gain = np.clip(left_s / _FADE_S, 0.0, 1.0).astype(np.float32)
        return replace(chunk, samples=samples * gain)
