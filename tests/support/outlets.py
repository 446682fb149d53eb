"""Outlets as others see them, for the click-and-flash tests: a camera's driver, a real browser."""

import threading
import time
from pathlib import Path

import pytest

from rest_bridge import sync
from rest_bridge.flash import is_flash, rising
from rest_bridge.graph import Outlet
from rest_bridge.sinks.preview import PreviewServer
from rest_bridge.sinks.virtual_camera import VirtualCamera
from tests.support.chromium import Chromium
from tests.support.fakev4l2 import FakeDevice, build

WIDTH, HEIGHT = 64, 48


def stand_in_camera(
    tmp_path: Path, patch: pytest.MonkeyPatch, fps: int = 30
) -> tuple[VirtualCamera, FakeDevice]:
    """Return a camera of 64 x 48 on the stand-in for the driver, and what reaches it."""
    library = build(tmp_path)
    fake = FakeDevice("/dev/video10", tmp_path / "frames.bin")
    for name, value in (
        ("LD_PRELOAD", str(library)),
        ("FAKE_V4L2_DEV", fake.path),
        ("FAKE_V4L2_SINK", str(fake.sink)),
    ):
        patch.setenv(name, value)
    camera = VirtualCamera(
        device=fake.path, width=WIDTH, height=HEIGHT, fps=fps, background="black"
    )
    return camera, fake


def camera_flashes_s(fake: FakeDevice, since_ns: int) -> list[float]:
    """Return when flashes reached the camera, in seconds of the monotonic clock."""
    records = [record for record in fake.records() if record.written_ns > since_ns]
    lit = [is_flash(record.data[: WIDTH * HEIGHT].reshape(HEIGHT, WIDTH)) for record in records]
    return [records[i].written_ns / 1e9 for i in rising(lit)]


FLASH_TIMES = """
window.flashes = [];
(() => {
  const canvas = document.getElementById('face');
  const small = document.createElement('canvas');
  small.width = small.height = 1;
  const look = small.getContext('2d', { willReadFrequently: true });
  let lit = false;
  const step = () => {
    look.drawImage(canvas, 0, 0, 1, 1);
    const now = look.getImageData(0, 0, 1, 1).data[0] > 128;
    if (now && !lit) window.flashes.push(performance.timeOrigin + performance.now());
    lit = now;
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})()
"""


class PreviewListener:
    """A real browser that plays the voice to the default output and shows the pictures."""

    def __init__(self, monitor: str) -> None:
        self._sink = PreviewServer(port=0, token="t")
        self._monitor = monitor
        self._browser = Chromium(mute=False)
        self._stop = threading.Event()
        self._flashes: list[float] = []

    def outlets(self) -> list[Outlet]:
        return [Outlet(self._sink, required=False)]

    def start(self) -> None:
        self._ear = sync.Ear(self._monitor)
        deadline_s = time.monotonic() + 20.0
        while ":0/" in self._sink.url and time.monotonic() < deadline_s:  # not open yet
            time.sleep(0.05)
        self._page = self._browser.open(self._sink.url + "&view=1&voice=1", width=500, height=500)
        self._page.wait_for("Number(document.getElementById('face').dataset.heard) > 0", 40)
        self._page.evaluate(FLASH_TIMES)

    def finish(self, since_ns: int) -> list[sync.Taken]:
        wall_ms = self._page.evaluate("window.flashes") or []
        to_monotonic_s = self._to_monotonic_s()
        flashes_s = [ms / 1000 + to_monotonic_s for ms in wall_ms]
        since_s = max(since_ns / 1e9, min(flashes_s, default=0.0) + 2.0)
        clicks_s = [at for at in self._ear.finish() if at > since_s]
        return [
            sync.Taken(
                "preview",
                "Chromium's sound against its canvas",
                clicks_s,
                [at for at in flashes_s if at > since_s],
            )
        ]

    def _to_monotonic_s(self) -> float:
        """Return our clock less the page's, which began by a wall clock that may be set since."""
        asked = []
        for _ in range(20):
            before_s = time.monotonic()
            page_s = self._page.evaluate("performance.timeOrigin + performance.now()") / 1000
            after_s = time.monotonic()
            asked.append((after_s - before_s, (before_s + after_s) / 2 - page_s))
        return min(asked)[1]

    def close(self) -> None:
        self._browser.__exit__()
