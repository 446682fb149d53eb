"""The trained flow decoder of the video VAE: latent and base flow -> correction of the base flow.

Place in the flow: motion latent + base flow -> here -> compositor. The reference's features are
computed once. It moves the portrait's own pixels by a little; it cannot bring in others.
Shape letters: B = 1, G = 64 cells.
"""

from typing import Final

import numpy as np

from rest_bridge.avatar import Avatar, HeadField
from rest_bridge.generator.head_refinement import refine
from rest_bridge.inference.package import ModelPackage
from rest_bridge.types import Array, FloatArray

GRAPH: Final = "decoder"
_FRAME: Final = np.eye(2, dtype=np.float32)


class FlowDecoder:
    """Runs `decoder.onnx` for one avatar; frame-wise, without memory.

    Attributes:
        head: how the avatar's head moves, refined; None: as it was imported.
    """

    head: HeadField | None = None

    def __init__(self, package: ModelPackage, avatar: Avatar) -> None:
        """Look at the portrait once.

        Args:
            package: with reference_encoder.onnx and decoder.onnx.
            avatar: whose portrait is the reference.
        """
        self.cells = int(package.section(GRAPH)["flow_size"])
        found = refine(avatar, package)
        self.head, self._features = found.head, found.features
        self._decoder = package.session(GRAPH)

    def __call__(self, latent: FloatArray, frame: int, base: Array) -> Array:
        """Correct one video frame.

        Args:
            latent: float32 [16, 4, 4].
            frame: which of the latent frame's two video frames.
            base: float32 [64, 64, 2], backward base flow in canvas units.

        Returns:
            float32 [64, 64, 2], canvas units, to add to the base flow.
        """
        inputs = {
            "latent": latent[None].astype(np.float32, copy=False),
            "frame": _FRAME[frame : frame + 1],
            "base": np.ascontiguousarray(2.0 * base.transpose(2, 0, 1)[None]),
            **self._features,
        }
        correction = self._decoder.run(inputs, ("correction",))["correction"]
        return 0.5 * correction[0].transpose(1, 2, 0)
