"""Features of pictures by a network of our own: for "FID-own" and "FVD-own", never called FID.

The first layers of the landmark net of 2026-11-22 (rendered heads, AI portraits, drawn characters;
no real people), cut off once and kept here, so that a newer model is not judged by itself. Their
values are comparable only with one another. Shape letters: F frames, W windows, D features.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from rest_bridge.errors import ConfigError
from rest_bridge.types import ByteArray, FloatArray

WEIGHTS: Final = Path(__file__).resolve().parent / "weights" / "own_features.onnx"
SIZE_PX: Final = 128
WINDOW_FRAMES: Final = 16
_WINDOW_STEP: Final = 4
_MOTION_FEATURES: Final = 24
_MOTION_SCALE: Final = 100.0
"""For readable distances; they compare with nothing outside."""
_CUTS: Final = (
    "/net/to_4/to_4.2/to_4.2.2/Relu_output_0",
    "/net/to_8/to_8.1/Relu_output_0",
    "/net/to_16/to_16.0/to_16.0.2/Relu_output_0",
)


class FrameFeatures:
    """Runs the kept layers."""

    def __init__(self, weights: Path = WEIGHTS) -> None:
        """Load them.

        Args:
            weights: written by `cut_features`.

        Raises:
            ConfigError: the file is missing.
        """
        if not weights.is_file():
            raise ConfigError(
                f"Our own feature network is missing; reinstall rest_bridge: {weights}"
            )
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            str(weights), options, providers=["CPUExecutionProvider"]
        )

    def of(self, frames: Sequence[ByteArray]) -> FloatArray:
        """Return float32 [F, 224]: mean of each map over the picture; frames uint8 [H, W, 3]."""
        rows = []
        for frame in frames:
            small = cv2.resize(frame, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
            pixels = np.ascontiguousarray(small.transpose(2, 0, 1)[None], np.float32) / 255
            maps = self._session.run(None, {"rgb": pixels})
            rows.append(np.concatenate([m.mean((2, 3))[0] for m in maps]))
        return np.stack(rows).astype(np.float32)


def motion_features(codes: FloatArray) -> FloatArray:
    """Turn frame features into features of windows of 16 frames.

    Args:
        codes: float32 [F, D], frames of one clip in order.

    Returns:
        float32 [W, 48]: for a window every four frames, how much each of 24 fixed mixtures of the
        frame features deviates within it, and how much it changes from frame to frame.
    """
    mixture = np.random.default_rng(0).normal(size=(codes.shape[1], _MOTION_FEATURES))
    mixed = codes @ (_MOTION_SCALE * mixture / np.sqrt(codes.shape[1]))
    rows = []
    for first in range(0, len(codes) - WINDOW_FRAMES + 1, _WINDOW_STEP):
        part = mixed[first : first + WINDOW_FRAMES]
        rows.append(np.concatenate([part.std(0), np.abs(np.diff(part, axis=0)).mean(0)]))
    return np.array(rows, np.float32).reshape(-1, 2 * _MOTION_FEATURES)


def cut_features(landmarks_graph: Path, out: Path = WEIGHTS) -> None:
    """Cut the first layers out of a landmarks.onnx.

    Args:
        landmarks_graph: of a model package.
        out: where to write.
    """
    import onnx
    from onnx.utils import Extractor

    model = onnx.shape_inference.infer_shapes(onnx.load(str(landmarks_graph)))
    onnx.save(Extractor(model).extract_model(["rgb"], list(_CUTS)), str(out))
