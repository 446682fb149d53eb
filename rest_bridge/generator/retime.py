"""From the model's 25 rig values a second to any frame rate.

Place in the flow: latents -> rig -> here -> latents at the output's rate -> decoder. A rig value
belongs to the centre of its frame; an output frame takes the rig at its own centre, interpolated
between its two neighbours, so nothing is late or early at any rate. Causal: a frame comes out as
soon as the neighbour after its centre is known. Shape letters: F frames in, G frames out.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np

from rest_bridge.types import (
    FRAME_RATE_HZ,
    LATENT_SHAPE,
    LATENT_STRIDE,
    Array,
    FloatArray,
    State,
)


@dataclass(frozen=True, slots=True)
class Between:
    """Where output frames lie between frames of the model's rate.

    Attributes:
        known: float32 [N, C], the frames in question.
        below: int64 [G], index in `known` of the one before each output frame's centre.
        above: int64 [G], of the one after it.
        share: float32 [G], of the way from `below` to `above`, 0..1.
    """

    known: FloatArray
    below: Array
    above: Array
    share: FloatArray

    def mixed(self) -> FloatArray:
        """Return the output frames, interpolated: float32 [G, C]."""
        share = self.share[:, None]
        mixed = self.known[self.below] * (1 - share) + self.known[self.above] * share
        return mixed.astype(np.float32)


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
        between, state = self.place(rig, state)
        return between.mixed(), state

    def place(self, rig: FloatArray, state: State) -> tuple[Between, dict[str, Array]]:
        """Say between which frames the next output frames lie.

        Args:
            rig: float32 [F, C] at 25 Hz; any rows of numbers, of one width in a stream.
            state: as for `step`.

        Returns:
            places: of the output frames that can be computed now, an even number.
            state: to pass with the next rows.
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
        share = (centre - below).astype(np.float32)
        places = Between(known, below - first, above - first, share)
        # Wait for at most an odd frame: its neighbours are among the last few inputs.
        return places, {
            "retimer.last": known[-3:].reshape(-1).copy(),
            "retimer.num_in": np.array(num_in, np.int64),
            "retimer.num_out": np.array(num_out + len(outputs), np.int64),
        }


def frame_rows(rig: FloatArray, latents: FloatArray) -> FloatArray:
    """Return what is known of each 25 Hz frame as a row: rig, its latent, its place in it.

    Args:
        rig: float32 [2T, R].
        latents: float32 [T, 16, 4, 4].

    Returns:
        float32 [2T, R + 256 + 1].
    """
    flat = np.repeat(latents.reshape(len(latents), -1), LATENT_STRIDE, 0)
    place = np.arange(len(rig), dtype=np.float32)[:, None] % LATENT_STRIDE
    return np.concatenate([rig, flat, place], 1)


def latents_of_rows(rows: FloatArray, num_rig: int) -> tuple[FloatArray, list[bool]]:
    """Return latents float32 [N, 16, 4, 4] of `frame_rows`, and which frames are the second."""
    latents = rows[:, num_rig:-1].reshape(len(rows), *LATENT_SHAPE)
    return np.ascontiguousarray(latents), [bool(place) for place in rows[:, -1]]
