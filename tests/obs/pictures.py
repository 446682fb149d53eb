"""Takes docs/images/obs-browser.jpg: what OBS's browser source gets, over a scene of colours.

    python -m tests.obs.pictures

Debian's OBS has no browser source, so the page that it would load is opened in Chromium with a
transparent background, and the picture is laid over colours here, as OBS would. Beside it, what the
virtual camera gets of the same face: 16:9 and opaque.
"""

import socket
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from rest_bridge.sinks.convert import FrameFitter
from tests.support.chromium import Chromium
from tests.support.page_daemon import PageDaemon

DOCS = Path(__file__).parents[2] / "docs" / "images"
SIDE = 512
SCENE = ((35, 60, 90), (48, 80, 120), (72, 110, 155), (104, 148, 184))


def over_colours(rgba: np.ndarray) -> np.ndarray:
    """Lay uint8 [H, W, 4] with straight alpha over four stripes; returns uint8 [H, W, 3]."""
    stripes = np.repeat(np.array(SCENE, np.float32), rgba.shape[0] // 4, axis=0)[:, None]
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return (rgba[..., :3] * alpha + stripes * (1 - alpha)).round().astype(np.uint8)


def main() -> None:
    """Take it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    more = ("--avatar", "luna", "--set", f"output.size={SIDE}", "--set", "generator.tier=full")
    with (
        tempfile.TemporaryDirectory() as folder,
        PageDaemon(Path(folder), port, *more) as daemon,
        Chromium() as chromium,
    ):
        page = chromium.open(f"{daemon.url}&source=1", width=SIDE, height=SIDE, transparent=True)
        page.wait_for("Number(document.getElementById('face').dataset.seq) > 3", 120)
        shots = []
        for _ in range(12):
            time.sleep(0.35)
            shots.append(page.screenshot())
    shot = max(shots, key=openness)
    camera = FrameFitter(1280, 720, background="#202428").rgb(shot)
    camera = cv2.resize(camera, (SIDE * 16 // 9, SIDE), interpolation=cv2.INTER_AREA)
    both = np.hstack((over_colours(shot), np.full((SIDE, 16, 3), 255, np.uint8), camera))
    bgr = cv2.cvtColor(both, cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(DOCS / "obs-browser.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, 85])


def openness(shot: np.ndarray) -> float:
    """Return how far the mouth is open: how much of the mouth's place is saturated red."""
    mouth = shot[SIDE * 6 // 10 : SIDE * 8 // 10, SIDE * 4 // 10 : SIDE * 6 // 10].astype(int)
    return float(((mouth[..., 0] - mouth[..., 1]) > 90).mean())


if __name__ == "__main__":
    main()
