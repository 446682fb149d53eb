"""Makes motion even across the borders of latent frames, without any delay.

Place in the flow: latents -> rig -> here -> decoder. A latent frame holds two video frames a, b;
the network says what is likely of both, and a difference within 80 ms is what a squared error
shrinks most, so faces moved in steps: the energy of change across the borders was 1.8 times that
inside for the jaw, 5 for a pucker, 13 for a nod (real curves: 1.0; LOG.md, third session).

What is slow (head, brows, rounding) goes straight from each b to the next: a becomes their middle.
What is fast (jaw, lips that shut) may not lose its quick moves that way; there the change inside is
widened about its middle by as much as training shrank it. Lids and gaze follow their plan already
(`eye_plan`). Spreading, which a voice tells little of, comes out of a squared error too small and
gets a part of that back; rounding is `lip_shape`'s. Shape letters: F frames, two of each latent
frame.
"""

from typing import Final, cast

import numpy as np

from rest_bridge.rig import POSE_NAMES, RIG_NAMES
from rest_bridge.types import LATENT_STRIDE, Array, FloatArray, State

_SLOW: Final = (
    "head", "eyeSquint", "eyeWide", "brow", "cheek", "noseSneer", "mouthPucker",
    "mouthFunnel", "mouthSmile", "mouthFrown", "mouthStretch", "mouthDimple", "mouthShrug",
)  # fmt: skip
STEADIED: Final = [i for i, name in enumerate(RIG_NAMES) if name.startswith(_SLOW)]
"""Rig values that go straight from latent frame to latent frame."""
_WIDENED_BY: Final = {"jaw": 1.25, "mouthClose": 1.5, "mouth": 1.35, "tongue": 1.35}
"""Chosen on the validation sessions: borders and inside then move alike, lips agree as before."""
WIDENED: Final = [
    i
    for i, name in enumerate(RIG_NAMES)
    if name.startswith(tuple(_WIDENED_BY)) and i not in STEADIED
]
"""Rig values whose change inside a latent frame is widened."""
_WIDTHS: Final = np.array(
    [next(v for k, v in _WIDENED_BY.items() if RIG_NAMES[i].startswith(k)) for i in WIDENED],
    np.float32,
)

_LARGER: Final = {"mouthStretch": 1.5}
"""Chosen on the validation sessions: where the error of the mouth's width is least."""
_ENLARGED: Final = [i for i, name in enumerate(RIG_NAMES) if name.startswith(tuple(_LARGER))]
_SIZES: Final = np.array(
    [next(v for k, v in _LARGER.items() if RIG_NAMES[i].startswith(k)) for i in _ENLARGED],
    np.float32,
)


class MotionEvener:
    """Evens the two frames of each latent frame; pure, its memory is the state it is given."""

    def initial_state(self) -> dict[str, Array]:
        """Return the state before the first frame."""
        return {"steady.last": np.zeros(0, np.float32)}

    def step(self, rig: FloatArray, state: State) -> tuple[FloatArray, dict[str, Array]]:
        """Even the next frames.

        Args:
            rig: float32 [F, 58], whole latent frames.
            state: from `initial_state` or the previous call.

        Returns:
            rig: float32 [F, 58], a copy.
            state: to pass with the next frames.
        """
        rig = rig.copy()
        rig[:, _ENLARGED] *= _SIZES
        out = rig.copy()
        slow = rig[1::LATENT_STRIDE, STEADIED]
        last = cast(FloatArray, state["steady.last"])
        # The first frame of a stream has nothing to come from.
        before = np.concatenate(
            [last[None] if len(last) else 2 * rig[:1, STEADIED] - slow[:1], slow]
        )
        out[::LATENT_STRIDE, STEADIED] = 0.5 * (before[:-1] + before[1:])
        first, second = rig[::LATENT_STRIDE, WIDENED], rig[1::LATENT_STRIDE, WIDENED]
        middle, half = 0.5 * (first + second), 0.5 * _WIDTHS * (second - first)
        out[::LATENT_STRIDE, WIDENED] = middle - half
        out[1::LATENT_STRIDE, WIDENED] = middle + half
        weights = out[:, len(POSE_NAMES) :]
        np.clip(weights, 0.0, 1.0, out=weights)
        return out, {"steady.last": slow[-1].copy()}
