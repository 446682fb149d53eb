"""Resamplers with state: streamed in any chunking they equal one call over the whole signal.

Two of them, because of a measurement. soxr (quality HQ) is the cleanest, but it works in blocks
of a fast Fourier transform: fed in 10 ms chunks it holds back up to 21 ms (44.1 to 48 kHz), 37 ms
(48 to 16 kHz) or 175 ms (8 to 48 kHz), in bursts. That is fine for files and far too much for a
live voice. `PolyphaseResampler` applies a plain windowed-sinc filter, holds back 0.7 to 4 ms
always, and is used wherever samples arrive in real time.

Output sample n belongs to the input instant n / to_hz: no resampler shifts the signal in time.
Shape letters: S input samples, M output samples; L/M as in "up by L, down by M" in the formulas.
"""

from math import ceil, gcd
from typing import Final, Protocol

import numpy as np
import soxr

from rest_bridge.types import VOICE_RATE_HZ, FloatArray

_ZERO_CROSSINGS: Final = 32
"""Half length of the filter in samples of the slower rate: 80 dB at 10 % transition width."""
_KAISER_BETA: Final = 8.0
_ROLL_OFF: Final = 0.94
"""Cut-off over the slower rate's Nyquist frequency, so that the stop band begins about there."""
_MAX_PHASES: Final = 1024
"""Rates whose ratio needs a larger filter bank than this (44,056 Hz, say) go through soxr."""
_MAX_ROWS: Final = 256
"""Outputs computed at once: small enough that the gathered inputs stay in the cache."""


class Resampler(Protocol):
    """One signal's way from one rate to another."""

    def process(self, samples: FloatArray) -> FloatArray:
        """Feed float32 [S]; return the float32 [M] that can be computed now (perhaps none)."""
        ...

    def flush(self) -> FloatArray:
        """End the signal and return the rest, float32 [M]; nothing may be fed afterwards."""
        ...


def make_resampler(
    from_hz: int, to_hz: int = VOICE_RATE_HZ, *, low_delay: bool = False
) -> Resampler:
    """Choose a resampler.

    Args:
        from_hz: rate of the input.
        to_hz: rate of the output.
        low_delay: the signal is live: hold back a few milliseconds only.

    Returns:
        A resampler without history.
    """
    if from_hz == to_hz:
        return PassThrough()
    num_phases = to_hz // gcd(from_hz, to_hz)
    if low_delay and num_phases <= _MAX_PHASES:
        return PolyphaseResampler(from_hz, to_hz)
    # LQ avoids the transform for most odd ratios (0.5 to 1 ms) and still has over 110 dB.
    return SoxrResampler(from_hz, to_hz, quality="LQ" if low_delay else "HQ")


class PassThrough:
    """Equal rates: the samples as they are."""

    def process(self, samples: FloatArray) -> FloatArray:
        """Return the input."""
        return samples

    def flush(self) -> FloatArray:
        """Return nothing."""
        return np.zeros(0, np.float32)


class SoxrResampler:
    """The SoX resampler; best quality, delivers in bursts (see the module's first lines).

    Args:
        from_hz: rate of the input.
        to_hz: rate of the output.
        quality: soxr's recipe: LQ, MQ, HQ or VHQ.
    """

    def __init__(self, from_hz: int, to_hz: int, *, quality: str = "HQ") -> None:
        self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality=quality)

    def process(self, samples: FloatArray) -> FloatArray:
        """Feed float32 [S]; return what comes out."""
        return self._stream.resample_chunk(samples)

    def flush(self) -> FloatArray:
        """Return the rest."""
        return self._stream.resample_chunk(np.zeros(0, np.float32), last=True)


class PolyphaseResampler:
    """Windowed-sinc interpolation at rational ratios, one filter row per output phase.

    y[n] = sum_j x[b + j] w(b + j - n M / L) with b = floor(n M / L); the L possible rows w are
    computed once. Each output is one dot product over the same number of inputs, so that chunking
    cannot change a bit of it.

    Args:
        from_hz: rate of the input.
        to_hz: rate of the output.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        divisor = gcd(from_hz, to_hz)
        self._up, self._down = to_hz // divisor, from_hz // divisor
        self._half = ceil(_ZERO_CROSSINGS * max(1.0, from_hz / to_hz))
        self._bank = self._make_bank()
        # Index of the buffer's first sample; silence lies before the signal.
        self._first = 1 - self._half
        self._buffer = np.zeros(self._half - 1, np.float32)
        self._num_in = 0
        self._num_out = 0

    def process(self, samples: FloatArray) -> FloatArray:
        """Feed float32 [S]; return what can be computed now."""
        self._num_in += len(samples)
        self._buffer = np.concatenate((self._buffer, samples))
        # Output n reaches input floor(n M / L) + half; the last n for which that is there:
        newest = self._num_in - 1 - self._half
        end = 0 if newest < 0 else (newest * self._up + self._up - 1) // self._down + 1
        return self._advance(end)

    def flush(self) -> FloatArray:
        """Return the rest, so that the output lasts as long as the input (rounded up)."""
        total = -(-self._num_in * self._up // self._down)
        self._buffer = np.concatenate((self._buffer, np.zeros(self._half, np.float32)))
        return self._advance(total)

    def _make_bank(self) -> FloatArray:
        offsets = np.arange(1 - self._half, self._half + 1)
        times = offsets[None, :] - np.arange(self._up)[:, None] / self._up
        cutoff = _ROLL_OFF * min(1.0, self._up / self._down)
        inside = np.clip(1.0 - (times / self._half) ** 2, 0.0, None)
        window = np.i0(_KAISER_BETA * np.sqrt(inside)) / np.i0(_KAISER_BETA)
        rows = np.sinc(cutoff * times) * window
        rows /= rows.sum(axis=1, keepdims=True)  # a constant stays exactly that constant
        return rows.astype(np.float32)

    def _advance(self, end: int) -> FloatArray:
        parts: list[FloatArray] = []
        while self._num_out < end:
            numbers = np.arange(self._num_out, min(end, self._num_out + _MAX_ROWS), dtype=np.int64)
            bases, phases = np.divmod(numbers * self._down, self._up)
            windows = np.lib.stride_tricks.sliding_window_view(self._buffer, 2 * self._half)
            inputs = windows[bases + (1 - self._half) - self._first]
            parts.append(np.einsum("nt,nt->n", inputs, self._bank[phases]))
            self._num_out += len(numbers)
        # Keep what the next output needs.
        needed = self._num_out * self._down // self._up + 1 - self._half
        surplus = min(max(0, needed - self._first), len(self._buffer))
        self._buffer = self._buffer[surplus:]
        self._first += surplus
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def resample(samples: FloatArray, from_hz: int, to_hz: int = VOICE_RATE_HZ) -> FloatArray:
    """Resample a whole signal at once with the best quality.

    Args:
        samples: float32 [S].
        from_hz: rate of the input.
        to_hz: rate of the output.

    Returns:
        float32 [M].
    """
    resampler = make_resampler(from_hz, to_hz)
    return np.concatenate((resampler.process(samples), resampler.flush()))
