"""Motion of many streams in one run of the network: weights are read once for all of them.

Streams ask whenever their voice has made a chunk complete. Who asks while the network is running
waits for the end of that run and goes into the next one, with everybody else who waits. Streams
that asked at about the same time before wait a moment for one another, since two in one run take
less than one after the other; a stream whose chunks are due at a time of its own waits for nobody.
Knows nothing of pictures. Shape letters: B streams, T latent frames of a chunk.
"""

import copy
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np

from rest_bridge.generator.conditions import fit_rows
from rest_bridge.generator.generator import CHUNK_SIZE, NEXT_LATENT, MotionGenerator
from rest_bridge.generator.sampler import euler_step, schedule
from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.session import Session
from rest_bridge.types import Array, FloatArray, State

GRAPH: Final = "dit_many"
MADE_FROM: Final = "made_from"
"""Of the manifest's section `dit_many`: SHA-256 of the dit.onnx whose batch it is."""
MOST_TOGETHER: Final = 64
GATHER_S: Final = 0.004
"""How long a chunk may wait for others that are due: a run of two spares as much."""
_RUNS: Final = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MotionRequest:
    """A stream's next chunk; arguments of `MotionGenerator.step`."""

    audio_tokens: FloatArray
    conditions: FloatArray
    state: State
    noise: FloatArray


MotionAnswer = tuple[FloatArray, dict[str, Array]]


class ManyMotion:
    """Steps several streams at once; equal to stepping each alone, up to rounding."""

    def __init__(
        self,
        alone: MotionGenerator,
        package: ModelPackage,
        *,
        threads: int = 1,
        provider: str = "cpu",
        chunk_latents: int | None = None,
    ) -> None:
        """Load the batched network, where the package has it; measure from when on it is cheaper.

        Args:
            alone: the generator of one stream; does everything where the package has no batch.
            package: the model package.
            threads: CPU threads.
            provider: what computes, a name of `inference.session.PROVIDERS`.
            chunk_latents: length of the chunks, if all have the same.

        Raises:
            PackageError: the batched network cannot be loaded.
        """
        self.alone = alone
        self._session: Session | None = None
        self.least = MOST_TOGETHER + 1
        """So many streams in one run take less time than one after the other."""
        if self.fits(package):
            sizes = {CHUNK_SIZE: chunk_latents} if chunk_latents else None
            self._session = package.session(GRAPH, threads=threads, provider=provider, sizes=sizes)
            self.least = least_together(self._session, alone.step_seconds(chunk_latents or 1),
                                        chunk_latents or 1)  # fmt: skip

    @staticmethod
    def fits(package: ModelPackage) -> bool:
        """Say whether the package has a batched network, and one of the weights of dit.onnx."""
        if not package.has(f"{GRAPH}.onnx"):
            return False
        if GRAPH in package.manifest:
            made_from = package.section(GRAPH).get(MADE_FROM)
            if made_from is not None and made_from != package.digest("dit"):
                _log.warning(
                    "%s.onnx was made from another dit.onnx, so faces move one after the other; "
                    "run `python -m rest_bridge.training.finish_package --package %s`.",
                    GRAPH,
                    package.path,
                )
                return False
        return True

    @property
    def batches(self) -> bool:
        """Whether some number of streams is cheaper in one run than one after the other."""
        return self._session is not None and self.least <= MOST_TOGETHER

    def step(self, requests: Sequence[MotionRequest], num_steps: int) -> list[MotionAnswer]:
        """Generate a chunk for each stream.

        Args:
            requests: of different streams, all with as many latent frames.
            num_steps: denoising steps.

        Returns:
            Latents and next state, in the order of the requests.

        Raises:
            StateMismatch: a state belongs to another model package.
        """
        if self._session is None or len(requests) < self.least:
            motion = self.alone.with_steps(num_steps)
            return [motion.step(r.audio_tokens, r.conditions, r.state, r.noise) for r in requests]
        return self._together(self._session, requests, num_steps)

    def _together(
        self, session: Session, requests: Sequence[MotionRequest], num_steps: int
    ) -> list[MotionAnswer]:
        alone = self.alone
        for request in requests:
            alone.state_spec.check(request.state)
        columns = alone.columns
        inputs: dict[str, Array] = {
            "audio": np.stack([r.audio_tokens for r in requests]),
            "conditions": np.stack([fit_rows(r.conditions, columns) for r in requests]),
            "position": np.concatenate([r.state[NEXT_LATENT] for r in requests]),
            "state.position": np.stack([r.state["state.position"] for r in requests]),
        }
        for name in alone.graph_arrays:
            if name not in inputs:
                inputs[name] = np.concatenate([r.state[name] for r in requests])
        latents = np.stack([r.noise for r in requests]) * alone.temperature
        num_latents = latents.shape[1]
        written = [n for n in session.output_names if n.startswith("next_state.")]
        out: dict[str, Array] = {}
        for t, t_next in pairwise(schedule(num_steps)):
            flow_time = np.full(latents.shape[:2], t, np.float32)
            kept = written if t_next == 0 and not alone.commits else []
            out = session.run({"latents": latents, "t": flow_time, **inputs}, ["velocity", *kept])
            latents = euler_step(latents, out["velocity"], t, t_next).astype(np.float32)
        latents = np.concatenate(
            [
                alone.with_eyes(one[None], r.conditions)
                for one, r in zip(latents, requests, strict=True)
            ]
        )
        if alone.commits:
            clean = np.zeros(latents.shape[:2], np.float32)
            out = session.run({"latents": latents, "t": clean, **inputs}, written)
        return [
            (latents[row], _state_of(request, out, row, num_latents))
            for row, request in enumerate(requests)
        ]


def least_together(session: Session, alone_s: float, chunk_latents: int) -> int:
    """Return how many streams at least take less time in one run than one after the other.

    Args:
        session: the batched network.
        alone_s: seconds of one pass of the network of one stream.
        chunk_latents: latent frames of a chunk.

    Returns:
        2, 4, 8 or, where no such number is cheaper, more than there are streams.
    """
    for count in (2, 4, 8):
        inputs = session.zeros({"B": count, CHUNK_SIZE: chunk_latents})
        times = []
        for _ in range(_RUNS):
            begin_s = time.perf_counter()
            session.run(inputs, ["velocity"])
            times.append(time.perf_counter() - begin_s)
        if min(times) < count * alone_s:
            return count
    return MOST_TOGETHER + 1


def _state_of(
    request: MotionRequest, out: dict[str, Array], row: int, num_latents: int
) -> dict[str, Array]:
    state = dict(request.state)
    for name, array in out.items():
        if name.startswith("next_state."):
            key = name.removeprefix("next_")
            state[key] = array[row].reshape(state[key].shape)
    state[NEXT_LATENT] = request.state[NEXT_LATENT] + num_latents
    return state


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
