import json
import os

import pytest

from rest_bridge.errors import SinkError, SinkUnavailable
from rest_bridge.rig import RIG_NAMES, VISEME_NAMES
from rest_bridge.sinks.rig_lines import RigLinesOutput, line
from tests.sinks.test_rig_values import face

INSTANT = face(level=0.25, viseme="oh", jawOpen=0.5)


def test_a_line_names_every_value():
    told = json.loads(line(INSTANT))
    assert list(told["rig"]) == list(RIG_NAMES)
    assert list(told["visemes"]) == list(VISEME_NAMES)
    assert told["rig"]["jawOpen"] == 0.5
    assert told["visemes"]["oh"] == 1
    assert told["level"] == 0.25
    assert "\n" not in line(INSTANT)


def test_lines_can_be_read_while_they_are_written(tmp_path):
    output = RigLinesOutput(str(tmp_path / "rig.jsonl"))
    output.open()
    output.emit(INSTANT)
    assert json.loads((tmp_path / "rig.jsonl").read_text())["rig"]["jawOpen"] == 0.5
    output.close()
    output.close()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SinkUnavailable, match=r"rig_lines\.target"):
        RigLinesOutput(str(tmp_path / "no" / "rig.jsonl")).open()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_without_a_reader_does_not_hold_the_daemon_up(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SinkUnavailable, match="nobody reads the pipe"):
        RigLinesOutput(str(tmp_path / "pipe")).open()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")  # noqa: PTH110
def test_a_full_disk_is_one_sentence():
    output = RigLinesOutput("/dev/full")
    output.open()
    with pytest.raises(SinkError, match="No space left"):
        output.emit(INSTANT)
    with pytest.raises(SinkError, match="No space left"):
        output.close()
