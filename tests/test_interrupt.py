"""Ctrl-C and SIGTERM at any moment: over within two seconds, and the recording can be played."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

ROOT = Path(__file__).resolve().parent.parent


def start(path: Path, stage: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.interruptible", str(path), stage],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    ("stage", "number", "wait_for"),
    [
        ("live", signal.SIGINT, "live"),
        ("live", signal.SIGTERM, "live"),
        ("loading", signal.SIGINT, "loading"),
        ("portrait", signal.SIGINT, "waiting"),
    ],
)
def test_signal_ends_the_daemon_within_two_seconds(tmp_path, stage, number, wait_for):
    path = tmp_path / "out.mp4"
    with start(path, stage) as process:
        assert process.stdout is not None
        while wait_for not in (line := process.stdout.readline()):
            assert line, "the process ended too early"
        process.send_signal(number)
        begin_s = time.monotonic()
        output, _ = process.communicate(timeout=20)
        took_s = time.monotonic() - begin_s
    assert "interrupted" in output
    assert "Traceback" not in output
    assert process.returncode == 0
    assert took_s < 2.5  # two seconds, and the interpreter's own end on a busy machine
    if stage != "portrait":
        with av.open(str(path)) as container:
            assert sum(1 for _ in container.decode(video=0)) >= 10
