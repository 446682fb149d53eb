"""A real daemon as a newcomer starts it, `rest-bridge start`, in a home of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.support.daemon import free_ports

TOKEN = "page-test"


class PageDaemon:
    """One process; a context manager. `url` is the page's address."""

    def __init__(self, home: Path, port: int, *more: str) -> None:
        self.home = home
        self.port = port
        self.url = f"http://127.0.0.1:{port}/?token={TOKEN}"
        home.mkdir(parents=True, exist_ok=True)
        self.log = home / "log.txt"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("REST_BRIDGE_")}
        homes = {name: str(home / name.lower()) for name in
                 ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}  # fmt: skip
        frames, events = free_ports(2)
        settings = {
            "preview.port": port,
            "preview.token": TOKEN,
            "endpoints.enabled": "false",
            "endpoints.frames": f"tcp://127.0.0.1:{frames}",
            "endpoints.events": f"tcp://127.0.0.1:{events}",
            "output.size": 256,
            "generator.tier": "sparse",
        }
        words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rest_bridge", "start", "--no-browser", *words, *more],
                env=kept | homes | {"XDG_VIDEOS_DIR": str(home / "videos"), "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,  # a share of the processor of its own, as on a real desktop
            )

    def __enter__(self) -> "PageDaemon":
        deadline = time.monotonic() + 180.0  # a busy machine
        while "Preview: " not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
