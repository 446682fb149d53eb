"""Makes the head move at the frame rate instead of the latent rate.

Place in the flow: latents -> rig -> here -> decoder. The slow head pose is planned once a latent
frame, and the network gives its two video frames nearly the same pose (measured: 0.007 degrees of
yaw within a latent frame, 0.083 from one to the next), so the head would move in steps of 80 ms.
The mean of each frame and the one before turns those steps into even motion; it costs the head,
and only the head, 20 ms. Shape letters: F frames.
"""

from typing import Final, cast

import numpy as np

from rest_bridge.rig import POSE_NAMES
from rest_bridge.types import Array, FloatArray, State

_POSE: Final = slice(0, len(POSE_NAMES))


class HeadSmoother:
    """Averages neighbouring head poses; pure, its memory is the state it is given."""

    def initial_state(self) -> dict[str, Array]:
        """Return the state before the first frame."""
        return {"head.pose": np.zeros(0, np.float32)}

    def step(self, rig: FloatArray, state: State) -> tuple[FloatArray, dict[str, Array]]:
        """Smooth the next frames.

        Args:
            rig: float32 [F, 58].
            state: from `initial_state` or the previous call.

        Returns:
            rig: float32 [F, 58], a copy with another head pose.
            state: to pass with the next frames.
        """
        last = cast(FloatArray, state["head.pose"])
        pose = rig[:, _POSE]
        before = np.concatenate([last.reshape(-1, pose.shape[1]) if len(last) else pose[:1], pose])
        out = rig.copy()
        out[:, _POSE] = 0.5 * (before[1:] + before[:-1])
        return out, {"head.pose": pose[-1].copy()}
