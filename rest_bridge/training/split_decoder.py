"""Cuts decoder.onnx where it reads features through the flow found so far.

ONNX Runtime's GridSample takes more than half of the decoder's time on a CPU (2.1 of 3.8 ms);
OpenCV reads the same places in 0.1 ms. So the graph is cut into parts that end with the places of
each reading and go on with what was read there; `generator.correction` runs them one after the
other. Nothing is trained again, and decoder.onnx stays for whoever wants it whole.

    python -m rest_bridge.training.split_decoder --package FOLDER
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from rest_bridge.inference.package import DEFAULT_PACKAGE, ModelPackage
from rest_bridge.training.package_writer import write_package_part

GRAPH: Final = "decoder"
TOLERANCE: Final = 2e-4


class SplitError(RuntimeError):
    """A graph cannot be cut, or its parts disagree with the whole."""


def split(whole: bytes) -> tuple[dict[str, bytes], list[dict[str, str]]]:
    """Cut a graph at its GridSample nodes.

    Args:
        whole: the graph; bilinear readings with border padding, corners not aligned.

    Returns:
        parts: file name -> graph, in the order in which they run.
        readings: for each cut, `feature` that is read, `places` (the grid, -1..1) where, and the
            name `read` under which what was read goes into later parts.

    Raises:
        SplitError: it has no such nodes, or reads in another way.
    """
    model = onnx.load_from_string(whole)
    graph = model.graph
    cuts = [node for node in graph.node if node.op_type == "GridSample"]
    if not cuts:
        raise SplitError("This graph reads nothing through a flow, so there is nothing to cut.")
    for node in cuts:
        _check_reading(node)
    goals = [[node.input[1]] for node in cuts] + [[value.name for value in graph.output]]
    done: set[str] = set()
    sections: list[list[NodeProto]] = []
    for wanted in goals:
        section = _ancestors(graph, wanted, done)
        sections.append(section)
        done |= {name for node in section for name in node.output}
    types = _types(model)
    parts = {
        f"{GRAPH}_{number}.onnx": _part(model, sections, number, goals, types)
        for number in range(len(sections))
    }
    readings = [
        {"feature": node.input[0], "places": node.input[1], "read": node.output[0]} for node in cuts
    ]
    return parts, readings


def _check_reading(node: NodeProto) -> None:
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    mode = found.get("mode", b"bilinear")
    if mode not in (b"bilinear", b"linear") or found.get("padding_mode") != b"border":
        raise SplitError(f"{node.name} is not a bilinear reading with border padding.")
    if found.get("align_corners", 0):
        raise SplitError(f"{node.name} aligns corners.")


def _ancestors(graph: GraphProto, wanted: Sequence[str], done: set[str]) -> list[NodeProto]:
    """Return the nodes that the wanted values need, without those done and without readings."""
    needed, section = set(wanted), []
    for node in reversed(graph.node):
        is_cut = node.op_type == "GridSample"
        if is_cut or not needed & set(node.output) or set(node.output) <= done:
            continue
        section.append(node)
        needed |= set(node.input)
    return section[::-1]


def _types(model: ModelProto) -> dict[str, Any]:
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    return {value.name: value for value in values}


def _part(
    model: ModelProto,
    sections: list[list[NodeProto]],
    number: int,
    goals: list[list[str]],
    types: dict[str, Any],
) -> bytes:
    graph, section = model.graph, sections[number]
    weights = {tensor.name: tensor for tensor in graph.initializer}
    made = {name for node in section for name in node.output}
    used = list(dict.fromkeys(name for node in section for name in node.input if name))
    later = {name for node in (n for s in sections[number + 1 :] for n in s) for name in node.input}
    inputs = [name for name in used if name not in made and name not in weights]
    outputs = [*goals[number], *sorted(name for name in made & later if name not in goals[number])]
    part = helper.make_graph(
        section,
        f"{GRAPH}_{number}",
        [types.get(n) or helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in inputs],
        [types[name] for name in outputs],
        [weights[name] for name in used if name in weights],
    )
    made_model = helper.make_model(part, opset_imports=model.opset_import)
    made_model.ir_version = model.ir_version
    onnx.checker.check_model(made_model)
    return made_model.SerializeToString()


def add_parts(package_dir: Path) -> None:
    """Cut a package's decoder, compare the parts with the whole, and write them beside it.

    Args:
        package_dir: the package.

    Raises:
        SplitError: the parts and the whole disagree; nothing is written then.
    """
    from rest_bridge.generator.correction import run_parts

    package = ModelPackage.load(package_dir)
    whole = (package_dir / f"{GRAPH}.onnx").read_bytes()
    parts, readings = split(whole)
    session = onnxruntime.InferenceSession(whole, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    inputs = {
        value.name: (0.3 * rng.standard_normal(value.shape)).astype(np.float32)
        for value in session.get_inputs()
    }
    inputs["base"] *= 0.1
    sessions = [
        onnxruntime.InferenceSession(part, providers=["CPUExecutionProvider"])
        for part in parts.values()
    ]
    runs = [_runner(one) for one in sessions]
    got = run_parts(runs, readings, inputs)["correction"]
    expected = np.asarray(session.run(["correction"], inputs)[0])
    gap = float(np.abs(got - expected).max())
    if gap > TOLERANCE:
        raise SplitError(f"The parts and the whole decoder differ by {gap:.2g}; nothing written.")
    section = {**package.section(GRAPH), "parts": len(parts), "readings": readings}
    write_package_part(package_dir, files=parts, sections={GRAPH: section})


def _runner(session: onnxruntime.InferenceSession) -> Any:
    names = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]

    def run(values: dict[str, Any]) -> dict[str, Any]:
        found = session.run(outputs, {name: values[name] for name in names})
        return dict(zip(outputs, found, strict=True))

    return run


def main() -> None:
    """Cut the decoder of a package."""
    parser = argparse.ArgumentParser(description="Cut decoder.onnx into parts that run faster.")
    parser.add_argument("--package", type=Path, default=DEFAULT_PACKAGE)
    add_parts(parser.parse_args().package)


if __name__ == "__main__":
    main()
