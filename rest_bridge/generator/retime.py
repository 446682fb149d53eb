"""From the model's 25 rig values a second to any frame rate.

Place in the flow: latents -> rig -> here -> latents at the output's rate -> decoder. A rig value
belongs to the centre of its frame; an output frame takes the rig at its own centre, interpolated
between its two neighbours, so nothing is late or early at any rate. Causal: a frame comes out as
soon as the neighbour after its centre is known. Shape letters: F frames in, G frames out.
"""

from typing import cast

import numpy as np

from rest_bridge.types import FRAME_RATE_HZ, LATENT_STRIDE, Array, FloatArray, State


class Retimer:
    """Interpolates a stream of rig vectors; pure, its memory is the state it is given."""

    def __init__(self, fps: int) -> None:
        """Choose the output rate.

        Args:
            fps: output frames per second.
        """
        self._fps = fps

    def initial_state(self) -> dict[str, Array]:
        """Return the state before the first rig vector."""
        return {
            "retimer.last": np.zeros(0, np.float32),
            "retimer.num_in": np.zeros((), np.int64),
            "retimer.num_out": np.zeros((), np.int64),
        }

    def step(self, rig: FloatArray, state: State) -> tuple[FloatArray, dict[str, Array]]:
        """Return the output frames that can be computed now.

        Args:
            rig: float32 [F, 58] at 25 Hz.
            state: from `initial_state` or the previous call.

        Returns:
            rig: float32 [G, 58] at the output rate; G is always even.
            state: to pass with the next rig vectors.
        """
        last = cast(FloatArray, state["retimer.last"])
        num_in, num_out = int(state["retimer.num_in"]), int(state["retimer.num_out"])
        known = np.concatenate([last.reshape(-1, rig.shape[1]), rig])
        first = num_in - (len(known) - len(rig))  # index of known[0] at 25 Hz
        num_in += len(rig)
        # Centre of output g in units of input frames: (g + 1/2) * 25 / fps - 1/2 <= num_in - 1.
        num_ready = ((2 * num_in - 1) * self._fps // FRAME_RATE_HZ + 1) // 2
        num_ready -= (num_ready - num_out) % LATENT_STRIDE
        outputs = np.arange(num_out, max(num_out, num_ready))
        centre = np.maximum(((2 * outputs + 1) * FRAME_RATE_HZ / self._fps - 1) / 2, 0.0)
        below = np.minimum(centre.astype(np.int64), num_in - 1)
        above = np.minimum(below + 1, num_in - 1)
        weight = (centre - below).astype(np.float32)[:, None]
        out = known[below - first] * (1 - weight) + known[above - first] * weight
        # Wait for at most an odd frame: its neighbours are among the last few inputs.
        return out.astype(np.float32), {
            "retimer.last": known[-3:].reshape(-1).copy(),
            "retimer.num_in": np.array(num_in, np.int64),
            "retimer.num_out": np.array(num_out + len(outputs), np.int64),
        }
