"""How long sound really takes: chirps played to an output, found in what a source hears.

What devices report is not what they do, so it is measured: from the moment a sample is handed to
the output until it comes back from a microphone near it, or from the output's own monitor.
"""

import threading
import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from rest_bridge.errors import SinkUnavailable
from rest_bridge.sinks.playout import Playout
from rest_bridge.sinks.voice_output import VoiceOutput
from rest_bridge.sound import cable
from rest_bridge.sync_listeners import Ear
from rest_bridge.types import VOICE_RATE_HZ, FloatArray, FrameFormat

_EVERY: Final = VOICE_RATE_HZ // 2
_LENGTH: Final = VOICE_RATE_HZ // 20
_FROM_HZ: Final = 800.0
_TO_HZ: Final = 6000.0
_LEVEL: Final = 0.5
_LONGEST_S: Final = 0.45
"""Chirps come twice a second: a longer way would be taken for a shorter one."""
_LEAST_LIKENESS: Final = 0.35
"""Of a heard chirp with the played one, as a correlation: loudspeakers and rooms change it."""


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What was measured.

    Attributes:
        output: where the chirps were played.
        source: where they were heard.
        num_played: chirps.
        num_heard: of them.
        round_trip_ms: from handing a sample to the output to capturing it, median.
        spread_ms: from the quickest to the slowest tenth.
        reported_ms: what the output says of its own delay, median.
        level_db: of what was heard, against what was played.
    """

    output: str
    source: str
    num_played: int
    num_heard: int
    round_trip_ms: float
    spread_ms: float
    reported_ms: float
    level_db: float


def chirp() -> FloatArray:
    """Return float32 [S]: 50 ms that rise from 800 to 6000 Hz, soft at both ends."""
    times = np.arange(_LENGTH) / VOICE_RATE_HZ
    length_s = _LENGTH / VOICE_RATE_HZ
    phase = 2 * np.pi * (_FROM_HZ * times + (_TO_HZ - _FROM_HZ) * times**2 / (2 * length_s))
    return (_LEVEL * np.sin(phase) * np.hanning(_LENGTH)).astype(np.float32)


class ChirpPlayout(Playout):
    """Gives a sound card chirps instead of a voice, and notes when it took them."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self._chirp = chirp()
        self._taken = 0
        self._guard = threading.Lock()
        self.handed: list[tuple[int, int]] = []
        """When the card took the first sample of each chirp, and when it said it would sound."""

    def pull(self, num_samples: int, heard_ns: int) -> FloatArray:
        """Return the next samples of the chirps."""
        now_ns = time.monotonic_ns()
        places = (self._taken + np.arange(num_samples)) % _EVERY
        out = np.where(places < _LENGTH, self._chirp[np.minimum(places, _LENGTH - 1)], 0.0)
        for begin in np.flatnonzero(places == 0):
            after_ns = int(begin) * 1_000_000_000 // VOICE_RATE_HZ
            with self._guard:
                self.handed.append((now_ns + after_ns, heard_ns + after_ns))
        self._taken += num_samples
        return out.astype(np.float32)


def find_chirps(samples: FloatArray) -> list[tuple[int, float]]:
    """Return where chirps begin in float32 [S], and how loud they are (1 = as played)."""
    pattern = chirp()
    if len(samples) < 2 * _LENGTH:
        return []
    size = 1 << int(np.ceil(np.log2(len(samples) + _LENGTH)))
    product = np.fft.rfft(samples, size) * np.conj(np.fft.rfft(pattern, size))
    matched = np.fft.irfft(product, size)[: len(samples) - _LENGTH + 1]
    sums = np.concatenate(([0.0], np.cumsum(np.square(samples, dtype=np.float64))))
    energy = np.sqrt(np.maximum(sums[_LENGTH:] - sums[:-_LENGTH], 1e-12))
    norm = float(np.linalg.norm(pattern))
    likeness = matched / (energy * norm)
    likeness[energy < norm * 1e-3] = 0.0  # silence
    found: list[tuple[int, float]] = []
    for begin in range(0, len(likeness), _EVERY // 2):
        part = likeness[begin : begin + _EVERY // 2]
        best = begin + int(part.argmax())
        around = likeness[max(0, best - _EVERY // 4) : best + _EVERY // 4]
        if likeness[best] >= max(_LEAST_LIKENESS, float(around.max())):
            found.append((best, float(matched[best] / norm**2)))
    return found


def measure(output: str, source: str, *, seconds: float = 5.0) -> RoundTrip:
    """Play chirps and hear them.

    Args:
        output: as for `voice_out.device`.
        source: what hears it, as for `audio.source`.
        seconds: how long.

    Returns:
        The figures.

    Raises:
        SinkUnavailable: the output cannot be opened, or nothing of it was heard.
        SourceError: the source cannot be opened.
    """
    if output.strip().lower() == cable.WORD:  # what hears it may be its other end
        cable.create(SinkUnavailable)
    playout = ChirpPlayout()
    ear = Ear(source)
    sink = VoiceOutput(output, playout=playout)
    try:
        sink.open(FrameFormat(1, 1, 25.0))
        name = sink.device
        threading.Event().wait(seconds)
    finally:
        sink.close()
        threading.Event().wait(_LONGEST_S)
        samples, ends_ns = ear.recording()
    return _compare(name, source, playout.handed, samples, ends_ns)


def _compare(
    output: str,
    source: str,
    handed: list[tuple[int, int]],
    samples: FloatArray,
    ends_ns: "np.ndarray[tuple[int], np.dtype[np.int64]]",
) -> RoundTrip:
    ways_ms, levels = [], []
    for begin, level in find_chirps(samples):
        block = min(begin // 480, len(ends_ns) - 1)
        at_ns = int(ends_ns[block]) - ((block + 1) * 480 - begin) * 1_000_000_000 // VOICE_RATE_HZ
        earlier = [taken_ns for taken_ns, _ in handed if taken_ns <= at_ns]
        if earlier and at_ns - earlier[-1] < _LONGEST_S * 1e9:
            ways_ms.append((at_ns - earlier[-1]) / 1e6)
            levels.append(level)
    if len(ways_ms) < 3:
        raise SinkUnavailable(
            f"Of {len(handed)} chirps played on {output!r}, {len(ways_ms)} were heard by "
            f"{source!r}: turn the volume up, or name what hears the output with --hear (its "
            "monitor, or a microphone near it)."
        )
    low, middle, high = np.percentile(ways_ms, (10, 50, 90))
    reported = [(heard_ns - taken_ns) / 1e6 for taken_ns, heard_ns in handed]
    return RoundTrip(
        output,
        source,
        len(handed),
        len(ways_ms),
        round(float(middle), 1),
        round(float(high - low), 1),
        round(float(np.median(reported)), 1),
        round(20 * float(np.log10(np.median(levels))), 1),
    )
