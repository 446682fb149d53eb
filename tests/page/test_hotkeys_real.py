"""Hotkeys while another window has focus, on a real X server: Xvfb, keys pressed by xdotool."""

import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

_NEEDED = [tool for tool in ("Xvfb", "xdotool") if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(bool(_NEEDED), reason=f"not installed: {', '.join(_NEEDED)}"),
    pytest.mark.skipif(importlib.util.find_spec("pynput") is None, reason="no pynput (hotkeys)"),
]

PROGRAM = """
import sys, time
from pathlib import Path
from rest_bridge.page.hotkeys import Hotkeys
def run(op, body):
    print(op, sorted(body.items()), flush=True)
hotkeys = Hotkeys(run, lambda: {"muted": False}, Path(sys.argv[1]))
facts = hotkeys.set([
    {"keys": "<ctrl>+<alt>+h", "op": "expression", "body": {"name": "happy"}},
    {"keys": "<f9>", "op": "mute", "body": {}},
])
print("ready", facts["works"], facts["problem"], flush=True)
time.sleep(60)
"""


def test_keys_pressed_anywhere_do_what_they_were_set_to(tmp_path: Path) -> None:
    display = ":93"
    environment = {"DISPLAY": display, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    server = subprocess.Popen(
        ["Xvfb", display, "-screen", "0", "320x240x24"], stderr=subprocess.DEVNULL
    )
    program = None
    try:
        deadline = time.monotonic() + 30
        while not Path(f"/tmp/.X11-unix/X{display[1:]}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "keys.json")],
            env=environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert program.stdout is not None
        assert program.stdout.readline() == "ready True \n"
        time.sleep(1.0)  # its thread connects to the X server
        for keys in ("ctrl+alt+h", "F9"):
            subprocess.run(["xdotool", "key", keys], env=environment, check=True)
        assert program.stdout.readline() == "expression [('name', 'happy')]\n"
        assert program.stdout.readline() == "mute [('on', True)]\n"
    finally:
        for process in (program, server):
            if process is not None:
                process.terminate()
                process.wait(10)
        if program is not None and program.stdout is not None:
            program.stdout.close()
