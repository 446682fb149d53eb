"""What every live source shares: native samples in, an endless voice at the media rate out.

A device's callback or reader thread writes into a ring and returns; the reader resamples, counts
and stamps. A device that delivers nothing (unplugged, WASAPI loopback while nothing plays, a sound
server that restarts) is replaced by silence at the pace of the clock, so that the face stays alive
and media time never stops. A device's crystal is followed, and its samples are read so much faster
or slower that 48,000 of ours are a second of the computer's clock, for hours. Knows no devices.
"""

import threading
from typing import Final

import numpy as np

from rest_bridge.audio.fifo import SampleFifo
from rest_bridge.audio.resample import make_resampler
from rest_bridge.clock import NS_PER_S, Clock, MonotonicClock
from rest_bridge.errors import SourceClosed, SourceError, SourceTimeout
from rest_bridge.handoff import SampleRing
from rest_bridge.sound.drift import RateTracker
from rest_bridge.sound.health import DeviceHealth
from rest_bridge.sound.varispeed import Varispeed
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk, FloatArray

GRACE_NS: Final = 200_000_000
"""A gap longer than this is silence. Devices deliver every 10 ms; on a loaded machine 100 ms
occur, and what comes late then is better heard late than lost."""
_LATE_WINDOW_NS: Final = 2 * NS_PER_S
"""For so long after a gap, samples that arrive faster than real time count as late ones."""
_LATE_SLACK_NS: Final = 40_000_000
_RING_S: Final = 2.0
_SLEPT_NS: Final = NS_PER_S
"""Whoever looks again only after so long has slept: that time is cut out, not filled."""
_PULL_S: Final = 20.0
"""Time constant with which an error of the count is worn off."""
_POLL_S: Final = 0.02
_SETTLE_NS: Final = 4 * NS_PER_S
_SETTLED_S: Final = 0.012


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
        self._num_resampled = 0  # samples that came out of it
        self._tracker = RateTracker(VOICE_RATE_HZ)
        self._varispeed = Varispeed()
        self._speed = 1.0
        self._origin_ns: int | None = None  # when sample 0 happened; fixed once the rate is known
        self._error_s = 0.0
        self._gap_ns = 0  # when silence was put in last, until the samples behind it have settled
        # The signal is known, or filled, up to this instant.
        self._covered_ns = self._looked_ns = self._clock.now_ns()
        self._debt = 0  # native samples of silence for which late samples may still arrive
        self._resumed_ns = 0
        self._filled_to_ns = 0
        self._num_resumed = 0  # native samples since then
        self._gap = False
        self.num_filled = 0
        self.num_late = 0
        self._num_overflows = 0
        self._num_jumps = 0

    @property
    def num_dropped(self) -> int:
        """Samples lost because the reader was too slow, and overflows the device reported."""
        return self._reader_ring.num_dropped + self._num_overflows

    def health(self, name: str, *, lost: bool, losses: int) -> DeviceHealth:
        """Return how the device and its clock do.

        Args:
            name: of the device.
            lost: it is gone at the moment.
            losses: how often it has gone.

        Returns:
            The numbers, for status.
        """
        tracker = self._tracker
        return DeviceHealth(
            "voice in",
            name,
            lost=lost,
            losses=losses,
            ppm=round(tracker.ppm, 1),
            locked=tracker.locked,
            correction_ppm=round((self._varispeed.speed - 1.0) * 1e6, 1),
            error_ms=round(self._error_s * 1000, 2),
            fill_ms=round(self._waiting_s() * 1000, 1),
            filled_ms=round(self.num_filled * 1000 / self._reader_rate_hz, 1),
            skipped_ms=round(self.num_late * 1000 / self._reader_rate_hz, 1),
            underruns=self._num_overflows,
            jumps=self._num_jumps,
        )

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
        captured_ns = self._covered_ns - round(self._waiting_s() * NS_PER_S)
        return AudioChunk(samples, VOICE_RATE_HZ, first_index, captured_ns, gap)

    def _pull(self, wait_s: float) -> bool:
        """Move what has arrived, or what the clock says is missing; False if neither."""
        now_ns = self._clock.now_ns()
        if now_ns - self._looked_ns > _SLEPT_NS:
            self._wake(now_ns)
        self._looked_ns = now_ns
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

    def _wake(self, now_ns: int) -> None:
        """Cut out the time in which the computer slept, or the process was stopped."""
        missing_ns = now_ns - self._covered_ns
        with self._lock:
            self._ring.skip_to_newest()
        self._reader_ring.skip_to_newest()
        if self._origin_ns is not None:
            self._origin_ns += missing_ns
        self._covered_ns = self._looked_ns = now_ns
        self._debt += missing_ns * self._reader_rate_hz // NS_PER_S
        self._resumed_ns = 0
        self._gap = True
        self._num_jumps += 1
        self._tracker.restart()
        self._gap_ns = now_ns

    def _switch(self, ring: SampleRing, rate_hz: int) -> None:
        self._num_overflows += self._reader_ring.num_dropped
        self._reader_ring = ring
        self._tracker.restart()
        if rate_hz != self._reader_rate_hz:
            self._fifo.push(self._varispeed.process(self._resampler.flush(), self._speed))
            self._num_fed = self._num_resampled = 0
            self._debt = self._debt * rate_hz // self._reader_rate_hz
            self._reader_rate_hz = rate_hz
            self._resampler = make_resampler(rate_hz, low_delay=True)
            self._tracker = RateTracker(rate_hz)

    def _take(self, chunk: AudioChunk) -> None:
        samples = chunk.samples
        self._gap |= chunk.discontinuity
        covered_ns = max(chunk.captured_ns, self._covered_ns)
        if self._debt:
            if not self._resumed_ns:
                self._resumed_ns = chunk.captured_ns
                self._num_resumed = 0
                self._filled_to_ns = self._covered_ns
            samples = self._without_late(samples, chunk.captured_ns)
            self._num_resumed += len(samples)
        else:
            covered_ns = self._follow(chunk)
            samples = self._settled(samples, covered_ns)
        self._feed(samples, covered_ns)

    def _follow(self, chunk: AudioChunk) -> int:
        """Learn the device's rate and set the speed; returns when the chunk's last sample was."""
        end = chunk.first_index + len(chunk.samples)
        self._tracker.observe(end, chunk.captured_ns)
        end_ns = self._tracker.time_ns(end)
        fed = self._next_index / VOICE_RATE_HZ + self._waiting_s()
        fed_ns = round((fed + len(chunk.samples) / self._reader_rate_hz) * NS_PER_S)
        if self._origin_ns is None or (self._speed == 1.0 and not self._tracker.locked):
            self._origin_ns = end_ns - fed_ns
        if self._speed != 1.0 or self._tracker.locked:
            # Late samples are too few: each of them has to make a little more of ours.
            self._error_s = (end_ns - self._origin_ns - fed_ns) / NS_PER_S
            self._speed = 1.0 / (1.0 + self._tracker.rate_error + self._error_s / _PULL_S)
        return end_ns

    def _settled(self, samples: FloatArray, now_ns: int) -> FloatArray:
        """A while after a gap, when its end is known well, put the samples there at once."""
        if not self._gap_ns or now_ns - self._gap_ns < _SETTLE_NS:
            return samples
        self._gap_ns = 0
        off = round(self._error_s * self._reader_rate_hz)
        if self._speed == 1.0 or abs(self._error_s) < _SETTLED_S:
            return samples
        self._gap = True
        if off > 0:
            self.num_filled += off
            return np.concatenate((np.zeros(min(off, self._reader_rate_hz), np.float32), samples))
        self.num_late += min(-off, len(samples))
        if -off > len(samples):
            self._gap_ns = now_ns - _SETTLE_NS  # the rest from what comes next
        return samples[min(-off, len(samples)) :]

    def _waiting_s(self) -> float:
        """Return how much of what was fed has not been read."""
        inside = self._num_fed * (VOICE_RATE_HZ / self._reader_rate_hz) - self._num_resampled
        return (self._fifo.num_samples + self._varispeed.held + inside) / VOICE_RATE_HZ

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
        if now_ns - self._looked_ns > _SLEPT_NS:  # it happened while we waited
            self._wake(now_ns)
            return True
        if missing_ns < self._grace_ns and not (self._debt and not self._resumed_ns):
            return False
        missing = missing_ns * self._reader_rate_hz // NS_PER_S
        if missing <= 0:
            return False
        self._debt += missing
        self._resumed_ns = 0
        self._tracker.restart()
        self._gap_ns = now_ns
        self.num_filled += missing
        self._gap = True
        self._feed(np.zeros(missing, np.float32), now_ns)
        return True

    def _feed(self, samples: FloatArray, covered_ns: int) -> None:
        self._covered_ns = covered_ns
        self._num_fed += len(samples)
        even = self._resampler.process(samples)
        self._num_resampled += len(even)
        self._fifo.push(self._varispeed.process(even, self._speed))
