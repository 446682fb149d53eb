"""When a camera shows its next picture: at its own rate, in one place against the stream's turns.

A camera of 30 fps shows a stream of 25 fps so that each picture waits 0, 7, 13, 20 or 27 ms for
the camera's next turn, and as much more as the two happen to be apart. Left alone that rest is
another one in each run and wanders with the microphone's crystal, which the stream follows. Here
it is steered to one small value, so that sound and picture at the camera are apart by the same in
every run. Knows no camera and no pictures; all times are monotonic nanoseconds.
"""

import math
from typing import Final

_NS_PER_S: Final = 1_000_000_000
_WAIT_NS: Final = 10_000_000
"""What a picture waits at least, where the rates allow it: to be converted and brought over."""
_SHARE: Final = 0.75
"""Of the finest step between the two rates, where that is less."""
_STEP_NS: Final = 300_000
"""How much one turn may be moved; a viewer sees no such jitter."""
_NEAR_NS: Final = 2_000_000
"""Farther off than this, as at the start and after a sleep, the turns are moved at once."""


class CameraPacer:
    """Turns of a camera.

    Args:
        fps: of the camera.
        stream_fps: of the frames that come; anything but a whole number is not followed.
        now_ns: the first turn.
    """

    def __init__(self, fps: float, stream_fps: float, now_ns: int) -> None:
        self.period_ns = round(_NS_PER_S / fps)
        self.next_ns = now_ns
        """When the next picture is to be sent."""
        whole = float(fps).is_integer() and float(stream_fps).is_integer() and stream_fps >= 1
        # Turns of both rates meet again and again in steps of this.
        self._grid_ns = _NS_PER_S / math.lcm(int(fps), int(stream_fps)) if whole else 0.0
        self._wait_ns = min(_WAIT_NS, _SHARE * self._grid_ns)
        self._due_ns = 0

    def observe(self, due_ns: int) -> None:
        """Learn when the turn of the newest frame was; 0 says nothing."""
        self._due_ns = due_ns

    def off_ns(self) -> float:
        """Return how far the next turn is from its place, positive for late; 0 while unknown."""
        if not self._due_ns or not self._grid_ns:
            return 0.0
        off = (self.next_ns - self._due_ns - self._wait_ns) % self._grid_ns
        return off - self._grid_ns if off > self._grid_ns / 2 else off

    def advance(self, now_ns: int) -> int:
        """Go on to the turn after the one that was just taken; returns when it is.

        Args:
            now_ns: after a stall (sleep of the computer) it goes on from here, without hurrying.
        """
        # Not from now on: the delays of single turns must not add up.
        self.next_ns = max(self.next_ns + self.period_ns, now_ns)
        off = self.off_ns()
        if abs(off) > _NEAR_NS:
            self.next_ns += round(-off if off < 0 else self._grid_ns - off)
        else:
            self.next_ns -= round(max(-_STEP_NS, min(_STEP_NS, off)))
        return self.next_ns
