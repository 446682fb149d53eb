"""The native source in time: lips with the voice in OBS's own recording, and how soon it shows."""

import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("simpleobsws", reason="not installed: rest-bridge[obs]")

from rest_bridge.flash import find_clicks, is_flash, rising
from rest_bridge.obs.link import ObsRefused
from rest_bridge.sync_rows import LIMIT_MS, pair
from rest_bridge.types import VOICE_RATE_HZ, ByteArray
from tests.support.face_daemon import FaceDaemon, click, flash_picture
from tests.support.obs import SCENE, Obs

pytestmark = pytest.mark.device
SIZE = 360
DARK, BRIGHT = flash_picture(SIZE, bright=False), flash_picture(SIZE, bright=True)


@pytest.fixture(scope="module")
def obs(plugin: Path, network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Obs]:
    with Obs(tmp_path_factory.mktemp("obs"), plugin, canvas=(SIZE, SIZE), fps=30) as running:
        yield running


def flashing(index: int) -> ByteArray:
    return BRIGHT if index % 25 in (0, 1) else DARK


def record(obs: Obs, seconds: float) -> Path:
    """Let OBS record; returns the file."""
    obs.ask("StartRecord")
    time.sleep(seconds)
    path = Path(obs.ask("StopRecord")["outputPath"])
    deadline = time.monotonic() + 20
    while obs.ask("GetRecordStatus")["outputActive"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return path


def read_recording(path: Path) -> list[float]:
    """Return how much later than its flash each click comes in a file, in milliseconds."""
    bright: list[bool] = []
    times: list[float] = []
    pieces: list[np.ndarray] = []
    with av.open(str(path)) as file:
        first_s: float | None = None
        for frame in file.decode(audio=0):
            first_s = float(frame.time) if first_s is None else first_s
            pieces.append(np.asarray(frame.to_ndarray(), np.float32).mean(0))
    with av.open(str(path)) as file:
        for picture in file.decode(video=0):
            bright.append(is_flash(picture.to_ndarray(format="rgb24")))
            times.append(float(picture.time))
    voice = np.concatenate(pieces)
    clicks = [(first_s or 0.0) + place / VOICE_RATE_HZ for place in find_clicks(voice)]
    return [1000 * offset_s for offset_s in pair(clicks, [times[i] for i in rising(bright)])]


def tell(text: str) -> None:
    sys.stdout.write(text + "\n")


def test_a_recording_has_picture_and_voice_within_20_ms(obs: Obs) -> None:
    with FaceDaemon(flashing, click):
        obs.add_source("clicks")
        obs.wait_for_line("connected")
        time.sleep(1.5)
        offsets_ms = read_recording(record(obs, 9.0))
        obs.ask("RemoveInput", inputName="clicks")
    tell_offsets("native source", offsets_ms)
    assert len(offsets_ms) >= 6
    assert abs(statistics.median(offsets_ms)) <= LIMIT_MS


def tell_offsets(what: str, offsets_ms: list[float]) -> None:
    tell(
        f"{what} in OBS's recording: sound after picture by {statistics.median(offsets_ms):+.1f} "
        f"ms ({min(offsets_ms):+.1f}..{max(offsets_ms):+.1f}, {len(offsets_ms)} clicks)"
    )


def numbered(index: int) -> ByteArray:
    """Return a picture that says its number: 12 bits as black and white columns."""
    picture = DARK.copy()
    for bit in range(12):
        if index >> bit & 1:
            picture[:, bit * 30 : bit * 30 + 30] = 255
    return picture


def number_of(shot: ByteArray) -> int:
    return sum(int(shot[SIZE // 2, bit * 30 + 15, 0] > 128) << bit for bit in range(12))


@pytest.mark.parametrize(
    "latency",
    ["balanced", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("low", "smooth"))],
)
def test_how_long_from_publishing_to_the_program(obs: Obs, latency: str) -> None:
    held_ms = {"low": 15, "balanced": 40, "smooth": 150}[latency]
    ages_ms = []
    with FaceDaemon(numbered) as daemon:
        obs.add_source("numbers", latency=latency)
        obs.wait_for_line("connected")
        time.sleep(1.0)
        for _ in range(25):
            try:
                number = number_of(obs.screenshot(SCENE))
            except ObsRefused:
                continue
            now_ns = time.monotonic_ns()
            ages_ms.append((now_ns - dict(daemon.published)[number]) / 1e6)
            time.sleep(0.013)
        obs.ask("RemoveInput", inputName="numbers")
    tell(
        f"{latency}: publish to screenshot in hand, median {statistics.median(ages_ms):.0f} ms "
        f"({min(ages_ms):.0f}..{max(ages_ms):.0f}), of which {held_ms} are held back"
    )
    assert min(ages_ms) >= held_ms - 25  # half a tick early, and a frame is 40 ms long
    assert statistics.median(ages_ms) < held_ms + 150
