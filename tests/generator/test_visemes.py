"""Visemes read off a rig."""

import numpy as np
import pytest

from rest_bridge.generator.visemes import VisemeReader
from rest_bridge.rig import VISEME_NAMES, viseme_basis

READER = VisemeReader()


def test_closed_resting_mouth_is_silence():
    visemes = READER.read(np.zeros(58, np.float32))
    assert visemes[0] == 1
    assert visemes[1:].max() == 0


@pytest.mark.parametrize("name", ["PP", "FF", "CH", "aa", "E", "oh", "ou"])
def test_full_viseme_is_recognised(name):
    index = VISEME_NAMES.index(name)
    visemes = READER.read(viseme_basis()[index])
    assert visemes.argmax() == index


def test_weights_are_a_mixture():
    rng = np.random.default_rng(0)
    for _ in range(20):
        visemes = READER.read(rng.uniform(0, 1, 58).astype(np.float32))
        assert visemes.min() >= 0
        assert visemes.sum() == pytest.approx(1, abs=1e-6)
