"""Latency with a sound server's virtual microphone: `rest-bridge bench`, with a voice in it."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from rest_bridge.audio.file import FileSource
from rest_bridge.gallery import FACES_PATH
from rest_bridge.types import VOICE_RATE_HZ
from tests.support.pulse import running_pulse

_SPOKEN_S = 8
_MORE_S = 90
"""For loading and the offline part of `bench`."""


def main(seconds: float, picture: Path | None, *, json: bool) -> int:
    """Measure and print; returns the exit code.

    Args:
        seconds: how long the live part takes.
        picture: where the histogram goes, .svg.
        json: print JSON.
    """
    with FileSource(FACES_PATH / "voice.flac", paced=False) as source:
        spoken = source.read(_SPOKEN_S * VOICE_RATE_HZ, 10.0).samples
    voice = np.tile(spoken, int((seconds + _MORE_S) / _SPOKEN_S) + 1)
    command = [sys.executable, "-m", "rest_bridge", "bench", "--audio", "rb_mic", "--seconds",
               str(seconds)]  # fmt: skip
    command += ["--picture", str(picture)] if picture is not None else []
    command += ["--json"] if json else []
    with running_pulse() as server:
        player = server.play(voice, "rb_micfeed")
        try:
            return subprocess.run(command, check=False).returncode
        finally:
            player.kill()
            player.wait()
