"""Takes the pictures of the documentation from the real page: `python -m tests.page.pictures`.

Starts a daemon in a home of its own, drives the page in Chromium, writes small JPEGs into
docs/images/page. `--all` also writes every tab on a desktop and a phone, light and dark, as PNG
into a folder, to be looked at.
"""

import argparse
import socket
import tempfile
import time
from pathlib import Path

import cv2

from tests.support.chromium import Chromium, Page
from tests.support.page_daemon import PageDaemon

DOCS = Path(__file__).parents[2] / "docs" / "images" / "page"
TABS = ("start", "faces", "live", "moods", "timing", "more")
PLACES = {
    "outputs": ("live", ".outputs"),
    "voice": ("live", "h2:nth-of-type(2)"),
    "computer": ("more", ".findings"),
}
"""Further pictures: a tab, and the element in it that stands at the top."""


def open_tab(chromium: Chromium, url: str, tab: str, *, phone: bool, dark: bool) -> Page:
    """Open the page at a tab and wait until it shows what it will show."""
    width, height = (390, 844) if phone else (1180, 800)
    page = chromium.open(f"{url}#{tab}", width=width, height=height, dark=dark)
    page.wait_for("document.documentElement.dataset.ready", 120)
    page.wait_for("Number(document.getElementById('face').dataset.seq) > 3", 120)
    page.wait_for("document.getElementById('panel').children.length > 2", 60)
    if tab in ("start", "more"):
        page.wait_for("document.querySelectorAll('.finding').length > 4", 120)
    time.sleep(3.0)
    return page


def whole(page: Page, width: int) -> None:
    """Make the window as tall as the page."""
    height = int(page.evaluate("document.documentElement.scrollHeight"))
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=height, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    time.sleep(0.5)


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, help="folder for every tab, size and mode")
    parser.add_argument("--portrait", type=Path, help="a picture to import first")
    parser.add_argument("--tabs", default=",".join((*TABS, *PLACES)))
    chosen = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with (
        tempfile.TemporaryDirectory() as home,
        PageDaemon(Path(home), port, "--set", "output.size=512") as daemon,
        Chromium() as chromium,
    ):
        take(chromium, daemon, chosen)


def take(chromium: Chromium, daemon: PageDaemon, chosen: argparse.Namespace) -> None:
    """Take what was asked for."""
    tabs = chosen.tabs.split(",")
    if chosen.portrait:
        page = open_tab(chromium, daemon.url, "faces", phone=False, dark=False)
        root = page.call("DOM.getDocument")["root"]["nodeId"]
        node = page.call("DOM.querySelector", nodeId=root, selector=".dropping input")["nodeId"]
        page.call("DOM.setFileInputFiles", nodeId=node, files=[str(chosen.portrait.absolute())])
        page.wait_for("document.querySelectorAll('.face').length > 5", 180)
    for name in tabs:
        tab, top = PLACES.get(name, (name, ""))
        if chosen.all is None:
            page = open_tab(chromium, daemon.url, tab, phone=False, dark=False)
            if top:
                page.evaluate(f"document.querySelector('#panel {top}').scrollIntoView()")
                page.evaluate("scrollBy(0, -90)")
                time.sleep(1.0)
            if tab == "faces" and chosen.portrait:
                page.evaluate("document.querySelector('details.part summary').click()")
                time.sleep(3.0)
            DOCS.mkdir(parents=True, exist_ok=True)
            shot = cv2.cvtColor(page.screenshot(), cv2.COLOR_RGBA2BGR)
            cv2.imwrite(str(DOCS / f"{name}.jpg"), shot, [cv2.IMWRITE_JPEG_QUALITY, 84])
            continue
        chosen.all.mkdir(parents=True, exist_ok=True)
        for phone in (False, True):
            for dark in (False, True):
                page = open_tab(chromium, daemon.url, tab, phone=phone, dark=dark)
                whole(page, 390 if phone else 1180)
                file = f"{tab}-{'phone' if phone else 'desktop'}-{'dark' if dark else 'light'}.png"
                shot = cv2.cvtColor(page.screenshot(), cv2.COLOR_RGBA2BGR)
                cv2.imwrite(str(chosen.all / file), shot)


if __name__ == "__main__":
    main()
