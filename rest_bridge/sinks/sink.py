"""Runs one sink in a thread of its own, so that a slow or broken output never delays the others.

Place in the flow: the daemon offers every paced frame to one `SinkRunner` per output. The runner
knows nothing about what a sink does with a frame; it bounds the queue in front of it, counts what
it drops, and turns a failure into a report.
"""

import dataclasses
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, runtime_checkable

from rest_bridge.errors import SinkError
from rest_bridge.types import Frame, FrameFormat, FrameSink, RigFrame, VoiceChunk

QUEUE_FRAMES: Final = 50
"""Pictures that wait in front of a sink with policy "every": two seconds, 50 MB at 512²."""
_NEWEST_FRAMES: Final = 3
"""Pictures that wait in front of a `SkippingSink` with policy "latest": 120 ms."""
_SKIPPED_FRAMES: Final = 3000
"""Skipped frames (no pixels, 8 kB of voice each) that may wait: two minutes, 24 MB."""

_log = logging.getLogger(__name__)

RunnerState = Literal["new", "running", "failed", "closed"]


@runtime_checkable
class SkippingSink(Protocol):
    """A sink that wants voice and rig of a frame even if there was no room for its picture."""

    def skip(self, frame: Frame) -> None:
        """Take everything of `frame` but its picture."""
        ...


@runtime_checkable
class HearingSink(Protocol):
    """A sink that wants the voice ahead of the pictures, each sample with its time."""

    def hear(self, voice: VoiceChunk, due_ns: int) -> None:
        """Take voice whose first sample is due at a monotonic time; must not block."""
        ...


@runtime_checkable
class MovingSink(Protocol):
    """A sink that wants the rig of coming frames at once, before their pictures are drawn."""

    path: str
    """"fast" where it does; else it takes the rig with the frames."""

    def move(self, rig: RigFrame) -> None:
        """Take the rig of a frame that is still to come; must not block."""
        ...


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """What an output did so far.

    Attributes:
        name: the sink's name.
        state: "new", "running", "failed" or "closed".
        sent: frames handed to the sink.
        dropped: pictures that found no room (policy "every") or were overtaken (policy "latest").
        waiting: frames waiting now.
        error: why it failed, one sentence; empty otherwise.
    """

    name: str
    state: RunnerState
    sent: int
    dropped: int
    waiting: int
    error: str = ""


class SinkRunner:
    """Feeds one sink from a thread of its own.

    Policy "latest": few pictures wait (one, or three before a `SkippingSink`), and a newer one
    overtakes the oldest. Policy "every": a bounded queue; a frame that finds it full loses its
    picture. A frame without its picture goes to `SkippingSink.skip` in its turn, so that a sink
    that cannot keep up loses pictures but no sound; a plain sink never sees it.

    Args:
        sink: opened, fed and closed by the runner's thread only.
        fmt: size and rate of the frames that will be offered.
        queue_frames: pictures that may wait with policy "every".
        on_failure: called once, from the runner's thread, with the sink's name and the error, when
            the sink fails while running. The sink is closed by then.
        on_sent: called from the runner's thread with each frame that the sink has taken, and when.
    """

    def __init__(
        self,
        sink: FrameSink,
        fmt: FrameFormat,
        *,
        queue_frames: int = QUEUE_FRAMES,
        on_failure: Callable[[str, SinkError], None] | None = None,
        on_sent: Callable[[Frame, int], None] | None = None,
    ) -> None:
        self._sink = sink
        self._fmt = fmt
        self._skip = sink.skip if isinstance(sink, SkippingSink) else None
        fast = isinstance(sink, MovingSink) and sink.path == "fast"
        self._moving = sink if fast and isinstance(sink, MovingSink) else None
        self._hear = sink.hear if isinstance(sink, HearingSink) else None
        # A sink that publishes voice as well may lag by a few pictures: whoever counts frames
        # should not see a gap for every hiccup of a busy computer.
        newest = 1 if self._skip is None else _NEWEST_FRAMES
        self._capacity = newest if sink.policy == "latest" else queue_frames
        self._on_failure = on_failure
        self._on_sent = on_sent
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Frame, bool]] = deque()  # guarded by _changed, as all below
        self._pictures_waiting = 0
        self._state: RunnerState = "new"
        self._closing = False
        self._drain = True
        self._sent = 0
        self._dropped = 0
        self._error: SinkError | None = None
        self._thread = threading.Thread(target=self._run, name=f"sink-{sink.name}", daemon=True)

    def start(self, timeout_s: float = 15.0) -> bool:
        """Open the sink and start feeding it.

        Args:
            timeout_s: how long the sink may take to open.

        Returns:
            False if it was closed before, and nothing was opened.

        Raises:
            SinkUnavailable: the sink cannot be opened; the message names the remedy.
            SinkError: the sink took longer than `timeout_s`.
        """
        with self._changed:
            if self._closing:
                return False
            self._thread.start()
            if not self._changed.wait_for(lambda: self._state != "new", timeout_s):
                self._closing = True
                raise SinkError(f"{self._sink.name}: did not open within {timeout_s:.0f} s")
            if self._error is not None:
                raise self._error
        return True

    def offer(self, frame: Frame) -> None:
        """Queue a frame; never blocks. After a failure or `close` it does nothing.

        Args:
            frame: must not be modified afterwards.
        """
        with self._changed:
            if self._state not in ("new", "running") or self._closing:
                return
            has_room = self._pictures_waiting < self._capacity
            if not has_room:
                # A live output that is still opening (a camera takes a second) misses nothing.
                if self._sink.policy == "every" or self._state == "running":
                    self._dropped += 1
                    if self._dropped == 1:
                        _log.warning(
                            "%s cannot keep up: pictures are being dropped", self._sink.name
                        )
                if self._sink.policy == "latest":
                    self._take_oldest_picture()
                    has_room = True
            if len(self._waiting) >= self._capacity + _SKIPPED_FRAMES:
                self._waiting.popleft()
            if has_room:
                self._waiting.append((frame, True))
                self._pictures_waiting += 1
            elif self._skip is not None:
                self._waiting.append((_without_picture(frame), False))
            self._changed.notify_all()

    def hear(self, voice: VoiceChunk, due_ns: int) -> None:
        """Hand voice to a `HearingSink` at once; other sinks get it with their frames.

        Args:
            voice: coming next.
            due_ns: monotonic time at which its first sample is due.
        """
        if self._hear is not None and self._state == "running":
            self._hear(voice, due_ns)

    def move(self, rigs: Sequence[RigFrame]) -> None:
        """Hand rigs to a `MovingSink` on its fast path; other sinks get them with their frames.

        Args:
            rigs: of the frames that come next.
        """
        if self._moving is not None and self._state == "running":
            for rig in rigs:
                self._moving.move(rig)

    def close(self, timeout_s: float = 2.0, *, drain: bool = True) -> bool:
        """Let the sink finish and stop the thread; idempotent.

        Args:
            timeout_s: how long to wait for waiting frames and for the sink's own close.
            drain: hand over what waits (policy "every") before closing; after `timeout_s` the
                rest is given up.

        Returns:
            True if the sink closed in time; False if it still hangs in its last call.
        """
        with self._changed:
            self._closing = True
            self._drain = drain and self._sink.policy == "every"
            self._changed.notify_all()
        if not self._thread.is_alive():
            return True
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            with self._changed:
                self._drain = False
            self._thread.join(0.5)
        return not self._thread.is_alive()

    @property
    def status(self) -> SinkStatus:
        """What the sink did so far; may be read from any thread."""
        with self._changed:
            return SinkStatus(
                name=self._sink.name,
                state=self._state,
                sent=self._sent,
                dropped=self._dropped,
                waiting=len(self._waiting),
                error=str(self._error) if self._error is not None else "",
            )

    def _take_oldest_picture(self) -> None:
        """Make room for a newer picture; what else belongs to the old one stays in its place."""
        place = next(i for i, (_, with_picture) in enumerate(self._waiting) if with_picture)
        if self._skip is None:
            del self._waiting[place]
        else:
            self._waiting[place] = (_without_picture(self._waiting[place][0]), False)
        self._pictures_waiting -= 1

    def _run(self) -> None:
        """Thread body: open, feed, close; every failure ends as a SinkError in `_error`."""
        try:
            self._sink.open(self._fmt)
            self._set_state("running")
            self._feed()
        except Exception as error:  # noqa: BLE001 - the top of a thread
            self._fail(error)
            return
        try:
            self._sink.close()
        except Exception as error:  # noqa: BLE001 - the top of a thread
            self._fail(error, close=False)
        else:
            self._set_state("closed")

    def _feed(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if self._closing and not (self._drain and self._waiting):
                    return
                frame, with_picture = self._waiting.popleft()
                self._pictures_waiting -= with_picture
            if with_picture:
                self._sink.send(frame)
                if self._on_sent is not None:
                    self._on_sent(frame, time.monotonic_ns())
                with self._changed:
                    self._sent += 1
            elif self._skip is not None:
                self._skip(frame)

    def _fail(self, error: Exception, *, close: bool = True) -> None:
        was_open = self.status.state == "running"
        if isinstance(error, SinkError):
            failure = error
        else:
            failure = SinkError(f"{self._sink.name}: {type(error).__name__}: {error}")
            _log.debug("%s failed", self._sink.name, exc_info=error)
        if close:
            try:
                self._sink.close()
            except Exception as second:  # noqa: BLE001 - the first error is the one to report
                _log.debug("%s failed to close: %s", self._sink.name, second)
        # What is kept for the status is the sentence: a traceback holds every picture, encoder and
        # file on its way, in a circle with this runner, until Python's next full collection.
        failure = failure.with_traceback(None)
        failure.__context__ = failure.__cause__ = None
        with self._changed:
            self._waiting.clear()
            self._pictures_waiting = 0
            self._error = failure
        self._set_state("failed")
        if was_open and self._on_failure is not None:
            self._on_failure(self._sink.name, failure)

    def _set_state(self, state: RunnerState) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()


def _without_picture(frame: Frame) -> Frame:
    """Return the frame with an empty picture, so that a waiting frame holds no pixels."""
    return dataclasses.replace(frame, rgba=frame.rgba[:0, :0].copy())
