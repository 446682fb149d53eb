"""Model package: complete ones load; missing, truncated, changed or foreign ones say so."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rest_bridge.errors import PackageError
from rest_bridge.inference.package import DEFAULT_PACKAGE, ModelPackage
from rest_bridge.training.package_writer import npz_bytes, write_package_part


@pytest.fixture
def package_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}
    write_package_part(folder, files={"part.npz": npz_bytes(arrays)}, sections={"part": {"k": 1}})
    return folder


def test_written_package_loads_with_its_arrays_and_sections(package_dir: Path) -> None:
    package = ModelPackage.load(package_dir)
    assert package.section("part")["k"] == 1
    assert (package.arrays("part")["a"] == np.arange(6).reshape(2, 3)).all()


def test_second_part_keeps_the_first(package_dir: Path) -> None:
    write_package_part(package_dir, files={"b.bin": b"1234"}, sections={"b": {}})
    package = ModelPackage.load(package_dir)
    assert package.has("part.npz")
    assert package.has("b.bin")


def test_a_file_that_somebody_has_open_is_replaced_and_not_written_into(package_dir: Path) -> None:
    with (package_dir / "part.npz").open("rb") as held:
        before = (package_dir / "part.npz").read_bytes()
        write_package_part(package_dir, files={"part.npz": b"new"}, sections={})
        assert held.read() == before
    assert sorted(path.name for path in package_dir.iterdir()) == ["manifest.json", "part.npz"]


def test_truncated_file_is_named_with_both_sizes(package_dir: Path) -> None:
    path = package_dir / "part.npz"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(PackageError, match=r"part\.npz has \d+ bytes instead of \d+"):
        ModelPackage.load(package_dir)


def test_changed_file_fails_its_checksum(package_dir: Path) -> None:
    path = package_dir / "part.npz"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(PackageError, match="checksum"):
        ModelPackage.load(package_dir)


def test_missing_file_is_named(package_dir: Path) -> None:
    (package_dir / "part.npz").unlink()
    with pytest.raises(PackageError, match=r"part\.npz"):
        ModelPackage.load(package_dir)


def test_other_format_version_names_both_versions(package_dir: Path) -> None:
    manifest = json.loads((package_dir / "manifest.json").read_text())
    manifest["format_version"] = 99
    (package_dir / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PackageError, match=r"version 99.*version 1"):
        ModelPackage.load(package_dir)


@pytest.mark.parametrize("content", ["", "[]", "{}", "not json"])
def test_broken_manifest_is_one_clear_error(package_dir: Path, content: str) -> None:
    (package_dir / "manifest.json").write_text(content)
    with pytest.raises(PackageError):
        ModelPackage.load(package_dir)


def test_missing_folder_and_missing_manifest_say_so(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="does not exist"):
        ModelPackage.load(tmp_path / "nothing")
    with pytest.raises(PackageError, match=r"No manifest\.json"):
        ModelPackage.load(tmp_path)


def test_unknown_graph_and_section_are_refused(package_dir: Path) -> None:
    package = ModelPackage.load(package_dir)
    with pytest.raises(PackageError, match=r"dit\.onnx"):
        package.session("dit")
    with pytest.raises(PackageError, match="'dit'"):
        package.section("dit")


def test_file_that_is_no_graph_is_refused(package_dir: Path) -> None:
    write_package_part(package_dir, files={"bad.onnx": b"no graph"}, sections={})
    with pytest.raises(PackageError, match=r"bad\.onnx"):
        ModelPackage.load(package_dir).session("bad")


def test_shipped_package_is_intact_and_under_its_size_limit(tmp_path: Path) -> None:
    shutil.copytree(DEFAULT_PACKAGE, tmp_path / "nano")
    package = ModelPackage.load(tmp_path / "nano")
    total = sum(entry["bytes"] for entry in package.manifest["files"].values())
    assert total < 25_000_000


def test_a_shared_session_is_loaded_once_for_the_same_threads_and_provider(
    package_path: Path,
) -> None:
    package = ModelPackage.load(package_path, verify=False)
    one = package.shared_session("speech_encoder")
    assert package.shared_session("speech_encoder") is one
    assert package.shared_session("speech_encoder", threads=2) is not one
    assert package.session("speech_encoder") is not one
