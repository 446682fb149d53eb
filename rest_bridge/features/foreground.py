"""The nearest talker's share of what is heard: other voices, music and noise are taken out of it.

Place in the flow: log-mels of `features.mel`, before they are normalised -> here -> the normaliser
and the networks behind it. It hears whole blocks of 80 ms, as those networks do: nothing is
delayed, and each step is judged by what follows it in its block. Where several voices speak and
none is nearer than the others, nobody's share is left, and the lips rest as in silence. Trained by
`training.foreground`. It knows nothing of lips.
Shape letters: M mel frames of a block (8 of 10 ms), J steps of it (4 of 20 ms), B bins, H width.

The network: log-mels, and how far they are above their running mean, two frames at a time -> H ->
GRU [H] -> each step with the block's last -> a share of the power in each bin. In numpy: 208
thousand weights, a third of a millisecond a block.
"""

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from rest_bridge.features.mel import FRAMES_PER_SECOND, NUM_BINS
from rest_bridge.inference.state import ArraySpec
from rest_bridge.types import Array, FloatArray, State

WEIGHTS: Final = Path(__file__).with_name("foreground.npz")
BLOCK_FRAMES: Final = 8
STEP_FRAMES: Final = 2
"""Mel frames of a step."""
MEAN_S: Final = 2.0
"""Time constant of the running mean."""
BEGIN: Final = -6.0
"""Log-mel that the running mean begins with."""
SCALE: Final = 0.25
"""From log-mels to what a network likes."""
_STEPS: Final = BLOCK_FRAMES // STEP_FRAMES
_MOST: Final = 30.0


class Foreground:
    """Takes everything but the nearest voice out of blocks; pure, its memory is its state.

    Args:
        power_floor: of the log-mels, `MelConfig.power_floor`.
        weights: instead of the shipped ones.
    """

    def __init__(self, power_floor: float, weights: dict[str, FloatArray] | None = None) -> None:
        self._weights = shipped_weights() if weights is None else weights
        self._floor = np.float32(power_floor)
        self._hidden = len(self._weights["enter.bias"])
        self._fade, self._follow = running_mean()

    def initial_state(self) -> dict[str, Array]:
        """Return the state before the first block: nothing was heard."""
        return {
            "fore.mean": np.full(NUM_BINS, BEGIN, np.float32),
            "fore.hidden": np.zeros(self._hidden, np.float32),
        }

    def state_arrays(self) -> tuple[ArraySpec, ...]:
        """Return names, shapes and dtypes of the state."""
        return ArraySpec("fore.mean", (NUM_BINS,)), ArraySpec("fore.hidden", (self._hidden,))

    def step(
        self, log_mel: FloatArray, state: State
    ) -> tuple[FloatArray, FloatArray, dict[str, Array]]:
        """Hear the next block.

        Args:
            log_mel: float32 [8, 80], not normalised, with `power_floor` in it.
            state: from `initial_state` or the previous call; left untouched.

        Returns:
            log_mel: float32 [8, 80], of the nearest talker alone.
            logits: float32 [4], above 0 where the nearest talker speaks.
            state: to pass with the next block.
        """
        weights = self._weights
        means = self._follow @ log_mel + self._fade[:, None] * state["fore.mean"]
        seen = np.concatenate([log_mel - np.float32(BEGIN), log_mel - means], 1) * np.float32(SCALE)
        entered = seen.reshape(_STEPS, -1) @ weights["enter.weight"].T + weights["enter.bias"]
        entered = np.maximum(entered, 0.0)
        hidden = self._recur(entered, state["fore.hidden"])
        mixed = (
            hidden @ weights["own.weight"].T
            + weights["own.bias"]
            + weights["last.weight"] @ hidden[-1]
            + entered @ weights["skip.weight"].T
        )
        mixed = np.maximum(mixed, 0.0)
        logits = mixed @ weights["share.weight"].T + weights["share.bias"]
        share = _sigmoid(logits.reshape(BLOCK_FRAMES, NUM_BINS))
        power = np.exp(log_mel) - self._floor
        near = mixed @ weights["near.weight"] + weights["near.bias"]
        return (
            np.log(np.maximum(power, 0.0) * share + self._floor),
            np.clip(near, -_MOST, _MOST).astype(np.float32),
            {"fore.mean": means[-1].astype(np.float32), "fore.hidden": hidden[-1]},
        )

    def _recur(self, inputs: FloatArray, hidden: Array) -> FloatArray:
        """Return the hidden states of the GRU, float32 [J, H]."""
        weights, width = self._weights, self._hidden
        given = inputs @ weights["gru.input"].T + weights["gru.input_bias"]
        found = np.empty((_STEPS, width), np.float32)
        for j in range(_STEPS):
            kept = weights["gru.hidden"] @ hidden + weights["gru.hidden_bias"]
            gates = _sigmoid(given[j, : 2 * width] + kept[: 2 * width])
            wanted = np.tanh(given[j, 2 * width :] + gates[:width] * kept[2 * width :])
            hidden = wanted + gates[width:] * (hidden - wanted)
            found[j] = hidden
        return found


@cache
def shipped_weights() -> dict[str, FloatArray]:
    """Return the weights that come with rest_bridge, float32."""
    with np.load(WEIGHTS, allow_pickle=False) as archive:
        return {name: archive[name].astype(np.float32) for name in archive.files}


@cache
def running_mean() -> tuple[FloatArray, FloatArray]:
    """Return what a block's running means keep of the mean before it [8], and of its frames [8, 8].

    Row k is the mean after frame k, that frame included.
    """
    alpha = 1.0 / (MEAN_S * FRAMES_PER_SECOND)
    places = np.arange(BLOCK_FRAMES)
    ages = places[:, None] - places[None]
    follow = np.where(ages >= 0, alpha * (1 - alpha) ** np.maximum(ages, 0), 0.0)
    return ((1 - alpha) ** (places + 1)).astype(np.float32), follow.astype(np.float32)


def _sigmoid(values: Array) -> FloatArray:
    return (1.0 / (1.0 + np.exp(-np.clip(values, -_MOST, _MOST)))).astype(np.float32)
