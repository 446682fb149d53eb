"""Gives a package the DiT for many streams at once: dit_many.onnx.

The weights are read back from dit.onnx, so that any package can get it without its checkpoint. Each
stream of a batch has its own state and its own position. Nothing is written unless every row of a
batch equals what dit.onnx says of that stream alone.

    python -m rest_bridge.training.batch_dit --package FOLDER

Shape letters: B streams, T latent frames, W window, P tokens a latent frame, L blocks, H heads.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from rest_bridge.generator.many_motion import GRAPH, MADE_FROM
from rest_bridge.inference.package import DEFAULT_PACKAGE, ModelPackage
from rest_bridge.model.attention import attend
from rest_bridge.model.cache import UNWRITTEN
from rest_bridge.model.dit import LEAST_T, StreamingDit
from rest_bridge.model.dit_block import DitConfig
from rest_bridge.training.export_motion import export_graph
from rest_bridge.training.package_writer import write_package_part

TOLERANCE: Final = 5e-4
_INPUTS: Final = ("latents", "t", "audio", "conditions", "position", "state.sink_keys",
                  "state.sink_values", "state.keys", "state.values", "state.position")  # fmt: skip
_OUTPUTS: Final = ("velocity", "next_state.keys", "next_state.values", "next_state.position")


class BatchError(RuntimeError):
    """A package's DiT cannot be given a batch."""


class ManyDit(nn.Module):
    """The streaming DiT where each row of the batch is a stream of its own."""

    def __init__(self, dit: StreamingDit) -> None:
        super().__init__()
        if dit.config.sink_place != "timeless" or dit.config.first_chunk == "zeros":
            raise BatchError("Only a sink without a place in time and masked context have a batch.")
        self.dit = dit

    def forward(
        self, latents: Tensor, t: Tensor, audio: Tensor, conditions: Tensor, position: Tensor,
        sink_keys: Tensor, sink_values: Tensor, keys: Tensor, values: Tensor, past: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """As `StreamingDit.forward`, with `position` [B] and `past` [B, W]."""
        dit, config = self.dit, self.dit.config
        per_frame = config.tokens_per_latent
        x = dit._tokens(latents)  # noqa: SLF001 - the same network
        modulation, final = dit._modulate(t, conditions)  # noqa: SLF001
        own = torch.arange(latents.shape[1], device=latents.device)
        query = own.to(torch.float32).repeat_interleave(per_frame)
        batch = latents.shape[0]
        distance = (past - position[:, None]).to(torch.float32).repeat_interleave(per_frame, 1)
        places = torch.cat([distance, query[None].expand(batch, -1)], 1)
        written = (past > UNWRITTEN // 2).repeat_interleave(per_frame, 1)
        known = torch.ones_like(query, dtype=torch.bool)[None].expand(batch, -1)
        sink = torch.ones_like(written[:, :per_frame])
        mask = torch.cat([sink, written, known], 1)[:, None, None]
        next_keys, next_values = [], []
        for index, block in enumerate(dit.blocks):
            modulated = block.modulate(modulation)
            x, q, k, v = block.project(x, audio, modulated)
            next_keys.append(torch.cat([keys[:, index], k], 2))
            next_values.append(torch.cat([values[:, index], v], 2))
            attended = attend(
                q, next_keys[-1], next_values[-1], query, places[:, None],
                sink_keys=sink_keys[:, index], sink_values=sink_values[:, index], mask=mask,
            )  # fmt: skip
            x = block.finish(x, attended, audio, modulated)
        clean = dit._latents(x, final, conditions)  # noqa: SLF001
        kept = config.window * per_frame
        return (
            (latents - clean) / t.clamp(min=LEAST_T)[:, :, None, None, None],
            torch.stack(next_keys, 1)[:, :, :, -kept:],
            torch.stack(next_values, 1)[:, :, :, -kept:],
            torch.cat([past, position[:, None] + own], 1)[:, -config.window :],
        )


def dit_of(package: ModelPackage) -> StreamingDit:
    """Return the network of a package, with the weights of its dit.onnx and dit_prefill.onnx.

    Raises:
        BatchError: the graphs do not hold the weights of this network.
    """
    config = DitConfig.from_dict(dict(package.section("dit")["config"]))
    dit = StreamingDit(config)
    found: dict[str, np.ndarray] = {}
    for name in ("dit_prefill", "dit"):
        found |= _weights_of(package.path / f"{name}.onnx")
    state = dit.state_dict()
    loose = [array for key, array in found.items() if key.startswith("?")]
    for key, value in state.items():
        array = found.get(key)
        if array is None:  # a linear map without a bias: the only one of its shape
            alike = [a for a in loose if a.T.shape == tuple(value.shape)]
            if len(alike) != 1:
                raise BatchError(f"The graphs do not say what {key} is; export the package again.")
            array = alike[0].T
        state[key] = torch.from_numpy(np.array(array, np.float32)).view(value.shape)
    dit.load_state_dict(state)
    return dit.eval()


def _weights_of(path: Path) -> dict[str, np.ndarray]:
    """Return a graph's weights by the names of the module; unnamed matrices as "?name"."""
    graph = onnx.load(str(path)).graph
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in arrays:
            arrays[node.output[0]] = arrays[node.input[0]].astype(np.float32)
        if node.op_type == "Constant":
            arrays[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    found = {
        name.split(".", 1)[1]: array for name, array in arrays.items() if name.startswith("dit.")
    }
    products = {
        node.output[0]: node.input[1]
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in arrays
    }
    named: set[str] = set()
    for node in graph.node:
        if node.op_type == "Gemm" and node.input[1].startswith("dit."):
            continue
        if node.op_type != "Add":
            continue
        for bias, product in (node.input, node.input[::-1]):
            if bias.startswith("dit.") and bias.endswith(".bias") and product in products:
                matrix = products[product]
                found[bias.split(".", 1)[1].removesuffix("bias") + "weight"] = arrays[matrix].T
                named.add(matrix)
    return found | {f"?{name}": arrays[name] for name in products.values() if name not in named}


def add_many(package_dir: Path) -> None:
    """Write dit_many.onnx into a package.

    Args:
        package_dir: with dit.onnx and dit_prefill.onnx.

    Raises:
        BatchError: a row of the batch differs from the stream alone; nothing is written then.
    """
    package = ModelPackage.load(package_dir)
    many = ManyDit(dit_of(package)).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{GRAPH}.onnx"
        moving = {name: {0: "B"} for name in (*_INPUTS, *_OUTPUTS)}
        for name in ("latents", "t", "audio", "conditions", "velocity"):
            moving[name][1] = "T"
        inputs = many_inputs(package, num_streams=3, num_latents=2)
        arguments = tuple(torch.from_numpy(inputs[name]) for name in _INPUTS)
        export_graph(many, arguments, path, _INPUTS, _OUTPUTS, moving)
        check(package, path)
        section = {MADE_FROM: package.digest("dit")}
        write_package_part(package_dir, files={path.name: path}, sections={GRAPH: section})


def many_inputs(
    package: ModelPackage, *, num_streams: int, num_latents: int, seed: int = 0
) -> dict[str, Any]:
    """Return inputs of a batch whose streams are of different ages."""
    rng = np.random.default_rng(seed)
    section = package.section("dit")
    config = DitConfig.from_dict(dict(section["config"]))
    position = np.array([(0, 2, 5, 40, 1_080_000)[k % 5] for k in range(num_streams)], np.int64)
    past = position[:, None] + np.arange(-config.window, 0)
    sink = (num_streams, config.num_blocks, config.num_heads, config.tokens_per_latent)
    window = (*sink[:3], config.window * config.tokens_per_latent)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    return {
        "latents": normal(num_streams, num_latents, *config.latent_shape),
        "t": rng.random((num_streams, num_latents)).astype(np.float32),
        "audio": normal(num_streams, num_latents, 2, config.audio_width),
        "conditions": normal(num_streams, num_latents, config.num_conditions),
        "position": position,
        "state.sink_keys": normal(*sink, config.head_width),
        "state.sink_values": normal(*sink, config.head_width),
        "state.keys": normal(*window, config.head_width),
        "state.values": normal(*window, config.head_width),
        "state.position": np.where(past < 0, UNWRITTEN, past),
    }


def check(package: ModelPackage, path: Path) -> None:
    """Compare a batch with dit.onnx, stream by stream.

    Raises:
        BatchError: they differ.
    """
    from rest_bridge.inference.session import Session

    batched, alone = Session(path), package.session("dit")
    for num_latents in (1, 2):
        inputs = many_inputs(package, num_streams=5, num_latents=num_latents, seed=num_latents)
        found = batched.run(inputs)
        for row in range(5):
            one = {name: array[row : row + 1] for name, array in inputs.items()}
            one["state.position"] = inputs["state.position"][row]
            expected = alone.run(one)
            for name, truth in expected.items():
                mine = found[name][row].reshape(truth.shape)
                gap = float(np.abs(mine - truth).max() / (1 + np.abs(truth).max()))
                if gap > TOLERANCE:
                    raise BatchError(f"{name} of stream {row} differs by {gap:.1e}; not written.")


def main() -> None:
    """Give a package its batch."""
    parser = argparse.ArgumentParser(description="Write dit_many.onnx: the DiT of many streams.")
    parser.add_argument("--package", type=Path, default=DEFAULT_PACKAGE)
    add_many(parser.parse_args().package)


if __name__ == "__main__":
    main()
