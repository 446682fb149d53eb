"""Which lips a voice asks for: shut, lower lip on the teeth, round, spread, open; or none at all.

Place in the flow: log-mel blocks of `features.encoder` -> here -> `generator.lip_shape`. A network
of its own, trained on the times of phones: the motion network learns f and p from curves whose
squared error is nearly the same, and makes one shape of both. It knows nothing of faces.
Shape letters: M mel frames of a latent frame, C articulations.
"""

import zlib
from collections.abc import Mapping
from typing import Final

import numpy as np

from rest_bridge.errors import PackageError
from rest_bridge.features.mel import MelConfig
from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.state import StateSpec
from rest_bridge.rig import ARTICULATIONS
from rest_bridge.types import Array, FloatArray, State

GRAPH: Final = "phones"
"""Name of the package's part; packages without it have no articulation."""


def mel_mark(config: MelConfig) -> int:
    """Return a number that tells the constants of the features from others."""
    constants = np.concatenate([config.mean, config.deviation]).astype(np.float32)
    return zlib.crc32(constants.tobytes())


class ArticulationReader:
    """Streaming classifier; all memory is in the state passed around."""

    def __init__(self, package: ModelPackage, mel: MelConfig, *, threads: int = 1) -> None:
        """Load the graph.

        Args:
            package: the model package; see `is_in`.
            mel: constants of the features that it will be given.
            threads: CPU threads.

        Raises:
            PackageError: the graph cannot be loaded, knows other articulations, or was trained on
                features with other constants.
        """
        section = package.section(GRAPH)
        names = tuple(section.get("names", ()))
        if names != ARTICULATIONS:
            raise PackageError(
                f"The model package's {GRAPH}.onnx tells {', '.join(names) or 'nothing'}, this "
                f"rest_bridge wants {', '.join(ARTICULATIONS)}; use the package that belongs to "
                f"it, or train the part anew (rest-bridge train phones). {package.path}"
            )
        if section.get("mel_mark") != mel_mark(mel):
            raise PackageError(
                f"The model package's {GRAPH}.onnx was trained on sound features with other "
                f"constants than its audio.npz has; export both from the same data folder "
                f"(rest-bridge export phones). {package.path}"
            )
        self.state_spec: StateSpec = StateSpec.from_manifest(section["state"])
        self._session = package.session(GRAPH, threads=threads)

    @staticmethod
    def is_in(package: ModelPackage) -> bool:
        """Say whether a package has the part."""
        return package.has(f"{GRAPH}.onnx")

    def step(self, mel: FloatArray, state: State) -> tuple[FloatArray, Mapping[str, Array]]:
        """Read the next latent frame.

        Args:
            mel: float32 [M, 80], the block of `features.encoder`, look-ahead included.
            state: arrays of `state_spec`, others are passed over; left untouched.

        Returns:
            float32 [2, C], 0..1: of the latent frame's two video frames.
            state: the same arrays after it.
        """
        names = [array.name for array in self.state_spec.arrays]
        outputs = self._session.run({"mel": mel[None], **{name: state[name] for name in names}})
        return outputs["articulation"][0, 0], {name: outputs[f"next_{name}"] for name in names}
