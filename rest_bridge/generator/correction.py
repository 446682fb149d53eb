"""The trained flow decoder of the video VAE: latent and base flow -> correction of the base flow.

Place in the flow: motion latent + base flow -> here -> compositor. The reference's features are
computed once. It moves the portrait's own pixels by a little; it cannot bring in others.

Where the package has the decoder in parts (`training.split_decoder`), OpenCV reads the features
between them: ONNX Runtime's GridSample takes twenty times as long for the same numbers.
Shape letters: B = 1, G = 64 cells, C channels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar, HeadField
from rest_bridge.generator.head_refinement import refine
from rest_bridge.inference.package import ModelPackage
from rest_bridge.trace import span
from rest_bridge.types import Array, FloatArray

GRAPH: Final = "decoder"
_FRAME: Final = np.eye(2, dtype=np.float32)
_AT_ONCE: Final = 4
"""Channels that OpenCV reads together."""

Run = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes all values known so far by name, returns the new ones."""


class FlowDecoder:
    """Runs the decoder for one avatar; frame-wise, without memory, so any thread may.

    Attributes:
        head: how the avatar's head moves, refined; None: as it was imported.
    """

    head: HeadField | None = None

    def __init__(
        self, package: ModelPackage, avatar: Avatar, *, threads: int = 1, provider: str = "cpu"
    ) -> None:
        """Look at the portrait once.

        Args:
            package: with reference_encoder.onnx and decoder.onnx.
            avatar: whose portrait is the reference.
            threads: CPU threads of the decoder.
            provider: what computes it, see `inference.session`.
        """
        section = package.section(GRAPH)
        self.cells = int(section["flow_size"])
        found = refine(avatar, package)
        self.head, self._features = found.head, found.features
        num_parts = int(section.get("parts", 0))
        on_cpu = provider == "cpu"
        names = [f"{GRAPH}_{k}" for k in range(num_parts)] if num_parts and on_cpu else [GRAPH]
        self._readings = section["readings"] if len(names) > 1 else []
        self._parts = [
            _runner(package.shared_session(name, threads=threads, provider=provider))
            for name in names
        ]
        # Channels last, so that one reading fetches neighbours in memory.
        self._tables = {
            one["feature"]: feature_planes(self._features[one["feature"]]) for one in self._readings
        }

    def __call__(self, latent: FloatArray, frame: int, base: Array) -> Array:
        """Correct one video frame.

        Args:
            latent: float32 [16, 4, 4].
            frame: which of the latent frame's two video frames.
            base: float32 [64, 64, 2], backward base flow in canvas units.

        Returns:
            float32 [64, 64, 2], canvas units, to add to the base flow.
        """
        inputs = {
            "latent": latent[None].astype(np.float32, copy=False),
            "frame": _FRAME[frame : frame + 1],
            "base": np.ascontiguousarray(2.0 * base.transpose(2, 0, 1)[None]),
            **self._features,
        }
        with span("network"):
            found = run_parts(self._parts, self._readings, inputs, self._tables)
        return 0.5 * found["correction"][0].transpose(1, 2, 0)


def run_parts(
    parts: Sequence[Run],
    readings: Sequence[Mapping[str, str]],
    inputs: Mapping[str, Array],
    tables: Mapping[str, list[Array]] | None = None,
) -> dict[str, Array]:
    """Run a decoder that is in parts, reading features between them.

    Args:
        parts: in order; one more than there are readings.
        readings: `feature`, `places` and `read` of each, from the manifest.
        inputs: of the whole decoder.
        tables: `feature_planes` of each feature that is read; made here if None.

    Returns:
        Everything that is known in the end, with "correction" float32 [1, 2, G, G].
    """
    values = dict(inputs)
    for number, part in enumerate(parts):
        values.update(part(values))
        if number < len(readings):
            one = readings[number]
            known = tables or {}
            planes = known.get(one["feature"]) or feature_planes(values[one["feature"]])
            values[one["read"]] = read_planes(planes, values[one["places"]][0])
    return values


def feature_planes(features: Array) -> list[Array]:
    """Return features float32 [1, C, H, W] as pieces [H, W, up to 4] that OpenCV reads."""
    last = np.moveaxis(features[0], 0, -1)
    return [
        np.ascontiguousarray(last[..., first : first + _AT_ONCE])
        for first in range(0, last.shape[-1], _AT_ONCE)
    ]


def read_planes(planes: Sequence[Array], places: Array) -> Array:
    """Read features bilinearly; beyond the border its cells continue.

    Args:
        planes: from `feature_planes`.
        places: float32 [H', W', 2], x and y, -1..1 from border to border.

    Returns:
        float32 [1, C, H', W'].
    """
    height, width = planes[0].shape[:2]
    cells = cv2.transform(
        places, np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2]])
    )
    remap: Any = cv2.remap  # its stubs know no two-channel map
    found = np.empty((sum(_channels(plane) for plane in planes), *places.shape[:2]), np.float32)
    first = 0
    for plane in planes:
        read = remap(plane, cells, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        last = first + _channels(plane)
        cv2.split(read, list(found[first:last]))  # six times faster than transposing
        first = last
    return found[None]


def _channels(plane: Array) -> int:
    return plane.shape[2] if plane.ndim == 3 else 1


def _runner(session: Any) -> Run:
    def run(values: dict[str, Any]) -> dict[str, Any]:
        return session.run({name: values[name] for name in session.input_names})

    return run
