"""Held lips rest where they did in the last quiet, else shut; the rest of the face goes on."""

import numpy as np
import pytest

from rest_bridge.generator.lip_rest import LIPS, LipRest
from rest_bridge.rig import RIG_INDEX, RIG_NAMES

SMILE, JAW = RIG_INDEX["mouthSmileLeft"], RIG_INDEX["jawOpen"]


def rig(frames: int, jaw: float, smile: float = 0.3) -> np.ndarray:
    values = np.random.default_rng(1).uniform(0, 0.2, (frames, len(RIG_NAMES))).astype(np.float32)
    values[:, LIPS] = jaw
    values[:, SMILE] = smile
    return values


def test_free_lips_are_untouched() -> None:
    values = rig(6, 0.4)
    out, _ = LipRest().step(values, [1.0] * 6, [False] * 6, LipRest().initial_state())
    assert out is values


def test_held_lips_rest_and_everything_else_moves() -> None:
    rest, state = LipRest(), LipRest().initial_state()
    _, state = rest.step(rig(99, 0.03), [1.0] * 99, [True] * 99, state)
    talking = rig(4, 0.5)
    out, _ = rest.step(talking, [1.0, 0.5, 0.0, 0.0], [False] * 4, state)
    assert out[:, JAW] == pytest.approx([0.5, 0.265, 0.03, 0.03], abs=1e-4)
    others = [i for i in range(len(RIG_NAMES)) if i not in LIPS]
    assert np.array_equal(out[:, others], talking[:, others])
    assert SMILE in others
    assert talking[3, JAW] == 0.5  # the input is not changed


def test_speech_does_not_teach_where_lips_rest() -> None:
    rest, state = LipRest(), LipRest().initial_state()
    _, state = rest.step(rig(99, 0.02), [1.0] * 99, [True] * 99, state)
    _, state = rest.step(rig(500, 0.6), [1.0] * 500, [False] * 500, state)
    out, _ = rest.step(rig(1, 0.6), [0.0], [False], state)
    assert out[0, JAW] == pytest.approx(0.02, abs=1e-4)


def test_lips_rest_shut_where_a_stream_begins_in_a_crowd() -> None:
    out, state = LipRest().step(rig(20, 0.4), [0.0] * 20, [False] * 20, LipRest().initial_state())
    assert out[:, JAW].max() == 0.0
    _, state = LipRest().step(rig(40, 0.03), [1.0] * 40, [True] * 40, state)
    out, _ = LipRest().step(rig(1, 0.4), [0.0], [False], state)
    assert out[0, JAW] == pytest.approx(0.03, abs=1e-3)


def test_any_chunking_gives_the_same_lips() -> None:
    rng = np.random.default_rng(2)
    values, shares = rig(40, 0.3), rng.uniform(0, 1, 40).tolist()
    quiet = (rng.random(40) < 0.3).tolist()
    whole, _ = LipRest().step(values, shares, quiet, LipRest().initial_state())
    state, parts = LipRest().initial_state(), []
    for first in range(0, 40, 2):
        part = slice(first, first + 2)
        made, state = LipRest().step(values[part], shares[part], quiet[part], state)
        parts.append(made)
    assert np.array_equal(np.concatenate(parts), whole)
