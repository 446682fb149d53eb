"""Exports the trained video VAE into the model package, or refuses if ONNX Runtime disagrees.

Writes reference_encoder.onnx (once per avatar), decoder.onnx (every frame) and, if asked for,
vae_encoder.onnx (video-driven use). Place in the flow: checkpoint of `training.vae` -> here ->
model package.
"""

import argparse
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import torch
from jaxtyping import Float
from torch import Tensor, nn

from rest_bridge.inference.package import DEFAULT_PACKAGE
from rest_bridge.model.vae import NUM_MAPS, PART_SIZE, VaeParams, VideoVae
from rest_bridge.training.checkpoint import CheckpointError, load_checkpoint, load_weights
from rest_bridge.training.package_writer import write_package_part
from rest_bridge.training.split_decoder import add_parts
from rest_bridge.training.vae import new_vae

TOLERANCE: Final = 2e-4
OPSET: Final = 17
REFINED: Final = ("refined", "pivot")
FEATURES: Final = ("f64", "f32", "f16", "f8")


class _Decoder(nn.Module):
    """The decoder's correction alone, without the coarse steps that training looks at."""

    def __init__(self, vae: VideoVae) -> None:
        super().__init__()
        self.decoder = vae.decoder

    def forward(
        self,
        latent: Float[Tensor, "B 16 4 4"],
        frame: Float[Tensor, "B 2"],
        base: Float[Tensor, "B 2 64 64"],
        f64: Tensor,
        f32: Tensor,
        f16: Tensor,
        f8: Tensor,
    ) -> Float[Tensor, "B 2 64 64"]:
        """Return the flow minus the base flow."""
        return self.decoder(latent, frame, base, f64, f32, f16, f8)[0]


class _Encoder(nn.Module):
    """The motion encoder of two frames, ending in the latent's mean."""

    def __init__(self, vae: VideoVae) -> None:
        super().__init__()
        self.vae = vae

    def forward(
        self, frames: Tensor, reference: Tensor, parts: Tensor, boxes: Tensor
    ) -> Float[Tensor, "N 16 4 4"]:
        """Return the latent of each pair of frames."""
        rig, free = self.vae.encoder(frames, reference, parts, boxes)
        return self.vae.latent_of(rig.reshape(-1, 2, rig.shape[1]), free.reshape(-1, 256))


def load_vae(checkpoint: Path) -> tuple[VideoVae, dict[str, Any]]:
    """Read a checkpoint of `training.vae`: the averaged networks in evaluation mode, their scores.

    Raises:
        CheckpointError: it is missing, damaged or of another kind.
    """
    saved = load_checkpoint(checkpoint)
    if "params" not in saved:
        raise CheckpointError(f"This checkpoint is not the video VAE's: {checkpoint}")
    vae = new_vae(VaeParams(**saved["params"]))
    load_weights(vae, saved["ema"], checkpoint)
    return vae.eval(), dict(saved.get("scores", {}))


def to_onnx(
    module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], *, dynamic: bool
) -> bytes:
    """Export a module and compare ONNX Runtime's answers with torch's.

    Args:
        module: what to export.
        inputs: name -> example, in the order of `forward`.
        outputs: names of what `forward` returns.
        dynamic: leave the first dimension of everything free.

    Returns:
        The graph.

    Raises:
        SystemExit: ONNX Runtime and torch disagree; nothing may be written then.
    """
    module.eval()  # also the wrappers: the export restores the mode that it found
    names = list(inputs)
    axes = {name: {0: "batch"} for name in [*names, *outputs]} if dynamic else None
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the older exporter, whose graphs ORT reads best
        torch.onnx.export(
            module, tuple(inputs.values()), buffer, input_names=names,
            output_names=list(outputs), dynamic_axes=axes, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
        expected = module(*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    session = onnxruntime.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    got = session.run(list(outputs), {name: value.numpy() for name, value in inputs.items()})
    for name, mine, theirs in zip(outputs, expected, got, strict=True):
        gap = float(np.abs(mine.numpy() - np.asarray(theirs)).max())
        if gap > TOLERANCE:
            raise SystemExit(f"{name}: torch and ONNX Runtime differ by {gap:.2g}; not exported.")
    return buffer.getvalue()


def export_vae(
    vae: VideoVae, scores: Mapping[str, float], package_dir: Path, *, with_encoder: bool = False
) -> None:
    """Write the graphs and the manifest's `decoder` section.

    Args:
        vae: in evaluation mode.
        scores: of the held-out set, kept in the manifest.
        package_dir: the model package.
        with_encoder: also the motion encoder, which nothing at run time needs yet (6 MB).
    """
    torch.manual_seed(0)
    inputs = {"reference": torch.rand(1, 3, 128, 128), "maps": torch.rand(1, NUM_MAPS, 64, 64)}
    features = dict(zip(FEATURES, vae.reference_encoder(**inputs)[2:], strict=True))
    decoder_inputs = {
        "latent": torch.randn(1, 16, 4, 4),
        "frame": torch.tensor([[1.0, 0.0]]),
        "base": torch.randn(1, 2, 64, 64) * 0.05,
    } | {name: value.detach() for name, value in features.items()}
    encoder_inputs = {
        "frames": torch.rand(4, 3, 128, 128),
        "reference": torch.rand(4, 3, 128, 128),
        "parts": torch.rand(4, 6, 3, PART_SIZE, PART_SIZE),
        "boxes": torch.randn(4, 18),
    }
    graphs = {
        "reference_encoder.onnx": to_onnx(
            vae.reference_encoder, inputs, (*REFINED, *FEATURES), dynamic=False
        ),
        "decoder.onnx": to_onnx(_Decoder(vae), decoder_inputs, ("correction",), dynamic=False),
    }
    if with_encoder:
        graphs["vae_encoder.onnx"] = to_onnx(
            _Encoder(vae), encoder_inputs, ("latent",), dynamic=True
        )
    section = {
        "reference_size": 128,
        "flow_size": 64,
        "flow_unit": "half the canvas width",
        "reference_inputs": list(inputs),
        "features": list(FEATURES),
        "held_out": {name: round(float(value), 4) for name, value in scores.items()},
    }
    write_package_part(package_dir, files=graphs, sections={"decoder": section})
    add_parts(package_dir)


def main() -> None:
    """Export a checkpoint."""
    parser = argparse.ArgumentParser(description="Export the video VAE into a model package.")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--package", type=Path, default=DEFAULT_PACKAGE)
    parser.add_argument("--with-encoder", action="store_true")
    args = parser.parse_args()
    vae, scores = load_vae(args.checkpoint)
    export_vae(vae, scores, args.package, with_encoder=args.with_encoder)
    print(f"wrote the decoder to {args.package}")


if __name__ == "__main__":
    main()
