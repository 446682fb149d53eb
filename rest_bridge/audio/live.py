"""What every live source shares: native samples in, an endless voice at the media rate out.

A device's callback or reader thread writes into a ring and returns; the reader resamples, counts
and stamps. A device that delivers nothing (unplugged, WASAPI loopback while nothing plays, a sound
server that restarts) is replaced by silence at the pace of the clock, so that the face stays alive
and media time never stops. Knows no devices.
"""

import threading
from typing import Final

import numpy as np

from rest_bridge.audio.resample import make_resampler
from rest_bridge.clock import NS_PER_S, Clock, MonotonicClock
from rest_bridge.errors import SourceClosed, SourceError, SourceTimeout
from rest_bridge.handoff import SampleRing
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk, FloatArray

GRACE_NS: Final = 200_000_000
"""A gap longer than this is silence. Devices deliver every 10 ms; on a loaded machine 100 ms
occur, and what comes late then is better heard late than lost."""
_LATE_WINDOW_NS: Final = 2 * NS_PER_S
"""For so long after a gap, samples that arrive faster than real time count as late ones."""
_LATE_SLACK_NS: Final = 40_000_000
_RING_S: Final = 2.0
_POLL_S: Final = 0.02


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


class LiveFeed:
    """The way of one live signal from a device's thread to the reader.

    One thread writes; one reads. After a device was opened anew, with another rate perhaps,
    `start` begins a new stretch of the same endless signal.

    Args:
        name: of the source, for messages.
        clock: the time.
        grace_ns: how long the device may be silent before the clock takes over.
        poll_s: how often a waiting reader looks at the clock.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock | None = None,
        grace_ns: int = GRACE_NS,
        poll_s: float = _POLL_S,
    ) -> None:
        self._name = name
        self._clock = clock or MonotonicClock()
        self._grace_ns = grace_ns
        self._poll_s = poll_s
        self._lock = threading.Lock()
        self._ring = SampleRing(int(VOICE_RATE_HZ * _RING_S))
        self._rate_hz = VOICE_RATE_HZ
        self._written = 0  # by the device's thread, within the current stretch
        self._error: SourceError | None = None
        self._closed = False
        # From here on the reader's own.
        self._reader_ring = self._ring
        self._reader_rate_hz = VOICE_RATE_HZ
        self._resampler = make_resampler(VOICE_RATE_HZ, low_delay=True)
        self._fifo = SampleFifo()
        self._next_index = 0
        self._num_fed = 0  # samples that went into the current resampler
        self._base_index = 0  # index of the first sample that came out of it
        self._covered_ns = (
            self._clock.now_ns()
        )  # the signal is known, or filled, up to this instant
        self._debt = 0  # native samples of silence for which late samples may still arrive
        self._resumed_ns = 0
        self._filled_to_ns = 0
        self._num_resumed = 0  # native samples since then
        self._gap = False
        self.num_filled = 0
        self.num_late = 0
        self._num_overflows = 0

    @property
    def num_dropped(self) -> int:
        """Samples lost because the reader was too slow, and overflows the device reported."""
        return self._reader_ring.num_dropped + self._num_overflows

    # ------------------------------------------------------------------- the device's thread

    def start(self, rate_hz: int) -> None:
        """Begin a stretch of samples at a rate; call it before the device's first `write`."""
        with self._lock:
            self._ring.close()
            self._ring = SampleRing(int(rate_hz * _RING_S), rate_hz=rate_hz)
            self._rate_hz = rate_hz
            self._written = 0
            if self._closed:
                self._ring.close()

    def write(self, samples: FloatArray, captured_ns: int, *, lost: bool = False) -> None:
        """Copy samples in; never waits for the reader.

        Args:
            samples: float32 [S] mono at the stretch's rate.
            captured_ns: monotonic time of the last one.
            lost: the device reported an overflow before these.
        """
        self._num_overflows += lost
        self._ring.write(AudioChunk(samples, self._rate_hz, self._written, captured_ns, lost))
        self._written += len(samples)

    def fail(self, error: SourceError) -> None:
        """End the signal: `read` raises the error."""
        self._error = error
        self.close()

    def close(self) -> None:
        """End the signal: `read` raises SourceClosed."""
        with self._lock:
            self._closed = True
            self._ring.close()

    # ------------------------------------------------------------------- the reader's thread

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        """Return the next samples at the media rate (see `AudioSource.read`).

        Args:
            num_samples: exactly so many.
            timeout_s: how long to wait for them.

        Returns:
            The chunk; `discontinuity` says that silence replaces something, or something is lost.

        Raises:
            SourceTimeout: neither the device nor the clock delivered them in time.
            SourceClosed: the source was closed.
            SourceError: the device failed for good.
        """
        deadline_ns = self._clock.now_ns() + int(timeout_s * NS_PER_S)
        while self._fifo.num_samples < num_samples:
            if self._closed:
                raise self._error or SourceClosed(f"{self._name} was closed.")
            left_ns = deadline_ns - self._clock.now_ns()
            if not self._pull(min(self._poll_s, max(0.0, left_ns / NS_PER_S))) and left_ns <= 0:
                raise SourceTimeout(f"{self._name} delivered nothing for {timeout_s:.1f} s.")
        samples = self._fifo.pop(num_samples)
        first_index, self._next_index = self._next_index, self._next_index + num_samples
        gap, self._gap = self._gap, False
        # Everything fed so far ends at _covered_ns; this chunk ends that much earlier.
        ahead_s = (
            self._num_fed / self._reader_rate_hz
            - (self._next_index - self._base_index) / VOICE_RATE_HZ
        )
        captured_ns = self._covered_ns - int(ahead_s * NS_PER_S)
        return AudioChunk(samples, VOICE_RATE_HZ, first_index, captured_ns, gap)

    def _pull(self, wait_s: float) -> bool:
        """Move what has arrived, or what the clock says is missing; False if neither."""
        with self._lock:
            ring, rate_hz = self._ring, self._rate_hz
        if ring is not self._reader_ring and self._reader_ring.num_unread == 0:
            self._switch(ring, rate_hz)
        ring = self._reader_ring
        try:
            chunk = ring.read(max(1, ring.num_unread), wait_s)
        except (SourceTimeout, SourceClosed):
            return self._fill()
        self._take(chunk)
        return True

    def _switch(self, ring: SampleRing, rate_hz: int) -> None:
        self._num_overflows += self._reader_ring.num_dropped
        self._reader_ring = ring
        if rate_hz != self._reader_rate_hz:
            self._fifo.push(self._resampler.flush())
            self._base_index = self._next_index + self._fifo.num_samples
            self._num_fed = 0
            self._debt = self._debt * rate_hz // self._reader_rate_hz
            self._reader_rate_hz = rate_hz
            self._resampler = make_resampler(rate_hz, low_delay=True)

    def _take(self, chunk: AudioChunk) -> None:
        samples = chunk.samples
        self._gap |= chunk.discontinuity
        if self._debt:
            if not self._resumed_ns:
                self._resumed_ns = chunk.captured_ns
                self._num_resumed = 0
                self._filled_to_ns = self._covered_ns
            samples = self._without_late(samples, chunk.captured_ns)
            self._num_resumed += len(samples)
        self._feed(samples, max(chunk.captured_ns, self._covered_ns))

    def _without_late(self, samples: FloatArray, captured_ns: int) -> FloatArray:
        # Silence already stands where late samples belong: dropping those that come faster than
        # real time keeps media time on the clock. The slack is for the jitter of single blocks.
        if captured_ns - self._resumed_ns > _LATE_WINDOW_NS:
            self._debt = self._resumed_ns = 0
            return samples
        num_samples = self._num_resumed + len(samples)
        ahead_ns = self._filled_to_ns + num_samples * NS_PER_S // self._reader_rate_hz - captured_ns
        surplus = (ahead_ns - _LATE_SLACK_NS) * self._reader_rate_hz // NS_PER_S
        late = min(self._debt, len(samples), surplus)
        if late <= 0:
            return samples
        self._debt -= late
        self.num_late += late
        return samples[late:]

    def _fill(self) -> bool:
        now_ns = self._clock.now_ns()
        missing_ns = now_ns - self._covered_ns
        if missing_ns < self._grace_ns and not (self._debt and not self._resumed_ns):
            return False
        missing = missing_ns * self._reader_rate_hz // NS_PER_S
        if missing <= 0:
            return False
        self._debt += missing
        self._resumed_ns = 0
        self.num_filled += missing
        self._gap = True
        self._feed(np.zeros(missing, np.float32), now_ns)
        return True

    def _feed(self, samples: FloatArray, covered_ns: int) -> None:
        self._covered_ns = covered_ns
        self._num_fed += len(samples)
        self._fifo.push(self._resampler.process(samples))
