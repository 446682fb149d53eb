"""Loads the model package, the avatar and the generator of a configuration, each once.

Several threads ask: the one that shows the still portrait, the one that loads the generator, and
those that open outputs. Imports of OpenCV and ONNX Runtime happen here, in those threads.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rest_bridge.config import AvatarSection, Config
from rest_bridge.config_sources import changed
from rest_bridge.errors import AvatarError
from rest_bridge.inference.package import ModelPackage
from rest_bridge.metrics import Metrics
from rest_bridge.pipeline import Pipeline
from rest_bridge.types import ByteArray

if TYPE_CHECKING:
    from rest_bridge.avatar import Avatar
    from rest_bridge.gallery import Progress
    from rest_bridge.stages import MotionStage, Stages

Mode = Literal["live", "push", "file"]
"""How the voice comes, which decides how long its chunks are."""


def voice_mode(config: Config) -> Mode:
    """Return how the voice of a configuration comes."""
    if config.audio.source == "push":
        return "push"
    return "file" if voice_is_file(config) else "live"


def voice_is_file(config: Config) -> bool:
    """Say whether the voice comes from a file."""
    return Path(config.audio.source).expanduser().is_file()


def nearest_db(config: Config, mode: Mode) -> float:
    """Return how much softer a voice must be to move no lips; 0 where there is no room to hear."""
    return config.audio.nearest_db if mode == "live" else 0.0


def voices_only(config: Config, mode: Mode) -> bool:
    """Say whether only voices may move the lips: a file or a pushed voice is one."""
    return config.audio.voices_only and mode == "live"


def foreground(config: Config, mode: Mode) -> bool:
    """Say whether the nearest talker alone is heard: a file or a pushed voice is usually alone."""
    wanted = config.audio.foreground
    return wanted == "always" or (wanted == "live" and mode == "live")


def chunk_of(config: Config, mode: Mode) -> int:
    """Return how many latent frames are generated together."""
    section = config.generator
    return section.chunk or int(getattr(section, f"chunk_{mode}"))


class Loader:
    """Loads package and avatar once, for whichever thread asks first."""

    def __init__(self, config: Config) -> None:
        """Verify the model package.

        Args:
            config: which package, avatar, size, seed.

        Raises:
            PackageError: the package is missing or damaged.
        """
        self._config = config
        self._lock = threading.Lock()
        self._avatar: Avatar | None = None
        self._stages: Stages | None = None
        self._change: Callable[[Stages], Stages] | None = None
        self.package = ModelPackage.load(
            Path(config.model.package).expanduser() if config.model.package else None
        )

    def avatar(self, progress: "Progress | None" = None) -> "Avatar":
        """Return the avatar; a new portrait is imported, which takes a while."""
        from rest_bridge.gallery import ImportOptions, load_avatar

        section = self._config.avatar
        with self._lock:
            if self._avatar is None:
                self._avatar = load_avatar(
                    section.picture,
                    self.package,
                    options=ImportOptions.of(section),
                    progress=progress,
                )
            return self._avatar

    def still(self) -> ByteArray:
        """Return the portrait at the output's size."""
        return portrait_at(self.avatar(), self._config.output.size)

    def pipeline(
        self,
        metrics: Metrics,
        mode: Mode | None = None,
        *,
        pictures: bool = True,
        motion: "MotionStage | None" = None,
        change: "Callable[[Stages], Stages] | None" = None,
    ) -> Pipeline:
        """Load the generator; its stages are timed in `metrics`.

        Args:
            metrics: where.
            mode: how the voice comes; as configured if None.
            pictures: draw them; False for the face's parameters alone.
            motion: to be used in place of a DiT of its own.
            change: what is done with the parts before they are used.
        """
        from rest_bridge.inference.session import import_onnxruntime
        from rest_bridge.picture_stages import NoPictures
        from rest_bridge.stages import load_stages
        from rest_bridge.wishes import steering_of

        wish = steering_of(self._config.steering)
        import_onnxruntime()  # while another thread still loads the avatar
        limit_opencv(self._config.model.threads)
        section = self._config.generator
        self._stages = load_stages(
            self.package,
            self.avatar(),
            size_px=self._config.output.size,
            seed=section.seed,
            steps=section.steps,
            threads=self._config.model.threads,
            provider=self._config.model.provider,
            chunk_latents=chunk_of(self._config, mode or voice_mode(self._config)),
            motion=motion,
            foreground=foreground(self._config, mode or voice_mode(self._config)),
        )
        if not pictures:
            self._stages = replace(self._stages, decoder=NoPictures())
        self._change = change
        if change is not None:
            self._stages = change(self._stages)
        pipeline = Pipeline(
            self._stages,
            fps=self._config.output.fps,
            seed=section.seed,
            chunk_latents=chunk_of(self._config, mode or voice_mode(self._config)),
            metrics=metrics,
            articulation=section.articulation,
            nearest_db=nearest_db(self._config, mode or voice_mode(self._config)),
            voices_only=voices_only(self._config, mode or voice_mode(self._config)),
        )
        pipeline.steer(wish)
        return pipeline

    def stages(self, choice: str, options: Mapping[str, Any], progress: "Progress") -> "Stages":
        """Load another face beside the present one; the networks are shared.

        Args:
            choice: built-in face, picture or avatar file.
            options: other keys of the section `avatar`.
            progress: told how far an import is.

        Returns:
            Its parts, for the full tier.

        Raises:
            AvatarError: it cannot be used, or the generator is not loaded yet.
            ConfigError: an option is not allowed.
        """
        from rest_bridge.stages import with_avatar

        if self._stages is None:
            raise AvatarError("The model is still being loaded; try again.")
        avatar = self._load(choice, options, progress)
        stages = with_avatar(self._stages, self.package, avatar, size_px=self._config.output.size)
        return stages if self._change is None else self._change(stages)

    def prepare(self, choice: str, options: Mapping[str, Any], progress: "Progress") -> str:
        """Import a picture into the cache; return the hash that names it in frames."""
        from rest_bridge.stages import avatar_id

        return avatar_id(self._load(choice, options, progress))

    def _load(self, choice: str, options: Mapping[str, Any], progress: "Progress") -> "Avatar":
        from rest_bridge.gallery import ImportOptions, load_avatar

        # Options of the face before say nothing of this one: its landmarks are not these.
        fresh = self._config.model_copy(update={"avatar": AvatarSection()})
        keys = {f"avatar.{key}": value for key, value in options.items()}
        section = changed(fresh, {**keys, "avatar.picture": choice}, "the request").avatar
        return load_avatar(
            choice,
            self.package,
            options=ImportOptions.of(section),
            progress=progress,
            beside=True,
        )


def limit_opencv(threads: int) -> None:
    """Let OpenCV use so many threads in this process.

    By itself it takes all cores for each small picture: its threads wait by spinning, which took a
    fifth more CPU time (measured on two cores) and disturbs whoever else needs them.
    """
    import cv2

    cv2.setNumThreads(threads)


def portrait_at(avatar: "Avatar", size_px: int) -> ByteArray:
    """Return the avatar's portrait at the output's size, uint8 [size, size, 4], straight alpha."""
    import cv2

    picture = avatar.picture.astype(np.float32)
    picture[..., :3] *= picture[..., 3:] / 255.0  # no colour of invisible pixels may bleed in
    small = cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA)
    small[..., :3] *= 255.0 / np.maximum(small[..., 3:], 1e-3)
    return np.ascontiguousarray(small.clip(0, 255).round().astype(np.uint8))
