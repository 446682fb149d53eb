"""Plays each sample of the voice at its time, on a card that has a clock of its own.

Samples come in pieces, each with the monotonic time at which its first one is due; the card asks
for blocks and says when their first sample will be heard. Both clocks are followed, and the voice
is read a little faster or slower (never by more than a thousandth) so that what is heard now is
what is due now: crystals differ by up to 200 ppm, which left alone is six seconds in eight hours.
What is not there in time is silence and the rest keeps its time; nothing is made up for later.
Knows no devices.
"""

import threading
from typing import Final

import numpy as np

from rest_bridge.sound.drift import STEP_AFTER_S, RateTracker
from rest_bridge.sound.varispeed import HALF_TAPS, MAX_SPEED_ERROR, Glide, interpolate
from rest_bridge.types import VOICE_RATE_HZ, FloatArray

_NS_PER_S: Final = 1_000_000_000
_CAPACITY: Final = 2 * VOICE_RATE_HZ
_PULL_S: Final = 8.0
"""Time constant with which an error of the phase is worn off."""
JUMP_S: Final = 0.012
"""A larger error is no drift (a stall, a sleep, the start): go there at once, with a short fade."""
_QUIET_JUMP_S: Final = 0.004
_QUIET: Final = 0.01
"""Where the voice is below this (-40 dB), nobody hears a smaller jump either."""
_JUMP_BLOCKS: Final = 10
"""So many blocks in a row must say so."""
_SURE_AFTER_S: Final = 0.2
_FADE: Final = 240
_WINDOW_BLOCKS: Final = 100
_STARVED_BLOCKS: Final = 25
_WINDOW_PUSHES: Final = 10
_FLOWING_BLOCKS: Final = 4
_CALM_WINDOWS: Final = 20
_SPARE: Final = 480
_MOST_LATE_S: Final = 1.0
"""Of 100 blocks 25 without their voice, though voice comes: this card wants it earlier than it is
known, so it is played so much later, up to a second."""


class TimedVoice:
    """The newest two seconds of the voice by sample index; silence where there is none."""

    def __init__(self) -> None:
        self._data = np.zeros(_CAPACITY, np.float32)
        self.end = 0
        """Index after the newest sample."""

    def write(self, samples: FloatArray, first_index: int) -> None:
        """Put samples in their place; what was there, and what lay behind, is void."""
        if first_index > self.end:
            self._put(np.zeros(min(first_index - self.end, _CAPACITY), np.float32), first_index)
        self._put(samples[-_CAPACITY:], first_index + len(samples))
        self.end = first_index + len(samples)

    def read(self, first_index: int, num_samples: int) -> FloatArray:
        """Return float32 [num_samples] from an index on."""
        out = np.zeros(num_samples, np.float32)
        first = max(first_index, self.end - _CAPACITY)
        last = min(first_index + num_samples, self.end)
        if last > first:
            places = np.arange(first, last) % _CAPACITY
            out[first - first_index : last - first_index] = self._data[places]
        return out

    def _put(self, samples: FloatArray, end: int) -> None:
        self._data[np.arange(end - len(samples), end) % _CAPACITY] = samples


class Playout:
    """One voice on its way to a sound card.

    One thread pushes, another (the card's callback) pulls.

    Args:
        delay_s: a sample is to be heard so long after it is due.
    """

    def __init__(self, delay_s: float) -> None:
        self._delay_ns = round(delay_s * _NS_PER_S)
        self._lock = threading.Lock()
        self._voice = TimedVoice()
        self._anchor: tuple[int, int] | None = None  # a sample and when it is due
        self._tracker = RateTracker(VOICE_RATE_HZ)
        self._glide = Glide()
        self._rate_hz = VOICE_RATE_HZ
        self._num_pulled = 0
        self._base = 0  # next position in the voice: whole part
        self._fraction = 0.0
        self._playing = False
        self._num_odd = 0
        self._missing = 0  # samples that were wanted and not there, until voice comes again
        self._silent_blocks = 0  # since voice came last
        self._calm = 0  # windows without a starved block
        self._window = [0, 0, 0, -_CAPACITY]  # blocks, of them starved, pushes, largest shortfall
        self._late_ns = 0  # more than the delay, because the card's queue is longer than our lead
        self.error_s = 0.0
        self.num_underruns = 0
        self.num_jumps = 0
        self.num_missing = 0
        self.num_skipped = 0

    @property
    def fill_s(self) -> float:
        """Seconds of voice that wait."""
        with self._lock:
            waiting = max(0, min(_CAPACITY, self._voice.end - self._base))
            return waiting / VOICE_RATE_HZ if self._playing else 0.0

    @property
    def late_s(self) -> float:
        """By how much the voice is later than asked for, because the card needs it so early."""
        return self._late_ns / _NS_PER_S

    @property
    def ppm(self) -> float:
        """How much faster than nominal the card's clock runs."""
        return self._tracker.ppm

    @property
    def locked(self) -> bool:
        """Whether the card's rate is known to about 15 ppm."""
        return self._tracker.locked

    @property
    def correction_ppm(self) -> float:
        """How much faster than it was recorded the voice is read now."""
        return (self._glide.speed - 1.0) * 1e6

    def restart(self, rate_hz: int = VOICE_RATE_HZ, *, sure: bool = False) -> None:
        """The card was opened anew: its times begin anew, too.

        Args:
            rate_hz: what it runs at, where it refuses the voice's own rate.
            sure: its times are its own word, so a step of them is soon believed.
        """
        with self._lock:
            if rate_hz != self._rate_hz:
                self._rate_hz, self._tracker, self._num_pulled = rate_hz, RateTracker(rate_hz), 0
            self._tracker.restart()
            self._tracker.believe_steps_after(_SURE_AFTER_S if sure else STEP_AFTER_S)
            self._playing = False
            self._late_ns = 0

    def resume(self) -> None:
        """The card's count broke off (it ran dry, or another card plays): its times begin anew."""
        with self._lock:
            self._tracker.restart()
            self._num_odd = _JUMP_BLOCKS  # it is known to be off: go there with the next block

    def push(self, samples: FloatArray, first_index: int, due_ns: int) -> None:
        """Take voice; what was pushed for later indices before is void.

        Args:
            samples: float32 [S].
            first_index: of the first one, counted from the start of the stream.
            due_ns: monotonic time at which the first one is due.
        """
        with self._lock:
            self._voice.write(samples, first_index)
            self._anchor = (first_index, due_ns)
            self._window[2] += 1
            self._silent_blocks = 0
            if self._missing:
                self.num_underruns += 1
                self.num_missing += self._missing
                self._missing = 0

    def knows(self, num_samples: int) -> bool:
        """Whether the card's next samples are there already, so that nothing is lost by haste."""
        with self._lock:
            needed = num_samples * VOICE_RATE_HZ / self._rate_hz * (1.0 + MAX_SPEED_ERROR)
            return self._playing and self._base + int(needed) + HALF_TAPS + 2 <= self._voice.end

    def pull(self, num_samples: int, heard_ns: int) -> FloatArray:
        """Return what the card shall play now.

        Args:
            num_samples: how many.
            heard_ns: monotonic time at which the first of them will be heard, as well as it is
                known; its jitter is taken out here.

        Returns:
            float32 [num_samples]; silence where nothing is due.
        """
        with self._lock:
            self._tracker.observe(self._num_pulled, heard_ns)
            heard_ns = self._tracker.time_ns(self._num_pulled)
            self._num_pulled += num_samples
            if self._anchor is None:
                return np.zeros(num_samples, np.float32)
            return self._play(num_samples, self._anchor, heard_ns)

    def _play(self, num_samples: int, anchor: tuple[int, int], heard_ns: int) -> FloatArray:
        index, due_ns = anchor
        after_ns = heard_ns - due_ns - self._delay_ns - self._late_ns
        passed, rest = divmod(after_ns * VOICE_RATE_HZ, _NS_PER_S)
        wanted, wanted_fraction = index + passed, rest / _NS_PER_S
        error = (self._base - wanted) + self._fraction - wanted_fraction
        before: FloatArray | None = None
        if not self._playing:
            self._go_to(wanted, wanted_fraction)
            self._playing, error = True, 0.0
        elif self._is_odd(error, num_samples):
            before = self._read(min(_FADE, num_samples), keep=True)
            self.num_jumps += 1
            self.num_skipped += max(0, round(-error))
            self._go_to(wanted, wanted_fraction)
            self._window = [0, 0, 0, -_CAPACITY]
            error = 0.0
        self.error_s = -error / VOICE_RATE_HZ  # ahead in the voice is early
        speed = (1.0 + self._tracker.rate_error) * (1.0 - error / VOICE_RATE_HZ / _PULL_S)
        out = self._read(num_samples, speed)
        if before is not None:
            fade = np.linspace(0.0, 1.0, len(before), dtype=np.float32)
            out[: len(before)] = before + fade * (out[: len(before)] - before)
        self._count_missing(num_samples)
        return out

    def _go_to(self, base: int, fraction: float) -> None:
        self._base, self._fraction, self._num_odd = base, fraction, 0

    def _is_odd(self, error: float, num_samples: int) -> bool:
        """Whether the voice has been off by more than drift for long enough."""
        off_s = abs(error) / VOICE_RATE_HZ
        odd = off_s > JUMP_S or (off_s > _QUIET_JUMP_S and self._is_quiet(error, num_samples))
        self._num_odd = self._num_odd + 1 if odd else 0
        return self._num_odd > _JUMP_BLOCKS

    def _is_quiet(self, error: float, num_samples: int) -> bool:
        """Whether there is nothing to hear where the voice is read, where it should be, between."""
        off = round(error)
        around = self._voice.read(self._base - max(0, off), num_samples + abs(off))
        return float(np.abs(around).max(initial=0.0)) < _QUIET

    def _read(self, num_samples: int, speed: float = 1.0, *, keep: bool = False) -> FloatArray:
        """Read from the position on and move it, unless it shall be kept."""
        glide = self._glide
        if keep:
            glide = Glide()
            glide.speed = speed = self._glide.speed
        start = HALF_TAPS - 1 + self._fraction
        positions, end = glide.positions(0.0, num_samples, speed)
        ratio = VOICE_RATE_HZ / self._rate_hz
        positions, end = start + ratio * positions, start + ratio * end
        window = self._voice.read(self._base - HALF_TAPS + 1, int(end) + HALF_TAPS + 2)
        if not keep:
            moved = end - (HALF_TAPS - 1)
            self._base += int(moved)
            self._fraction = moved - int(moved)
        return interpolate(window, positions)

    def _count_missing(self, num_samples: int) -> None:
        """Note voice that was not there in time; give way to a card that needs it earlier."""
        short = self._base + HALF_TAPS - self._voice.end
        self._missing += max(0, min(num_samples, short))
        window = self._window
        window[0] += 1
        self._silent_blocks += 1
        if self._num_odd == 0 and self._silent_blocks <= _FLOWING_BLOCKS:
            window[1] += short > 0
            window[3] = max(window[3], short)
        if window[0] < _WINDOW_BLOCKS:
            return
        self._window = [0, 0, 0, -_CAPACITY]
        if window[2] < _WINDOW_PUSHES:
            return
        starved = window[1] >= _STARVED_BLOCKS
        self._calm = 0 if window[1] else self._calm + 1
        if starved or (self._late_ns and self._calm >= _CALM_WINDOWS):
            # As late as it must be and no later; never before it is due.
            late_s = self.late_s + (window[3] + _SPARE) / VOICE_RATE_HZ
            self._late_ns = round(min(_MOST_LATE_S, max(0.0, late_s)) * _NS_PER_S)
            self._calm = 0
