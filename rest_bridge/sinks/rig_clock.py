"""Turns frames at 25 a second into rig values at any rate, evenly in time.

Place in the flow: a sink's `send` -> `RigTimeline` -> `RigSink`'s thread -> an output. At the
frame rate nothing is computed: each frame goes out as it comes. At another rate the values between
two frames are interpolated, which costs one frame (40 ms): the newer neighbour has to be there.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Final, Literal, Protocol

import numpy as np

from rest_bridge.errors import SinkError
from rest_bridge.sinks.rig_values import RigInstant
from rest_bridge.types import FRAME_DURATION_NS, FRAME_RATE_HZ, Frame, FrameFormat, RigFrame

_ATTACK: Final = 0.5
_DECAY: Final = 0.01
"""Shares by which a later and an earlier arrival correct the estimate of the clocks' offset.

Rigs of one chunk may arrive together: the timeline has to follow the latest, or it would run dry
before the next chunk."""
_KEPT: Final = 8
_LOST_NS: Final = 1_000_000_000
"""A jump of the offset by more than this is a new stream: it is taken over at once."""

_log = logging.getLogger(__name__)


def instant_of(rig: RigFrame) -> RigInstant:
    """Return the rig of a frame as an instant."""
    return RigInstant(rig.pts_ns, rig.values, rig.visemes, rig.speech_level, rig.activity)


def between(a: RigInstant, b: RigInstant, share: float) -> RigInstant:
    """Interpolate: `a` at share 0, `b` at share 1; what is not a number is the nearer one's."""
    share = min(1.0, max(0.0, share))
    near = a if share < 0.5 else b
    keep, take = np.float32(1 - share), np.float32(share)
    return RigInstant(
        pts_ns=a.pts_ns + round((b.pts_ns - a.pts_ns) * share),
        values=np.asarray(keep * a.values + take * b.values, np.float32),
        visemes=np.asarray(keep * a.visemes + take * b.visemes, np.float32),
        level=(1 - share) * a.level + share * b.level,
        activity=near.activity,
    )


class RigTimeline:
    """The last few rigs, and which instant is due now. Pure but for what it was given."""

    def __init__(self) -> None:
        self._known: deque[RigInstant] = deque(maxlen=_KEPT)
        self._offset_ns = 0

    def add(self, instant: RigInstant, now_ns: int) -> None:
        """Take the next rig.

        Args:
            instant: later than the one before; an earlier one begins a new stream.
            now_ns: monotonic time of its arrival.
        """
        late_ns = now_ns - instant.pts_ns - self._offset_ns
        begins = not self._known or instant.pts_ns <= self._known[-1].pts_ns
        if begins or abs(late_ns) > _LOST_NS:
            self._known.clear()
            self._offset_ns += late_ns
        else:
            self._offset_ns += round((_ATTACK if late_ns > 0 else _DECAY) * late_ns)
        self._known.append(instant)

    def at(self, now_ns: int) -> RigInstant | None:
        """Return the face due at a monotonic time; None before the first rig.

        One frame behind the arrivals. Before the oldest rig it is that one, after the newest one
        the newest.
        """
        if not self._known:
            return None
        due_ns = now_ns - self._offset_ns - FRAME_DURATION_NS
        for a, b in pairwise(self._known):
            if due_ns <= b.pts_ns:
                return between(a, b, (due_ns - a.pts_ns) / (b.pts_ns - a.pts_ns))
        return self._known[-1]


class RigOutput(Protocol):
    """Where rig values go; opened, fed and closed by one thread at a time."""

    def open(self) -> None:
        """Get ready. Raises SinkUnavailable with the remedy."""
        ...

    def emit(self, instant: RigInstant) -> None:
        """Send one instant; raises SinkError if it never can again."""
        ...

    def close(self) -> None:
        """Let go; idempotent."""
        ...


class RigSink:
    """A frame sink that hands rig values to an output.

    Args:
        name: of the output, for status and messages.
        output: where the values go.
        rate_hz: 25 sends each frame as it comes; other rates interpolate in a thread of their own
            (the fast path always does: its rigs come in chunks).
        path: "matched" sends with the pictures; "fast" as soon as the motion is known, ahead of
            them (see `move`).
        clock: monotonic nanoseconds.
    """

    policy: Literal["latest", "every"] = "latest"

    def __init__(
        self,
        name: str,
        output: RigOutput,
        *,
        rate_hz: int = FRAME_RATE_HZ,
        path: Literal["matched", "fast"] = "matched",
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.name = name
        self.path = path
        self._output = output
        self._interval_s = 1.0 / rate_hz
        self._as_they_come = rate_hz == FRAME_RATE_HZ and path == "matched"
        self._clock = clock
        self._lock = threading.Lock()
        self._timeline = RigTimeline()  # guarded by _lock, as _error
        self._error: SinkError | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, fmt: FrameFormat) -> None:
        """Open the output and, if it interpolates, start the thread; `fmt` does not matter.

        Raises:
            SinkUnavailable: the output cannot be opened; the message names the remedy.
        """
        del fmt
        self._output.open()
        if not self._as_they_come:
            self._thread = threading.Thread(target=self._run, name=f"rig-{self.name}", daemon=True)
            self._thread.start()

    def send(self, frame: Frame) -> None:
        """Take the rig of a frame whose turn it is.

        Raises:
            SinkError: the output failed for good.
        """
        if self.path == "matched":
            self._take(instant_of(frame.rig))

    def skip(self, frame: Frame) -> None:
        """Take the rig of a frame whose picture had no room."""
        self.send(frame)

    def move(self, rig: RigFrame) -> None:
        """Take a rig as soon as it is known, ahead of its picture; ignored on the matched path.

        Raises:
            SinkError: the output failed for good.
        """
        if self.path == "fast":
            self._take(instant_of(rig))

    def close(self) -> None:
        """Stop the thread and close the output; idempotent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(2.0)
            self._thread = None
        self._output.close()

    def _take(self, instant: RigInstant) -> None:
        if self._as_they_come:
            self._output.emit(instant)
            return
        with self._lock:
            self._timeline.add(instant, self._clock())
            if self._error is not None:
                raise self._error

    def _run(self) -> None:
        """Thread body: one instant each interval, however late the last one was."""
        due_s = time.monotonic()
        while not self._stop.is_set():
            with self._lock:
                instant = self._timeline.at(self._clock())
            if instant is not None:
                try:
                    self._output.emit(instant)
                except Exception as error:  # noqa: BLE001 - the top of a thread
                    failure = error if isinstance(error, SinkError) else SinkError(
                        f"{self.name}: {type(error).__name__}: {error}"
                    )  # fmt: skip
                    _log.debug("%s failed", self.name, exc_info=error)
                    with self._lock:
                        self._error = failure
                    return
            now_s = time.monotonic()
            due_s = max(due_s + self._interval_s, now_s)
            self._stop.wait(due_s - now_s)
