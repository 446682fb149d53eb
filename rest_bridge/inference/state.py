"""State of the stream as named arrays: its specification, check, save and load.

All memory of the past is one mapping {name: array}, passed in and returned. `StateSpec` is written
to the manifest by the export and read by the runtime; it knows nothing of what the arrays mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from rest_bridge.errors import StateMismatch
from rest_bridge.types import Array, State

_DTYPES: Final = ("float32", "float16", "int64", "int32", "uint8", "bool")


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One named array: its shape, dtype and the value it is filled with at the start."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    fill: float = 0.0


@dataclass(frozen=True, slots=True)
class StateSpec:
    """Names, shapes and dtypes of everything that is remembered between two calls."""

    arrays: tuple[ArraySpec, ...]

    @classmethod
    def from_manifest(cls, entries: Sequence[Mapping[str, Any]]) -> "StateSpec":
        """Build from the manifest's list of {name, shape, dtype, fill}.

        Raises:
            StateMismatch: an entry has an unknown dtype.
        """
        arrays: list[ArraySpec] = []
        for entry in entries:
            dtype = str(entry.get("dtype", "float32"))
            if dtype not in _DTYPES:
                raise StateMismatch(
                    f"State array {entry['name']!r} has dtype {dtype!r}; "
                    f"allowed are {', '.join(_DTYPES)}."
                )
            shape = tuple(int(n) for n in entry["shape"])
            fill = float(entry.get("fill", 0.0))
            arrays.append(ArraySpec(name=str(entry["name"]), shape=shape, dtype=dtype, fill=fill))
        return cls(tuple(arrays))

    def to_manifest(self) -> list[dict[str, Any]]:
        """Return the list that `from_manifest` reads."""
        return [
            {"name": a.name, "shape": list(a.shape), "dtype": a.dtype, "fill": a.fill}
            for a in self.arrays
        ]

    def initial(self) -> dict[str, Array]:
        """Return the state before the first call."""
        return {a.name: np.full(a.shape, a.fill, np.dtype(a.dtype)) for a in self.arrays}

    def check(self, state: State) -> None:
        """Refuse a state that this specification does not describe.

        Raises:
            StateMismatch: names, shapes or dtypes differ; the message names both sides.
        """
        expected = {a.name: a for a in self.arrays}
        missing, extra = expected.keys() - state.keys(), state.keys() - expected.keys()
        if missing or extra:
            raise StateMismatch(
                f"The state does not fit the model package: missing {sorted(missing)}, "
                f"unexpected {sorted(extra)}; use a state made with the same package."
            )
        for name, spec in expected.items():
            array = state[name]
            if array.shape != spec.shape or array.dtype != np.dtype(spec.dtype):
                raise StateMismatch(
                    f"State array {name!r} is {array.dtype}{list(array.shape)}, the model package "
                    f"wants {spec.dtype}{list(spec.shape)}; use a state made with the same package."
                )

    def save(self, state: State, path: Path) -> None:
        """Write a state to an .npz file.

        Raises:
            StateMismatch: the state does not fit this specification.
        """
        self.check(state)
        with path.open("wb") as file:
            np.savez(file, **dict(state))  # pyright: ignore[reportArgumentType]

    def load(self, path: Path) -> dict[str, Array]:
        """Read a state written by `save`.

        Raises:
            StateMismatch: the file's arrays do not fit this specification.
        """
        with np.load(path, allow_pickle=False) as archive:
            state = {name: archive[name] for name in archive.files}
        self.check(state)
        return state
