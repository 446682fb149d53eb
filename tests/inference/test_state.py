"""State: what is saved is what comes back, and a foreign state is refused by name."""

from pathlib import Path

import numpy as np
import pytest

from rest_bridge.errors import StateMismatch
from rest_bridge.inference.state import ArraySpec, StateSpec

SPEC = StateSpec((ArraySpec("key", (2, 3)), ArraySpec("position", (4,), "int64", fill=-1)))


def test_initial_state_has_the_declared_shapes_dtypes_and_fill() -> None:
    state = SPEC.initial()
    assert state["key"].shape == (2, 3)
    assert state["key"].dtype == np.float32
    assert (state["position"] == -1).all()
    SPEC.check(state)


def test_saved_state_is_restored_exactly(tmp_path: Path) -> None:
    state = SPEC.initial()
    state["key"] += np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    SPEC.save(state, tmp_path / "state.npz")
    loaded = SPEC.load(tmp_path / "state.npz")
    assert all((loaded[name] == state[name]).all() for name in state)


def test_manifest_round_trip_keeps_the_spec() -> None:
    assert StateSpec.from_manifest(SPEC.to_manifest()) == SPEC


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": np.zeros((2, 4), np.float32)}, "float32[2, 4]"),
        ({"key": np.zeros((2, 3), np.float64)}, "float64"),
        ({"other": np.zeros(1)}, "other"),
    ],
)
def test_wrong_name_shape_or_dtype_is_refused(change: dict[str, np.ndarray], words: str) -> None:
    state = {**SPEC.initial(), **change}
    with pytest.raises(StateMismatch) as caught:
        SPEC.check(state)
    assert words in str(caught.value)


def test_missing_array_is_named() -> None:
    state = SPEC.initial()
    del state["position"]
    with pytest.raises(StateMismatch, match="position"):
        SPEC.check(state)


def test_unknown_dtype_in_manifest_is_refused() -> None:
    with pytest.raises(StateMismatch, match="complex64"):
        StateSpec.from_manifest([{"name": "a", "shape": [1], "dtype": "complex64"}])
