"""Voice in, frames out: the whole generator as one pure function of samples and seed.

    voice 48 kHz -> 16 kHz -> SpeechEncoder -> MotionGenerator + LifePlanner -> rig -> FaceDecoder
                                   `--- articulation ---------- LipShaper -----^
         `--------- held back ----------------------------------------------> Frame.voice

Knows nothing of threads, clocks, devices or sockets. Samples are worked on in blocks of 10 ms and
latent frames in chunks of fixed length, whatever the caller's chunks are, and the noise is drawn
from (seed, latent index): any chunking of the same voice gives bit-equal frames.
Shape letters: S samples, T latent frames, F frames, H/W pixels.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from rest_bridge.clock import NS_PER_S
from rest_bridge.errors import ConfigError
from rest_bridge.features.decimate import BLOCK_SAMPLES, Decimator
from rest_bridge.framer import Framer
from rest_bridge.generator.breath import Breath
from rest_bridge.generator.lip_shape import LipShaper
from rest_bridge.generator.retime import Between, Retimer, frame_rows, latents_of_rows
from rest_bridge.generator.sampler import latent_noise
from rest_bridge.generator.steady import MotionEvener
from rest_bridge.generator.steering import Steering, SteeringRamp
from rest_bridge.lateness import LateAction, late_action
from rest_bridge.lip_guard import LipGuard
from rest_bridge.metrics import Metrics
from rest_bridge.picture_stages import BetweenStage
from rest_bridge.stages import ArticulatingStage, Stages
from rest_bridge.trace import span
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
)

_MOST_FLUSHED_BLOCKS: Final = 2000


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
        nearest_db: float = 0.0,
        voices_only: bool = False,
        articulation: float = 1.0,
    ) -> None:
        """Begin a stream.

        Args:
            stages: the loaded parts; see `load_stages`.
            fps: frames per second; the voice of a frame must be a whole number of samples.
            seed: same seed and voice, same frames.
            chunk_latents: latent frames of 80 ms generated together.
            metrics: where the time each stage takes is recorded.
            nearest_db: voices so much softer than the nearest talker's move no lips; 0: all do.
            voices_only: whether crowds, and sounds without any voice in them, move no lips.
            articulation: how much the lips are shaped by what is said, 0 to 1.

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
        self._articulating = _articulating(stages)
        self._fps = fps
        self._seed = seed
        self._chunk = chunk_latents
        self._metrics = metrics or Metrics()
        self._decimator, self._retimer = Decimator(), Retimer(fps)
        self._evener, self._shaper = MotionEvener(), LipShaper(articulation)
        self._guard, self._breath = LipGuard(nearest_db, voices_only=voices_only), Breath(seed)
        self._framer = Framer(fps, self._metrics)
        self.samples_per_frame = VOICE_RATE_HZ // fps
        self._steering = SteeringRamp.steady()
        self.on_motion: Callable[[Sequence[RigFrame]], None] | None = None
        """Called with the rig of a chunk before its pictures are drawn; must be quick."""
        self.resting = False
        """Whether nothing is to be generated: the last picture stays, only time goes on."""
        self._states: dict[str, State] = {
            "decimator": self._decimator.initial_state(),
            "speech": stages.speech.initial_state(),
            "motion": stages.motion.initial_state(stages.avatar_latent),
            "head": self._evener.initial_state(),
            "shape": self._shaper.initial_state(),
            "retimer": self._retimer.initial_state(),
        }
        self._source_start: int | None = None
        self._tokens: list[FloatArray] = []
        self._marks: list[FloatArray] = []  # articulation of the same latent frames, if it is told
        self._num_latents = 0
        self._last_rig: FloatArray | None = None

    @property
    def stages(self) -> Stages:
        """The parts in use."""
        return self._stages

    @property
    def chunk_latents(self) -> int:
        """Latent frames generated together."""
        return self._chunk

    @property
    def fps(self) -> int:
        """Frames per second."""
        return self._fps

    @property
    def seed(self) -> int:
        """Of the noise."""
        return self._seed

    @property
    def num_frames(self) -> int:
        """Frames handed out so far; the next one has this index."""
        return self._framer.num_frames

    @property
    def num_samples(self) -> int:
        """Samples taken so far: the media time that has been heard."""
        return self._framer.num_samples

    @property
    def frames_per_chunk(self) -> int:
        """Frames that come out together (the most of them, where the rate is not 25)."""
        return -(-self._chunk * LATENT_STRIDE * self._fps // FRAME_RATE_HZ)

    def adopt(self, stages: Stages) -> None:
        """Go on with other parts from the next chunk: another tier, or another face.

        Motion goes on from where it is; of the voice nothing is lost. Not inside `stream`.

        Args:
            stages: parts of the same model package.
        """
        if stages.avatar_id != self._stages.avatar_id:
            self._states["motion"] = stages.motion.adopt(
                stages.avatar_latent, self._states["motion"]
            )
        self._stages = stages
        self._articulating = _articulating(stages)

    def repeat(self, picture: ByteArray) -> None:
        """Repeat another picture of the face in use, where none is drawn, than the last one.

        Args:
            picture: uint8 [H, W, 4].
        """
        self._framer.picture, self._framer.shows = picture, self._stages.avatar_id

    def forget_talker(self) -> None:
        """Take whoever speaks next for the nearest talker: another microphone, another level."""
        self._guard.forget_talker()

    def steer(self, wish: Steering) -> None:
        """Set what a person asks of the face; it comes true within 0.3 s of stream time.

        Args:
            wish: expression, gaze, amount of head motion, blinks.
        """
        time_s = self._num_latents * LATENT_STRIDE / FRAME_RATE_HZ
        if self._num_latents:
            self._steering = self._steering.turned(wish, time_s)
        else:
            self._steering = SteeringRamp.steady(wish)

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
        action = LateAction.MOTION if self.resting else late_action(behind_ns)
        for samples in self._pieces(chunk.samples, first):
            after = end - self.num_samples - len(samples)
            self._framer.captured_ns = chunk.captured_ns - after * NS_PER_S // VOICE_RATE_HZ
            yield from self._hear(samples, action)

    def finish(self) -> list[Frame]:
        """End the stream: return the frames of everything that was heard.

        Returns:
            The last frames; the voice of the very last one is filled up with silence.
        """
        num_wanted = -(-self.num_samples // self.samples_per_frame)
        silence = np.zeros(BLOCK_SAMPLES, np.float32)
        frames: list[Frame] = []
        for _ in range(_MOST_FLUSHED_BLOCKS):
            if self.num_frames >= num_wanted:
                break
            self._framer.captured_ns += NS_PER_S * BLOCK_SAMPLES // VOICE_RATE_HZ
            frames += self._hear(silence, LateAction.NOTHING)
        surplus = self.num_frames - num_wanted
        self._framer.num_frames -= surplus
        return frames[: len(frames) - surplus]

    def _pieces(self, samples: FloatArray, first: int) -> Iterator[FloatArray]:
        """Yield samples so that each piece ends at or before a block's end."""
        for part in (None, samples[max(0, self.num_samples - first) :]):
            left = max(0, first - self.num_samples) if part is None else len(part)
            done = 0
            while done < left:
                room = BLOCK_SAMPLES - self.num_samples % BLOCK_SAMPLES
                taken = min(room, left - done)
                yield (np.zeros(taken, np.float32) if part is None else part[done : done + taken])
                done += taken

    def _hear(self, samples: FloatArray, action: LateAction) -> Iterator[Frame]:
        """Take at most a block; generate when a chunk of latent frames is complete."""
        times = self._framer.times
        times.begun_ns = time.monotonic_ns()
        self._framer.hear(samples)
        with self._metrics.timer("features").measure(), span("features"):
            low, self._states["decimator"] = self._decimator.step(
                samples, self._states["decimator"]
            )
            if len(low):
                self._tokens.extend(self._listen(low))
                self._guard.hear(low)
        times.encoded_ns = time.monotonic_ns()
        while len(self._tokens) >= self._chunk:
            tokens = np.stack(self._tokens[: self._chunk])
            del self._tokens[: self._chunk]
            yield from self._generate(tokens, action)

    def _listen(self, samples: FloatArray) -> FloatArray:
        """Return the tokens float32 [T, 2, D] of 16 kHz samples; articulation is kept."""
        state = self._states["speech"]
        articulating = self._articulating
        if articulating is not None:
            tokens, marks, self._states["speech"] = articulating.hear(samples, state)
            self._marks.extend(marks)
        else:
            tokens, self._states["speech"] = self._stages.speech.step(samples, state)
        return tokens

    def _generate(self, tokens: FloatArray, action: LateAction) -> Iterator[Frame]:
        """Make motion for a chunk, then one frame after the other."""
        stages = self._stages
        if self._framer.picture is None or self._last_rig is None:
            action = LateAction.NOTHING  # there is nothing to repeat yet
        latents = None if action is LateAction.MOTION else self._move(tokens)
        marks = np.concatenate(self._marks[: self._chunk]) if self._marks else None
        del self._marks[: self._chunk]
        times = self._framer.times
        times.moved_ns = time.monotonic_ns()
        spent_ns = times.moved_ns - times.encoded_ns
        self._num_latents += self._chunk
        if latents is not None:
            rig, latents = self._steady(latents, marks)
        else:
            assert self._last_rig is not None, "motion is only skipped where there was some"
            rig = np.repeat(self._last_rig[None], LATENT_STRIDE * self._chunk, 0)
            self._metrics.count("skipped_motion", self._chunk)
        rig, latents = self._hold(rig, latents)
        self._last_rig = rig[-1]
        between: Between | None = None
        if self._fps != FRAME_RATE_HZ:
            if latents is None:
                latents = stages.latent_space.from_rig(rig)
            between, self._states["retimer"] = self._retimer.place(
                frame_rows(rig, latents), self._states["retimer"]
            )
            rig = between.mixed()[:, : rig.shape[1]]
            if not len(rig):
                return
        times.end = self.num_frames + len(rig)
        coming = self._framer.preview(rig)
        if self.on_motion is not None:
            self.on_motion(coming)
        drawn: Iterator[ByteArray | None] = iter(())
        # Of a new face one picture is drawn even late: it stands until there is time again.
        late = action is not LateAction.NOTHING
        new = action is LateAction.PICTURES and self._framer.shows != stages.avatar_id
        if latents is not None and (new or not late):
            drawn = iter(self._pictures(latents, rig, between, late=late))
        for values in rig:
            begin_ns = time.perf_counter_ns()
            picture = next(drawn, None)
            decode_ns = time.perf_counter_ns() - begin_ns
            if picture is not None:
                self._metrics.timer("decode").record(decode_ns)
            spent_ns += decode_ns
            with span("frame"):
                frame = self._framer.frame(values, picture, stages)
            yield frame
        if action is LateAction.NOTHING:
            self._metrics.timer("chunk").record(spent_ns)

    def _pictures(
        self, latents: FloatArray, rig: FloatArray, between: Between | None, *, late: bool
    ) -> Iterable[ByteArray | None]:
        """Draw the frames of latents, or those between the model's frames."""
        decoder, wanted = self._stages.decoder, self._wanted(len(rig), late=late)
        if between is None:
            return decoder.decode(latents, wanted)
        if not isinstance(decoder, BetweenStage):
            return decoder.decode(self._stages.latent_space.from_rig(rig), wanted)
        known, second = latents_of_rows(between.known, rig.shape[1])
        return decoder.decode_between(
            known,
            second,
            between.below.tolist(),
            between.above.tolist(),
            between.share.tolist(),
            wanted,
        )

    def _wanted(self, num_frames: int, *, late: bool) -> list[bool] | None:
        """Return which of the next frames get a picture of their own; None for all."""
        every = self._stages.tier.every
        if self._framer.picture is None or (every == 1 and not late):
            return None
        wanted = [
            not late and (self.num_frames + place) % every == 0 for place in range(num_frames)
        ]
        # A new face's first frame must not repeat the picture of the face before.
        wanted[0] |= self._framer.shows != self._stages.avatar_id
        return wanted

    def _steady(
        self, latents: FloatArray, marks: FloatArray | None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the evenly moving rig with shaped lips, that breathes, and latents like it."""
        space = self._stages.latent_space
        raw = space.to_rig(latents)
        rig, self._states["head"] = self._evener.step(raw, self._states["head"])
        rig, self._states["shape"] = self._shaper.step(rig, marks, self._states["shape"])
        rig = self._breathe(rig)
        change = space.from_rig(rig) - space.from_rig(raw)
        return rig, (latents + change).astype(np.float32, copy=False)

    def _breathe(self, rig: FloatArray) -> FloatArray:
        """Return the newest rig, float32 [F, 58], lifted by the breath."""
        first = (self._num_latents - self._chunk) * LATENT_STRIDE
        times_s = (np.arange(first, first + len(rig)) + 0.5) / FRAME_RATE_HZ
        return self._breath.lift(rig, times_s, self._steering.at(times_s).head_motion)

    def _hold(
        self, rig: FloatArray, latents: FloatArray | None
    ) -> tuple[FloatArray, FloatArray | None]:
        """Return rig and latents with the lips held where nobody near speaks."""
        held, num_held = self._guard.hold(rig)
        if held is rig or latents is None:
            return held, latents
        self._metrics.count("held_lips", num_held)
        space = self._stages.latent_space
        change = space.from_rig(held) - space.from_rig(rig)
        return held, (latents + change).astype(np.float32, copy=False)

    def _move(self, tokens: FloatArray) -> FloatArray:
        """Return the motion latents of a chunk."""
        stages, first = self._stages, self._num_latents
        with self._metrics.timer("motion").measure(), span("motion"):
            latents, self._states["motion"] = stages.motion.step(
                tokens,
                stages.life.plan(first, self._chunk, self._steering),
                self._states["motion"],
                latent_noise(self._seed, first, self._chunk),
            )
        return latents


def _articulating(stages: Stages) -> ArticulatingStage | None:
    """Return the speech stage that tells which lips a voice asks for; None where it does not."""
    speech = stages.speech  # asked once: such a question takes 10 µs, a hundred times a second
    return speech if isinstance(speech, ArticulatingStage) and speech.articulates else None
