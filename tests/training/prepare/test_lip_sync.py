"""Shifted, foreign and still lips are told from lips that speak."""

import numpy as np
import pytest

pytest.importorskip("scipy")

from rest_bridge.training.curves import gaussian_smooth
from rest_bridge.training.prepare.footage import Refused
from rest_bridge.training.prepare.lip_sync import LipReader, agreement


def lips(seed: int, count: int = 150) -> np.ndarray:
    raw = np.random.default_rng(seed).standard_normal((count, 1))
    return np.maximum(gaussian_smooth(raw, 1.6)[:, 0], 0).astype(np.float32)


class Deaf(LipReader):
    """Expects the lips it is given."""

    def __init__(self, expected: np.ndarray) -> None:
        self._expected = expected

    def expected(self, samples: np.ndarray) -> np.ndarray:
        return self._expected


@pytest.mark.parametrize("lag", [-9, -2, 0, 4, 11])
def test_the_lag_is_found_with_its_sign(lag: int) -> None:
    moved = np.roll(lips(0), lag) + 0.02 * np.random.default_rng(1).standard_normal(150)
    found = agreement(lips(0), moved.astype(np.float32))
    assert found.lag_frames == lag
    assert found.r > 0.85


def test_lips_in_step_pass_at_any_scale() -> None:
    assert Deaf(lips(0)).check(np.zeros(0), 0.1 + 3 * lips(0)).lag_frames == 0


def test_late_lips_are_refused_with_their_lag() -> None:
    with pytest.raises(Refused, match=r"lips out of sync: the lips come 320 ms late"):
        Deaf(lips(0)).check(np.zeros(0), np.roll(lips(0), 8))


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_somebody_elses_lips_are_refused(seed: int) -> None:
    with pytest.raises(Refused, match="lips out of sync"):
        Deaf(lips(0)).check(np.zeros(0), lips(seed))


def test_still_lips_are_refused() -> None:
    with pytest.raises(Refused, match="do not follow"):
        Deaf(lips(0)).check(np.zeros(0), np.zeros(150, np.float32))
