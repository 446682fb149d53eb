"""Where threads meet: every hand-off is bounded and counts what it drops.

`SampleRing` lies between the source thread and the worker (and lends the presenter the voice of a
frame that came too late), `FrameQueue` between worker and presenter, `Latest` and `FrameQueue`
between presenter and each sink's thread. Knows nothing of devices, models or sockets.
Shape letters: S samples, R capacity of the ring in samples.
"""

import threading
from collections import deque
from typing import Generic, TypeVar

import numpy as np

from rest_bridge.clock import NS_PER_S
from rest_bridge.errors import SourceClosed, SourceTimeout
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk, FloatArray, Frame

Item = TypeVar("Item")


class SampleRing:
    """The newest seconds of the voice, addressed by int64 sample index.

    One thread writes, one thread reads on through a cursor; anybody may `peek`. A reader that is
    too slow loses the oldest samples: they are counted and its next chunk says `discontinuity`.
    """

    def __init__(self, capacity: int, *, rate_hz: int = VOICE_RATE_HZ) -> None:
        """Make an empty ring.

        Args:
            capacity: samples that are kept.
            rate_hz: sample rate of what is written.
        """
        self._data = np.zeros(capacity, np.float32)
        self._rate_hz = rate_hz
        self._changed = threading.Condition()
        self._start = 0  # index of the oldest sample kept
        self._end = 0  # index after the newest sample
        self._cursor = 0
        self._captured_ns = 0  # when sample _end - 1 was captured
        self._anchored = False
        self._gap = False
        self._closed = False
        self._error: BaseException | None = None
        self.num_dropped = 0
        self.num_discontinuities = 0

    @property
    def num_unread(self) -> int:
        """Samples written and not yet read."""
        with self._changed:
            return self._end - self._cursor

    @property
    def end_index(self) -> int:
        """Index after the newest sample."""
        with self._changed:
            return self._end

    def write(self, chunk: AudioChunk) -> None:
        """Append a chunk; a jump ahead in its index is filled with silence.

        Args:
            chunk: samples at the ring's rate. The first chunk sets where the index starts.
        """
        with self._changed:
            if not self._anchored:
                self._start = self._end = self._cursor = chunk.first_index
                self._anchored = True
            missing = chunk.first_index - self._end
            if missing != 0 or chunk.discontinuity:
                self._gap = True
                self.num_discontinuities += 1
            if missing > 0:
                self._append(np.zeros(min(missing, len(self._data)), np.float32), missing)
            overlap = max(0, -missing)
            fresh = chunk.samples[overlap:]
            self._append(fresh, len(fresh))
            self._captured_ns = chunk.captured_ns
            self._changed.notify_all()

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        """Return the next samples and advance the cursor.

        Args:
            num_samples: how many; fewer only when the ring was closed.
            timeout_s: how long to wait for them.

        Returns:
            A chunk that owns its samples.

        Raises:
            SourceTimeout: they did not arrive in time; nothing was consumed.
            SourceClosed: the ring was closed and everything was read.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._end - self._cursor >= num_samples, timeout_s
            )
            available = self._end - self._cursor
            if available < num_samples and not self._closed:
                raise SourceTimeout(f"The audio source delivered nothing for {timeout_s:.1f} s.")
            if available == 0:
                if self._error is not None:
                    raise self._error
                raise SourceClosed("The audio source has ended.")
            num_read = min(num_samples, available)
            first = self._cursor
            self._cursor += num_read
            gap, self._gap = self._gap, False
            return AudioChunk(
                samples=self._copy(first, num_read),
                sample_rate_hz=self._rate_hz,
                first_index=first,
                captured_ns=self._captured_at(first + num_read - 1),
                discontinuity=gap,
            )

    def peek(self, first_index: int, num_samples: int) -> FloatArray:
        """Copy samples by index without moving the cursor; silence where there are none.

        Args:
            first_index: index of the first one.
            num_samples: how many.

        Returns:
            float32 [num_samples].
        """
        out = np.zeros(num_samples, np.float32)
        with self._changed:
            first = max(first_index, self._start)
            last = min(first_index + num_samples, self._end)
            if last > first:
                out[first - first_index : last - first_index] = self._copy(first, last - first)
        return out

    def skip_to_newest(self) -> None:
        """Let the next read start at the newest sample (used once, when the worker is ready)."""
        with self._changed:
            self._cursor = self._end

    def close(self, error: BaseException | None = None) -> None:
        """Say that nothing more will be written.

        Args:
            error: why, if the source failed; `read` raises it once the rest is read.
        """
        with self._changed:
            self._closed = True
            self._error = self._error or error
            self._changed.notify_all()

    def _append(self, samples: FloatArray, advance: int) -> None:
        capacity = len(self._data)
        self._end += advance
        kept = samples[-capacity:]
        position = (self._end - len(kept)) % capacity
        head = min(len(kept), capacity - position)
        self._data[position : position + head] = kept[:head]
        self._data[: len(kept) - head] = kept[head:]
        self._start = max(self._start, self._end - capacity)
        if self._cursor < self._start:
            self.num_dropped += self._start - self._cursor
            self.num_discontinuities += not self._gap
            self._gap = True
            self._cursor = self._start

    def _copy(self, first: int, num_samples: int) -> FloatArray:
        position = first % len(self._data)
        head = min(num_samples, len(self._data) - position)
        return np.concatenate(
            (self._data[position : position + head], self._data[: num_samples - head])
        )

    def _captured_at(self, index: int) -> int:
        return self._captured_ns - (self._end - 1 - index) * NS_PER_S // self._rate_hz


class FrameQueue:
    """At most `capacity` frames in order; the only place where pictures wait."""

    def __init__(self, capacity: int) -> None:
        """Make an empty queue.

        Args:
            capacity: frames that may wait.
        """
        self._frames: deque[Frame] = deque()
        self._first_wanted = 0
        self._capacity = capacity
        self._changed = threading.Condition()
        self._closed = False
        self.num_dropped = 0

    def __len__(self) -> int:
        with self._changed:
            return len(self._frames)

    @property
    def drained(self) -> bool:
        """True once the queue is closed and empty."""
        with self._changed:
            return self._closed and not self._frames

    def resize(self, capacity: int) -> None:
        """Let so many frames wait from now on; called once, when the chunk length is known."""
        with self._changed:
            self._capacity = capacity
            self._changed.notify_all()

    @property
    def first_wanted(self) -> int:
        """Frames before this one were skipped on purpose."""
        with self._changed:
            return self._first_wanted

    def skip_to(self, index: int) -> None:
        """Forget frames before `index`, and take none of them any more."""
        with self._changed:
            self._first_wanted = index
            while self._frames and self._frames[0].index < index:
                self._pop()
            self._changed.notify_all()

    def put(self, frame: Frame, *, timeout_s: float = 0.0) -> None:
        """Append a frame; when there is no room in time, the oldest one is dropped and counted.

        Args:
            frame: the frame.
            timeout_s: how long to wait for room.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._closed
                    or len(self._frames) < self._capacity
                    or frame.index < self._first_wanted
                ),
                timeout_s,
            )
            if self._closed or frame.index < self._first_wanted:
                return
            if len(self._frames) >= self._capacity:
                self._frames.popleft()
                self.num_dropped += 1
            self._frames.append(frame)
            self._changed.notify_all()

    def get(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None if none came in time or the queue is drained."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._frames), timeout_s)
            return self._pop()

    def take(self, index: int) -> Frame | None:
        """Return frame `index` if it is there; older ones came too late and are dropped.

        Args:
            index: the frame whose turn it is.

        Returns:
            The frame, or None (a later frame stays in the queue).
        """
        with self._changed:
            while self._frames and self._frames[0].index < index:
                self._pop()
                self.num_dropped += 1
            if self._frames and self._frames[0].index == index:
                return self._pop()
            return None

    def waiting(self) -> list[Frame]:
        """Return the frames that wait, in order; they stay."""
        with self._changed:
            return list(self._frames)

    def exchange(self, frames: list[Frame]) -> bool:
        """Put other frames in the places of those that still wait; say whether any does."""
        with self._changed:
            changed = {frame.index: frame for frame in frames}
            here = [frame.index in changed for frame in self._frames]
            self._frames = deque(changed.get(frame.index, frame) for frame in self._frames)
            return any(here)

    def close(self, *, discard: bool = False) -> None:
        """Take no more frames; waiting threads wake up.

        Args:
            discard: also forget what waits.
        """
        with self._changed:
            self._closed = True
            if discard:
                self._frames.clear()
            self._changed.notify_all()

    def _pop(self) -> Frame | None:
        if not self._frames:
            return None
        frame = self._frames.popleft()
        self._changed.notify_all()
        return frame


class Latest(Generic[Item]):
    """A mailbox of one: a new item replaces the one that nobody has fetched (counted)."""

    def __init__(self) -> None:
        """Make an empty mailbox."""
        self._item: Item | None = None
        self._changed = threading.Condition()
        self._closed = False
        self.num_dropped = 0

    @property
    def drained(self) -> bool:
        """True once the mailbox is closed and empty."""
        with self._changed:
            return self._closed and self._item is None

    def put(self, item: Item) -> None:
        """Leave an item."""
        with self._changed:
            if self._closed:
                return
            self.num_dropped += self._item is not None
            self._item = item
            self._changed.notify_all()

    def get(self, timeout_s: float) -> Item | None:
        """Fetch the item, or None if none came in time or the mailbox was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._item is not None, timeout_s)
            item, self._item = self._item, None
            return item

    def close(self, *, discard: bool = False) -> None:
        """Take no more items; waiting threads wake up.

        Args:
            discard: also forget what lies there.
        """
        with self._changed:
            self._closed = True
            if discard:
                self._item = None
            self._changed.notify_all()
