"""ONNX Runtime sessions: which provider, how many threads, one clear sentence if it is missing."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from rest_bridge.errors import PackageError
from rest_bridge.types import Array

log = logging.getLogger(__name__)

PROVIDERS: Final[dict[str, str]] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
"""What we call a provider -> what ONNX Runtime calls it."""
NAMES: Final = {theirs: ours for ours, theirs in PROVIDERS.items()}
_DTYPES: Final = {"tensor(int64)": np.int64, "tensor(bool)": np.bool_}
_MISSING: Final = (
    "ONNX Runtime is not installed, so no model can run; install it with "
    '`pip install "rest-bridge[cpu]"` (any machine) or `pip install "rest-bridge[gpu]"` '
    "(NVIDIA), one of the two only."
)


def import_onnxruntime() -> Any:
    """Return the onnxruntime module.

    Raises:
        PackageError: neither onnxruntime nor onnxruntime-gpu is installed.
    """
    # Since 1.29 its wheels for Linux and macOS tell Microsoft what they run, how often, and keep
    # an identifier, a database and a thread for it. The variable is read once, when it is loaded.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime  # optional extra, and slow to import
    except ImportError as error:
        raise PackageError(_MISSING) from error
    # A GPU build on a machine without CUDA logs the missing library as an error and then runs on
    # the CPU. What really runs is `Session.provider`, and what really fails is raised.
    onnxruntime.set_default_logger_severity(4)
    onnxruntime.disable_telemetry_events()  # Windows reads no such variable
    return onnxruntime


class Session:
    """One loaded graph. Runs on the CPU unless another provider is asked for and works."""

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        provider: str = "cpu",
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        """Load a graph.

        Args:
            path: the .onnx file.
            threads: intra-op threads. One is steadier than two on a busy laptop
                (STUDY-DECODER section 5).
            provider: a name of `PROVIDERS`. Where it does not work, the CPU computes, and
                `provider` says so; `providers.choose` says why.
            sizes: fixed sizes of dimensions that the graph leaves open, by their names: shapes are
                then computed once, at loading (the DiT's passes take two thirds of the time).

        Raises:
            PackageError: ONNX Runtime is missing or refuses the file.
        """
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        for name, size in (sizes or {}).items():
            options.add_free_dimension_override_by_name(name, size)
        wanted = [PROVIDERS["cpu"]]
        if provider != "cpu" and PROVIDERS[provider] in ort.get_available_providers():
            wanted.insert(0, PROVIDERS[provider])
        try:
            self._session = ort.InferenceSession(str(path), options, providers=wanted)
        except Exception as error:  # ORT raises many types of its own
            raise PackageError(
                f"ONNX Runtime cannot load the graph {path.name} ({error}); the model package is "
                f"damaged or made for another version: reinstall rest_bridge. {path}"
            ) from error
        first = str(self._session.get_providers()[0])
        self.provider: str = NAMES.get(first, first)
        self.input_names: tuple[str, ...] = tuple(i.name for i in self._session.get_inputs())
        self.output_names: tuple[str, ...] = tuple(o.name for o in self._session.get_outputs())

    def zeros(self, sizes: Mapping[str, int] | None = None) -> dict[str, Array]:
        """Return an input of zeros for each name: for warming up and measuring.

        Args:
            sizes: of dimensions that the graph leaves open, by their names; 1 for others.
        """
        known = sizes or {}
        return {
            value.name: np.zeros(
                [size if isinstance(size, int) else known.get(size, 1) for size in value.shape],
                _DTYPES.get(value.type, np.float32),
            )
            for value in self._session.get_inputs()
        }

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Run the graph.

        Args:
            inputs: an array for each name in `input_names`.
            outputs: names to return; all if None.

        Returns:
            Name -> array for each output asked for.
        """
        names = list(outputs) if outputs is not None else list(self.output_names)
        return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))
