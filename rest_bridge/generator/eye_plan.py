"""Lids and eyeballs do what was planned: the plan is written into the latents of a chunk.

Place in the flow: condition rows + denoised latents -> here -> latents, before they are committed.
Training shows lids and gaze exactly as planned, so the plan is the best answer; the network comes
close but is late by some latent frames when a gaze is asked for. The latent's linear read-out lets
these ten rig values be set without touching any other. Shape letters: T latent frames, F = 2T video
frames, E = 10 eye values.
"""

from typing import Final

import numpy as np

from rest_bridge.generator.conditions import CONDITION_INDEX, GROUPS, eyes_to_rig
from rest_bridge.inference.package import ModelPackage
from rest_bridge.rig import RIG_NAMES
from rest_bridge.types import LATENT_STRIDE, FloatArray

PLANNED: Final = [i for i, n in enumerate(RIG_NAMES) if n.startswith(("eyeBlink", "eyeLook"))]
"""Rig values that are set."""
_GIVEN: Final = CONDITION_INDEX["eyesGiven"]
_EYES: Final = list(GROUPS["eyesGiven"])


class EyePlan:
    """Linear maps between latents and the eyes of their two video frames."""

    def __init__(self, package: ModelPackage) -> None:
        """Read the maps.

        Args:
            package: the model package; its motion.npz.
        """
        arrays = package.arrays("motion")
        columns = [f * len(RIG_NAMES) + i for f in range(LATENT_STRIDE) for i in PLANNED]
        self._readout = arrays["readout"][:, columns]
        self._to_latent = arrays["rig_to_latent"][columns]
        self._mean, self._scale = (arrays[f"rig_{name}"][PLANNED] for name in ("mean", "scale"))

    def apply(self, latents: FloatArray, rows: FloatArray) -> FloatArray:
        """Return latents whose lids and gaze are those of the plan.

        Args:
            latents: float32 [1, T, 16, 4, 4].
            rows: float32 [T, len(CONDITION_NAMES)]; rows without `eyesGiven` change nothing.
        """
        eyes = rows[:, _EYES]
        rig = eyes_to_rig(eyes[:, :2].reshape(-1), eyes[:, 2:].reshape(-1, 2))[:, PLANNED]
        wanted = ((rig - self._mean) / self._scale).reshape(len(rows), -1)
        flat = latents.reshape(len(rows), -1)
        error = (wanted - flat @ self._readout) * rows[:, _GIVEN, None]
        return (flat + error @ self._to_latent).reshape(latents.shape).astype(np.float32)
