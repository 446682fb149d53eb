"""Between frames that come every 40 ms and a sound card that asks every 10 ms by its own clock.

Holds as little as keeps the sound unbroken, and follows the card's clock: crystals differ by up to
200 ppm, which is 40 minutes of streaming for half a second of lag. The correction stretches single
frames by a sample or two, far below what can be heard. Knows no devices.
"""

from typing import Final

import numpy as np

from rest_bridge.handoff import SampleRing
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk, FloatArray

_CAPACITY_S: Final = 2.0
_SMOOTHING: Final = 0.02
"""Weight of one frame in the running mean of the fill: a time constant of two seconds."""
_TOO_MUCH_S: Final = 0.08
"""So much more than wanted is a stall of the card, not drift: skip to what is wanted."""
_TOO_MUCH_AT_START_S: Final = 0.025
_START_FRAMES: Final = 50
"""At first frames may come in a burst that waited for the card to open: skip to the newest."""
_CORRECTIONS: Final = ((0.020, 4), (0.010, 2), (0.004, 1))
"""Mean error in seconds -> samples by which a frame of 1920 is stretched or shrunk."""


class Playout:
    """One voice on its way to a sound card.

    One thread pushes frames, another (the card's callback) pulls.

    Args:
        reserve_s: what should be left when the next frame comes: the jitter of both sides.
    """

    def __init__(self, reserve_s: float) -> None:
        self._reserve = round(reserve_s * VOICE_RATE_HZ)
        self._ring = SampleRing(round((_CAPACITY_S + reserve_s) * VOICE_RATE_HZ))
        self._written = 0
        self._playing = False
        self._num_frames = 0  # since the voice began, or began again after an underrun
        self._mean_error = 0.0  # samples more than the reserve, when a frame comes
        self._previous = np.float32(0.0)
        self.num_underruns = 0
        self.num_skipped = 0
        self.num_stretched = 0  # samples inserted (+) or taken out (-) against drift

    @property
    def fill_s(self) -> float:
        """Seconds of voice that wait."""
        return self._ring.num_unread / VOICE_RATE_HZ

    def push(self, samples: FloatArray) -> None:
        """Append a frame's voice.

        Args:
            samples: float32 [S].
        """
        if not self._playing:
            # Silence of the length of the reserve: from now on it is left when a frame comes.
            self._write(np.zeros(self._reserve, np.float32))
            self._mean_error, self._num_frames = 0.0, 0
            self._playing = True
        else:
            self._num_frames += 1
            samples = self._corrected(samples)
        self._write(samples)

    def pull(self, num_samples: int) -> FloatArray:
        """Return what the card shall play now.

        Args:
            num_samples: how many.

        Returns:
            float32 [num_samples]; silence where nothing waits.
        """
        out = np.zeros(num_samples, np.float32)
        if not self._playing:
            return out
        available = min(num_samples, self._ring.num_unread)
        if available:
            out[:available] = self._ring.read(available, 0.0).samples
        if available < num_samples:
            self.num_underruns += 1
            self._playing = False
        return out

    def _corrected(self, samples: FloatArray) -> FloatArray:
        error = self._ring.num_unread - self._reserve
        begins = self._num_frames <= _START_FRAMES
        too_much_s = _TOO_MUCH_AT_START_S if begins else _TOO_MUCH_S
        if error > too_much_s * VOICE_RATE_HZ:
            self._ring.read(error, 0.0)
            self.num_skipped += error
            self._mean_error = 0.0
            return samples
        self._mean_error += _SMOOTHING * (error - self._mean_error)
        size_s = abs(self._mean_error) / VOICE_RATE_HZ
        amount = next((step for limit_s, step in _CORRECTIONS if size_s > limit_s), 0)
        if amount == 0 or len(samples) <= 2 * amount:
            return samples
        change = -amount if self._mean_error > 0 else amount
        self.num_stretched += change
        self._mean_error += change
        return stretch(samples, len(samples) + change, self._previous)

    def _write(self, samples: FloatArray) -> None:
        if len(samples):
            self._previous = samples[-1]
            self._ring.write(AudioChunk(samples, VOICE_RATE_HZ, self._written, 0))
            self._written += len(samples)


def stretch(samples: FloatArray, num_out: int, previous: np.float32) -> FloatArray:
    """Play a few milliseconds a little slower or faster (cubic interpolation).

    Args:
        samples: float32 [S].
        num_out: how many samples to make of them.
        previous: the sample before the first one.

    Returns:
        float32 [num_out].
    """
    positions = np.arange(num_out) * (len(samples) / num_out)
    base = positions.astype(np.int64)
    t = (positions - base).astype(np.float32)
    padded = np.concatenate(([previous], samples, samples[-1:], samples[-1:]))
    p0, p1, p2, p3 = (padded[base + offset] for offset in range(4))
    # Catmull-Rom through p1 and p2.
    a = 0.5 * (3 * (p1 - p2) + p3 - p0)
    b = p0 - 2.5 * p1 + 2 * p2 - 0.5 * p3
    c = 0.5 * (p2 - p0)
    return np.asarray(((a * t + b) * t + c) * t + p1, np.float32)
