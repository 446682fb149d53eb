"""A voice that says nothing, at the pace of the clock: what is heard where nobody speaks."""

import threading

import numpy as np

from rest_bridge.audio.closing import ClosingSource
from rest_bridge.clock import NS_PER_S, Clock, MonotonicClock
from rest_bridge.errors import SourceClosed, SourceTimeout
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk


class SilenceSource(ClosingSource):
    """Endless silence; live."""

    name = "silence"
    sample_rate_hz = VOICE_RATE_HZ
    live = True

    def __init__(self, clock: Clock | None = None) -> None:
        """Begin now.

        Args:
            clock: paces; a test gives its own.
        """
        self._clock = clock or MonotonicClock()
        self._origin_ns = self._clock.now_ns()
        self._next_index = 0
        self._stop = threading.Event()

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        """Return silence when its time has come (see `AudioSource.read`).

        Args:
            num_samples: how much.
            timeout_s: how long to wait for its time.

        Returns:
            The chunk.

        Raises:
            SourceTimeout: it is not due within `timeout_s`.
            SourceClosed: it was closed.
        """
        end = self._next_index + num_samples
        due_ns = self._origin_ns + end * NS_PER_S // VOICE_RATE_HZ
        deadline_ns = self._clock.now_ns() + int(timeout_s * NS_PER_S)
        if not self._clock.wait_until(min(due_ns, deadline_ns), self._stop):
            raise SourceClosed("The silence was closed.")
        if due_ns > deadline_ns:
            raise SourceTimeout(f"The silence is not due within {timeout_s:.1f} s.")
        first, self._next_index = self._next_index, end
        return AudioChunk(np.zeros(num_samples, np.float32), VOICE_RATE_HZ, first, due_ns)

    def close(self) -> None:
        """End it; idempotent."""
        self._stop.set()
