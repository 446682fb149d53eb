"""The parts of the generator: what the pipeline wants of each, and how they are loaded.

The pipeline knows them by these protocols only, so that a test may put something simple in their
place. Shape letters: S samples, T latent frames, F frames, D width of a token, C conditions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.generator.life import LifePlanner, Steering
from rest_bridge.inference.package import ModelPackage
from rest_bridge.rig import POSE_NAMES
from rest_bridge.types import LATENT_STRIDE, ByteArray, FloatArray, State


class SpeechStage(Protocol):
    """16 kHz voice in, audio tokens of as many latent frames as are complete out."""

    def initial_state(self) -> State:
        """Return the state before the first sample."""
        ...

    def step(self, samples: FloatArray, state: State) -> tuple[FloatArray, State]:
        """Return float32 [T, 2, D] and the state to pass next."""
        ...


class MotionStage(Protocol):
    """Audio tokens and a plan in, motion latents out."""

    def initial_state(self, avatar_latent: FloatArray) -> State:
        """Return the state before the first latent frame."""
        ...

    def step(
        self, audio_tokens: FloatArray, conditions: FloatArray, state: State, noise: FloatArray
    ) -> tuple[FloatArray, State]:
        """Return float32 [T, 16, 4, 4] and the state to pass next."""
        ...


class LifeStage(Protocol):
    """Blinks, glances and head motion, planned for each latent frame."""

    def plan(
        self, first_latent: int, num_latents: int, steering: Steering | None = None
    ) -> FloatArray:
        """Return float32 [T, C]."""
        ...


class LatentStage(Protocol):
    """Linear maps between latents and rig."""

    def to_rig(self, latents: FloatArray) -> FloatArray:
        """Return float32 [2T, 58]."""
        ...

    def from_rig(self, rig: FloatArray) -> FloatArray:
        """Return float32 [T, 16, 4, 4]."""
        ...


class PictureStage(Protocol):
    """Latents in, pictures out."""

    def decode(self, latents: FloatArray) -> Iterable[ByteArray]:
        """Return 2T pictures, uint8 [H, W, 4]."""
        ...


@dataclass(frozen=True, slots=True)
class Stages:
    """The parts of the generator, loaded once and shared by all streams of one avatar.

    Attributes:
        speech: voice to audio tokens.
        motion: audio tokens to motion latents.
        life: plans blinks, glances and head motion.
        latent_space: latents to rig and back.
        decoder: latents to pictures.
        avatar_latent: float32 [1, 16, 4, 4], the portrait's own state.
        max_chunk_latents: latent frames that may be generated together.
    """

    speech: SpeechStage
    motion: MotionStage
    life: LifeStage
    latent_space: LatentStage
    decoder: PictureStage
    avatar_latent: FloatArray
    max_chunk_latents: int = 12


def load_stages(
    package: ModelPackage,
    avatar: Avatar,
    *,
    size_px: int,
    seed: int = 0,
    steps: int = 0,
    threads: int = 1,
    provider: str = "cpu",
) -> Stages:
    """Load the trained parts for one avatar.

    Args:
        package: the model package.
        avatar: the face.
        size_px: width and height of the pictures.
        seed: of the face's life: when it blinks and where it looks.
        steps: denoising steps; the package's own number if 0.
        threads: CPU threads of each network.
        provider: "cpu", or "auto" to try GPUs.

    Returns:
        The parts.

    Raises:
        PackageError: a part is missing or damaged, or ONNX Runtime is not installed.
    """
    # Imported here: OpenCV and ONNX Runtime take time that the still portrait need not wait for.
    from rest_bridge.features.encoder import SpeechEncoder
    from rest_bridge.generator.decoder import FaceDecoder
    from rest_bridge.generator.generator import MotionGenerator
    from rest_bridge.generator.latent import LatentSpace

    space = LatentSpace(package)
    # The decoder adds the portrait's own head pose, so the reference looks straight ahead here.
    rest = np.repeat(avatar.rest_rig[None], LATENT_STRIDE, 0).astype(np.float32)
    rest[:, : len(POSE_NAMES)] = 0.0
    motion = MotionGenerator(package, num_steps=steps or None)
    return Stages(
        speech=SpeechEncoder(package),
        motion=motion,
        life=LifePlanner(seed),
        latent_space=space,
        decoder=FaceDecoder(package, avatar, size_px),
        avatar_latent=space.from_rig(rest),
        max_chunk_latents=motion.max_chunk_latents,
    )
