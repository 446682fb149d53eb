"""The example for several machines, on a local Ray: faces by the same protocol, failures alone.

pip install "rest-bridge[ray]" && python -m pytest -m slow tests/test_ray_example.py
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rest_bridge.config import Config

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "faces_on_ray.py"


@pytest.mark.slow
def test_faces_on_ray_are_live_and_one_that_fails_does_not_end_the_others(
    write_wav: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason='pip install "rest-bridge[ray]"')
    voice = write_wav(seconds=2.0)
    # As many as fit: two cores have room for the three.
    arguments = ["luna", str(tmp_path / "no such picture.png"), "maya", "--cores", "0.5"]
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), *arguments, "--audio", str(voice), "--size", "128",
         "--seconds", "3"],
        capture_output=True, text=True, timeout=300, cwd=EXAMPLE.parent.parent, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert sum("'frames': 'tcp://" in line for line in lines) == 3
    addresses = re.findall(r"tcp://[\d.]+:\d+", done.stdout)
    assert len(set(addresses)) == len(addresses) == 6
    for name in ("luna-0", "maya-2"):
        (end,) = (line for line in lines if line.startswith(name) and "'presented'" in line)
        assert ast.literal_eval(end.split(" ", 1)[1])["presented"] > 20
    assert any("failed" in line and "no such picture" in line for line in lines)


@pytest.mark.slow
def test_a_face_without_free_cores_waits_until_another_one_ends(
    write_wav: Callable[..., Path],
) -> None:
    pytest.importorskip("ray", reason='pip install "rest-bridge[ray]"')
    voice, cores = write_wav(seconds=2.0), str(0.7 * (os.cpu_count() or 1))
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "luna", "maya", "--audio", str(voice), "--size", "128",
         "--seconds", "2", "--cores", cores],
        capture_output=True, text=True, timeout=300, cwd=EXAMPLE.parent.parent, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "waiting for a place" in done.stdout
    assert done.stdout.count("'presented'") == 2


def test_the_example_configures_what_there_is() -> None:
    """Also without Ray: every key that the example sets exists."""
    tree = ast.parse(EXAMPLE.read_text(encoding="utf-8"))
    (call,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Config.model_validate"
    )
    assert isinstance(call.args[0], ast.Dict)
    fields = Config.model_fields
    for section, values in zip(call.args[0].keys, call.args[0].values, strict=True):
        assert isinstance(section, ast.Constant)
        kind = fields[section.value].annotation
        assert isinstance(values, ast.Dict)
        for key in values.keys:
            assert isinstance(key, ast.Constant)
            assert key.value in kind.model_fields, f"{section.value}.{key.value}"
