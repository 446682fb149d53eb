"""The browser source `?source=1` in a real Chromium: alpha, size, voice, coming back."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rest_bridge.sinks.preview import PreviewServer
from rest_bridge.types import ByteArray, FrameFormat, StreamActivity
from tests.support.chromium import Chromium, find_chromium
from tests.support.frames import make_frame

pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium here (apt install chromium)"),
]

SIDE = 128
SILENT, SPEAKING = (200, 30, 60, 160), (20, 220, 90, 255)
FACE = "document.getElementById('face').dataset"


class Stream:
    """Half transparent red while silent, opaque green while speaking; nothing in the right half."""

    def __init__(self, port: int = 0) -> None:
        self.server = PreviewServer(port=port, token="t")
        self.server.open(FrameFormat(SIDE, SIDE, 25.0))
        self.activity: StreamActivity = "idle"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def port(self) -> int:
        return self.server._port

    def url(self, more: str = "") -> str:
        return f"{self.server.url}&source=1{more}"

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        self.server.close()

    def _run(self) -> None:
        index = 0
        while not self._stop.wait(0.04):
            picture = np.zeros((SIDE, SIDE, 4), np.uint8)
            picture[:, : SIDE // 2] = SPEAKING if self.activity == "speaking" else SILENT
            self.server.send(make_frame(index, rgba=picture, activity=self.activity))
            index += 1


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with Chromium() as chromium:
        yield chromium


@pytest.fixture
def stream() -> Iterator[Callable[..., Stream]]:
    streams: list[Stream] = []

    def begin(port: int = 0) -> Stream:
        streams.append(Stream(port))
        return streams[-1]

    yield begin
    for made in streams:
        made.close()


def pixel(shot: ByteArray, across: float, down: float = 0.5) -> list[int]:
    height, width = shot.shape[:2]
    return [int(v) for v in shot[int(down * height), int(across * width)]]


def close_to(found: list[int], wanted: tuple[int, int, int, int]) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 2


@pytest.mark.parametrize(("width", "height"), [(640, 640), (800, 300), (300, 500)])
def test_it_fills_the_source_without_stretching(chromium, stream, width, height):
    page = chromium.open(stream().url(), width=width, height=height, transparent=True)
    page.wait_for(f"Number({FACE}.seq) > 3")
    shot = page.screenshot()
    assert shot.shape[:2] == (height, width)
    face = min(width, height)
    left = (width - face) / 2 + face / 4
    assert close_to(pixel(shot, left / width), SILENT)
    assert pixel(shot, ((width + face / 2) / 2) / width)[3] == 0, "its right half is transparent"
    beside = (0.02, 0.5) if width > height else (0.5, 0.02)
    assert width == height or pixel(shot, *beside)[3] == 0, "nothing beside it"
    assert page.evaluate("document.body.scrollHeight <= innerHeight")
    assert page.problems == []


def test_without_a_stream_the_silent_face_stays_and_the_stream_comes_back(chromium, stream):
    first = stream()
    port = first.port
    page = chromium.open(first.url(), width=SIDE, height=SIDE, transparent=True)
    page.wait_for(f"Number({FACE}.seq) > 8")
    first.activity = "speaking"
    seq = int(page.evaluate(f"{FACE}.seq"))
    page.wait_for(f"Number({FACE}.seq) > {seq} + 8")
    assert close_to(pixel(page.screenshot(), 0.25), SPEAKING)
    first.close()
    page.wait_for(f"{FACE}.calm !== undefined")
    rest = page.screenshot()
    assert close_to(pixel(rest, 0.25), SILENT), "not with an open mouth"
    assert pixel(rest, 0.75)[3] == 0
    time.sleep(2.0)  # longer than a stream counts as stale
    np.testing.assert_array_equal(page.screenshot(), rest, "no notice, no fading, nothing moves")
    again = stream(port)
    again.activity = "speaking"
    page.wait_for(f"{FACE}.calm === undefined && Number({FACE}.seq) > 3", timeout_s=15)
    assert close_to(pixel(page.screenshot(), 0.25), SPEAKING)


def test_it_asks_less_and_less_often_while_the_daemon_is_away(chromium, stream):
    first = stream()
    page = chromium.open(first.url(), width=SIDE, height=SIDE)
    page.wait_for(f"Number({FACE}.seq) > 2")
    page.evaluate(
        "window.tries = []; const Real = WebSocket; window.WebSocket = class extends Real {"
        " constructor(...a) { window.tries.push(performance.now()); super(...a); } }"
    )
    first.close()
    page.wait_for("window.tries.length >= 4", timeout_s=10)
    tries = page.evaluate("window.tries")
    gaps = np.diff(tries)
    assert all(later > 1.5 * sooner for sooner, later in itertools.pairwise(gaps)), gaps


def test_voice_is_played_only_where_it_is_asked_for(chromium, stream):
    running = stream()
    silent = chromium.open(running.url(), width=SIDE, height=SIDE)
    silent.wait_for(f"Number({FACE}.seq) > 10")
    assert silent.evaluate(f"{FACE}.heard") == ""
    assert not any(viewer.wants_voice for viewer in running.server._all_viewers())
    speaking = chromium.open(running.url("&voice=1"), width=SIDE, height=SIDE)
    speaking.wait_for(f"Number({FACE}.heard) > 4800", timeout_s=15)
    assert sum(viewer.wants_voice for viewer in running.server._all_viewers()) == 1
    assert speaking.problems == []
