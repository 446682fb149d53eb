"""Exports SpeechAE and DiT to ONNX and writes them into a model package.

Run as `python -m rest_bridge.training export-motion --checkpoint F --data DIR [--package DIR]`.
Nothing is written unless ONNX Runtime agrees with torch on every graph, on a full and on an empty
cache. Graphs take and return their state by name: `state.X` in, `next_state.X` out.
"""

import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from rest_bridge.errors import ConfigError
from rest_bridge.features.mel import MelConfig
from rest_bridge.generator.conditions import CONDITION_NAMES
from rest_bridge.inference.session import Session
from rest_bridge.inference.state import ArraySpec, StateSpec
from rest_bridge.model.audio_encoder import NUM_TOKENS, SpeechEncoder
from rest_bridge.model.cache import UNWRITTEN, Cache
from rest_bridge.model.dit import StreamingDit
from rest_bridge.model.dit_block import DitConfig
from rest_bridge.training.checkpoint import load_checkpoint
from rest_bridge.training.motion_models import averaged_models
from rest_bridge.training.package_writer import npz_bytes, write_package_part
from rest_bridge.training.settings import SHIPPED_STEPS
from rest_bridge.training.speech_sessions import (
    HISTORY_LATENTS,
    LOOKAHEAD_FRAMES,
    MEL_PER_LATENT,
)

log = logging.getLogger(__name__)

MAX_CHUNK_LATENTS: Final = 4
_TOLERANCE: Final = 2e-4
_OPSET: Final = 18
_LEAST_HALVED: Final = 2048
"""Weights with fewer values stay float32."""


class ExportMismatch(RuntimeError):
    """ONNX Runtime and torch disagree; nothing was written."""


class _EncoderGraph(nn.Module):
    def __init__(self, encoder: SpeechEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, mel: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        tokens, next_state = self.encoder(mel, list(state))
        return tokens, *next_state


class _PrefillGraph(nn.Module):
    def __init__(self, dit: StreamingDit) -> None:
        super().__init__()
        self.dit = dit

    def forward(self, reference: Tensor) -> tuple[Tensor, Tensor]:
        return self.dit.prefill(reference)


class _DitGraph(nn.Module):
    def __init__(self, dit: StreamingDit) -> None:
        super().__init__()
        self.dit = dit

    def forward(
        self, latents: Tensor, t: Tensor, audio: Tensor, conditions: Tensor, position: Tensor,
        sink_keys: Tensor, sink_values: Tensor, keys: Tensor, values: Tensor, past: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        known = torch.ones(1, dtype=torch.bool)
        cache = Cache(sink_keys, sink_values, keys, values, past, known)
        velocity, after = self.dit(latents, t, audio, conditions, cache, position)
        return velocity, after.keys, after.values, after.position


def dit_state_spec(config: DitConfig) -> StateSpec:
    """Return the state of the DiT's graph."""
    sink = (1, config.num_blocks, config.num_heads, config.tokens_per_latent, config.head_width)
    window = (*sink[:3], config.window * config.tokens_per_latent, config.head_width)
    return StateSpec(
        (
            ArraySpec("state.sink_keys", sink),
            ArraySpec("state.sink_values", sink),
            ArraySpec("state.keys", window),
            ArraySpec("state.values", window),
            ArraySpec("state.position", (config.window,), "int64", fill=UNWRITTEN),
        )
    )


def export_motion(
    encoder: SpeechEncoder,
    dit: StreamingDit,
    mel: MelConfig,
    package: Path,
    *,
    trained: dict[str, Any],
    steps: int = SHIPPED_STEPS,
    temperature: float = 0.2,
) -> None:
    """Write speech_encoder.onnx, dit.onnx, dit_prefill.onnx, audio.npz and their sections.

    Args:
        encoder: SpeechAE with averaged weights; rounded to float16 in place.
        dit: likewise.
        mel: constants of the features.
        package: folder of the model package.
        trained: what to record of the training (step, validation metrics).
        steps: denoising steps by default.
        temperature: of the noise by default.

    Raises:
        ConfigError: the runtime does not support the student's `context`.
        ExportMismatch: a graph disagrees with torch; nothing was written.
    """
    config = dit.config
    if config.context == "level":
        raise ConfigError(
            "A student with model.context = level keeps one cache a denoising step, which the "
            'runtime does not; train with "clean" or "last" to export.'
        )
    for module in (encoder, dit):
        round_weights(module)
    encoder_spec = StateSpec(
        tuple(
            ArraySpec(f"state.conv{i}", (1, *shape))
            for i, shape in enumerate(encoder.state_shapes())
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        graphs = {
            "speech_encoder.onnx": _export_encoder(encoder, encoder_spec, Path(folder)),
            "dit_prefill.onnx": _export_prefill(dit, Path(folder)),
            "dit.onnx": _export_dit(dit, Path(folder)),
        }
        files: dict[str, Path | bytes] = dict(graphs)
        files["audio.npz"] = npz_bytes({"mel_mean": mel.mean, "mel_deviation": mel.deviation})
        sections = {
            "audio": {
                "num_bins": encoder.config.num_bins,
                "time_constant_s": mel.time_constant_s,
                "power_floor": mel.power_floor,
                "clip": mel.clip,
                "frames_per_latent": MEL_PER_LATENT,
                "lookahead_frames": LOOKAHEAD_FRAMES,
                "history_latents": HISTORY_LATENTS,
                "token_shape": [NUM_TOKENS, encoder.config.token_width],
                "state": encoder_spec.to_manifest(),
            },
            "dit": {
                "steps": steps,
                "temperature": temperature,
                "window": config.window,
                "max_chunk_latents": MAX_CHUNK_LATENTS,
                "conditions": list(CONDITION_NAMES[: config.num_conditions]),
                "config": {k: list(v) if isinstance(v, tuple) else v
                           for k, v in config.to_dict().items()},
                "state": dit_state_spec(config).to_manifest(),
                "trained": trained,
            },
        }  # fmt: skip
        write_package_part(package, files=files, sections=sections)


def _export_encoder(encoder: SpeechEncoder, spec: StateSpec, folder: Path) -> Path:
    graph = _EncoderGraph(encoder).eval()
    names = [a.name for a in spec.arrays]
    mel = torch.randn(1, MEL_PER_LATENT, encoder.config.num_bins)
    state = [torch.randn(a.shape) for a in spec.arrays]
    path = folder / "speech_encoder.onnx"
    outputs = ["tokens", *(f"next_{n}" for n in names)]
    export_graph(graph, (mel, *state), path, ["mel", *names], outputs, {})
    verify_graph(graph, (mel, *state), path, ["mel", *names], outputs)
    return path


def _export_prefill(dit: StreamingDit, folder: Path) -> Path:
    graph = _PrefillGraph(dit).eval()
    path = folder / "dit_prefill.onnx"
    inputs, outputs = ["reference"], ["sink_keys", "sink_values"]
    args = (torch.randn(1, *dit.config.latent_shape),)
    export_graph(graph, args, path, inputs, outputs, {})
    verify_graph(graph, args, path, inputs, outputs)
    return path


def _export_dit(dit: StreamingDit, folder: Path) -> Path:
    graph = _DitGraph(dit).eval()
    path = folder / "dit.onnx"
    inputs = ["latents", "t", "audio", "conditions", "position", "state.sink_keys",
              "state.sink_values", "state.keys", "state.values", "state.position"]  # fmt: skip
    outputs = ["velocity", "next_state.keys", "next_state.values", "next_state.position"]
    moving = {name: {1: "T"} for name in ("latents", "t", "audio", "conditions", "velocity")}
    export_graph(graph, _dit_arguments(dit.config, 3, first=40), path, inputs, outputs, moving)
    for num_latents in range(1, MAX_CHUNK_LATENTS + 1):
        for first in (0, 2, 5, 1_080_000):  # the last one is a day old
            args = _dit_arguments(dit.config, num_latents, first=first)
            verify_graph(graph, args, path, inputs, outputs)
    return path


def _dit_arguments(config: DitConfig, num_latents: int, *, first: int) -> tuple[Tensor, ...]:
    spec = {a.name: a.shape for a in dit_state_spec(config).arrays}
    past = torch.arange(first - config.window, first)
    keys = torch.randn(spec["state.keys"])
    # Unwritten rows hold a large number: a leak through the mask would show.
    unwritten = (past < 0).repeat_interleave(config.tokens_per_latent)
    keys = torch.where(unwritten[:, None], torch.tensor(1e4), keys)
    return (
        torch.randn(1, num_latents, *config.latent_shape),
        torch.rand(1, num_latents),
        torch.randn(1, num_latents, NUM_TOKENS, config.audio_width),
        torch.randn(1, num_latents, config.num_conditions),
        torch.tensor([first]),
        torch.randn(spec["state.sink_keys"]),
        torch.randn(spec["state.sink_values"]),
        keys,
        torch.randn(spec["state.values"]),
        torch.where(past < 0, UNWRITTEN, past),
    )


def export_graph(
    graph: nn.Module,
    args: tuple[Tensor, ...],
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    moving: dict[str, dict[int, str]],
) -> None:
    """Write a module as ONNX, large weights as float16; `moving` names its open dimensions."""
    with torch.no_grad(), warnings.catch_warnings():
        # Shapes that the tracer calls constant are: batch, window and width never change.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph, args, str(path), input_names=list(inputs), output_names=list(outputs),
            dynamic_axes=moving or None, opset_version=_OPSET, dynamo=False,
            do_constant_folding=True,
        )  # fmt: skip
    _halve_weights(path)


def _halve_weights(path: Path) -> None:
    """Store large weights as float16; ONNX Runtime widens them once, when it loads the graph."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    casts = []
    for weight in model.graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype != np.float32 or array.size < _LEAST_HALVED:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}.half"))
        to = onnx.TensorProto.FLOAT
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=to))
    for index, cast in enumerate(casts):
        model.graph.node.insert(index, cast)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def round_weights(module: nn.Module) -> None:
    """Round large weights to float16 in place, so that torch and the stored graph agree."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.numel() >= _LEAST_HALVED:
                parameter.copy_(parameter.half().float())


def verify_graph(
    graph: nn.Module,
    args: tuple[Tensor, ...],
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> None:
    """Run a stored graph beside its module.

    Args:
        graph: the module that was exported.
        args: its inputs, in order.
        path: of the ONNX file.
        inputs: their names in the file.
        outputs: names of what the file returns, in the module's order.

    Raises:
        ExportMismatch: an output has another shape, or differs by more than the tolerance.
    """
    with torch.no_grad():
        expected = graph(*args)
    found = Session(path).run(
        {name: arg.numpy() for name, arg in zip(inputs, args, strict=True)}, outputs
    )
    for name, array in zip(outputs, expected, strict=True):
        truth = array.numpy()
        error = float(np.abs(found[name] - truth).max() / (1 + np.abs(truth).max()))
        if found[name].shape != truth.shape or error > _TOLERANCE:
            raise ExportMismatch(
                f"{path.name}: output {name!r} differs from torch by {error:.1e} (allowed are "
                f"{_TOLERANCE:.0e}), shapes {found[name].shape} and {truth.shape}"
            )


def export_checkpoint(
    checkpoint: Path,
    mel: MelConfig,
    package: Path,
    *,
    steps: int = SHIPPED_STEPS,
    temperature: float = 0.2,
) -> None:
    """Export a checkpoint of a motion stage (its .best or its last).

    Args:
        checkpoint: of student, asd or distill.
        mel: constants of the features.
        package: folder of the model package.
        steps: denoising steps that the manifest tells the runtime to take.
        temperature: of the noise, likewise.
    """
    saved = load_checkpoint(checkpoint)
    models = averaged_models(saved, checkpoint)
    trained = {"step": int(saved["step"]), "validation": saved.get("metrics", {})}
    export_motion(*models, mel, package, trained=trained, steps=steps, temperature=temperature)
    log.info("wrote SpeechAE and DiT of step %d to %s", trained["step"], package)
