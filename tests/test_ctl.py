"""`rest-bridge ctl` on a live daemon of stand-ins: answers, exit codes, completion, or nobody."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from rest_bridge import cli
from rest_bridge.commands import asking
from rest_bridge.commands.console import ExitCode
from rest_bridge.commands.watching import status_lines
from rest_bridge.sound.health import DeviceHealth
from tests.test_switching import Live

NOBODY = "tcp://127.0.0.1:9"


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as live:
        yield live


@pytest.fixture
def endpoint(live: Live) -> str:
    return live.client._control_endpoint


@pytest.fixture
def ctl(endpoint: str, capsys: pytest.CaptureFixture[str]):
    def run(*words: str) -> tuple[int, str, str]:
        code = cli.run(["ctl", *words, "--endpoint", endpoint])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_status_names_face_tier_and_stages(ctl):
    code, out, _ = ctl("status")
    assert code == ExitCode.OK
    for word in ("live", "tier      full", "latency", "look_ahead", "pacer", "output    screen"):
        assert word in out
    code, out, _ = ctl("status", "--json")
    assert json.loads(out)["phase"] == "live"


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({"locked": True, "ppm": -41.6, "error_ms": 0.42},
         "voice in  Yeti: clock -42 ppm, +0.4 ms off"),
        ({}, "voice in  Yeti: its clock is being learnt"),
        ({"lost": True, "losses": 1}, "voice in  Yeti: gone, it is opened again when it is back"),
        ({"losses": 2, "note": "It is muted."},
         "voice in  Yeti: its clock is being learnt, was gone 2 times. It is muted."),
        ({"role": "camera", "name": "/dev/video10", "losses": 1},
         "camera    /dev/video10: open, was gone once"),
    ],
)  # fmt: skip
def test_status_says_of_each_device_how_it_does(ctl, facts, line):
    _, out, _ = ctl("status", "--json")
    device = asdict(DeviceHealth("voice in", "Yeti")) | facts
    assert status_lines(json.loads(out) | {"devices": [device]})[-1] == line


def test_face_is_changed_and_listed(ctl, live):
    code, out, _ = ctl("avatar", "2", "--json")
    assert code == ExitCode.OK
    assert json.loads(out)["id"] == "face-2"
    _, out, _ = ctl("avatars")
    assert "* 2" in out
    code, _, err = ctl("avatar", "broken")
    assert code == ExitCode.FAILED
    assert "No face was found" in err
    assert ctl("avatar", "1", "--import")[0] == ExitCode.OK


def test_expression_with_strength_or_mixture_gaze_and_reset(ctl):
    _, out, _ = ctl("expression", "happy", "0.8", "--json")
    assert json.loads(out)["expression"] == {"happy": 0.8}
    _, out, _ = ctl("expression", "sad=0.5,brow=-0.2", "--gaze", "0.3,-0.1", "--json")
    assert json.loads(out)["expression"] == {"sad": 0.5, "brow": -0.2}
    assert json.loads(out)["gaze"] == [0.3, -0.1]
    _, out, _ = ctl("expression", "--reset")
    assert "expression: neutral" in out
    assert ctl("expression", "hungry")[0] == ExitCode.FAILED
    assert ctl("expression", "happy=much")[0] == ExitCode.USAGE
    assert ctl("expression", "--gaze", "up")[0] == ExitCode.USAGE


def test_mute_pause_and_push_to_talk(ctl):
    assert json.loads(ctl("mute", "on", "--json")[1])["muted"]
    assert not json.loads(ctl("mute", "off", "--json")[1])["muted"]
    assert json.loads(ctl("pause", "on", "--idle", "--json")[1])["pause_shows"] == "idle"
    assert not json.loads(ctl("pause", "off", "--json")[1])["paused"]
    assert json.loads(ctl("push-to-talk", "on", "--json")[1])["silent"]
    assert json.loads(ctl("talk", "30", "--json")[1])["held"]
    assert not json.loads(ctl("talk", "0", "--json")[1])["held"]
    ctl("push-to-talk", "off")
    code, _, err = ctl("mute", "of")
    assert code == ExitCode.USAGE
    assert "say on or off" in err


def test_voice_camera_and_recording(ctl, live, tmp_path: Path):
    assert json.loads(ctl("source", "soft", "--json")[1]) == {"source": "stand-in"}
    code, _, err = ctl("source", "broken")
    assert (code, "no microphone" in err) == (ExitCode.FAILED, True)
    out = ctl("camera", "start", "--set", "mirror=true", "--set", "width=640", "--json")[1]
    assert json.loads(out)["running"]
    assert live.graph.outlet is not None
    running = live.daemon._outputs.outlet("camera")
    assert running is not None
    assert dict(running.settings) == {"mirror": True, "width": 640}
    assert not json.loads(ctl("camera", "stop", "--json")[1])["running"]
    take = tmp_path / "take.mp4"
    assert json.loads(ctl("record", "start", str(take), "--json")[1])["path"] == str(take)
    assert not json.loads(ctl("record", "stop", "--json")[1])["running"]
    assert ctl("output", "begin", "camera")[0] == ExitCode.USAGE


def test_configuration_can_be_read(ctl):
    assert ctl("config")[0] == ExitCode.OK


def test_no_daemon_is_one_sentence_with_the_remedy(capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setattr("rest_bridge.commands.control.ask", quick_ask)
    code = cli.run(["ctl", "mute", "on", "--endpoint", NOBODY])
    said = capsys.readouterr()
    assert code == ExitCode.FAILED
    assert "No daemon answers at tcp://127.0.0.1:9" in said.err
    assert "rest-bridge run" in said.err


def quick_ask(operation, body=None, **options):
    return asking.ask(operation, body, **{**options, "timeout_s": 0.05})


def test_names_are_completed_by_the_daemon(endpoint: str, monkeypatch):
    ask = asking.ask
    monkeypatch.setattr(asking, "ask", lambda op, **o: ask(op, **{**o, "endpoint": endpoint}))
    assert {"1", "2"} <= set(asking.complete_avatar(""))
    assert asking.complete_expression("ha") == ["happy"]
    assert asking.complete_output("cam") == ["camera"]


def test_completion_without_a_daemon_is_empty_not_an_error(monkeypatch):
    monkeypatch.setattr(asking, "_COMPLETION_S", 0.05)
    ask = asking.ask
    monkeypatch.setattr(asking, "ask", lambda op, **o: ask(op, **{**o, "endpoint": NOBODY}))
    assert asking.complete_avatar("lu") == []
    assert asking.complete_source("mi") == []


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["mirror=true", "fps=30"], {"mirror": True, "fps": 30}),
        (["gain_db=-3.5", "background=#102030"], {"gain_db": -3.5, "background": "#102030"}),
    ],
)
def test_values_become_what_they_say(words, values):
    assert asking.parse_values(words) == values
