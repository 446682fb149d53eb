"""Where streams ask for motion, each in its own thread, and those that wait go together.

Streams ask whenever their voice has made a chunk complete. Who asks while the network is running
waits for the end of that run and goes into the next one, with everybody else who waits. Streams
that asked at about the same time before wait a moment for one another, since two in one run take
less than one after the other; a stream whose chunks are due at a time of its own waits for nobody.
Knows nothing of pictures. Shape letters: T latent frames of a chunk.
"""

import copy
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Self

from rest_bridge.generator.many_motion import (
    MOST_TOGETHER,
    ManyMotion,
    MotionAnswer,
    MotionRequest,
)
from rest_bridge.types import Array, FloatArray, State

GATHER_S: Final = 0.004
"""How long a chunk may wait for others that are due: a run of two spares as much."""


class _Waiting:
    """A request on its way."""

    __slots__ = ("answer", "done", "error", "num_steps", "request")

    def __init__(self, request: MotionRequest, num_steps: int) -> None:
        self.request = request
        self.num_steps = num_steps
        self.answer: MotionAnswer | None = None
        self.error: BaseException | None = None
        self.done = False

    @property
    def kind(self) -> tuple[int, int]:
        """What requests of one run have in common."""
        return self.num_steps, len(self.request.audio_tokens)


class MotionDesk:
    """Takes requests of streams in their own threads, and runs those that wait together."""

    def __init__(
        self,
        motion: ManyMotion,
        *,
        most_together: int = MOST_TOGETHER,
        gather_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open.

        Args:
            motion: answers requests.
            most_together: streams in one run.
            gather_s: how long a request waits at most for others that are due; 0 for never.
            clock: seconds; for tests.
        """
        self._motion = motion
        self._most = most_together
        self._gather_s, self._clock = gather_s, clock
        self._asked: dict[object, float] = {}  # when each stream did last
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._running = False
        self.batches: dict[int, int] = {}
        """How many runs there were of how many streams."""

    def ask(self, request: MotionRequest, num_steps: int, stream: object = None) -> MotionAnswer:
        """Return the answer; runs the network itself if nobody else is doing so.

        Args:
            request: the stream's next chunk.
            num_steps: denoising steps.
            stream: whose; others may wait for it when its next chunk is due. None: nobody does.

        Raises:
            Exception: whatever this request alone fails with; others are answered all the same.
        """
        mine = _Waiting(request, num_steps)
        with self._changed:
            self._waiting.append(mine)
            company, end_s = self._note(stream), self._clock() + self._gather_s
            while not mine.done:
                if self._running:
                    self._changed.wait()
                    continue
                left_s = end_s - self._clock()
                if left_s <= 0 or not any(self._asked.get(k) == t for k, t in company.items()):
                    break
                self._changed.wait(left_s)
            if not mine.done:
                self._running = True
                batch = self._take(mine)
            else:
                batch = []
        if batch:
            self._run(batch)
        if mine.error is not None:
            raise mine.error
        assert mine.answer is not None, "done without an error means answered"
        return mine.answer

    def leave(self, stream: object) -> None:
        """Forget a stream that has ended."""
        with self._changed:
            self._asked.pop(stream, None)
            self._changed.notify_all()

    def _note(self, stream: object) -> dict[object, float]:
        """Note that a stream asks; return those that asked with it last time, and when they did."""
        if stream is None or not self._gather_s:
            return {}
        before, now_s = self._asked.get(stream), self._clock()
        self._asked[stream] = now_s
        if before is None:
            return {}
        return {
            other: asked_s
            for other, asked_s in self._asked.items()
            if other is not stream and abs(asked_s - before) <= self._gather_s
        }

    def _take(self, mine: _Waiting) -> list[_Waiting]:
        """Take the requests that go with one, the oldest first; holds the lock."""
        alike = [one for one in self._waiting if one.kind == mine.kind][: self._most]
        if mine not in alike:
            alike[-1] = mine
        self._waiting = [one for one in self._waiting if one not in alike]
        return alike

    def _run(self, batch: list[_Waiting]) -> None:
        try:
            self._answer(batch)
        finally:
            with self._changed:
                for one in batch:
                    one.done = True
                self._running = False
                self.batches[len(batch)] = self.batches.get(len(batch), 0) + 1
                self._changed.notify_all()

    def _answer(self, batch: list[_Waiting]) -> None:
        try:
            answers = self._motion.step([one.request for one in batch], batch[0].num_steps)
        except Exception as error:  # noqa: BLE001 - whose fault it is is found below
            if len(batch) == 1:
                batch[0].error = error
                return
            for one in batch:  # a bad request must not fail the others
                self._answer([one])
            return
        for one, answer in zip(batch, answers, strict=True):
            one.answer = answer


class SharedMotion:
    """A stream's motion stage that asks at a desk; see `stages.MotionStage`."""

    def __init__(self, desk: MotionDesk, motion: ManyMotion, num_steps: int) -> None:
        """Connect.

        Args:
            desk: where all streams ask.
            motion: what answers there.
            num_steps: denoising steps of this stream.
        """
        self._desk = desk
        self._motion = motion
        self._stream = object()
        self.num_steps = num_steps
        self.max_chunk_latents: int = motion.alone.max_chunk_latents

    def initial_state(self, avatar_latent: FloatArray) -> dict[str, Array]:
        """Return the state before the first latent frame."""
        return self._motion.alone.initial_state(avatar_latent)

    def adopt(self, avatar_latent: FloatArray, state: State) -> State:
        """Return the state with another identity."""
        return self._motion.alone.adopt(avatar_latent, state)

    def with_steps(self, num_steps: int) -> Self:
        """Return the same stage with another number of denoising steps."""
        other: Any = copy.copy(self)
        other.num_steps = num_steps
        return other

    def step(
        self, audio_tokens: FloatArray, conditions: FloatArray, state: State, noise: FloatArray
    ) -> MotionAnswer:
        """Return latents float32 [T, 16, 4, 4] and the next state."""
        request = MotionRequest(audio_tokens, conditions, state, noise)
        return self._desk.ask(request, self.num_steps, self._stream)
