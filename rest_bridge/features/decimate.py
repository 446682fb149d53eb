"""From the voice's 48 kHz to the model's 16 kHz with 2 ms of delay.

Place in the flow: voice -> here -> log-mel. A linear-phase low-pass at the new rate's edge, only
every third output computed. soxr's streaming resampler does the same with 20 ms (LQ) to 38 ms (HQ)
between a sample's arrival and its exit (measured, soxr 1.1.0), a fifth of our latency budget.
The 2 ms are not compensated: output i is the sound at i / 16000 s - 2 ms, which lets a latent
frame be complete as soon as its last input sample is there.
Works in blocks of 10 ms whatever the caller's chunks are, so any chunking gives equal bits.
"""

from typing import Final, cast

import numpy as np

from rest_bridge.types import MODEL_RATE_HZ, VOICE_RATE_HZ, Array, FloatArray, State

FACTOR: Final = VOICE_RATE_HZ // MODEL_RATE_HZ
BLOCK_SAMPLES: Final = VOICE_RATE_HZ // 100
DELAY_S: Final = 0.002
_NUM_TAPS: Final = 193
_CUTOFF_HZ: Final = 7_550.0
_KAISER_BETA: Final = 5.65
"""About 60 dB: passes up to 7.1 kHz, stops from 8 kHz, where aliases of the band would begin."""


class Decimator:
    """Streaming 48 kHz -> 16 kHz; pure, its memory is the state it is given."""

    def __init__(self) -> None:
        """Design the filter."""
        centre = (_NUM_TAPS - 1) / 2
        position = np.arange(_NUM_TAPS) - centre
        ideal = np.sinc(2 * _CUTOFF_HZ / VOICE_RATE_HZ * position)
        taps = ideal * np.kaiser(_NUM_TAPS, _KAISER_BETA)
        self._taps = (taps / taps.sum()).astype(np.float32)

    def initial_state(self) -> dict[str, Array]:
        """Return the state before the first sample: silence."""
        return {
            "decimator.window": np.zeros(_NUM_TAPS - 1 + BLOCK_SAMPLES, np.float32),
            "decimator.num_pending": np.zeros((), np.int64),
        }

    def step(self, samples: FloatArray, state: State) -> tuple[FloatArray, dict[str, Array]]:
        """Resample what completes blocks of 10 ms, keep the rest.

        Args:
            samples: float32 [S] at 48 kHz, any S.
            state: from `initial_state` or the previous call; spent by this call.

        Returns:
            samples: float32 [160 * n] at 16 kHz.
            state: to pass with the next samples.
        """
        window = cast(FloatArray, state["decimator.window"])
        pending = int(state["decimator.num_pending"])
        history = _NUM_TAPS - 1
        blocks: list[FloatArray] = []
        position = 0
        while position < len(samples):
            taken = min(BLOCK_SAMPLES - pending, len(samples) - position)
            begin = history + pending
            window[begin : begin + taken] = samples[position : position + taken]
            position += taken
            pending += taken
            if pending == BLOCK_SAMPLES:
                blocks.append(np.correlate(window, self._taps, "valid")[:-1:FACTOR])
                window[:history] = window[BLOCK_SAMPLES:].copy()
                pending = 0
        out = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
        return out, {
            "decimator.window": window,
            "decimator.num_pending": np.array(pending, np.int64),
        }
