"""What the README says is so: its subscriber runs, its commands, options, keys and files exist."""

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rest_bridge import cli
from rest_bridge.config import key_names
from rest_bridge.sinks.publisher import ZeroMqPublisher
from rest_bridge.types import FrameFormat
from tests.support.frames import make_frame

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LATER = {"docs/images/hero.png", "plugins/PROTOCOL.md", "rest_bridge/models/nano/MODEL_CARD.md"}
"""Files of other owners, which may come after this test."""


def test_the_subscriber_of_the_readme_runs_as_it_stands(free_port: Callable[[], int]) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in script.splitlines() if line.strip()]) <= 21
    frames, events = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    script = script.replace("tcp://127.0.0.1:5570", frames).replace("tcp://127.0.0.1:5571", events)
    publisher = ZeroMqPublisher(frames_endpoint=frames, events_endpoint=events)
    publisher.open(FrameFormat(64, 48, 25.0))
    done = threading.Event()

    def publish() -> None:
        index = 0
        while not done.wait(0.01):
            publisher.send(make_frame(index))
            index += 1

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        ran = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=30
        )
    finally:
        done.set()
        thread.join()
        publisher.close()
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) == 50
    assert all(line.endswith("(48, 64, 4) 1920") for line in lines)


@pytest.mark.parametrize("name", re.findall(r"\]\(((?!http|#)[^)]+)\)", README))
def test_every_file_that_the_readme_links_is_here(name: str) -> None:
    if name in LATER and not (ROOT / name).exists():
        pytest.skip(f"{name} is still to come")
    assert (ROOT / name).exists()


def test_every_key_that_the_readme_names_exists() -> None:
    sections = {key.partition(".")[0] for key in key_names()}
    named = re.findall(r"\b([a-z_]+)\.([a-z_]+)\b", README)
    keys = {f"{s}.{k}" for s, k in named if s in sections} - {"preview.port", "audio.mp"}
    assert keys <= set(key_names())


def test_every_command_and_option_that_the_readme_shows_exists(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = re.findall(r"\./rest-bridge (.+?)(?:`|#|\n)", README)
    assert len(lines) > 8
    for line in lines:
        words = line.split() or ["start"]  # without a command
        if words[0] in ("test", "lint"):
            continue
        command = words[:2] if words[0] in ("config", "avatar", "obs") else words[:1]
        capsys.readouterr()
        assert cli.run([*command, "--help"]) == 0, line
        shown = capsys.readouterr().out
        for option in re.findall(r"--[a-z-]+", line):
            assert option in shown, line
