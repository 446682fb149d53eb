"""How late samples arrive, and when a stream should be delayed more, or less, because of it.

A device's samples come after their capture: its buffer, the sound server, a radio link. The delay
of the stream allows for what was usual before it began; another device may be slower, or faster.
"""

import threading
from typing import Final

import numpy as np

from rest_bridge.clock import NS_PER_S

_WINDOW: Final = 200
"""Chunks of 10 ms that are remembered: two seconds."""
_USUAL_PERCENT: Final = 75
"""A stall of the computer makes all chunks late that were heard meanwhile, one of 90 ms nine of
them; so it is the habit of the device that counts, not its worst moments."""
SPARE_NS: Final = 20_000_000
"""What a delay has to spare: it grows, by a whole frame, only when more than that is missing."""
_LEAST: Final = 20
_MOST_NS: Final = NS_PER_S // 2
"""Later than this is no device's habit but a stall of the computer."""
JITTER_NS: Final = 8_000_000
"""What is allowed for beyond that."""
_SETTLED_NS: Final = NS_PER_S
_CALM_NS: Final = 30 * NS_PER_S
_MOST_CALM_NS: Final = 480 * NS_PER_S
_ROUNDING_NS: Final = 2_000_000
_SLACK_NS: Final = 20_000_000
"""A delay that is longer than needed by no more than this and a frame is left alone."""


class Arrival:
    """The lateness of the last two seconds; written by one thread, read by any."""

    def __init__(self) -> None:
        """Begin without knowing anything."""
        self._late_ns = np.zeros(_WINDOW, np.int64)
        self._count = 0
        self._lock = threading.Lock()

    def note(self, late_ns: int) -> None:
        """Note how long after its capture a chunk came."""
        with self._lock:
            self._late_ns[self._count % _WINDOW] = min(max(0, late_ns), _MOST_NS)
            self._count += 1

    def forget(self) -> None:
        """Begin anew: another source is heard."""
        with self._lock:
            self._count = 0

    def usual_ns(self) -> int | None:
        """Return what three of four chunks do not exceed; None while too few came."""
        with self._lock:
            if self._count < _LEAST:
                return None
            known = self._late_ns[: min(self._count, _WINDOW)].copy()
        return int(np.percentile(known, _USUAL_PERCENT))


def frames_to_postpone(
    *, needed_ns: int, delay_ns: int, frame_ns: int, silent: bool, settled_ns: int
) -> int:
    """Return by how many frames a stream should come later; negative for sooner.

    Args:
        needed_ns: delay that the source and the generator need together.
        delay_ns: the present one.
        frame_ns: of a frame.
        silent: whether nobody speaks: the delay may shrink only then, as that skips voice.
        settled_ns: for how long the delay has not been changed.
    """
    if settled_ns < _SETTLED_NS:
        return 0
    missing_ns = needed_ns - delay_ns
    if missing_ns > SPARE_NS:
        return -(-missing_ns // frame_ns)
    if silent and -missing_ns > frame_ns + _SLACK_NS:
        return -((-missing_ns - _SLACK_NS // 2) // frame_ns)
    return 0


class LentDelay:
    """Frames of delay that a busy computer cost: had back in a pause, when all has been calm."""

    def __init__(self) -> None:
        """Begin without any."""
        self._num_frames = 0
        self._patience_ns = _CALM_NS
        self._had_back = False

    def lend(self) -> None:
        """Note one frame more of delay; the next one is had back later if it came back too soon."""
        self._num_frames += 1
        if self._had_back:
            self._patience_ns = min(2 * self._patience_ns, _MOST_CALM_NS)
        self._had_back = False

    def have_back(self, *, spare_ns: int, frame_ns: int, silent: bool, settled_ns: int) -> bool:
        """Whether a frame of it is to be taken away now; it is then noted as had back.

        Args:
            spare_ns: by how much the delay is longer than needed.
            frame_ns: of a frame.
            silent: whether nobody speaks.
            settled_ns: for how long the delay has not been changed.
        """
        if not self._num_frames or not silent or settled_ns < self._patience_ns:
            return False
        if spare_ns < frame_ns - _ROUNDING_NS:
            return False
        self._num_frames -= 1
        self._had_back = True
        return True

    def clear(self) -> None:
        """Note that the delay is no longer than needed, whoever shortened it."""
        self._had_back |= self._num_frames > 0
        self._num_frames = 0

    @property
    def any(self) -> bool:
        """Whether there is any."""
        return self._num_frames > 0
