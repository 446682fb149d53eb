"""Voice in, frames out: the whole generator as one pure function of samples and seed.

    voice 48 kHz -> 16 kHz -> SpeechEncoder -> MotionGenerator + LifePlanner -> rig -> FaceDecoder
         `--------- held back ----------------------------------------------> Frame.voice

Knows nothing of threads, clocks, devices or sockets. Samples are worked on in blocks of 10 ms and
latent frames in chunks of fixed length, whatever the caller's chunks are, and the noise is drawn
from (seed, latent index): any chunking of the same voice gives bit-equal frames.
Shape letters: S samples, T latent frames, F frames, H/W pixels.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from rest_bridge.clock import NS_PER_S
from rest_bridge.errors import ConfigError
from rest_bridge.features.activity import SpeechGate
from rest_bridge.features.decimate import BLOCK_SAMPLES, Decimator
from rest_bridge.generator.life import Steering
from rest_bridge.generator.retime import Retimer
from rest_bridge.generator.sampler import latent_noise
from rest_bridge.generator.steady import HeadSmoother
from rest_bridge.generator.visemes import VisemeReader
from rest_bridge.handoff import SampleRing
from rest_bridge.metrics import Metrics
from rest_bridge.stages import Stages
from rest_bridge.types import (
    FRAME_RATE_HZ,
    LATENT_STRIDE,
    VOICE_RATE_HZ,
    AudioChunk,
    ByteArray,
    FloatArray,
    Frame,
    RigFrame,
    State,
    StreamActivity,
    VoiceChunk,
)

_HELD_SAMPLES: Final = 4 * VOICE_RATE_HZ
_MOST_FLUSHED_BLOCKS: Final = 2000


class LateAction(Enum):
    """What to leave out of a chunk that would come too late."""

    NOTHING = "nothing"
    PICTURES = "pictures"
    MOTION = "motion"


def late_action(behind_ns: int) -> LateAction:
    """Decide what a chunk is worth: the one policy for being late.

    A picture whose turn is over is never shown, so drawing it only makes the next one late too.
    Motion goes on without pictures, so that the face is where it should be once there is time
    again; only when half a second behind is the motion left out as well.

    Args:
        behind_ns: by how much the chunk's last frame would miss its turn; negative if in time.

    Returns:
        What to skip. Voice and frame numbers never have gaps: a skipped frame repeats the picture.
    """
    if behind_ns <= 0:
        return LateAction.NOTHING
    return LateAction.PICTURES if behind_ns < NS_PER_S // 2 else LateAction.MOTION


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a pipeline needs on this computer.

    Attributes:
        num_samples: voice from the start of a chunk's span until its frames can be made.
        compute_ns: from there until every frame of the chunk would be in time for its turn, if the
            first one's turn came so much later. The second longest of several, without the first
            one, which warms up: one hiccup of the computer must not delay the whole stream.
    """

    num_samples: int
    compute_ns: int


class Pipeline:
    """Turns one stream of voice into frames."""

    def __init__(
        self,
        stages: Stages,
        *,
        fps: int = FRAME_RATE_HZ,
        seed: int = 0,
        chunk_latents: int = 1,
        metrics: Metrics | None = None,
    ) -> None:
        """Begin a stream.

        Args:
            stages: the loaded parts; see `load_stages`.
            fps: frames per second; the voice of a frame must be a whole number of samples.
            seed: same seed and voice, same frames.
            chunk_latents: latent frames of 80 ms generated together.
            metrics: where the time each stage takes is recorded.

        Raises:
            ConfigError: a frame at this rate has no whole number of samples, or the chunk is longer
                than the model allows.
        """
        if not 1 <= chunk_latents <= stages.max_chunk_latents:
            raise ConfigError(
                f"generator.chunk = {chunk_latents} is not possible with this model package; "
                f"choose 1 to {stages.max_chunk_latents}."
            )
        if VOICE_RATE_HZ % fps:
            raise ConfigError(
                f"output.fps = {fps} is not possible: a frame must hold a whole number of the "
                f"voice's 48,000 samples a second; use 24, 25, 30, 50 or 60."
            )
        self._stages = stages
        self._fps = fps
        self._seed = seed
        self._chunk = chunk_latents
        self._metrics = metrics or Metrics()
        self._decimator, self._gate = Decimator(), SpeechGate()
        self._visemes, self._retimer = VisemeReader(), Retimer(fps)
        self._head = HeadSmoother()
        self.samples_per_frame = VOICE_RATE_HZ // fps
        self.steering = Steering()
        self._states: dict[str, State] = {
            "decimator": self._decimator.initial_state(),
            "speech": stages.speech.initial_state(),
            "motion": stages.motion.initial_state(stages.avatar_latent),
            "head": self._head.initial_state(),
            "retimer": self._retimer.initial_state(),
            "gate": self._gate.initial_state(),
        }
        self._voice = SampleRing(_HELD_SAMPLES)
        self._num_samples = 0
        self._source_start: int | None = None
        self._captured_ns = 0
        self._tokens: list[FloatArray] = []
        self._num_latents = 0
        self._num_frames = 0
        self._last_picture: ByteArray | None = None
        self._last_rig: FloatArray | None = None

    @property
    def num_frames(self) -> int:
        """Frames handed out so far; the next one has this index."""
        return self._num_frames

    @property
    def num_samples(self) -> int:
        """Samples taken so far: the media time that has been heard."""
        return self._num_samples

    @property
    def frames_per_chunk(self) -> int:
        """Frames that come out together (the most of them, where the rate is not 25)."""
        return -(-self._chunk * LATENT_STRIDE * self._fps // FRAME_RATE_HZ)

    def push(self, chunk: AudioChunk, *, behind_ns: int = 0) -> list[Frame]:
        """Take voice, return the frames that it completes.

        Args:
            chunk: mono, 48 kHz. A jump ahead in its index is filled with silence, what was heard
                before is ignored.
            behind_ns: by how much the next chunk's last frame would miss its turn; see
                `late_action`. Zero or less offline.

        Returns:
            Frames in order, without gaps.
        """
        return list(self.stream(chunk, behind_ns=behind_ns))

    def stream(self, chunk: AudioChunk, *, behind_ns: int = 0) -> Iterator[Frame]:
        """Take voice like `push`, yield each frame as soon as it is drawn.

        Args:
            chunk: as for `push`.
            behind_ns: as for `push`.

        Yields:
            Frame: in order, without gaps. Exhaust the iterator before the next call.
        """
        if self._source_start is None:
            self._source_start = chunk.first_index
        first = chunk.first_index - self._source_start
        end = first + len(chunk.samples)
        action = late_action(behind_ns)
        for samples in self._pieces(chunk.samples, first):
            after = end - self._num_samples - len(samples)
            self._captured_ns = chunk.captured_ns - after * NS_PER_S // VOICE_RATE_HZ
            yield from self._hear(samples, action)

    def rehearse(self, num_chunks: int = 6) -> Rehearsal:
        """Generate a few chunks of silence in a stream of their own: warms up and measures.

        Args:
            num_chunks: how many, at least three.

        Returns:
            Delay and compute time of a chunk.
        """
        metrics = Metrics()
        other = Pipeline(
            self._stages,
            fps=self._fps,
            seed=self._seed,
            chunk_latents=self._chunk,
            metrics=metrics,
        )
        silence = np.zeros(BLOCK_SAMPLES, np.float32)
        needed = 0
        durations_ns: list[int] = []
        while len(durations_ns) < num_chunks:
            begin_ns, late_ns = time.perf_counter_ns(), 0
            part = AudioChunk(silence, VOICE_RATE_HZ, other.num_samples, 0)
            for place, _ in enumerate(other.stream(part)):
                needed = needed or other.num_samples
                elapsed_ns = time.perf_counter_ns() - begin_ns
                late_ns = max(late_ns, elapsed_ns - place * NS_PER_S // self._fps)
            if late_ns:
                durations_ns.append(late_ns)
        return Rehearsal(needed, sorted(durations_ns[1:])[-2])

    def finish(self) -> list[Frame]:
        """End the stream: return the frames of everything that was heard.

        Returns:
            The last frames; the voice of the very last one is filled up with silence.
        """
        num_wanted = -(-self._num_samples // self.samples_per_frame)
        silence = np.zeros(BLOCK_SAMPLES, np.float32)
        frames: list[Frame] = []
        for _ in range(_MOST_FLUSHED_BLOCKS):
            if self._num_frames >= num_wanted:
                break
            self._captured_ns += NS_PER_S * BLOCK_SAMPLES // VOICE_RATE_HZ
            frames += self._hear(silence, LateAction.NOTHING)
        surplus = self._num_frames - num_wanted
        self._num_frames -= surplus
        return frames[: len(frames) - surplus]

    def _pieces(self, samples: FloatArray, first: int) -> Iterator[FloatArray]:
        """Yield samples so that each piece ends at or before a block's end."""
        for part in (None, samples[max(0, self._num_samples - first) :]):
            left = max(0, first - self._num_samples) if part is None else len(part)
            done = 0
            while done < left:
                room = BLOCK_SAMPLES - self._num_samples % BLOCK_SAMPLES
                taken = min(room, left - done)
                yield (np.zeros(taken, np.float32) if part is None else part[done : done + taken])
                done += taken

    def _hear(self, samples: FloatArray, action: LateAction) -> Iterator[Frame]:
        """Take at most a block; generate when a chunk of latent frames is complete."""
        self._voice.write(AudioChunk(samples, VOICE_RATE_HZ, self._num_samples, 0))
        self._num_samples += len(samples)
        stages = self._stages
        with self._metrics.timer("features").measure():
            low, self._states["decimator"] = self._decimator.step(
                samples, self._states["decimator"]
            )
            if len(low):
                tokens, self._states["speech"] = stages.speech.step(low, self._states["speech"])
                self._tokens.extend(tokens)
        while len(self._tokens) >= self._chunk:
            chunk = np.stack(self._tokens[: self._chunk])
            del self._tokens[: self._chunk]
            yield from self._generate(chunk, action)

    def _generate(self, tokens: FloatArray, action: LateAction) -> Iterator[Frame]:
        """Make motion for a chunk, then one frame after the other."""
        stages = self._stages
        if self._last_picture is None or self._last_rig is None:
            action = LateAction.NOTHING  # there is nothing to repeat yet
        begin_ns = time.perf_counter_ns()
        latents = None if action is LateAction.MOTION else self._move(tokens)
        spent_ns = time.perf_counter_ns() - begin_ns
        self._num_latents += self._chunk
        if latents is not None:
            rig, latents = self._steady(latents)
        else:
            assert self._last_rig is not None, "motion is only skipped where there was some"
            rig = np.repeat(self._last_rig[None], LATENT_STRIDE * self._chunk, 0)
            self._metrics.count("skipped_motion", self._chunk)
        self._last_rig = rig[-1]
        if self._fps != FRAME_RATE_HZ:
            rig, self._states["retimer"] = self._retimer.step(rig, self._states["retimer"])
            if not len(rig):
                return
            latents = stages.latent_space.from_rig(rig)
        drawn: Iterator[ByteArray] = iter(())
        if action is LateAction.NOTHING and latents is not None:
            drawn = iter(stages.decoder.decode(latents))
        for values in rig:
            begin_ns = time.perf_counter_ns()
            picture = next(drawn, None)
            decode_ns = time.perf_counter_ns() - begin_ns
            if picture is not None:
                self._metrics.timer("decode").record(decode_ns)
            spent_ns += decode_ns
            yield self._frame(values, picture)
        if action is LateAction.NOTHING:
            self._metrics.timer("chunk").record(spent_ns)

    def _steady(self, latents: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the rig with an evenly moving head, and the latents that read out as that."""
        space = self._stages.latent_space
        raw = space.to_rig(latents)
        rig, self._states["head"] = self._head.step(raw, self._states["head"])
        change = space.from_rig(rig) - space.from_rig(raw)
        return rig, (latents + change).astype(np.float32, copy=False)

    def _move(self, tokens: FloatArray) -> FloatArray:
        """Return the motion latents of a chunk."""
        stages, first = self._stages, self._num_latents
        with self._metrics.timer("motion").measure():
            latents, self._states["motion"] = stages.motion.step(
                tokens,
                stages.life.plan(first, self._chunk, self.steering),
                self._states["motion"],
                latent_noise(self._seed, first, self._chunk),
            )
        return latents

    def _frame(self, values: FloatArray, picture: ByteArray | None) -> Frame:
        index, count = self._num_frames, self.samples_per_frame
        pts_ns = index * NS_PER_S // self._fps
        voice = self._voice.peek(index * count, count)
        level, speaking, self._states["gate"] = self._gate.step(
            voice, 1 / self._fps, self._states["gate"]
        )
        activity: StreamActivity = "speaking" if speaking else "idle"
        if picture is None:
            self._metrics.count("skipped_pictures")
        shown = self._last_picture if picture is None else picture
        assert shown is not None, "the decoder returned too few pictures"
        self._last_picture = shown
        self._num_frames += 1
        held = self._num_samples - (index + 1) * count
        return Frame(
            index=index,
            pts_ns=pts_ns,
            captured_ns=self._captured_ns - held * NS_PER_S // VOICE_RATE_HZ,
            rgba=shown,
            rig=RigFrame(index, pts_ns, values, self._visemes.read(values), level, activity),
            voice=VoiceChunk(voice, index * count, pts_ns),
            repeated=picture is None,
        )
