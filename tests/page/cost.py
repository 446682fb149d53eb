"""What an open control page costs: bytes, and processor time of browser and daemon.

    python -m tests.page.cost [SECONDS]

Runs the real page over a synthetic stream of 512 x 512 at 25 frames a second, so that the face's
own computing does not count, and prints one line of JSON.
"""

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from rest_bridge.page.desk import STATIC, Desk
from rest_bridge.sinks.control import Operation
from rest_bridge.sinks.preview import PreviewServer
from rest_bridge.types import FrameFormat
from tests.support.chromium import Chromium
from tests.support.frames import make_frame

SIDE = 512
SHARED = Path(__file__).parents[2] / "rest_bridge/sinks/preview_page"


def weight() -> tuple[int, int]:
    """Return how many files a page in English loads, and their bytes."""
    files = [p for p in STATIC.iterdir() if p.suffix] + [STATIC / "lang" / "en.json"]
    files += [SHARED / name for name in ("calm.js", "stream.js", "voice.js", "wire.js", "icon.svg")]
    return len(files), sum(file.stat().st_size for file in files)


def busy_s(process: psutil.Process) -> float:
    """Return the processor time of a process and its children."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        times = one.cpu_times()
        total += times.user + times.system
    return total


def measure(seconds: float) -> dict[str, float]:
    """Return percent of one core, with the page shown, and with it hidden behind another tab."""
    status = {"fps": 25.0, "stages": {}, "outputs": [], "muted": False, "source": "", "avatar": ""}
    operations = {
        "status": Operation(lambda _b, _p: status),
        "page.hello": Operation(lambda _b, _p: {}),
    }
    server = PreviewServer(port=0, token="t")
    server.desk = Desk(operations)
    server.open(FrameFormat(SIDE, SIDE, 25.0))
    stop = threading.Event()

    def feed() -> None:
        picture = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 4), np.uint8)
        due, index = time.monotonic(), 0
        while not stop.wait(max(0.0, due - time.monotonic())):
            server.send(make_frame(index, rgba=picture))
            due, index = due + 0.04, index + 1

    feeder = threading.Thread(target=feed)
    feeder.start()
    found: dict[str, float] = {}
    try:
        with Chromium() as chromium:
            ours, theirs = psutil.Process(), psutil.Process(chromium.process.pid)
            page = chromium.open("about:blank", width=1280, height=900)

            def over(name: str) -> None:
                begin, mine, its = time.monotonic(), busy_s(ours), busy_s(theirs)
                time.sleep(seconds)
                took = (time.monotonic() - begin) / 100
                its_s, mine_s = busy_s(theirs) - its, busy_s(ours) - mine
                found[f"{name}_browser_percent"] = round(its_s / took, 1)
                found[f"{name}_daemon_percent"] = round((mine_s - its_s) / took, 1)

            time.sleep(3.0)
            over("no_page")
            page.call("Page.navigate", url=server.url)
            page.wait_for("Number(document.getElementById('face').dataset.seq) > 25", 120)
            over("open_page")
            found["shown_fps"] = page.evaluate(
                "Number(document.getElementById('fact-fps').innerText.match(/[0-9]+/)?.[0] ?? 0)"
            )
            page.evaluate("Object.defineProperty(document, 'hidden', { value: true });"
                          "document.dispatchEvent(new Event('visibilitychange'))")  # fmt: skip
            time.sleep(1.0)
            over("hidden_page")
    finally:
        stop.set()
        feeder.join(5)
        server.close()
    return found


def main() -> None:
    """Print the figures."""
    files, size = weight()
    found = measure(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
    load = psutil.getloadavg()[0]
    print(json.dumps({"files": files, "bytes": size, **found, "load": round(load, 1)}))  # noqa: T201


if __name__ == "__main__":
    main()
