"""Do these lips follow this sound? Asked of the shipped motion model.

Place in the flow: `faces` (tracked lips) + `footage.sound` -> here -> `job`. The model says how
lips would move to this sound; the tracked ones should move alike, and at the same time. A dubbed
film, a shifted sound track, or a listener's face under somebody else's voice fail this.

Shape letters: F frames at 25 a second; S samples at 16 kHz.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from rest_bridge.features.encoder import SpeechEncoder
from rest_bridge.generator.generator import MotionGenerator
from rest_bridge.generator.latent import LatentSpace
from rest_bridge.generator.life import LifePlanner
from rest_bridge.generator.sampler import latent_noise
from rest_bridge.inference.package import ModelPackage
from rest_bridge.training.curves import gaussian_smooth, lip_aperture
from rest_bridge.training.prepare.footage import Refused
from rest_bridge.types import FRAME_RATE_HZ, LATENT_SHAPE, MODEL_RATE_HZ, FloatArray

OUT_OF_SYNC: Final = "lips out of sync"

MOST_LAG_FRAMES: Final = 3
LEAST_AGREEMENT: Final = 0.35
"""Matched clips of 3 s have 0.56 to 0.97 (11 GRID clips); swapped sound tracks of the same six-word
grammar pass in 18 % of the pairs, mostly because another lag fits better."""
_REACH_FRAMES: Final = 25
_SURE: Final = 0.6
_SPEAKS: Final = 0.05
_LEAST_SPOKEN: Final = 15
_TAIL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Agreement:
    """How lips and sound go together while somebody speaks.

    Attributes:
        r: correlation at the best lag.
        lag_frames: of the lips behind the sound at best; positive is late.
        r_now: correlation without a shift.
    """

    r: float
    lag_frames: int
    r_now: float


class LipReader:
    """Says how far lips would open to a sound, and compares."""

    def __init__(self, package: ModelPackage) -> None:
        """Load the voice's half of the model package."""
        self._encoder, self._motion = SpeechEncoder(package), MotionGenerator(package)
        self._space = LatentSpace(package)

    def expected(self, samples: FloatArray) -> FloatArray:
        """Say how far lips would open to a sound.

        Args:
            samples: float32 [S].

        Returns:
            float32 [F], the lip gap.
        """
        padded = np.concatenate([samples, np.zeros(int(_TAIL_S * MODEL_RATE_HZ), np.float32)])
        tokens, _ = self._encoder.step(padded, self._encoder.initial_state())
        count = len(tokens)
        state = self._motion.initial_state(np.zeros((1, *LATENT_SHAPE), np.float32))
        plan = LifePlanner(0).plan(0, count)
        noise = latent_noise(0, 0, count, 0.0)
        gaps: list[FloatArray] = []
        for k in range(count):
            part = slice(k, k + 1)
            latents, state = self._motion.step(tokens[part], plan[part], state, noise[part])
            gaps.append(lip_aperture(self._space.to_rig(latents)))
        every = np.concatenate(gaps) if gaps else np.zeros(0, np.float32)
        return every[: len(samples) * FRAME_RATE_HZ // MODEL_RATE_HZ]

    def compare(self, samples: FloatArray, aperture: FloatArray) -> Agreement:
        """Compare tracked lips with the sound.

        Args:
            samples: float32 [S].
            aperture: float32 [F], any unit.

        Returns:
            How they agree.
        """
        return agreement(self.expected(samples), aperture)

    def check(self, samples: FloatArray, aperture: FloatArray) -> Agreement:
        """Compare, and refuse what does not go together.

        Args:
            samples: float32 [S].
            aperture: float32 [F], any unit.

        Returns:
            How they agree.

        Raises:
            Refused: the lips follow at another time, or follow nothing that is heard.
        """
        found = self.compare(samples, aperture)
        late = abs(found.lag_frames) > MOST_LAG_FRAMES
        if late and found.r > _SURE and found.r > found.r_now + 0.15:
            side = "late" if found.lag_frames > 0 else "early"
            raise Refused(
                OUT_OF_SYNC,
                f"the lips come {abs(found.lag_frames) * 40} ms {side} against the sound; shift "
                f"the sound track and try again",
            )
        if late or found.r < LEAST_AGREEMENT:
            raise Refused(
                OUT_OF_SYNC,
                f"the lips do not follow the sound (r {found.r_now:.2f} while it speaks, wanted "
                f"{LEAST_AGREEMENT}): is somebody else speaking?",
            )
        return found


def agreement(expected: FloatArray, aperture: FloatArray) -> Agreement:
    """Correlate two lip gaps while somebody speaks, at every lag within a second.

    Silence before and after is left out: that lips rest in it says nothing of whose sound it is.

    Args:
        expected: float32 [F], from `LipReader.expected`.
        aperture: float32 [F], tracked.

    Returns:
        The best agreement; a shifted one has fewer frames and more luck, so it must be better.
    """
    count = min(len(expected), len(aperture))
    spoken = np.flatnonzero(expected[:count] > _SPEAKS)
    if len(spoken) < _LEAST_SPOKEN:
        return Agreement(0.0, 0, 0.0)
    one, two = (
        gaussian_smooth(values[:count].reshape(-1, 1), 1.0)[:, 0] for values in (expected, aperture)
    )
    inside = np.arange(max(0, spoken[0] - 1), min(count, spoken[-1] + 2))
    best, lag, now = -1.0, 0, 0.0
    for shift in range(-_REACH_FRAMES, _REACH_FRAMES + 1):
        here = inside[(inside + shift >= 0) & (inside + shift < count)]
        if len(here) < max(_LEAST_SPOKEN, len(inside) // 2):
            continue
        r = _pearson(one[here], two[here + shift])
        if shift == 0:
            now = r
        if r - 0.004 * abs(shift) > best:
            best, lag = r - 0.004 * abs(shift), shift
    return Agreement(best + 0.004 * abs(lag), lag, now)


def _pearson(a: FloatArray, b: FloatArray) -> float:
    if len(a) < 3 or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
