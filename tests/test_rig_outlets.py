import json
import subprocess
import sys

import pytest

from rest_bridge.config import Config
from rest_bridge.metrics import Metrics
from rest_bridge.outlets import OUTLETS
from rest_bridge.rig import RIG_NAMES


@pytest.mark.parametrize("name", ["vmc", "live_link", "vtube_studio", "rig_lines"])
def test_rig_outputs_are_made_only_where_they_are_wanted(name):
    assert OUTLETS[name](Config(), None, Metrics()) is None  # type: ignore[arg-type]
    section = type(getattr(Config(), name))(enabled=True, path="fast")
    made = OUTLETS[name](Config(**{name: section}), None, Metrics())  # type: ignore[arg-type]
    assert made is not None
    sink, opened = made
    assert sink.name == name
    assert sink.path == "fast"  # type: ignore[attr-defined]
    assert opened()


def test_a_program_reads_the_face_from_standard_output():
    command = [
        sys.executable, "-m", "rest_bridge", "run", "--audio", "rest_bridge/faces/voice.flac",
        "--rig", "lines", "--seconds", "3", "--size", "128",
        "--set", "endpoints.enabled=false", "--set", "preview.enabled=false",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    faces = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(faces) > 50
    times = [face["time"] for face in faces]
    assert times == pytest.approx([times[0] + i / 25 for i in range(len(times))], abs=2e-6)
    assert set(faces[0]["rig"]) == set(RIG_NAMES)


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--rig", "vmcx"], "live-link"), (["--rig", "lines", "--json"], "standard output")],
)
def test_what_cannot_be_is_one_sentence(options, said):
    command = [sys.executable, "-m", "rest_bridge", "run", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
