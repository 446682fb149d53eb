"""A newcomer's way, counted: from nothing to one's own portrait speaking.

    python -m tests.page.newcomer PICTURE [--default]

Starts `rest-bridge start` in an empty home, opens the page in Chromium and drops the picture as a
person would. Prints clicks and seconds as one line of JSON.
The daemon runs at 256 x 256 with the effort "sparse", as in the tests; with `--default` as a person
starts it.
"""

import json
import socket
import sys
import tempfile
import time
from pathlib import Path

from rest_bridge.config import Config
from tests.support.chromium import Chromium
from tests.support.page_daemon import PageDaemon


def main() -> int:
    """Go the way; return the exit code."""
    picture = Path(sys.argv[1]).absolute()
    usual = Config()
    words = ["--set", f"output.size={usual.output.size}"]
    words += ["--set", f"generator.tier={usual.generator.tier}"]
    words = words if "--default" in sys.argv else []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as home, Chromium() as chromium:
        begin = time.monotonic()

        def reached(what: str) -> None:
            times[what] = round(time.monotonic() - begin, 1)

        with PageDaemon(Path(home), port, *words) as daemon:
            reached("page_is_served_s")
            page = chromium.open(daemon.url, width=1280, height=900)
            page.wait_for("Number(document.getElementById('face').dataset.seq) > 0", 180)
            reached("a_face_is_seen_s")
            page.wait_for("document.getElementById('activity').dataset.state === 'speaking'", 180)
            reached("it_speaks_s")
            page.wait_for("document.querySelector('.dropping input')", 180)
            root = page.call("DOM.getDocument")["root"]["nodeId"]
            node = page.call("DOM.querySelector", nodeId=root, selector=".dropping input")["nodeId"]
            before = page.evaluate("document.getElementById('face').dataset.avatar")
            dropped = time.monotonic()
            page.call("DOM.setFileInputFiles", nodeId=node, files=[str(picture)])
            page.wait_for(f"document.getElementById('face').dataset.avatar !== '{before}'", 300)
            times["from_drop_to_own_face_s"] = round(time.monotonic() - dropped, 1)
            page.wait_for("document.getElementById('activity').dataset.state === 'speaking'", 180)
            reached("own_portrait_speaks_s")
    load = Path("/proc/loadavg").read_text().split()[0] if Path("/proc/loadavg").exists() else ""
    # One drop (or: a click on the field and a double click on the file); the page opens by itself.
    print(json.dumps({"commands": 1, "drops": 1, "clicks": 0, **times, "load": load}))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
