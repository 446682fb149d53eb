"""A real headless Chromium, driven over its debugging port: no driver packages, no network."""

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from websockets.sync.client import ClientConnection, connect

from rest_bridge.types import ByteArray

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--no-default-browser-check",
    "--autoplay-policy=no-user-gesture-required",
    "--force-device-scale-factor=1",
    "--force-color-profile=srgb",
    "--remote-debugging-port=0",
)


def find_chromium() -> str | None:
    """Return the path of a Chromium, or None."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One browser process; a context manager."""

    def __init__(self, *, mute: bool = True) -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix="rest-bridge-chromium-", ignore_cleanup_errors=True
        )
        binary = find_chromium()
        assert binary is not None
        flags = [*_FLAGS, f"--user-data-dir={self._folder.name}"]
        self.process = subprocess.Popen(
            [binary, *flags, *["--mute-audio"] * mute, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A stand-in for a driver is for our processes, not for the browser's sandbox.
            env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"},
            start_new_session=True,  # a share of the processor of its own, as on a desktop
        )
        self._port = self._read_port()
        self._pages: list[Page] = []

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *_: object) -> None:
        for page in self._pages:
            page.close()
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self._folder.cleanup()

    def open(
        self,
        url: str,
        *,
        width: int = 900,
        height: int = 900,
        dark: bool = False,
        transparent: bool = False,
    ) -> "Page":
        """Open a page in a tab of its own."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/json/new?about:blank", method="PUT"
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            target = json.load(reply)
        page = Page(target["webSocketDebuggerUrl"])
        self._pages.append(page)
        page.call("Page.enable")
        page.call("Runtime.enable")
        page.call("Log.enable")
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        if transparent:
            page.call(
                "Emulation.setDefaultBackgroundColorOverride",
                color={"r": 0, "g": 0, "b": 0, "a": 0},
            )
        page.call("Page.navigate", url=url)
        return page

    def _read_port(self) -> int:
        path = Path(self._folder.name) / "DevToolsActivePort"
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline and self.process.poll() is None:
            lines = path.read_text().splitlines() if path.exists() else []
            if len(lines) >= 2:
                return int(lines[0])
            time.sleep(0.02)
        raise RuntimeError("Chromium did not open its debugging port")


class Page:
    """One tab."""

    def __init__(self, debugger_url: str) -> None:
        self._stack = contextlib.ExitStack()
        self._connection: ClientConnection = self._stack.enter_context(
            connect(debugger_url, max_size=None, compression=None)
        )
        self._ids = itertools.count(1)
        self.problems: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a DevTools method and return its result."""
        number = next(self._ids)
        self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._connection.recv(timeout=60))
            self._note_problem(message)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression (promises are awaited)."""
        result = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, expression: str, timeout_s: float = 10.0) -> Any:
        """Wait until an expression is true."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            # The document may not be there yet.
            script = f"(() => {{ try {{ const v = {expression}; return v instanceof Node || v }}"
            if value := self.evaluate(script + " catch {} })()"):
                return value
            time.sleep(0.03)
        raise AssertionError(f"{expression} did not become true; problems: {self.problems}")

    def screenshot(self) -> ByteArray:
        """Return uint8 [H, W, 4]: RGBA of what is shown."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        code = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGBA
        return np.asarray(cv2.cvtColor(picture, code), np.uint8)

    def press(self, key: str) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            typed = key if kind == "keyDown" and len(key) == 1 else ""
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, text=typed)

    def close(self) -> None:
        """Leave the tab."""
        self._stack.close()

    def _note_problem(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.problems.append(str(params["exceptionDetails"].get("exception", params)))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(params["entry"]["text"] + " " + params["entry"].get("url", ""))
