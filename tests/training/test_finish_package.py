"""From exported graphs to the package that is shipped: a batch, and weights stored once."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("scipy")

from rest_bridge.errors import PackageError  # noqa: E402
from rest_bridge.features.mel import MelConfig  # noqa: E402
from rest_bridge.generator.many_motion import ManyMotion  # noqa: E402
from rest_bridge.inference.package import DEFAULT_PACKAGE, ModelPackage  # noqa: E402
from rest_bridge.inference.session import Session  # noqa: E402
from rest_bridge.model.audio_encoder import SpeechConfig, SpeechEncoder  # noqa: E402
from rest_bridge.model.dit import StreamingDit  # noqa: E402
from rest_bridge.model.dit_block import DitConfig  # noqa: E402
from rest_bridge.training import batch_dit, share_weights  # noqa: E402
from rest_bridge.training.export_motion import export_motion  # noqa: E402
from rest_bridge.training.finish_package import finish, main  # noqa: E402

SHARED = "dit_weights.bin"
GRAPHS = ("dit", "dit_many", "dit_prefill")
TINY = DitConfig(width=36, num_blocks=2, num_heads=2, feed_forward=80, audio_width=20, window=2)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package as `export-motion` writes it."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("exported")
    dit = StreamingDit(TINY)
    with torch.no_grad():
        for parameter in dit.parameters():  # also those that training begins with zero
            parameter.add_(0.05 * torch.randn_like(parameter))
    encoder = SpeechEncoder(SpeechConfig(token_width=20)).eval()
    mel = MelConfig(mean=np.zeros(80, np.float32), deviation=np.ones(80, np.float32))
    export_motion(encoder, dit.eval(), mel, folder, trained={})
    return folder


@pytest.fixture(scope="module")
def finished(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in the form that is shipped."""
    folder = tmp_path_factory.mktemp("finished") / "package"
    shutil.copytree(exported, folder)
    finish(folder)
    return folder


@pytest.fixture
def package_dir(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "package")
    return tmp_path / "package"


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _relist(folder: Path, name: str, data: bytes) -> None:
    """Change a file and the manifest with it."""
    batch_dit.write_package_part(folder, files={name: data}, sections={})


# --- one file of weights --------------------------------------------------------------------------


def test_graphs_with_shared_weights_compute_the_same_bits(exported: Path, finished: Path) -> None:
    one, other = ModelPackage.load(exported), ModelPackage.load(finished)
    inputs = batch_dit.many_inputs(one, num_streams=1, num_latents=2)
    inputs["state.position"] = inputs["state.position"][0]
    expected, found = (package.session("dit").run(inputs) for package in (one, other))
    for name, truth in expected.items():
        assert found[name].tobytes() == truth.tobytes(), name
    reference = {"reference": inputs["latents"][:1, 0]}
    expected, found = (package.session("dit_prefill").run(reference) for package in (one, other))
    assert all(found[name].tobytes() == truth.tobytes() for name, truth in expected.items())


def test_weights_are_stored_once(exported: Path, finished: Path) -> None:
    package = ModelPackage.load(finished)
    assert package.has(SHARED)
    for name in GRAPHS:
        graph = onnx.load(str(finished / f"{name}.onnx"), load_external_data=False).graph
        inside = sum(len(tensor.raw_data) for tensor in graph.initializer)
        assert inside < 0.1 * (finished / SHARED).stat().st_size, name
    alone = onnx.load(str(exported / "dit.onnx")).graph.initializer
    assert (finished / SHARED).stat().st_size < 1.2 * sum(len(t.raw_data) for t in alone) + 1e4


def test_finishing_again_changes_nothing(package_dir: Path) -> None:
    before = _content(package_dir)
    finish(package_dir)
    assert _content(package_dir) == before


@pytest.mark.parametrize("name", [SHARED, "dit.onnx"])
def test_a_missing_or_damaged_part_is_one_sentence(package_dir: Path, name: str) -> None:
    data = (package_dir / name).read_bytes()
    (package_dir / name).write_bytes(data[:-7])
    with pytest.raises(PackageError, match=rf"{name} has \d+ bytes instead of"):
        ModelPackage.load(package_dir, verify=False)
    (package_dir / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(PackageError, match=f"{name} differs from its checksum"):
        ModelPackage.load(package_dir)
    (package_dir / name).unlink()
    with pytest.raises(PackageError, match=f"lacks its file {name}"):
        ModelPackage.load(package_dir, verify=False)


@pytest.mark.parametrize("kept", [0, 100])
def test_a_graph_whose_weights_are_not_there_is_one_sentence(package_dir: Path, kept: int) -> None:
    path = package_dir / SHARED
    data = path.read_bytes()
    path.unlink()
    if kept:
        path.write_bytes(data[:kept])
    with pytest.raises(PackageError, match=r"cannot load the graph dit\.onnx") as failed:
        Session(package_dir / "dit.onnx")
    assert "reinstall" in str(failed.value)


def test_a_difference_is_refused_and_nothing_is_written(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "package"
    shutil.copytree(exported, folder)
    before = _content(folder)
    true_bytes = share_weights._bytes_of

    def wrong(tensor: object) -> bytes:
        data = bytearray(true_bytes(tensor))
        data[-1] ^= 1
        return bytes(data)

    def changed(graphs, file_name, place):
        with monkeypatch.context() as patch:
            patch.setattr(share_weights, "_bytes_of", wrong)
            return shared(graphs, file_name, place)

    shared = share_weights.shared
    monkeypatch.setattr(share_weights, "shared", changed)
    with pytest.raises(share_weights.SharingError, match="another graph"):
        share_weights.share(folder)
    assert _content(folder) == before


def test_the_shipped_package_stores_its_weights_once() -> None:
    package = ModelPackage.load(DEFAULT_PACKAGE, verify=False)
    listed = package.manifest["files"]
    for family, graph in (("dit", "dit.onnx"), ("decoder", "decoder.onnx")):
        assert listed[f"{family}_weights.bin"]["bytes"] > listed[graph]["bytes"]
    assert ManyMotion.fits(package)


# --- the batch ------------------------------------------------------------------------------------


def test_the_network_read_back_from_the_graphs_is_the_network(exported: Path) -> None:
    package = ModelPackage.load(exported)
    dit = batch_dit.dit_of(package)
    reference = torch.randn(1, 16, 4, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        keys, values = dit.prefill(reference)
    found = package.session("dit_prefill").run({"reference": reference.numpy()})
    np.testing.assert_allclose(found["sink_keys"], keys.numpy(), atol=2e-4)
    np.testing.assert_allclose(found["sink_values"], values.numpy(), atol=2e-4)


@pytest.mark.parametrize("num_latents", [1, 3])
def test_each_row_of_a_batch_is_the_stream_alone(finished: Path, num_latents: int) -> None:
    package = ModelPackage.load(finished)
    inputs = batch_dit.many_inputs(package, num_streams=4, num_latents=num_latents, seed=9)
    together = package.session("dit_many").run(inputs)
    for row in range(4):
        one = {name: array[row : row + 1] for name, array in inputs.items()}
        one["state.position"] = inputs["state.position"][row]
        for name, truth in package.session("dit").run(one).items():
            np.testing.assert_allclose(
                together[name][row].reshape(truth.shape), truth, atol=1e-4, err_msg=name
            )


def test_a_batch_of_other_weights_is_found_and_made_anew(
    package_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert ManyMotion.fits(ModelPackage.load(package_dir))
    model = onnx.load(str(package_dir / "dit.onnx"))  # as if it were exported anew
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float16:
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(1.1 * array.astype(np.float16), tensor.name)
            )
    _relist(package_dir, "dit.onnx", model.SerializeToString())
    package = ModelPackage.load(package_dir)
    with pytest.raises(batch_dit.BatchError, match="differs"):
        batch_dit.check(package, package_dir / "dit_many.onnx")
    with caplog.at_level(logging.WARNING):
        assert not ManyMotion.fits(package)
    assert "finish_package" in caplog.text
    assert "dit_many.onnx was made from dit.onnx." in finish(package_dir)
    package = ModelPackage.load(package_dir)
    batch_dit.check(package, package_dir / "dit_many.onnx")
    assert ManyMotion.fits(package)


def test_a_network_that_has_no_batch_is_refused() -> None:
    with pytest.raises(batch_dit.BatchError, match="sink"):
        batch_dit.ManyDit(StreamingDit(DitConfig(num_blocks=1, sink_place="slot")))


def test_a_package_from_before_the_batch_was_recorded_still_has_it(package_dir: Path) -> None:
    path = package_dir / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["dit_many"]
    path.write_text(json.dumps(manifest))
    assert ManyMotion.fits(ModelPackage.load(package_dir))


def test_the_command_says_what_it_did_or_why_not(
    package_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["finish", "--package", str(package_dir)])
    assert main() == 0
    assert "MB" in capsys.readouterr().out
    (package_dir / SHARED).unlink()
    assert main() == 2
    assert SHARED in capsys.readouterr().err
