"""Interpolation to other frame rates keeps every value at its own instant."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_bridge.generator.retime import Retimer


def retime(rig: np.ndarray, fps: int, sizes: list[int]) -> np.ndarray:
    retimer = Retimer(fps)
    state = retimer.initial_state()
    parts, position = [], 0
    while position < len(rig):
        size = sizes[len(parts) % len(sizes)]
        part, state = retimer.step(rig[position : position + size], state)
        assert len(part) % 2 == 0
        parts.append(part)
        position += size
    return np.concatenate(parts)


@pytest.mark.parametrize("fps", [24, 25, 30, 50, 60])
def test_a_ramp_in_time_stays_that_ramp(fps):
    centres = (np.arange(50) + 0.5) / 25
    rig = np.repeat(centres[:, None], 58, 1).astype(np.float32)
    out = retime(rig, fps, [2])
    expected = np.clip((np.arange(len(out)) + 0.5) / fps, centres[0], centres[-1])
    np.testing.assert_allclose(out[:, 0], expected, atol=1e-5)
    assert len(out) >= (50 - 1) * fps // 25 - 2


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([24, 30, 50, 60]), st.lists(st.sampled_from([2, 4, 6]), min_size=1))
def test_any_chunking_gives_equal_bits(fps, sizes):
    rig = np.random.default_rng(1).standard_normal((60, 58)).astype(np.float32)
    np.testing.assert_array_equal(retime(rig, fps, sizes), retime(rig, fps, [60]))


def test_25_fps_is_the_identity():
    rig = np.random.default_rng(1).standard_normal((20, 58)).astype(np.float32)
    np.testing.assert_array_equal(retime(rig, 25, [2]), rig)
