"""Reads a signal a little faster or slower than it was written: the tuning screw of the clocks.

Windowed-sinc interpolation with a bank of 512 phases and linear interpolation between them. Where
the speed is exactly one and the position whole, samples pass bit by bit and at once.
Shape letters: S input samples, M output samples, T taps.
"""

from typing import Final

import numpy as np

from rest_bridge.types import FloatArray

HALF_TAPS: Final = 16
"""Samples needed on either side of a position."""
MAX_SPEED_ERROR: Final = 1000e-6
"""Two hundredths of a semitone: nobody hears it, and it moves a millisecond in a second."""
_NUM_PHASES: Final = 512
_KAISER_BETA: Final = 9.0
_GLIDE_PER_SAMPLE: Final = 5e-9
"""The speed changes by at most 2.4 ppm in 10 ms."""


def _make_bank() -> FloatArray:
    offsets = np.arange(1 - HALF_TAPS, HALF_TAPS + 1)
    times = offsets[None, :] - np.arange(_NUM_PHASES + 1)[:, None] / _NUM_PHASES
    inside = np.clip(1.0 - (times / HALF_TAPS) ** 2, 0.0, None)
    rows = np.sinc(times) * np.i0(_KAISER_BETA * np.sqrt(inside)) / np.i0(_KAISER_BETA)
    rows /= rows.sum(axis=1, keepdims=True)
    rows[0] = offsets == 0  # exactly, so that whole positions are copies
    rows[-1] = offsets == 1
    return rows.astype(np.float32)


_BANK: Final = _make_bank()


def interpolate(samples: FloatArray, positions: "np.ndarray[tuple[int], np.dtype[np.float64]]"):
    """Return the signal between its samples.

    Args:
        samples: float32 [S].
        positions: float64 [M], each at least HALF_TAPS - 1 and below S - HALF_TAPS.

    Returns:
        float32 [M].
    """
    bases = positions.astype(np.int64)
    phases = (positions - bases) * _NUM_PHASES
    rows = phases.astype(np.int64)
    between = (phases - rows).astype(np.float32)[:, None]
    windows = np.lib.stride_tricks.sliding_window_view(samples, 2 * HALF_TAPS)
    inputs = windows[bases + (1 - HALF_TAPS)]
    weights = _BANK[rows]
    weights = weights + between * (_BANK[rows + 1] - weights)
    return np.einsum("nt,nt->n", inputs, weights)


class Glide:
    """A speed that follows what is wanted of it without a step."""

    def __init__(self) -> None:
        self.speed = 1.0

    def positions(
        self, start: float, num_samples: int, wanted: float
    ) -> tuple["np.ndarray[tuple[int], np.dtype[np.float64]]", float]:
        """Return where the next outputs lie, gliding to a speed.

        Args:
            start: position of the first one.
            num_samples: how many.
            wanted: input samples for each output sample; bounded to 1 +- MAX_SPEED_ERROR.

        Returns:
            positions: float64 [num_samples].
            end: position of the output after the last one.
        """
        wanted = min(1.0 + MAX_SPEED_ERROR, max(1.0 - MAX_SPEED_ERROR, wanted))
        limit = _GLIDE_PER_SAMPLE * num_samples
        change = min(limit, max(-limit, wanted - self.speed))
        steps = np.arange(num_samples + 1, dtype=np.float64)
        moved = steps * self.speed
        if change:
            moved += steps * steps * (change / (2.0 * max(1, num_samples)))
        self.speed += change
        return start + moved[:-1], start + float(moved[-1])


class Varispeed:
    """A stream at a speed that may change with every call; once it did, 16 samples are held."""

    def __init__(self) -> None:
        self._glide = Glide()
        self._buffer = np.zeros(HALF_TAPS - 1, np.float32)
        self._position = float(HALF_TAPS - 1)  # of the next output, in the buffer

    @property
    def speed(self) -> float:
        """Input samples taken for each output sample."""
        return self._glide.speed

    @property
    def held(self) -> float:
        """Input samples that are in and not yet out."""
        return len(self._buffer) - self._position

    def process(self, samples: FloatArray, speed: float = 1.0) -> FloatArray:
        """Feed samples and return what can be computed of them.

        Args:
            samples: float32 [S].
            speed: input samples for each output sample, within 1 +- MAX_SPEED_ERROR.

        Returns:
            float32 [M].
        """
        self._buffer = np.concatenate((self._buffer, samples))
        room = len(self._buffer) - HALF_TAPS - self._position
        if speed == 1.0 == self._glide.speed and self._position.is_integer():
            out = self._buffer[int(self._position) :]
            self._position = float(len(self._buffer))
        else:
            num_out = max(0, int(room / (1.0 + MAX_SPEED_ERROR)))
            positions, self._position = self._glide.positions(self._position, num_out, speed)
            out = interpolate(self._buffer, positions) if num_out else samples[:0]
        surplus = min(int(self._position) - (HALF_TAPS - 1), len(self._buffer))
        if surplus > 0:
            self._buffer = self._buffer[surplus:]
            self._position -= surplus
        return out.copy() if out.base is not None else out
