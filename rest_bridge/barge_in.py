"""What remains to be heard of a voice that was cut: five milliseconds of fade, then silence.

The presenter asks it about every sample that leaves. Shape letters: S samples.
"""

from typing import Final

import numpy as np

from rest_bridge.types import VOICE_RATE_HZ, FloatArray

FADE_SAMPLES: Final = VOICE_RATE_HZ // 200


class BargeIn:
    """Silences a span of the voice, addressed by media index."""

    def __init__(self) -> None:
        """Begin with nothing cut."""
        self._first = 0
        self._end = 0
        self._fade = np.zeros(0, np.float32)

    def cut(self, first_index: int, end_index: int, tail: FloatArray) -> None:
        """Let a span be silent.

        Args:
            first_index: media index of its first sample, which is heard next.
            end_index: of the sample behind its last one.
            tail: float32 [FADE_SAMPLES], what would have been heard next; fades out instead.
        """
        self._first, self._end = first_index, end_index
        self._fade = tail * np.linspace(1.0, 0.0, len(tail), dtype=np.float32)

    def apply(self, first_index: int, samples: FloatArray) -> FloatArray:
        """Return samples as they are to be heard.

        Args:
            first_index: media index of the first one.
            samples: float32 [S]; not modified.

        Returns:
            float32 [S]; the same array where nothing of it was cut.
        """
        begin = max(0, self._first - first_index)
        end = min(len(samples), self._end - first_index)
        if begin >= end:
            return samples
        heard = samples.copy()
        heard[begin:end] = 0.0
        offset = first_index + begin - self._first
        fade = self._fade[offset : offset + end - begin]
        heard[begin : begin + len(fade)] = fade
        return heard
