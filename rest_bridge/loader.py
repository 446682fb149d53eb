"""Loads the model package, the avatar and the generator of a configuration, each once.

Several threads ask: the one that shows the still portrait, the one that loads the generator, and
those that open outputs. Imports of OpenCV and ONNX Runtime happen here, in those threads.
"""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rest_bridge.config import Config
from rest_bridge.inference.package import ModelPackage
from rest_bridge.metrics import Metrics
from rest_bridge.pipeline import Pipeline
from rest_bridge.types import ByteArray

if TYPE_CHECKING:
    from rest_bridge.avatar import Avatar
    from rest_bridge.gallery import Progress


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

    def pipeline(self, metrics: Metrics) -> Pipeline:
        """Load the generator; its stages are timed in `metrics`."""
        from rest_bridge.inference.session import import_onnxruntime
        from rest_bridge.stages import load_stages

        import_onnxruntime()  # while another thread still loads the avatar
        section = self._config.generator
        stages = load_stages(
            self.package,
            self.avatar(),
            size_px=self._config.output.size,
            seed=section.seed,
            steps=section.steps,
            threads=self._config.model.threads,
            provider=self._config.model.provider,
        )
        return Pipeline(
            stages,
            fps=self._config.output.fps,
            seed=section.seed,
            chunk_latents=section.chunk,
            metrics=metrics,
        )


def portrait_at(avatar: "Avatar", size_px: int) -> ByteArray:
    """Return the avatar's portrait at the output's size, uint8 [size, size, 4], straight alpha."""
    import cv2

    picture = avatar.picture.astype(np.float32)
    picture[..., :3] *= picture[..., 3:] / 255.0  # no colour of invisible pixels may bleed in
    small = cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA)
    small[..., :3] *= 255.0 / np.maximum(small[..., 3:], 1e-3)
    return np.ascontiguousarray(small.clip(0, 255).round().astype(np.uint8))
