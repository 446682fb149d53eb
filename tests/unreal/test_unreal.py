"""plugins/unreal without Unreal: its core against a real daemon, its engine files against stubs."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from rest_bridge.rig import RIG_NAMES, VISEME_NAMES
from rest_bridge.sinks.rig_values import LIVE_LINK_NAMES, RigInstant, live_link_values
from tests.support.daemon import running_daemon

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "plugins" / "unreal"
TOOLS = ("cmake", "ninja", "c++", "pkg-config", "espeak-ng")

missing = [tool for tool in TOOLS if shutil.which(tool) is None]
if "pkg-config" not in missing and subprocess.run(["pkg-config", "--exists", "libzmq"]).returncode:
    missing.append("libzmq3-dev")
pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
]


@pytest.fixture(scope="module")
def build() -> Path:
    for command in (["cmake", "--preset", "asan"], ["cmake", "--build", "--preset", "asan"]):
        done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
    return SOURCE / "build" / "asan"


def test_engine_files_compile_against_the_stubs_and_the_parts_hold(build: Path) -> None:
    done = subprocess.run(
        ["ctest", "--test-dir", build, "--output-on-failure"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "100% tests passed" in done.stdout


def test_curves_are_those_of_the_daemons_own_live_link_output(build: Path) -> None:
    source = np.random.default_rng(5)
    values = source.uniform(-0.2, 1.2, len(RIG_NAMES)).astype(np.float32)
    values[:3] = source.uniform(-40, 40, 3)
    done = subprocess.run(
        [build / "core-parts", "--curves"],
        input=" ".join(f"{value:.9g}" for value in values),
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    names, curves = zip(*(line.split() for line in done.stdout.splitlines()), strict=True)
    instant = RigInstant(0, values, np.zeros(len(VISEME_NAMES), np.float32), 0.0, "idle")
    assert names == LIVE_LINK_NAMES
    np.testing.assert_allclose(
        np.array(curves, np.float32), live_link_values(instant), rtol=1e-5, atol=1e-6
    )


def test_the_core_plays_a_live_face_and_survives_its_restart(build: Path, tmp_path: Path) -> None:
    line = tmp_path / "line.wav"
    subprocess.run(["espeak-ng", "-w", line, "Well met, traveller."], check=True)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with running_daemon(tmp_path / "first") as daemon:
        addresses = daemon.addresses
        core = subprocess.Popen(
            [build / "core-live", *addresses.values(), line],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert core.stdout is not None
        told = []
        while told[-1:] != ["restart"]:
            told.append(core.stdout.readline().strip())
            assert told[-1], (core.stderr or core.stdout).read()
    with running_daemon(tmp_path / "second", addresses=addresses):
        rest, errors = core.communicate(timeout=200)
    assert core.returncode == 0, errors
    assert rest.strip() == "the core and the daemon agree"
    report = json.loads(told[-2])
    assert report["pictures"] >= 10
    assert report["timed"] > 0
    assert report["jaw"] > 0.12
    assert report["loudest"] > 0.05
