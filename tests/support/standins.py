"""Stand-ins for the trained parts of the generator. For tests of the loop around them only.

They are cheap and deterministic, have memory, and let a test see in a picture which voice, noise
and plan it was made from. None of them is shipped.
"""

import copy
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from rest_bridge.errors import SinkError, SinkUnavailable, SourceClosed
from rest_bridge.generator.steering import Steering, SteeringRamp
from rest_bridge.stages import Stages
from rest_bridge.types import AudioChunk, ByteArray, FloatArray, Frame, FrameFormat, State

NUM_RIG = 58
LATENT_SAMPLES = 1280


class StandInSpeech:
    """Tokens = energy and last sample of a latent frame's span, known `lookahead` ms after it."""

    def __init__(self, lookahead_ms: int = 80) -> None:
        self._lookahead = lookahead_ms * 16

    def initial_state(self) -> State:
        return {"speech.samples": np.zeros(0, np.float32)}

    def step(self, samples: FloatArray, state: State) -> tuple[FloatArray, State]:
        held = np.concatenate([state["speech.samples"], samples])
        tokens = []
        while len(held) >= LATENT_SAMPLES + self._lookahead:
            span = held[:LATENT_SAMPLES].reshape(2, -1)
            ahead = held[LATENT_SAMPLES : LATENT_SAMPLES + self._lookahead]
            row = np.stack([np.abs(span).mean(1), span[:, -1], np.full(2, np.abs(ahead).sum())], 1)
            tokens.append(row.astype(np.float32))
            held = held[LATENT_SAMPLES:]
        out = np.stack(tokens) if tokens else np.zeros((0, 2, 3), np.float32)
        return out, {"speech.samples": held}


class StandInMotion:
    """Leaky memory of tokens, plan and noise; `fail_at` raises, `work_s` takes time."""

    def __init__(self, *, fail_at: int | None = None, work_s: float = 0.0) -> None:
        self._fail_at = fail_at
        self.work_s = work_s
        self.num_latents = 0
        self.num_steps = 0

    def initial_state(self, avatar_latent: FloatArray) -> State:
        return {"motion.memory": avatar_latent.reshape(-1).copy()}

    def step(
        self, audio_tokens: FloatArray, conditions: FloatArray, state: State, noise: FloatArray
    ) -> tuple[FloatArray, State]:
        if self._fail_at is not None and self.num_latents >= self._fail_at:
            raise RuntimeError("the stand-in generator fails")
        if self.work_s:
            time.sleep(self.work_s)
        self.num_latents += len(audio_tokens)
        memory = state["motion.memory"]
        out = np.empty((len(audio_tokens), 256), np.float32)
        for row in range(len(audio_tokens)):
            memory = np.float32(0.5) * memory + np.float32(0.1) * noise[row].reshape(-1)
            memory[:6] += audio_tokens[row].reshape(-1)
            memory[6] += conditions[row].sum()
            out[row] = memory
        return out.reshape(-1, 16, 4, 4), {"motion.memory": memory}

    def adopt(self, avatar_latent: FloatArray, state: State) -> State:
        return state

    def with_steps(self, num_steps: int) -> "StandInMotion":
        other = copy.copy(self)
        other.num_steps = num_steps
        return other


class StandInLife:
    """A plan that counts."""

    def plan(
        self,
        first_latent: int,
        num_latents: int,
        steering: Steering | SteeringRamp | None = None,
    ) -> FloatArray:
        return np.arange(first_latent, first_latent + num_latents, dtype=np.float32)[:, None]


class StandInLatentSpace:
    """The first 116 numbers of a latent are the rig of its two frames."""

    def to_rig(self, latents: FloatArray) -> FloatArray:
        return latents.reshape(len(latents), -1)[:, : 2 * NUM_RIG].reshape(-1, NUM_RIG).copy()

    def from_rig(self, rig: FloatArray) -> FloatArray:
        assert len(rig) > 0
        out = np.zeros((len(rig) // 2, 256), np.float32)
        out[:, : 2 * NUM_RIG] = rig.reshape(-1, 2 * NUM_RIG)
        return out.reshape(-1, 16, 4, 4)


class StandInDecoder:
    """Pictures of 8 x 8 pixels that hold the bytes of the rig, and `mark` in their last byte."""

    def __init__(self, mark: int = 0) -> None:
        self.mark = mark
        self.num_pictures = 0

    def decode(
        self, latents: FloatArray, wanted: Sequence[bool] | None = None
    ) -> Iterator[ByteArray | None]:
        for index, rig in enumerate(StandInLatentSpace().to_rig(latents)):
            if wanted is not None and not wanted[index]:
                yield None
                continue
            self.num_pictures += 1
            picture = np.zeros(8 * 8 * 4, np.uint8)
            picture[: 4 * NUM_RIG] = rig.view(np.uint8)
            picture[-1] = self.mark
            yield picture.reshape(8, 8, 4)


def standin_stages(
    *, lookahead_ms: int = 80, fail_at: int | None = None, work_s: float = 0.0
) -> Stages:
    """Return stages made of stand-ins."""
    return Stages(
        speech=StandInSpeech(lookahead_ms),
        motion=StandInMotion(fail_at=fail_at, work_s=work_s),
        life=StandInLife(),
        latent_space=StandInLatentSpace(),
        decoder=StandInDecoder(),
        avatar_latent=np.full((1, 16, 4, 4), 0.25, np.float32),
    )


class StandInSource:
    """A voice from memory at the pace of the clock; then it ends, or fails with `error`.

    Each sample comes `late_s` after its capture, as from a device with a long buffer.
    """

    name = "stand-in"
    sample_rate_hz = 48_000
    live = True

    def __init__(
        self, voice: FloatArray, *, error: Exception | None = None, late_s: float = 0.0
    ) -> None:
        self._late_ns = int(late_s * 1e9)
        self._voice = voice
        self._error = error
        self._next = 0
        self._origin_ns = 0
        self._closed = threading.Event()

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        self._origin_ns = self._origin_ns or time.monotonic_ns()
        part = self._voice[self._next : self._next + num_samples]
        if len(part) == 0:
            raise self._error or SourceClosed("the stand-in has ended")
        first, self._next = self._next, self._next + len(part)
        due_ns = self._origin_ns + self._next * 1_000_000_000 // 48_000
        if self._closed.wait(max(0, due_ns - time.monotonic_ns()) / 1e9):
            raise SourceClosed("the stand-in was closed")
        return AudioChunk(part, 48_000, first, due_ns - self._late_ns)

    def close(self) -> None:
        self._closed.set()


class StandInSink:
    """Keeps what it gets; fails to open or to send if told so."""

    policy: Literal["latest", "every"] = "every"

    def __init__(
        self,
        name: str = "stand-in",
        *,
        open_error: str = "",
        send_error: str = "",
        fail_at: int = 0,
    ) -> None:
        self.name = name
        self._open_error, self._send_error, self._fail_at = open_error, send_error, fail_at
        self.frames: list[Frame] = []
        self.times_ns: list[int] = []
        self.closed = 0

    def open(self, fmt: FrameFormat) -> None:
        if self._open_error:
            raise SinkUnavailable(self._open_error)
        self.fmt = fmt

    def send(self, frame: Frame) -> None:
        if self._send_error and len(self.frames) >= self._fail_at:
            raise SinkError(self._send_error)
        self.frames.append(frame)
        self.times_ns.append(time.monotonic_ns())

    def close(self) -> None:
        self.closed += 1
