"""Runs the product under test: voice in, frames and rig out, through the pipeline that users run.

Place in the flow: portraits and held-out voices -> here -> rulers (`lips`, `sharpness`, ...).
Knows nothing of how the model works; `rig_only` differs from `pictures` by an empty decoder alone.
Shape letters: S samples, F video frames, T latent frames, H/W pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.errors import ConfigError
from rest_bridge.features.encoder import SpeechEncoder
from rest_bridge.features.nearness import SOFTER_DB
from rest_bridge.generator.decoder import FaceDecoder
from rest_bridge.generator.generator import MotionGenerator
from rest_bridge.generator.latent import LatentSpace
from rest_bridge.generator.life import LifePlanner
from rest_bridge.generator.steering import Steering
from rest_bridge.inference.package import ModelPackage
from rest_bridge.picture_stages import NoPictures
from rest_bridge.pipeline import Pipeline
from rest_bridge.rig import RIG_NAMES
from rest_bridge.stages import Stages
from rest_bridge.types import (
    LATENT_STRIDE,
    VOICE_RATE_HZ,
    AudioChunk,
    ByteArray,
    FloatArray,
    Frame,
)

GREY: Final = 128
_PUSH_SAMPLES: Final = VOICE_RATE_HZ // 2


class Driver:
    """Holds the loaded parts of one package and drives avatars with voices."""

    def __init__(
        self,
        package: ModelPackage,
        *,
        size_px: int,
        seed: int,
        nearest_db: float = SOFTER_DB,
        voices_only: bool = True,
        foreground: bool = False,
    ) -> None:
        """Prepare; parts are loaded when they are needed.

        Args:
            package: under test.
            size_px: width and height of the pictures.
            seed: of the face's life and of the noise.
            nearest_db: voices so much softer than the nearest talker's move no lips; as live
                voices are heard unless told otherwise.
            voices_only: whether sounds without any voice in them move no lips; as live.
            foreground: whether the nearest talker alone is heard; as by default.
        """
        self.package, self.size_px, self.seed = package, size_px, seed
        self.nearest_db, self.voices_only = nearest_db, voices_only
        self.foreground = foreground
        self._stages: Stages | None = None
        self._drawn: tuple[str, FaceDecoder] | None = None

    def pipeline(
        self, avatar: Avatar | None, name: str = "", *, chunk: int = 1, seed: int | None = None
    ) -> Pipeline:
        """Return a pipeline at the beginning of a stream.

        Args:
            avatar: whom to draw; None draws nothing and rests at the neutral rig.
            name: of the avatar: its decoder is kept for the next stream.
            chunk: latent frames generated together.
            seed: instead of the driver's.
        """
        own = self.seed if seed is None else seed
        stages = self._parts(avatar, name)
        return Pipeline(
            replace(stages, life=LifePlanner(own)),
            seed=own,
            chunk_latents=chunk,
            nearest_db=self.nearest_db,
            voices_only=self.voices_only,
        )

    def pictures(
        self,
        avatar: Avatar,
        name: str,
        voice: FloatArray,
        *,
        chunk: int = 1,
        seed: int | None = None,
    ) -> Iterator[Frame]:
        """Yield the frames of a voice, float32 [S] at 48 kHz; a seed instead of the driver's."""
        yield from self._stream(self.pipeline(avatar, name, chunk=chunk, seed=seed), voice)

    def rig_only(
        self, voice: FloatArray, *, seed: int | None = None, steering: Steering | None = None
    ) -> FloatArray:
        """Return the rig of a voice without drawing; float32 [F, 58].

        Args:
            voice: float32 [S], 48 kHz mono.
            seed: instead of the driver's.
            steering: wished for from the first frame on.
        """
        pipeline = self.pipeline(None, seed=seed)
        if steering is not None:
            pipeline.steer(steering)
        return stack_rig(list(self._stream(pipeline, voice)))

    def decoder(self, avatar: Avatar, name: str) -> FaceDecoder:
        """Return the decoder of an avatar; the last one is kept."""
        if self._drawn is None or self._drawn[0] != name:
            self._drawn = (name, FaceDecoder(self.package, avatar, self.size_px))
        return self._drawn[1]

    def _parts(self, avatar: Avatar | None, name: str) -> Stages:
        decoder: Any = NoPictures() if avatar is None else self.decoder(avatar, name)
        if self._stages is None:
            self._stages = _load_without_pictures(self.package, foreground=self.foreground)
        rest = self._stages.avatar_latent
        if avatar is not None:
            pose_free = np.repeat(avatar.rest_rig[None], LATENT_STRIDE, 0).astype(np.float32)
            pose_free[:, :6] = 0.0
            rest = self._stages.latent_space.from_rig(pose_free)
        return replace(self._stages, decoder=decoder, avatar_latent=rest)

    @staticmethod
    def _stream(pipeline: Pipeline, voice: FloatArray) -> Iterator[Frame]:
        for first in range(0, len(voice), _PUSH_SAMPLES):
            part = np.ascontiguousarray(voice[first : first + _PUSH_SAMPLES], np.float32)
            yield from pipeline.stream(AudioChunk(part, VOICE_RATE_HZ, first, 0))
        yield from pipeline.finish()


def _load_without_pictures(package: ModelPackage, *, foreground: bool) -> Stages:
    """Load everything but a face; the neutral rig stands in for the avatar's own."""
    space, motion = LatentSpace(package), MotionGenerator(package)
    return Stages(
        speech=SpeechEncoder(package, foreground=foreground),
        motion=motion,
        life=LifePlanner(0),
        latent_space=space,
        decoder=NoPictures(),
        avatar_latent=space.from_rig(np.zeros((LATENT_STRIDE, len(RIG_NAMES)), np.float32)),
        max_chunk_latents=motion.max_chunk_latents,
    )


def on_grey(frame: ByteArray) -> ByteArray:
    """Composite a frame on grey: uint8 [H, W, 4] -> uint8 [H, W, 3]."""
    if (frame[..., 3] == 255).all():
        return np.ascontiguousarray(frame[..., :3])
    alpha = frame[..., 3:].astype(np.uint16)
    mixed = frame[..., :3] * alpha + GREY * (255 - alpha) + 127
    return (mixed // 255).astype(np.uint8)


def read_voice(path: Path) -> FloatArray:
    """Decode a file's sound to float32 [S], 48 kHz mono.

    Raises:
        ConfigError: the file is missing.
    """
    if not path.is_file():
        raise ConfigError(f"A held-out recording is missing; point --assets to the data: {path}")
    resampler = av.AudioResampler("fltp", "mono", VOICE_RATE_HZ)
    parts: list[FloatArray] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            parts += [out.to_ndarray()[0] for out in resampler.resample(frame)]
        parts += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(parts).astype(np.float32)


def read_pictures(path: Path) -> ByteArray:
    """Decode a video's pictures to uint8 [F, H, W, 3] RGB.

    Raises:
        ConfigError: the file is missing.
    """
    if not path.is_file():
        raise ConfigError(f"A held-out video is missing; point --assets to the data: {path}")
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def stack_rig(frames: Sequence[Frame]) -> FloatArray:
    """Return the rig of frames, float32 [F, 58]."""
    return np.stack([frame.rig.values for frame in frames])
