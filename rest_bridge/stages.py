"""The parts of the generator: what the pipeline wants of each, and how they are loaded.

The pipeline knows them by these protocols only, so that a test may put something simple in their
place. Shape letters: S samples, T latent frames, F frames, D width of a token, C conditions.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, Self, runtime_checkable

import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.generator.life import LifePlanner
from rest_bridge.generator.steering import Steering, SteeringRamp
from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.providers import choose
from rest_bridge.picture_stages import Drawing, PictureStage
from rest_bridge.rig import POSE_NAMES
from rest_bridge.tiers import TIERS, Tier
from rest_bridge.types import LATENT_STRIDE, FloatArray, State


class SpeechStage(Protocol):
    """16 kHz voice in, audio tokens of as many latent frames as are complete out."""

    def initial_state(self) -> State:
        """Return the state before the first sample."""
        ...

    def step(self, samples: FloatArray, state: State) -> tuple[FloatArray, State]:
        """Return float32 [T, 2, D] and the state to pass next."""
        ...


@runtime_checkable
class ArticulatingStage(Protocol):
    """A speech stage that may also tell which lips a voice asks for."""

    @property
    def articulates(self) -> bool:
        """Whether it does; it depends on the model package."""
        ...

    def hear(self, samples: FloatArray, state: State) -> tuple[FloatArray, FloatArray, State]:
        """Return what `step` does with float32 [T, 2, C] between, of each video frame."""
        ...


class MotionStage(Protocol):
    """Audio tokens and a plan in, motion latents out."""

    max_chunk_latents: int

    def initial_state(self, avatar_latent: FloatArray) -> State:
        """Return the state before the first latent frame."""
        ...

    def step(
        self, audio_tokens: FloatArray, conditions: FloatArray, state: State, noise: FloatArray
    ) -> tuple[FloatArray, State]:
        """Return float32 [T, 16, 4, 4] and the state to pass next."""
        ...

    def adopt(self, avatar_latent: FloatArray, state: State) -> State:
        """Return the state with another identity, which moves on from where this one is."""
        ...

    def with_steps(self, num_steps: int) -> Self:
        """Return the same stage with another number of denoising steps."""
        ...


class LifeStage(Protocol):
    """Blinks, glances and head motion, planned for each latent frame."""

    def plan(
        self,
        first_latent: int,
        num_latents: int,
        steering: Steering | SteeringRamp | None = None,
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
        avatar_id: whose face it is, a hash.
        tier: how much is made.
        smaller: makes a decoder for pictures of a share of the size, which come out enlarged.
        drawing: how further decoders are made.
    """

    speech: SpeechStage
    motion: MotionStage
    life: LifeStage
    latent_space: LatentStage
    decoder: PictureStage
    avatar_latent: FloatArray
    max_chunk_latents: int = 12
    avatar_id: str = ""
    tier: Tier = TIERS[0]
    smaller: Callable[[float], PictureStage] | None = None
    drawing: Drawing = field(default_factory=Drawing)

    def in_tier(self, tier: Tier) -> "Stages":
        """Return the parts that make less; may load a decoder, which takes a tenth of a second."""
        decoder = self.decoder
        if tier.scale < 1 and self.smaller is not None:
            decoder = self.smaller(tier.scale)
        return replace(self.without_steps(tier), decoder=decoder)

    def without_steps(self, tier: Tier) -> "Stages":
        """Return the parts of a tier that need no loading: fewer steps and pictures, same size."""
        motion = self.motion.with_steps(tier.steps) if tier.steps else self.motion
        return replace(self, motion=motion, tier=tier)


def load_stages(
    package: ModelPackage,
    avatar: Avatar,
    *,
    size_px: int,
    seed: int = 0,
    steps: int = 0,
    threads: int = 1,
    provider: str = "cpu",
    chunk_latents: int | None = None,
    motion: MotionStage | None = None,
    foreground: bool = False,
) -> Stages:
    """Load the trained parts for one avatar.

    Args:
        package: the model package.
        avatar: the face.
        size_px: width and height of the pictures.
        seed: of the face's life: when it blinks and where it looks.
        steps: denoising steps; the package's own number if 0.
        threads: CPU threads of each network.
        provider: "cpu", "auto" for what is fastest here, or a name; see `inference.providers`.
        chunk_latents: latent frames that will be generated together, if that is known: the DiT
            then needs a third less time.
        motion: to be used in place of the package's own DiT, as several faces do.
        foreground: hear the nearest talker alone; see `features.foreground`.

    Returns:
        The parts.

    Raises:
        PackageError: a part is missing or damaged, or ONNX Runtime is not installed.
    """
    # Imported here: OpenCV and ONNX Runtime take time that the still portrait need not wait for.
    from rest_bridge.features.encoder import SpeechEncoder
    from rest_bridge.generator.generator import CHUNK_SIZE, MotionGenerator
    from rest_bridge.generator.latent import LatentSpace

    space = LatentSpace(package)
    computes = partial(_provider, package, provider, threads)
    if motion is None:
        motion = MotionGenerator(
            package,
            num_steps=steps or None,
            threads=threads,
            provider=computes("dit", {CHUNK_SIZE: chunk_latents} if chunk_latents else None),
            chunk_latents=chunk_latents,
        )
    drawing = Drawing(threads, computes("decoder"))
    decoder = drawing.decoder(package, avatar, size_px)
    return Stages(
        speech=SpeechEncoder(
            package,
            threads=threads,
            provider=computes("speech_encoder"),
            foreground=foreground,
        ),
        motion=motion,
        life=LifePlanner(seed),
        latent_space=space,
        decoder=decoder,
        avatar_latent=_avatar_latent(space, avatar),
        max_chunk_latents=motion.max_chunk_latents,
        avatar_id=avatar_id(avatar),
        smaller=drawing.smaller(package, avatar, size_px, decoder),
        drawing=drawing,
    )


def with_avatar(stages: Stages, package: ModelPackage, avatar: Avatar, *, size_px: int) -> Stages:
    """Return the parts for another face; the trained ones are shared.

    Args:
        stages: of the face so far.
        package: the model package.
        avatar: the new face.
        size_px: width and height of the pictures.
    """
    drawing = stages.drawing
    decoder = drawing.decoder(package, avatar, size_px)
    latent = _avatar_latent(stages.latent_space, avatar)
    for _ in decoder.decode(latent):  # so that its first picture in the stream takes no longer
        pass
    return replace(
        stages,
        decoder=decoder,
        avatar_latent=latent,
        avatar_id=avatar_id(avatar),
        smaller=drawing.smaller(package, avatar, size_px, decoder),
    )


def avatar_id(avatar: Avatar) -> str:
    """Return a hash that names a face without saying whose it is."""
    return hashlib.sha256(avatar.picture.tobytes()).hexdigest()[:16]


def _avatar_latent(space: LatentStage, avatar: Avatar) -> FloatArray:
    # The decoder adds the portrait's own head pose, so the reference looks straight ahead here.
    rest = np.repeat(avatar.rest_rig[None], LATENT_STRIDE, 0).astype(np.float32)
    rest[:, : len(POSE_NAMES)] = 0.0
    return space.from_rig(rest)


def _provider(
    package: ModelPackage,
    wanted: str,
    threads: int,
    graph: str,
    sizes: Mapping[str, int] | None = None,
) -> str:
    if not package.has(f"{graph}.onnx"):
        return "cpu"
    return choose(package, graph, wanted, threads=threads, sizes=sizes).provider
