"""Is there a voice in what is heard, and is it somebody near? Two small networks, every 20 ms.

Place in the flow: voice at 16 kHz -> here -> `lip_guard`. One tells speech from music, typing and
noise, also speech that is mixed with them; singing is a voice to it. The other tells a talker from
a crowd: several voices at once without one in front of them are nobody's; one voice alone is
somebody's, however soft. Neither knows anything of lips. Both are alike but in width, and trained
by `training.voice_finder`. Shape letters: S samples, B mel bins, H width; a step is 20 ms.

The network: log-mel of 32 ms [B] -> two layers over the last five steps -> GRU [H] -> one number.
In numpy: 32 and 106 thousand weights cost less than a call of a graph.
"""

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from rest_bridge.features.mel import NUM_BINS, mel_filters
from rest_bridge.types import Array, FloatArray, State

WEIGHTS: Final = Path(__file__).with_name("voicing.npz")
"""Of the network that tells a voice from other sounds."""
NEAR_WEIGHTS: Final = Path(__file__).with_name("near_voice.npz")
"""Of the one that tells somebody near from a crowd."""
STEP_SAMPLES: Final = 320
WINDOW_SAMPLES: Final = 512
CONTEXT: Final = 3
"""Steps that each of the two layers sees."""
POWER_FLOOR: Final = 1e-5
_MOST: Final = 30.0


class VoiceFinder:
    """Judges 20 ms at a time; pure, its memory is the state it is given."""

    def __init__(self, weights: dict[str, FloatArray] | None = None) -> None:
        """Take these weights, or those of the network that tells a voice from other sounds."""
        self._weights = shipped_weights() if weights is None else weights
        self._filters = mel_filters()
        self._window = np.hanning(WINDOW_SAMPLES).astype(np.float32)
        first, second = self._weights["first.weight"], self._weights["second.weight"]
        self._widths = first.shape[1] // CONTEXT, second.shape[1] // CONTEXT
        self._hidden = len(self._weights["out.weight"])

    def initial_state(self) -> dict[str, Array]:
        """Return the state before the first sample: silence was heard."""
        return {
            "voice.samples": np.zeros(WINDOW_SAMPLES - STEP_SAMPLES, np.float32),
            "voice.mel": np.tile(_scaled(np.zeros(NUM_BINS, np.float32)), CONTEXT - 1),
            "voice.first": np.zeros(self._widths[1] * (CONTEXT - 1), np.float32),
            "voice.hidden": np.zeros(self._hidden, np.float32),
        }

    def step(self, samples: FloatArray, state: State) -> tuple[float, dict[str, Array]]:
        """Judge the next 20 ms.

        Args:
            samples: float32 [320], 16 kHz.
            state: from `initial_state` or the previous call.

        Returns:
            logit: above 0 a voice, below 0 none; -30..30.
            state: to pass with the next step.
        """
        weights = self._weights
        heard = np.concatenate([state["voice.samples"], samples])
        spectrum = np.fft.rfft(heard * self._window)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        mel = np.concatenate([state["voice.mel"], _scaled(self._filters @ power)])
        low = np.maximum(weights["first.weight"] @ mel + weights["first.bias"], 0.0)
        lows = np.concatenate([state["voice.first"], low])
        high = np.maximum(weights["second.weight"] @ lows + weights["second.bias"], 0.0)
        hidden = self._recur(high, state["voice.hidden"])
        logit = float(weights["out.weight"] @ hidden + weights["out.bias"][0])
        return min(_MOST, max(-_MOST, logit)), {
            "voice.samples": heard[STEP_SAMPLES:],
            "voice.mel": mel[NUM_BINS:],
            "voice.first": lows[len(low) :],
            "voice.hidden": hidden,
        }

    def _recur(self, inputs: FloatArray, hidden: Array) -> FloatArray:
        """Return the next hidden state of the GRU, float32 [H]."""
        weights, width = self._weights, self._hidden
        given = weights["gru.input"] @ inputs + weights["gru.input_bias"]
        kept = weights["gru.hidden"] @ hidden + weights["gru.hidden_bias"]
        gates = 1.0 / (
            1.0 + np.exp(-np.clip(given[: 2 * width] + kept[: 2 * width], -_MOST, _MOST))
        )
        wanted = np.tanh(given[2 * width :] + gates[:width] * kept[2 * width :])
        return (wanted + gates[width:] * (hidden - wanted)).astype(np.float32)


@cache
def shipped_weights(path: Path = WEIGHTS) -> dict[str, FloatArray]:
    """Return weights that come with rest_bridge, float32."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name].astype(np.float32) for name in archive.files}


def _scaled(mel_power: FloatArray) -> FloatArray:
    """Return log-mel in a range that suits a network; -80 dBFS and silence look alike."""
    return (np.log(mel_power + np.float32(POWER_FLOOR)) * np.float32(0.25)).astype(np.float32)
