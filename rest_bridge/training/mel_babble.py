"""Other people talk behind the talker, and the talker's level changes: done on stored features.

Place in the flow: `speech_data.batches` -> here. Sessions store normalised log-mels; power adds, so
voices are mixed there (with the phases forgotten), as often and as differently as batches ask,
without building sessions anew. The running normaliser then hears the mixture from its beginning.
Shape letters: M mel frames (10 ms).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from rest_bridge.features.mel import FRAMES_PER_SECOND, MelConfig

FloatArray = npt.NDArray[np.float32]
MelArray = npt.NDArray[np.float16] | FloatArray

_LEAST_DB, _MOST_DB = 3.0, 18.0
_LEAST_VOICES, _MOST_VOICES = 2, 7
_COLD_SHARE = 0.35
"""Of the mixtures: the stream begins with the session (no voice was heard before)."""
_SPREAD = np.float32(0.8)
"""Deviations that a normalised value of 1 is worth, so that a voice loses as much of itself to a
babble of 10 dB as when samples are mixed (correlation with the clean features 0.68)."""
_DB_PER_NAT = 10 / np.log(10)


@dataclass(frozen=True, slots=True)
class BabbleMixer:
    """Mixes the normalised log-mels of several sessions.

    Attributes:
        config: constants of the features that the sessions were built with.
    """

    config: MelConfig

    @classmethod
    def read(cls, data: Path) -> "BabbleMixer":
        """Read the constants that `speech-data` left in its folder.

        Raises:
            FileNotFoundError: there is no mel.npz.
        """
        with np.load(data / "mel.npz", allow_pickle=False) as archive:
            return cls(MelConfig(archive["mean"], archive["deviation"]))

    def mix(
        self, voice: MelArray, others: Sequence[MelArray], rng: np.random.Generator
    ) -> FloatArray:
        """Put voices behind a voice, 3 to 18 dB softer together.

        Args:
            voice: [M, 80], normalised, of any float kind.
            others: each [M', 80], normalised; looped from a moment by chance.
            rng: source of chance.

        Returns:
            float32 [M, 80], normalised anew.
        """
        near = self._raw(voice)
        behind = np.zeros(near.shape, np.float32)
        for other in others:
            places = (np.arange(len(near)) + int(rng.integers(len(other)))) % len(other)
            power = np.exp(self._raw(other[places]))
            behind += power / _loud_power(power)
        snr = float(rng.uniform(_LEAST_DB, _MOST_DB)) / _DB_PER_NAT
        # As `augment_audio.add_noise`: the ratio of loud speech to the whole background.
        power = np.exp(near)
        behind *= _loud_power(power) * np.float32(np.exp(-snr)) / (behind.mean() + 1e-9)
        mixed = np.log(power + behind)
        cold = rng.random() < _COLD_SHARE
        if cold:
            mixed += np.float32(rng.uniform(-3.0, 2.0))
            mixed = np.maximum(mixed, np.float32(np.log(self.config.power_floor)))
        return self._normalise(mixed, cold=bool(cold))

    def num_voices(self, rng: np.random.Generator) -> int:
        """Draw how many talk behind the talker."""
        return int(rng.integers(_LEAST_VOICES, _MOST_VOICES + 1))

    def _raw(self, mel: MelArray) -> FloatArray:
        """Undo the normaliser as it stands after some speech."""
        deviation = _SPREAD * self.config.deviation
        return mel.astype(np.float32) * deviation + self.config.mean

    def _normalise(self, raw: FloatArray, *, cold: bool) -> FloatArray:
        config = self.config
        alpha = 1.0 / (config.time_constant_s * FRAMES_PER_SECOND)
        mean, spread = raw.mean(0), raw.var(0)
        if cold:
            mean, spread = config.mean, config.deviation**2
        forget = [1.0, alpha - 1.0]
        means, _ = lfilter([alpha], forget, raw, axis=0, zi=(1 - alpha) * mean[None])
        squares = (raw - means) ** 2
        variance, _ = lfilter([alpha], forget, squares, axis=0, zi=(1 - alpha) * spread[None])
        frames = (raw - means) / np.sqrt(variance + (0.5 * config.deviation) ** 2)
        return np.clip(frames, -config.clip, config.clip).astype(np.float32)


def _loud_power(power: FloatArray) -> np.float32:
    """Return the mean mel power [M, 80] over loud frames, so that pauses don't count."""
    frames = power.mean(1)
    return np.float32(frames[frames > 0.1 * frames.max()].mean() + 1e-9)
