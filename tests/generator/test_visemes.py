"""Visemes read off a rig."""

import numpy as np
import pytest

from rest_bridge.generator.visemes import VisemeReader
from rest_bridge.rig import VISEME_NAMES, viseme_basis

READER = VisemeReader()


def test_closed_resting_mouth_is_silence():
    visemes = READER.read(np.zeros((1, 58), np.float32))[0]
    assert visemes[0] == 1
    assert visemes[1:].max() == 0


@pytest.mark.parametrize("name", ["PP", "FF", "CH", "aa", "E", "oh", "ou"])
def test_full_viseme_is_recognised(name):
    index = VISEME_NAMES.index(name)
    visemes = READER.read(viseme_basis()[index][None])[0]
    assert visemes.argmax() == index


def test_weights_are_a_mixture():
    rng = np.random.default_rng(0)
    for _ in range(20):
        visemes = READER.read(rng.uniform(0, 1, (1, 58)).astype(np.float32))[0]
        assert visemes.min() >= 0
        assert visemes.sum() == pytest.approx(1, abs=1e-6)


def test_visemes_are_the_same_bits_whatever_is_read_beside_them() -> None:
    rigs = np.random.default_rng(1).uniform(0, 1, (21, 58)).astype(np.float32)
    alone = np.concatenate([READER.read(one[None]) for one in rigs])
    for count in (2, 5, 8, 9, 21):
        parts = [READER.read(rigs[first : first + count]) for first in range(0, 21, count)]
        np.testing.assert_array_equal(np.concatenate(parts), alone)
    assert READER.read(rigs[:0]).shape == (0, 15)
