"""An audio file as a source: as fast as it decodes, or paced like a live voice."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from rest_bridge.audio.closing import ClosingSource
from rest_bridge.audio.decode import AudioDecoder, is_cut_off
from rest_bridge.audio.fifo import SampleFifo
from rest_bridge.audio.resample import Resampler, make_resampler
from rest_bridge.clock import NS_PER_S, Clock, MonotonicClock
from rest_bridge.errors import SourceClosed, SourceError, SourceTimeout
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk, FloatArray

AUDIBLE: Final = 1e-4
"""Samples below this (-80 dBFS) are silence."""
_SILENCE_SCAN_S: Final = 60.0
_SLEPT_NS: Final = 2 * NS_PER_S
"""A reader that comes so much too late has slept."""

_log = logging.getLogger(__name__)


class FileSource(ClosingSource):
    """Reads an audio file of any format, rate and channel count.

    Opening it decodes up to the first audible sample, so that a bad file is refused at once and a
    silent one is announced.

    Args:
        path: the file.
        paced: deliver in real time, like a microphone; else as fast as it decodes.
        loop: start again at the end, without a gap.
        clock: paces; a test gives its own.

    Raises:
        SourceError: the file cannot be used; the message says why and what to do.
    """

    sample_rate_hz = VOICE_RATE_HZ

    def __init__(
        self, path: Path, *, paced: bool = True, loop: bool = False, clock: Clock | None = None
    ) -> None:
        self.name = path.name
        self.live = paced
        self._path = path
        self._loop = loop
        self._clock = clock or MonotonicClock()
        self._lock = threading.Lock()  # around the decoder: closing it mid-decode would crash
        self._stop = threading.Event()
        self._next_index = 0
        self._origin_ns: int | None = None
        self._fifo = SampleFifo()
        _warn_if_silent(path)
        self._decoder = AudioDecoder(path)
        self.duration_s = self._decoder.duration_s
        self._voice = self._decode()
        self._ended = False

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        """Return the next samples (see `AudioSource.read`).

        Args:
            num_samples: exactly so many, fewer at the end of the file.
            timeout_s: how long a paced file may wait for its time.

        Returns:
            The chunk.

        Raises:
            SourceTimeout: a paced file's samples are not due within `timeout_s`.
            SourceClosed: end of file, or closed.
        """
        with self._lock:
            self._fill(num_samples)
            available = min(num_samples, self._fifo.num_samples)
        if self._stop.is_set() or available == 0:
            raise SourceClosed(f"{self.name} has ended.")
        now_ns = self._clock.now_ns()
        if self._origin_ns is None:
            self._origin_ns = now_ns
        captured_ns = now_ns
        if self.live:
            end_index = self._next_index + available
            captured_ns = self._origin_ns + end_index * NS_PER_S // VOICE_RATE_HZ
            if now_ns - captured_ns > _SLEPT_NS:  # the computer slept: go on from now
                self._origin_ns += now_ns - captured_ns
                captured_ns = now_ns
            self._wait_until(captured_ns, now_ns + int(timeout_s * NS_PER_S), timeout_s)
        samples = self._fifo.pop(available)
        first_index, self._next_index = self._next_index, self._next_index + available
        return AudioChunk(samples, VOICE_RATE_HZ, first_index, captured_ns)

    def close(self) -> None:
        """Close the file; wakes a reader that waits. Idempotent."""
        self._stop.set()
        with self._lock:
            self._ended = True
            self._decoder.close()

    def _wait_until(self, due_ns: int, deadline_ns: int, timeout_s: float) -> None:
        in_time = due_ns <= deadline_ns
        if not self._clock.wait_until(due_ns if in_time else deadline_ns, self._stop):
            raise SourceClosed(f"{self.name} was closed.")
        if not in_time:
            raise SourceTimeout(f"{self.name}: the samples are not due within {timeout_s:.1f} s.")

    def _fill(self, num_samples: int) -> None:
        while not self._ended and self._fifo.num_samples < num_samples:
            part = next(self._voice, None)
            if part is not None:
                self._fifo.push(part)
            elif self._loop:
                self._decoder.close()
                self._decoder = AudioDecoder(self._path)
                self._voice = self._decode()
            else:
                self._ended = True

    def _decode(self) -> Iterator[FloatArray]:
        """Yield the file once, at the media rate; warn about what was damaged."""
        resampler: Resampler = make_resampler(VOICE_RATE_HZ)
        rate_hz, seconds = VOICE_RATE_HZ, 0.0
        for samples, frame_rate_hz in self._decoder.frames():
            if frame_rate_hz != rate_hz:  # chained streams may change their rate
                yield resampler.flush()
                rate_hz, resampler = frame_rate_hz, make_resampler(frame_rate_hz)
            seconds += len(samples) / rate_hz
            yield resampler.process(samples)
        yield resampler.flush()
        _warn_if_damaged(self._path, self._decoder, seconds)


def _warn_if_damaged(path: Path, decoder: AudioDecoder, seconds: float) -> None:
    declared_s = decoder.duration_s or 0.0
    if is_cut_off(path) or decoder.num_damaged or declared_s - seconds > 0.5:
        _log.warning(
            "The audio file is cut off or damaged; %.1f s of it could be read: %s", seconds, path
        )


def _warn_if_silent(path: Path) -> None:
    """Refuse a file without samples; warn about one in which nothing is heard."""
    decoder = AudioDecoder(path)
    seconds, num_samples = 0.0, 0
    try:
        for samples, rate_hz in decoder.frames():
            num_samples += len(samples)
            seconds += len(samples) / rate_hz
            if float(np.abs(samples).max(initial=0.0)) > AUDIBLE or seconds > _SILENCE_SCAN_S:
                return
    finally:
        decoder.close()
    if num_samples == 0 and decoder.num_damaged:
        raise SourceError(
            f"Nothing in this file can be decoded as sound; convert it or record it again: {path}"
        )
    if num_samples == 0:
        raise SourceError(f"The audio file holds no samples (0 s); record it again: {path}")
    _log.warning("The audio file is silent; the face will idle: %s", path)
