"""A decoder cut at its readings is the same decoder; what cannot be cut is refused by name."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from rest_bridge.generator.correction import run_parts  # noqa: E402
from rest_bridge.inference.package import ModelPackage  # noqa: E402
from rest_bridge.inference.session import Session  # noqa: E402
from rest_bridge.training import split_decoder  # noqa: E402
from rest_bridge.training.package_writer import write_package_part  # noqa: E402

CELLS = 8
READS = {"mode": "bilinear", "padding_mode": "border", "align_corners": 0}


def _decoder(*, readings: int = 2, reads: Mapping[str, object] = READS) -> bytes:
    """A decoder that reads its features `readings` times, each time where the last one said."""
    rng = np.random.default_rng(0)
    weight = 0.1 * rng.standard_normal((2, 4, 3, 3)).astype(np.float32)
    weights = [numpy_helper.from_array(weight, f"weight{k}") for k in range(max(readings, 1))]
    nodes, flow = [], "base"
    for k in range(readings):
        nodes += [
            helper.make_node("Transpose", [flow], [f"places{k}"], perm=[0, 2, 3, 1]),
            helper.make_node("GridSample", ["features", f"places{k}"], [f"read{k}"], **reads),
            helper.make_node(
                "Conv", [f"read{k}", f"weight{k}"], [f"step{k}"], kernel_shape=[3, 3],
                pads=[1, 1, 1, 1],
            ),
            helper.make_node("Add", [flow, f"step{k}"], [f"flow{k}"]),
        ]  # fmt: skip
        flow = f"flow{k}"
    nodes.append(helper.make_node("Sub", [flow, "base"], ["correction"]))
    shapes = {"features": [1, 4, CELLS, CELLS], "base": [1, 2, CELLS, CELLS]}
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "decoder",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info("correction", kind, shapes["base"])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model.SerializeToString()


@pytest.fixture
def package_dir(tmp_path: Path) -> Path:
    sections = {"decoder": {"flow_size": CELLS}}
    write_package_part(tmp_path, files={"decoder.onnx": _decoder()}, sections=sections)
    return tmp_path


@pytest.mark.parametrize("seed", [0, 1])
def test_the_parts_one_after_the_other_are_the_whole(package_dir: Path, seed: int) -> None:
    split_decoder.add_parts(package_dir)
    package = ModelPackage.load(package_dir)
    section = package.section("decoder")
    rng = np.random.default_rng(seed)
    inputs = {
        "features": rng.standard_normal((1, 4, CELLS, CELLS)).astype(np.float32),
        "base": rng.uniform(-1.3, 1.3, (1, 2, CELLS, CELLS)).astype(np.float32),  # also outside
    }
    sessions = [package.session(f"decoder_{k}") for k in range(section["parts"])]

    def runner(session: Session):
        return lambda values: session.run({name: values[name] for name in session.input_names})

    runs = [runner(session) for session in sessions]
    found = run_parts(runs, section["readings"], inputs)["correction"]
    expected = package.session("decoder").run(inputs)["correction"]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_there_is_a_part_more_than_readings_and_each_has_its_own_weights_only() -> None:
    parts, readings = split_decoder.split(_decoder(readings=3))
    assert len(parts) == len(readings) + 1 == 4
    held = [
        {t.name for t in onnx.load_from_string(part).graph.initializer} for part in parts.values()
    ]
    assert held == [set(), {"weight0"}, {"weight1"}, {"weight2"}]
    assert [one["feature"] for one in readings] == ["features"] * 3


def test_the_parts_themselves_read_nothing_through_a_flow() -> None:
    parts, _ = split_decoder.split(_decoder())
    kinds = {
        node.op_type for part in parts.values() for node in onnx.load_from_string(part).graph.node
    }
    assert "GridSample" not in kinds


def test_cutting_again_changes_nothing(package_dir: Path) -> None:
    split_decoder.add_parts(package_dir)
    before = {path.name: path.read_bytes() for path in package_dir.iterdir()}
    split_decoder.add_parts(package_dir)
    assert {path.name: path.read_bytes() for path in package_dir.iterdir()} == before


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (_decoder(readings=0), "nothing to cut"),
        (_decoder(reads={**READS, "align_corners": 1}), "aligns corners"),
        (_decoder(reads={**READS, "padding_mode": "zeros"}), "border padding"),
        (_decoder(reads={**READS, "mode": "nearest"}), "bilinear"),
    ],
)
def test_what_cannot_be_cut_is_refused_and_nothing_is_written(
    tmp_path: Path, graph: bytes, why: str
) -> None:
    write_package_part(tmp_path, files={"decoder.onnx": graph}, sections={"decoder": {}})
    with pytest.raises(split_decoder.SplitError, match=why):
        split_decoder.add_parts(tmp_path)
    assert not ModelPackage.load(tmp_path).has("decoder_0.onnx")


def test_parts_that_disagree_with_the_whole_are_not_written(
    package_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_decoder, "TOLERANCE", -1.0)
    with pytest.raises(split_decoder.SplitError, match="differ"):
        split_decoder.add_parts(package_dir)
    assert not ModelPackage.load(package_dir).has("decoder_0.onnx")
