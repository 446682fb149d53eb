"""plugins/godot in a real game engine: Godot 3 under Xvfb, against a real daemon."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rest_bridge.client import BridgeClient
from tests.support.daemon import Daemon, running_daemon

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "plugins" / "godot"
GOLDEN = ROOT / "tests" / "golden" / "wire"

pytestmark = pytest.mark.device


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def environment(home: Path) -> dict[str, str]:
    """Return one in which Godot draws by the processor and writes nothing outside `home`."""
    return {**os.environ, "HOME": str(home), "LIBGL_ALWAYS_SOFTWARE": "1"}


def run_script(name: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a script of the addon's tests without a screen, on the golden messages."""
    return subprocess.run(
        ["godot3-server", "--path", PROJECT, "--script", f"res://tests/{name}.gd", GOLDEN],
        capture_output=True, text=True, timeout=120, env=environment(home),
    )  # fmt: skip


@needs("godot3-server")
def test_the_addon_decodes_every_golden_message_and_no_cut_of_one(tmp_path: Path) -> None:
    done = run_script("golden", tmp_path)
    messages = len(json.loads((GOLDEN / "index.json").read_text()))
    assert f"golden: {messages} messages, 0 failures" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
    assert "SCRIPT ERROR" not in done.stdout + done.stderr


@needs("godot3-server")
def test_the_game_takes_while_the_thread_leaves(tmp_path: Path) -> None:
    done = run_script("hammer", tmp_path)
    assert "some taken" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
    assert "_ref" not in done.stdout + done.stderr


@dataclass
class Played:
    """What the demo has shown, what it said of it, and the daemon's pictures beside."""

    report: dict[str, Any]
    sent: dict[tuple[str, int], str]
    folder: Path
    output: str


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("daemon")
    with running_daemon(folder, avatar="theo", speech=True, size=256) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def played(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("godot")
    sent: dict[tuple[str, int], str] = {}
    over = threading.Event()

    def listen() -> None:
        with BridgeClient(frames=daemon.frames, events="", control="") as client:
            while not over.is_set():
                frame = client.frame(0.2)
                if frame is not None:
                    key = (frame.stamp.stream_id, frame.stamp.sequence)
                    sent[key] = hashlib.sha256(frame.payload).hexdigest()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        done = subprocess.run(
            ["xvfb-run", "-a", "-s", "-screen 0 1024x600x24", "godot3", "--path", PROJECT,
             "res://tests/probe.tscn", "--video-driver", "GLES2", "--audio-driver", "Dummy",
             f"--rb-frames={daemon.frames}", f"--rb-events={daemon.events}",
             f"--rb-control={daemon.control}", f"--rb-speech={daemon.speech}",
             f"--probe-out={folder}"],
            capture_output=True, text=True, timeout=150, env=environment(folder),
        )  # fmt: skip
    finally:
        over.set()
        listener.join()
    output = done.stdout + done.stderr
    assert (folder / "report.json").exists(), output
    return Played(json.loads((folder / "report.json").read_text()), sent, folder, output)


@needs("godot3", "xvfb-run")
class TestTheDemo:
    """An innkeeper who says two lines, is asked again and interrupted."""

    def test_it_plays_to_its_end_without_an_error_of_a_script(self, played: Played) -> None:
        assert played.report["done"], played.output
        assert not re.search("SCRIPT ERROR|Parse Error", played.output), played.output

    def test_the_pictures_in_the_game_are_the_daemons_byte_by_byte(self, played: Played) -> None:
        shown = {(p["stream"], int(p["seq"])): p["sha256"] for p in played.report["pictures"]}
        both = shown.keys() & played.sent.keys()
        assert len(both) >= 10
        assert all(shown[key] == played.sent[key] for key in both)
        assert len(set(shown.values())) >= 10  # the face moves

    def test_each_picture_is_the_one_of_the_sample_that_is_heard(self, played: Played) -> None:
        timed = [p for p in played.report["pictures"] if p["heard"] >= 0]
        assert len(timed) >= 10
        for picture in timed:
            assert picture["index"] <= picture["heard"] or picture["index"] == picture["first"]
            next_index = picture["index"] + 1920
            assert next_index > picture["heard"] or picture["index"] == picture["last"] or (
                # a picture that was lost on the way leaves a hole
                next_index not in {p["index"] for p in played.report["pictures"]}
            )  # fmt: skip

    def test_the_mouth_opens_on_the_screen(self, played: Played) -> None:
        jaws = [picture["jaw"] for picture in played.report["pictures"]]
        assert max(jaws) > 0.12
        idle, speaking = (
            cv2.imread(str(played.folder / f"{name}.png")).astype(int)
            for name in ("idle", "speaking")
        )
        assert idle.shape == speaking.shape
        changed = np.abs(idle - speaking).max(axis=2) > 24
        mouth, window = changed[288:318, 308:352], changed[60:330, 570:720]
        assert mouth.mean() > 0.08
        assert window.mean() == 0  # behind the face nothing changes

    def test_the_face_is_cut_out_before_the_games_background(self, played: Played) -> None:
        screen = cv2.imread(str(played.folder / "idle.png"))
        wall = (0.11 * 255, 0.13 * 255, 0.18 * 255)
        beside = screen[60:90, 60:560].reshape(-1, 3)  # inside the picture's square, above it
        assert np.abs(beside - np.array(wall)).max() <= 2
        assert np.abs(screen[300:330, 300:360].astype(int) - np.array(wall)).max() > 40

    def test_lines_start_pass_their_mark_and_end(self, played: Played) -> None:
        events = played.report["events"]
        lines = list(dict.fromkeys(event["line"] for event in events))
        of = {line: [e for e in events if e["line"] == line] for line in lines}
        for line in lines[:2]:
            assert [e["event"] for e in of[line]] == ["started", "mark", "finished"]
            assert of[line][1]["mark"] == "nod"
            assert of[line][1]["at_s"] == pytest.approx(0.4, abs=0.001)
            assert not of[line][2]["interrupted"]
        assert [e["interrupted"] for e in events if e["event"] == "finished"][2:] == [True, True]
        assert all(reply["ok"] for reply in played.report["replies"])
        assert played.report["pictures"][-1]["epoch"] > played.report["pictures"][0]["epoch"]
