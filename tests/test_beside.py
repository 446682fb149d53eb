"""What computes beside the face has limits, and is gone afterwards whatever happens."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from rest_bridge import beside
from rest_bridge.config import Config
from rest_bridge.errors import ConfigError


@pytest.mark.parametrize(
    ("number", "seconds"), [(0, 8.0), (10_000, 8.0), (1, 3600.0), (1, 0.0), (1, float("nan"))]
)
def test_more_than_a_computer_bears_is_refused(number: int, seconds: float) -> None:
    with pytest.raises(ConfigError, match="twice as many as there are cores"):
        beside.measure_beside(Config(), Path("x.wav"), num_processes=number, busy_s=seconds)


def test_nobody_is_left_when_the_measurement_fails() -> None:
    before = len(psutil.Process().children())

    def fail() -> None:
        with beside._others(2, 30.0):
            assert len(psutil.Process().children()) == before + 2
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert len(psutil.Process().children()) == before


@pytest.mark.skipif(os.name != "posix", reason="another parent is a POSIX notion")
def test_they_end_when_the_program_that_started_them_is_killed() -> None:
    code = (
        "import subprocess, sys, time\nfrom rest_bridge.beside import _GAME\n"
        "game = subprocess.Popen([sys.executable, '-c', _GAME, '30'])\n"
        "print(game.pid, flush=True)\ntime.sleep(30)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    game = psutil.Process(int(parent.stdout.readline()))
    time.sleep(0.3)  # it must have begun to compute
    parent.kill()
    parent.wait()
    parent.stdout.close()
    gone, _ = psutil.wait_procs([game], timeout=5)
    assert gone
