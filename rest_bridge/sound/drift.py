"""How fast a device's clock really runs: a sample count and noisy times in, a straight line out.

Crystals differ by up to some 200 ppm, and a callback comes when the system gets round to it. The
line `time = offset + index / rate * (1 + r)` is followed by a Kalman filter of two states (offset
and r): within a second it knows the offset to a millisecond, within a minute the rate to a few ppm,
and from then on it is the delay-locked loop of Adriaensen ("Using a DLL to filter time", Linux
Audio Conference 2005) with a bandwidth of some 3 mHz. Times that lie far off are bounded in their
weight, because a busy computer is late but never early. Knows no devices.
"""

from typing import Final

_NS_PER_S: Final = 1_000_000_000
_FIRST_RATE_SIGMA: Final = 300e-6
_WANDER_PER_S: Final = 1e-14
"""Variance by which r may wander in a second: 0.1 ppm."""
_LEAST_NOISE_S: Final = 0.0005
_FIRST_NOISE_S: Final = 0.004
_MOST_NOISE_S: Final = 0.003
"""However restless the times are: beyond six of these an error is odd, and a step is found. Without
a bound, steps inside a restless stretch counted as noise, which grew until nothing was odd any more
and the line stayed up to a second off for minutes."""
_NOISE_WEIGHT: Final = 0.01
_OUTLIER_SIGMAS: Final = 3.0
_JUMP_S: Final = 0.01
_JUMP_SIGMAS: Final = 6.0
"""An innovation beyond both that stays for `step_after_s` is a step of the count (lost samples, an
underrun), not jitter, and says nothing of the rate. Until that is clear nothing is learnt of it."""
STEP_AFTER_S: Final = 0.8
_LOCKED_SIGMA: Final = 15e-6
MAX_RATE_ERROR: Final = 900e-6
"""More is no crystal; it leaves 100 ppm of the allowed 1000 to move the phase."""


class RateTracker:
    """Follows one device's sample count against the monotonic clock.

    Args:
        rate_hz: the device's nominal rate.
        step_after_s: for so long times are off before a step is believed. They may be late for
            long where they are those of callbacks, not where a sound server was asked for them.
    """

    def __init__(self, rate_hz: int, *, step_after_s: float = STEP_AFTER_S) -> None:
        self._nominal_hz = rate_hz
        self._step_after_s = step_after_s
        self._index = 0
        self._time_ns = 0
        self._fraction_ns = 0.0  # of the line at _index, beyond _time_ns
        self._started = False
        self._rate_error = 0.0  # r: seconds that a nominal second of samples takes longer
        self._variance = (0.0, 0.0, _FIRST_RATE_SIGMA**2)
        self._noise_s = _FIRST_NOISE_S
        self._odd_since: int | None = None
        self._odd_sum_s, self._odd_count = 0.0, 0
        self.num_jumps = 0

    @property
    def started(self) -> bool:
        """Whether anything was observed since the last `restart`."""
        return self._started

    @property
    def locked(self) -> bool:
        """Whether the rate is known to about 15 ppm."""
        return self._started and self._variance[2] < _LOCKED_SIGMA**2

    @property
    def rate_error(self) -> float:
        """How much longer a sample lasts than nominally; 50e-6 for a clock 50 ppm slow."""
        return self._rate_error

    @property
    def ppm(self) -> float:
        """How much faster than nominal the device's clock runs, in parts per million."""
        return -self._rate_error * 1e6

    @property
    def jitter_s(self) -> float:
        """Standard deviation of the observed times around the line."""
        return self._noise_s

    def believe_steps_after(self, seconds: float) -> None:
        """Change how long times must be off before a step is believed, see `step_after_s`."""
        self._step_after_s = seconds

    def restart(self) -> None:
        """Forget the offset, keep the rate: the device was opened anew."""
        self._started = False
        self._odd_since = None

    def time_ns(self, index: int) -> int:
        """Return when sample `index` happens, on the line."""
        passed_s = (index - self._index) / self._nominal_hz
        passed_ns = passed_s * (1.0 + self._rate_error) * _NS_PER_S
        return self._time_ns + round(self._fraction_ns + passed_ns)

    def observe(self, index: int, time_ns: int) -> None:
        """Learn that sample `index` happened at about `time_ns`.

        Args:
            index: sample count; never less than before, except after `restart`.
            time_ns: monotonic.
        """
        if not self._started:
            self._begin(index, time_ns)
            return
        passed_s = (index - self._index) / self._nominal_hz
        p_tt, p_tr, p_rr = self._variance
        p_tt += 2 * passed_s * p_tr + passed_s * passed_s * p_rr
        p_tr += passed_s * p_rr
        p_rr += _WANDER_PER_S * max(0.0, passed_s)
        line_ns = self.time_ns(index)
        error_s = (time_ns - line_ns) / _NS_PER_S
        if self._is_odd(error_s):
            self._variance = (p_tt, p_tr, p_rr)
            self._move(index, line_ns, 0.0)
            if self._is_jump(error_s, time_ns):
                self._jump(index, line_ns, p_rr)
            return
        self._odd_since = None
        limit_s = _OUTLIER_SIGMAS * (self._noise_s + p_tt**0.5)
        error_s = max(-limit_s, min(limit_s, error_s))
        seen_s = min(_MOST_NOISE_S, max(_LEAST_NOISE_S, abs(error_s) * 1.25))
        self._noise_s += _NOISE_WEIGHT * (seen_s - self._noise_s)
        gain = 1.0 / (p_tt + self._noise_s**2)
        gain_t, gain_r = p_tt * gain, p_tr * gain
        self._variance = ((1 - gain_t) * p_tt, (1 - gain_t) * p_tr, p_rr - gain_r * p_tr)
        rate_error = self._rate_error + gain_r * error_s
        self._move(index, line_ns, gain_t * error_s * _NS_PER_S)
        self._rate_error = max(-MAX_RATE_ERROR, min(MAX_RATE_ERROR, rate_error))

    def _begin(self, index: int, time_ns: int) -> None:
        self._started = True
        self._move(index, time_ns, 0.0)
        self._variance = (_FIRST_NOISE_S**2, 0.0, self._variance[2])
        self._noise_s = max(self._noise_s, _FIRST_NOISE_S)

    def _move(self, index: int, time_ns: int, fraction_ns: float) -> None:
        whole = round(fraction_ns)
        self._index, self._time_ns = index, time_ns + whole
        self._fraction_ns = fraction_ns - whole

    def _is_odd(self, error_s: float) -> bool:
        return abs(error_s) > max(_JUMP_S, _JUMP_SIGMAS * self._noise_s)

    def _is_jump(self, error_s: float, time_ns: int) -> bool:
        """Whether times have been off by much, to one side, for long enough."""
        if self._odd_since is None or self._odd_sum_s * error_s < 0:
            self._odd_since, self._odd_sum_s, self._odd_count = time_ns, 0.0, 0
        self._odd_sum_s += error_s
        self._odd_count += 1
        return time_ns - self._odd_since > self._step_after_s * _NS_PER_S and self._odd_count > 3

    def _jump(self, index: int, line_ns: int, p_rr: float) -> None:
        step_ns = round(self._odd_sum_s / self._odd_count * _NS_PER_S)
        self._move(index, line_ns + step_ns, 0.0)
        self._variance = (self._noise_s**2, 0.0, p_rr)
        self._odd_since = None
        self.num_jumps += 1
