"""The set-up script, run on a pretended environment: what it installs, and that it does so once."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the script is for bash")


class Setup:
    """Runs ./rest-bridge with stand-ins for python, rest-bridge and nvidia-smi that note calls."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "calls"
        self.tools = folder / "tools"
        self.venv = folder / "venv"
        (self.venv / "bin").mkdir(parents=True)
        self.tools.mkdir()
        self.installed = folder / "installed"
        self.installed.write_text("")
        self._script(
            self.venv / "bin/python",
            f'echo "$*" >> {self.log}\n'
            f'case "$*" in *" show -q "*) grep -qx -- "${{@: -1}}" {self.installed};; esac',
        )
        self._script(self.venv / "bin/rest-bridge", f'echo "ran $*" >> {self.log}')

    def _script(self, path: Path, text: str) -> None:
        path.write_text(f"#!/usr/bin/env bash\n{text}\n")
        path.chmod(0o755)

    def nvidia(self, exit_code: int) -> None:
        self._script(self.tools / "nvidia-smi", f"exit {exit_code}")

    def run(self, *words: str) -> list[str]:
        """Run the script; return the calls that it made."""
        self.log.write_text("")
        environment = {
            **os.environ,
            "REST_BRIDGE_SETUP_VENV": str(self.venv),
            "PATH": f"{self.tools}:/usr/bin:/bin",
        }
        done = subprocess.run(
            [ROOT / "rest-bridge", *words], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return self.log.read_text().splitlines()


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def extras(calls: list[str]) -> str:
    (call,) = [call for call in calls if f"-e {ROOT}" in call]
    return re.findall(r"\[(.*)\]", call)[0]


def test_the_scripts_can_be_run_and_are_valid_bash() -> None:
    for name in ("rest-bridge", ".ci/run"):
        assert os.access(ROOT / name, os.X_OK)
        subprocess.run(["bash", "-n", ROOT / name], check=True)


def test_without_an_nvidia_driver_the_cpu_runtime_is_taken(setup: Setup) -> None:
    setup.nvidia(9)  # the tool is there, the driver is not
    calls = setup.run("demo", "--seconds", "3")
    assert extras(calls) == "cpu,osc,obs"
    assert calls[-1] == "ran demo --seconds 3"
    assert not any("torch" in call for call in calls)


def test_with_an_nvidia_driver_the_gpu_runtime_is_taken(setup: Setup) -> None:
    setup.nvidia(0)
    assert extras(setup.run("demo")) == "gpu,osc,obs"


def test_a_changed_runtime_removes_the_other_one_first(setup: Setup) -> None:
    setup.nvidia(0)
    setup.installed.write_text("onnxruntime\n")
    calls = setup.run("demo")
    removed = next(i for i, c in enumerate(calls) if "uninstall" in c and "onnxruntime" in c)
    installed = next(i for i, c in enumerate(calls) if f"-e {ROOT}" in c)
    assert removed < installed


def test_a_second_run_installs_nothing(setup: Setup) -> None:
    setup.run("demo")
    assert setup.run("demo") == ["ran demo"]


def test_the_tests_bring_torch_in_its_exact_version(setup: Setup) -> None:
    calls = setup.run("test", "-k", "nothing")
    assert any(call.endswith("install -qq torch==2.13.0") for call in calls)
    assert extras(calls) == "cpu,train,test"
    assert calls[-1] == "-m pytest -k nothing"


def test_the_streamers_core_is_light_and_the_gpl_part_optional() -> None:
    core = " ".join(PROJECT["dependencies"])
    for name in ("torch", "scipy", "numba", "onnxruntime", "pyvirtualcam"):
        assert name not in core
    optional = PROJECT["optional-dependencies"]
    assert [name for name, parts in optional.items() if "pyvirtualcam" in " ".join(parts)] == [
        "cam"
    ]
    runtimes = {name for name, parts in optional.items() if "onnxruntime" in " ".join(parts)}
    assert runtimes == {"cpu", "gpu"}


def test_the_licence_is_apache_2() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text()
    assert sys.version_info >= (3, 11)
