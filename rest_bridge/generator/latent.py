"""The rig read-out of the motion latent and its right inverse.

Place in the flow: DiT -> latents -> here -> rig values -> base flow; and, for a reference picture,
rig -> latent -> ID-Sink. Knows nothing of pictures. Shape letters: T latent frames, F = 2T frames.
"""

import numpy as np

from rest_bridge.inference.package import ModelPackage
from rest_bridge.rig import RIG_NAMES
from rest_bridge.types import LATENT_SHAPE, LATENT_STRIDE, FloatArray


class LatentSpace:
    """Linear maps between motion latents and rig values, from the package's motion.npz."""

    def __init__(self, package: ModelPackage) -> None:
        """Read the maps.

        Args:
            package: the model package.
        """
        arrays = package.arrays("motion")
        self._mean = arrays["rig_mean"]
        self._scale = arrays["rig_scale"]
        self._readout = arrays["readout"]
        self._rig_to_latent = arrays["rig_to_latent"]

    def to_rig(self, latents: FloatArray) -> FloatArray:
        """Read the rig values off latents.

        Args:
            latents: float32 [T, 16, 4, 4].

        Returns:
            float32 [2T, 58] in `rig.RIG_NAMES` order; ARKit weights clipped to 0..1.
        """
        num_rig = len(RIG_NAMES)
        normalised = latents.reshape(len(latents), -1) @ self._readout
        rig = normalised.reshape(-1, num_rig) * self._scale + self._mean
        np.clip(rig[:, 6:], 0.0, 1.0, out=rig[:, 6:])
        return rig.astype(np.float32, copy=False)

    def from_rig(self, rig: FloatArray) -> FloatArray:
        """Return the latents of least norm that read out as these rig values.

        Args:
            rig: float32 [2T, 58].

        Returns:
            float32 [T, 16, 4, 4].
        """
        normalised = ((rig - self._mean) / self._scale).reshape(len(rig) // LATENT_STRIDE, -1)
        latents = normalised @ self._rig_to_latent
        return latents.reshape(-1, *LATENT_SHAPE).astype(np.float32, copy=False)
