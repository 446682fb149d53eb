"""Writes the detector and the landmark net as ONNX with half-precision weights, and checks them.

The graph computes in float32: each large weight is stored as float16 and cast when the session
is built, which halves the files and costs nothing at run time.
"""

import io
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from rest_bridge.errors import PackageError
from rest_bridge.model.landmark_net import (
    ExportedDetector,
    ExportedLandmarks,
    FaceDetector,
    LandmarkNet,
)

OPSET = 17


def export_detector(net: FaceDetector) -> bytes:
    """Return face_detector.onnx: rgb [1, 3, H, W] -> score [1, 1, h, w], box [1, 3, h, w]."""
    axes = {
        "rgb": {2: "height", 3: "width"},
        "score": {2: "rows", 3: "columns"},
        "box": {2: "rows", 3: "columns"},
    }
    module = ExportedDetector(net).eval()
    data = _export(module, torch.zeros(1, 3, 160, 160), ["score", "box"], axes)
    for height, width in ((160, 160), (320, 208), (112, 160)):
        _check(module, data, torch.rand(1, 3, height, width))
    return data


def export_landmarks(net: LandmarkNet) -> bytes:
    """Return landmarks.onnx: rgb [1, 3, 128, 128] -> points [1, 66, 2], confidence [1, 66]."""
    module = ExportedLandmarks(net).eval()
    data = _export(module, torch.zeros(1, 3, 128, 128), ["points", "confidence"], {})
    _check(module, data, torch.rand(1, 3, 128, 128))
    return data


def _export(
    module: nn.Module,
    example: torch.Tensor,
    outputs: Sequence[str],
    axes: dict[str, dict[int, str]],
) -> bytes:
    module.to(memory_format=torch.contiguous_format)  # pyright: ignore
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (example,), buffer,  # pyright: ignore[reportArgumentType]
            input_names=["rgb"], output_names=list(outputs),
            opset_version=OPSET, dynamic_axes=axes, dynamo=False,
        )  # fmt: skip
    return halve_weights(onnx.load_from_string(buffer.getvalue())).SerializeToString()


def halve_weights(model: onnx.ModelProto, *, smallest: int = 256) -> onnx.ModelProto:
    """Store every float32 weight of at least `smallest` values as float16, cast when loaded."""
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < smallest:
            continue
        name = weight.name
        half = numpy_helper.from_array(values.astype(np.float16), f"{name}.half")
        weight.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def _check(module: nn.Module, data: bytes, rgb: torch.Tensor, tolerance: float = 0.02) -> None:
    """Compare torch with ONNX Runtime.

    Raises:
        PackageError: they differ.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    got = session.run(None, {"rgb": rgb.numpy()})
    with torch.no_grad():
        wanted = module(rgb)
    worst = max(float(np.abs(a - b.numpy()).max()) for a, b in zip(got, wanted, strict=True))
    if not worst < tolerance:
        raise PackageError(
            f"Exported graph differs from torch by {worst:.4f} (allowed {tolerance}); not written."
        )
