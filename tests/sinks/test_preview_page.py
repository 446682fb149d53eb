"""The preview page in a real headless Chromium: pixels with alpha, numbers, sound, reconnecting."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rest_bridge.sinks.preview import PreviewServer
from rest_bridge.types import SAMPLES_PER_FRAME, VOICE_RATE_HZ, ByteArray, FrameFormat
from tests.support.chromium import Chromium, find_chromium
from tests.support.frames import make_frame

pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium here (apt install chromium)"),
]

SIDE = 256
FORMAT = FrameFormat(SIDE, SIDE, 25.0)


def quarters() -> ByteArray:
    """Return red (opaque), green (half transparent), blue (opaque), nothing (transparent)."""
    rgba = np.zeros((SIDE, SIDE, 4), np.uint8)
    half = SIDE // 2
    rgba[:half, :half] = (255, 0, 0, 255)
    rgba[:half, half:] = (0, 255, 0, 128)
    rgba[half:, :half] = (0, 0, 255, 255)
    rgba[half:, half:] = (255, 255, 255, 0)
    return rgba


class Feeder:
    """Sends a picture at 25 fps until stopped; a server may come and go meanwhile."""

    def __init__(self, port: int = 0) -> None:
        self.server = PreviewServer(port=port, token="t")
        self.server.open(FORMAT)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        picture = quarters()
        index = 0
        while not self._stop.wait(0.04):
            self.server.send(make_frame(index, rgba=picture, captured_ns=time.monotonic_ns()))
            index += 1

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        self.server.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with Chromium() as chromium:
        yield chromium


@pytest.fixture
def feed() -> Iterator[Callable[..., Feeder]]:
    feeders: list[Feeder] = []

    def feed(port: int = 0) -> Feeder:
        feeders.append(Feeder(port))
        return feeders[-1]

    yield feed
    for feeder in feeders:
        feeder.close()


def centre(picture: ByteArray, row: int, column: int) -> list[int]:
    """Return the pixel in the middle of a quarter."""
    height, width = picture.shape[:2]
    return [int(v) for v in picture[height * (1 + 2 * row) // 4, width * (1 + 2 * column) // 4]]


def test_obs_source_is_only_the_face_with_its_alpha(
    chromium: Chromium, feed: Callable[..., Feeder]
) -> None:
    url = feed().server.url + "&source=1"
    page = chromium.open(url, width=SIDE, height=SIDE, transparent=True)
    page.wait_for("document.getElementById('face').dataset.seq > 5")
    shot = page.screenshot()
    assert shot.shape == (SIDE, SIDE, 4)
    assert centre(shot, 0, 0) == [255, 0, 0, 255]
    green = centre(shot, 0, 1)
    assert green[:3] == [0, 255, 0]
    assert abs(green[3] - 128) <= 1
    assert centre(shot, 1, 0) == [0, 0, 255, 255]
    assert centre(shot, 1, 1)[3] == 0
    assert page.problems == []


def test_page_shows_picture_numbers_and_state(
    chromium: Chromium, feed: Callable[..., Feeder]
) -> None:
    page = chromium.open(feed().server.url)
    page.wait_for("document.getElementById('face').dataset.seq > 50")
    text = page.evaluate(
        "Object.fromEntries(['activity','fps','delay','size','synthetic']"
        ".map(id => [id, document.getElementById(id).innerText.trim()]))"
    )
    assert text["activity"] == "speaking"
    assert text["size"] == f"{SIDE} × {SIDE}"
    # Wide enough for a machine that is busy with other things.
    assert 3 <= int(text["fps"]) <= 30
    assert 0 <= int(text["delay"].removesuffix(" ms")) < 2000
    assert "Synthetic" in text["synthetic"]
    assert page.evaluate("document.getElementById('notice').hidden")
    box = page.evaluate(
        "JSON.parse(JSON.stringify(document.getElementById('face').getBoundingClientRect()))"
    )
    shot = page.screenshot()
    x, y, side = int(box["x"]), int(box["y"]), int(box["width"])
    face = shot[y : y + side, x : x + side]
    assert centre(face, 0, 0) == [255, 0, 0, 255]
    checker = face[side * 3 // 4 : side * 3 // 4 + 60, side * 3 // 4 : side * 3 // 4 + 60, 0]
    assert len(np.unique(checker)) == 2, "the checkerboard shines through the transparent quarter"
    assert page.problems == []


def test_keys_change_backdrop_and_sound(chromium: Chromium, feed: Callable[..., Feeder]) -> None:
    page = chromium.open(feed().server.url)
    page.wait_for("document.getElementById('face').dataset.seq > 2")
    page.press("b")
    assert page.evaluate("document.getElementById('stage').dataset.backdrop") == "dark"
    page.wait_for("document.getElementById('stage').classList.contains('silent')")
    page.press("m")
    page.wait_for("document.getElementById('sound').getAttribute('aria-pressed') === 'true'")
    assert not page.evaluate("document.getElementById('stage').classList.contains('silent')")
    page.press("m")
    page.wait_for("document.getElementById('sound').getAttribute('aria-pressed') === 'false'")
    assert page.problems == []


def test_with_sound_the_picture_is_the_one_being_heard(
    chromium: Chromium, feed: Callable[..., Feeder]
) -> None:
    page = chromium.open(feed().server.url + "&voice=1")
    face = "document.getElementById('face').dataset"
    page.wait_for(f"Number({face}.heard) > {VOICE_RATE_HZ}", timeout_s=15)
    ages: list[float] = []
    for _ in range(20):
        heard, index = page.evaluate(f"[Number({face}.heard), Number({face}.index)]")
        ages.append((heard - index) / VOICE_RATE_HZ)
        time.sleep(0.05)
    # Each reading was taken when a picture was painted: its sound has begun, and where the browser
    # got the processor in time, at most a frame (and a paint) ago.
    frame_s = SAMPLES_PER_FRAME / VOICE_RATE_HZ
    assert min(ages) >= -0.001
    assert min(ages) <= frame_s + 0.02
    assert page.problems == []


def test_page_says_when_the_stream_is_gone_and_comes_back(
    chromium: Chromium, feed: Callable[..., Feeder]
) -> None:
    first = feed()
    port = first.server._port
    page = chromium.open(first.server.url)
    page.wait_for("document.getElementById('face').dataset.seq > 20")
    first.close()
    page.wait_for("!document.getElementById('notice').hidden")
    assert "No connection" in page.evaluate("document.getElementById('notice').textContent")
    page.wait_for("document.getElementById('stage').classList.contains('stale')")
    feed(port)
    page.wait_for("document.getElementById('notice').hidden", timeout_s=15)
    page.wait_for("!document.getElementById('stage').classList.contains('stale')")
    page.wait_for("document.getElementById('activity').dataset.state === 'speaking'")


def test_page_explains_a_new_token(chromium: Chromium, feed: Callable[..., Feeder]) -> None:
    first = feed()
    port = first.server._port
    page = chromium.open(first.server.url)
    page.wait_for("document.getElementById('face').dataset.seq > 0")
    first.close()
    second = PreviewServer(port=port, token="another")
    second.open(FORMAT)
    try:
        page.wait_for("document.getElementById('notice').textContent.includes('new address')")
    finally:
        second.close()


def test_every_golden_message_is_read_by_the_pages_decoder(
    chromium: Chromium, feed: Callable[..., Feeder]
) -> None:
    import json
    from pathlib import Path

    folder = Path(__file__).parents[1] / "golden" / "wire"
    index = json.loads((folder / "index.json").read_text())
    page = chromium.open(feed().server.url)
    page.wait_for("document.getElementById('face').dataset.seq > 0")
    for name, entry in index.items():
        data = (folder / f"{name}.bin").read_bytes().hex()
        got = page.evaluate(
            "import('/wire.js').then(({ decode }) => {"
            f"const bytes = Uint8Array.from('{data}'.match(/../g), (h) => parseInt(h, 16));"
            "const { topic, header, payload } = decode(bytes.buffer);"
            "const hex = [...payload].map((b) => b.toString(16).padStart(2, '0')).join('');"
            "return { topic, header, payload_hex: hex, bytes: bytes.length }; })"
        )
        assert got == entry, name
