"""Causal log-mel features of a 16 kHz voice, normalised by a running mean and variance.

Place in the flow: 16 kHz samples -> here -> `features.encoder` (SpeechAE). Training uses this very
file, so what the network learned from is what it hears. It knows nothing of the model or of time
stamps. Shape letters: S samples, F mel frames (10 ms).

Frame k covers the 25 ms that END at (k + 1) * 10 ms, so it is known at that moment. Every frame is
computed on its own (no batched matrix product whose rounding depends on the batch), so any
chunking of the same samples gives bit-equal frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rest_bridge.inference.state import ArraySpec
from rest_bridge.types import MODEL_RATE_HZ, Array, FloatArray, State

NUM_BINS: Final = 80
HOP_SAMPLES: Final = 160
WINDOW_SAMPLES: Final = 400
FRAMES_PER_SECOND: Final = MODEL_RATE_HZ // HOP_SAMPLES
_FFT_SIZE: Final = 512
_LOWEST_HZ: Final = 60.0
_HIGHEST_HZ: Final = 7600.0


@dataclass(frozen=True, slots=True)
class MelConfig:
    """Constants of the features; written to the model package by the export.

    Attributes:
        mean: float32 [80], mean log-mel of the training speech: the running mean's start.
        deviation: float32 [80], its standard deviation: the running variance's start.
        time_constant_s: of the running mean and variance.
        power_floor: added to the mel power before the logarithm; -75 dBFS of white noise lies
            below it, so that digital silence and a quiet room look alike.
        clip: normalised values are limited to +-clip.
    """

    mean: FloatArray
    deviation: FloatArray
    time_constant_s: float = 4.0
    power_floor: float = 3e-5
    clip: float = 4.0

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], section: Mapping[str, Any]) -> "MelConfig":
        """Build from the package's `audio.npz` arrays and its manifest section `audio`."""
        return cls(
            mean=arrays["mel_mean"].astype(np.float32),
            deviation=arrays["mel_deviation"].astype(np.float32),
            time_constant_s=float(section["time_constant_s"]),
            power_floor=float(section["power_floor"]),
            clip=float(section["clip"]),
        )


class LogMel:
    """Streaming log-mel with running normalisation; all memory is in the state passed around."""

    def __init__(self, config: MelConfig) -> None:
        """Prepare the filters.

        Args:
            config: constants of the features.
        """
        self.config = config
        self._filters = mel_filters()
        self._window = np.hanning(WINDOW_SAMPLES).astype(np.float32)
        self._alpha = np.float32(1.0 / (config.time_constant_s * FRAMES_PER_SECOND))
        # Never below half of the training deviation: long digital silence would otherwise drive
        # the variance to zero and blow the first breath up to a shout.
        self._least_variance = (0.5 * config.deviation) ** 2

    def initial_state(self) -> dict[str, Array]:
        """Return the state before the first sample: silence heard, training statistics assumed."""
        return {
            "mel.samples": np.zeros(WINDOW_SAMPLES, np.float32),
            "mel.num_samples": np.array([WINDOW_SAMPLES - HOP_SAMPLES], np.int64),
            "mel.mean": self.config.mean.copy(),
            "mel.variance": self.config.deviation**2,
        }

    def state_arrays(self) -> tuple[ArraySpec, ...]:
        """Return names, shapes and dtypes of the state."""
        return (
            ArraySpec("mel.samples", (WINDOW_SAMPLES,)),
            ArraySpec("mel.num_samples", (1,), "int64"),
            ArraySpec("mel.mean", (NUM_BINS,)),
            ArraySpec("mel.variance", (NUM_BINS,)),
        )

    def step(self, samples: FloatArray, state: State) -> tuple[FloatArray, dict[str, Array]]:
        """Turn the next samples into as many frames as are complete.

        Args:
            samples: float32 [S], 16 kHz, any number.
            state: from `initial_state` or the previous call; left untouched.

        Returns:
            frames: float32 [F, 80], normalised log-mel.
            state: to pass with the next samples.
        """
        log_mels, heard = self.hear(samples, state)
        frames, settled = self.normalise(log_mels, state)
        return frames, {**heard, **settled}

    def hear(self, samples: FloatArray, state: State) -> tuple[FloatArray, dict[str, Array]]:
        """Turn the next samples into log-mels that are not normalised.

        Args:
            samples: as for `step`.
            state: as for `step`.

        Returns:
            log_mels: float32 [F, 80].
            state: the part of it that holds samples.
        """
        kept = state["mel.samples"][: int(state["mel.num_samples"][0])]
        pending = np.concatenate([kept, samples.astype(np.float32, copy=False)])
        num_frames = max(0, (len(pending) - WINDOW_SAMPLES) // HOP_SAMPLES + 1)
        log_mels = np.empty((num_frames, NUM_BINS), np.float32)
        for k in range(num_frames):
            start = k * HOP_SAMPLES
            log_mels[k] = self.log_mel(pending[start : start + WINDOW_SAMPLES])
        left = pending[num_frames * HOP_SAMPLES :]
        held = np.zeros(WINDOW_SAMPLES, np.float32)
        held[: len(left)] = left
        return log_mels, {
            "mel.samples": held,
            "mel.num_samples": np.array([len(left)], np.int64),
        }

    def normalise(self, log_mels: FloatArray, state: State) -> tuple[FloatArray, dict[str, Array]]:
        """Normalise the next log-mels by the running mean and variance.

        Args:
            log_mels: float32 [F, 80], of `hear`.
            state: as for `step`.

        Returns:
            frames: float32 [F, 80].
            state: the part of it that holds mean and variance.
        """
        frames = np.empty(log_mels.shape, np.float32)
        mean, variance = state["mel.mean"].copy(), state["mel.variance"].copy()
        for k, log_mel in enumerate(log_mels):
            mean += self._alpha * (log_mel - mean)
            variance += self._alpha * ((log_mel - mean) ** 2 - variance)
            frames[k] = (log_mel - mean) / np.sqrt(variance + self._least_variance)
        np.clip(frames, -self.config.clip, self.config.clip, out=frames)
        return frames, {"mel.mean": mean, "mel.variance": variance}

    def log_mel(self, window: FloatArray) -> FloatArray:
        """Return float32 [80]: the log-mel of one window of 400 samples, not normalised."""
        spectrum = np.fft.rfft(window * self._window, _FFT_SIZE)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        return np.log(self._filters @ power + np.float32(self.config.power_floor))


def mel_filters() -> FloatArray:
    """Return float32 [80, 257]: triangular filters from 60 to 7600 Hz on the mel scale."""
    edges_mel = np.linspace(_hz_to_mel(_LOWEST_HZ), _hz_to_mel(_HIGHEST_HZ), NUM_BINS + 2)
    edges_hz = 700.0 * (10.0 ** (edges_mel / 2595.0) - 1.0)
    bins_hz = np.arange(_FFT_SIZE // 2 + 1) * (MODEL_RATE_HZ / _FFT_SIZE)
    low, centre, high = (edges_hz[i : i + NUM_BINS, None] for i in range(3))
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


def _hz_to_mel(frequency_hz: float) -> float:
    return float(2595.0 * np.log10(1.0 + frequency_hz / 700.0))
