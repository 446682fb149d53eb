"""Sessions: what ONNX Runtime must not do behind our back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rest_bridge.errors import PackageError
from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.session import Session

_RUN_ONE = """
import sys
from rest_bridge.inference.package import ModelPackage
ModelPackage.load(verify=False).session("speech_encoder")
"""


@pytest.mark.skipif(os.name != "posix", reason="looks into a home folder of POSIX")
def test_nothing_is_sent_or_kept_about_what_is_run(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / ".cache")}
    environment.pop("CI", None)  # where it keeps quiet by itself
    done = subprocess.run(
        [sys.executable, "-c", _RUN_ONE], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name.lower()] == []


def test_a_file_that_is_no_graph_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(PackageError):
        Session(path)


def test_the_package_loads_without_its_checksums() -> None:
    assert ModelPackage.load(verify=False).session("speech_encoder").provider
