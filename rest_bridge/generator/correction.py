"""The trained flow decoder of the video VAE: latent and base flow -> correction of the base flow.

Place in the flow: motion latent + base flow -> here -> compositor. The reference's features are
computed once. It moves the portrait's own pixels by a little; it cannot bring in others.
Shape letters: B = 1, G = 64 cells.
"""

from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.inference.package import ModelPackage
from rest_bridge.types import LATENT_SHAPE, Array, FloatArray

GRAPH: Final = "decoder"
_FRAME: Final = np.eye(2, dtype=np.float32)


class FlowDecoder:
    """Runs `decoder.onnx` for one avatar; frame-wise, without memory."""

    def __init__(self, package: ModelPackage, avatar: Avatar) -> None:
        """Compute the reference's features.

        Args:
            package: with reference_encoder.onnx and decoder.onnx.
            avatar: whose portrait is the reference.
        """
        section = package.section(GRAPH)
        self.cells = int(section["flow_size"])
        encoder = package.session("reference_encoder")
        picture = _reference(avatar, int(section["reference_size"]))
        self._features: dict[str, Array] = encoder.run({"reference": picture})
        self._decoder = package.session(GRAPH)
        # A latent without motion must leave the portrait alone, whatever the network says of it.
        still = np.zeros(LATENT_SHAPE, np.float32)
        nothing = np.zeros((self.cells, self.cells, 2), np.float32)
        self._at_rest = [self._run(still, frame, nothing) for frame in range(len(_FRAME))]

    def __call__(self, latent: FloatArray, frame: int, base: Array) -> Array:
        """Correct one video frame.

        Args:
            latent: float32 [16, 4, 4].
            frame: which of the latent frame's two video frames.
            base: float32 [64, 64, 2], backward base flow in canvas units.

        Returns:
            float32 [64, 64, 2], canvas units, to add to the base flow.
        """
        return self._run(latent, frame, base) - self._at_rest[frame]

    def _run(self, latent: FloatArray, frame: int, base: Array) -> Array:
        inputs = {
            "latent": latent[None].astype(np.float32, copy=False),
            "frame": _FRAME[frame : frame + 1],
            "base": np.ascontiguousarray(2.0 * base.transpose(2, 0, 1)[None]),
            **self._features,
        }
        correction = self._decoder.run(inputs, ("correction",))["correction"]
        return 0.5 * correction[0].transpose(1, 2, 0)


def _reference(avatar: Avatar, size: int) -> FloatArray:
    """Return the portrait on mid grey, float32 [1, 3, size, size]."""
    small = cv2.resize(avatar.picture, (size, size), interpolation=cv2.INTER_AREA)
    alpha = small[..., 3:].astype(np.float32) / 255
    colour = small[..., :3].astype(np.float32) / 255
    on_grey = colour * alpha + 0.5 * (1 - alpha)
    return np.ascontiguousarray(on_grey.transpose(2, 0, 1)[None], np.float32)
