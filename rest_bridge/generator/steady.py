"""Makes head, gaze, brows and rounding move at the frame rate instead of the latent rate.

Place in the flow: latents -> rig -> here -> decoder. What is slow against a latent frame comes out
of the network nearly equal for its two video frames (energy of change across latent borders over
inside, measured: gaze 17, pucker 11, brows 6), so it would move in steps of 80 ms. The mean of each
frame and the one before turns those steps into even motion and costs these channels 20 ms. Jaw,
lips that shut and lids keep their own time. Shape letters: F frames; S steadied channels.
"""

from typing import Final, cast

import numpy as np

from rest_bridge.rig import RIG_NAMES
from rest_bridge.types import Array, FloatArray, State

_SLOW: Final = (
    "head", "eyeLook", "eyeSquint", "eyeWide", "brow", "cheek", "noseSneer", "mouthPucker",
    "mouthFunnel", "mouthSmile", "mouthFrown", "mouthStretch", "mouthDimple", "mouthShrug",
)  # fmt: skip
STEADIED: Final = [i for i, name in enumerate(RIG_NAMES) if name.startswith(_SLOW)]
"""Rig values that are averaged."""


class HeadSmoother:
    """Averages neighbouring frames of slow channels; pure, its memory is the state it is given."""

    def initial_state(self) -> dict[str, Array]:
        """Return the state before the first frame."""
        return {"steady.last": np.zeros(0, np.float32)}

    def step(self, rig: FloatArray, state: State) -> tuple[FloatArray, dict[str, Array]]:
        """Smooth the next frames.

        Args:
            rig: float32 [F, 58].
            state: from `initial_state` or the previous call.

        Returns:
            rig: float32 [F, 58], a copy with steadied channels.
            state: to pass with the next frames.
        """
        last = cast(FloatArray, state["steady.last"])
        slow = rig[:, STEADIED]
        before = np.concatenate([last.reshape(-1, slow.shape[1]) if len(last) else slow[:1], slow])
        out = rig.copy()
        out[:, STEADIED] = 0.5 * (before[1:] + before[:-1])
        return out, {"steady.last": slow[-1].copy()}
