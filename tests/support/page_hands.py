"""What a person does on the control page in a real browser, and what its daemon says meanwhile."""

import base64
import json
import os
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.chromium import Page
from tests.support.page_daemon import TOKEN, PageDaemon

PATIENCE_S = float(os.environ.get("REST_BRIDGE_TEST_PATIENCE_S", "120"))
"""The machine may be busy with other things."""


def click(page: Page, selector: str) -> None:
    """Click where an element is, as a mouse would: it must be visible and on top."""
    box = page.evaluate(
        f"(() => {{ const n = {find(selector)}; n.scrollIntoView({{block: 'center'}});"
        " const b = n.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        page.call(
            "Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1
        )


def find(selector: str) -> str:
    """Return the expression for an element: CSS, or `text=...` for a button that says so."""
    if selector.startswith("text="):
        text = json.dumps(selector.removeprefix("text="))
        return (
            "[...document.querySelectorAll('button,summary,a')]"
            f".find((n) => n.innerText.trim() === {text} && n.offsetParent)"
        )
    return f"document.querySelector({json.dumps(selector)})"


def drag(page: Page, selector: str, dx: float, dy: float) -> None:
    """Drag the middle of an element by so many pixels, with the mouse."""
    x, y = page.evaluate(
        f"(() => {{ const n = {find(selector)}; n.scrollIntoView({{block: 'center'}});"
        " const b = n.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    for kind, share in (
        ("mousePressed", 0.0),
        ("mouseMoved", 0.5),
        ("mouseMoved", 1.0),
        ("mouseReleased", 1.0),
    ):
        page.call(
            "Input.dispatchMouseEvent", type=kind, x=x + share * dx, y=y + share * dy,
            button="left", buttons=1, clickCount=1,
        )  # fmt: skip


def give(page: Page, selector: str, *files: Path) -> None:
    """Give files to a file field, as its dialogue would."""
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    node = page.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
    page.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])


def choose(page: Page, selector: str, value: str) -> None:
    page.evaluate(
        f"(() => {{ const n = {find(selector)}; n.value = {json.dumps(value)};"
        " n.dispatchEvent(new Event('input')); n.dispatchEvent(new Event('change')); })()"
    )


def tab(page: Page, name: str) -> None:
    click(page, f"#tab-{name}")
    page.wait_for(f"document.getElementById('panel').dataset.tab === '{name}'")


def ask(page: Page, daemon: PageDaemon, call: str) -> dict[str, Any]:
    with urllib.request.urlopen(
        f"http://127.0.0.1:{daemon.port}/do/{call}{'&' if '?' in call else '?'}token={TOKEN}",
        timeout=60,
    ) as reply:
        return dict(json.load(reply)["body"])


def status(page: Page, daemon: PageDaemon) -> dict[str, Any]:
    return ask(page, daemon, "status")


def until(read: Any, timeout_s: float = PATIENCE_S) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := read():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not become true")


def shown(page: Page) -> Any:
    """Return the canvas's pixels, uint8 [H, W, 4]."""
    width, height, data = page.evaluate(
        "(() => { const c = document.getElementById('face'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; let s = '';"
        " for (let i = 0; i < d.length; i += 8192)"
        " s += String.fromCharCode(...d.subarray(i, i + 8192));"
        " return [c.width, c.height, btoa(s)]; })()"
    )

    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)
