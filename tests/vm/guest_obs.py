"""Inside the virtual machine: the real v4l2loopback driver on both sides of OBS.

First our camera, which OBS's Video Capture Device shows; then OBS's own virtual camera, started by
`rest-bridge obs setup`, which v4l2-ctl reads. Emulated, this is some thirty times slower than life,
and a thread that draws without a pause keeps OBS's graphics lock from all others: so OBS draws one
small picture a second, no preview, and its own screenshots are looked at. What fails is told with
the driver's state and what each thread of OBS does.
"""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from rest_bridge.obs import arrange, link
from rest_bridge.obs.arrange import Wishes
from rest_bridge.obs.changes import ChangeFile
from rest_bridge.obs.link import ObsUnavailable
from rest_bridge.sinks import virtual_camera
from rest_bridge.sinks.virtual_camera import VirtualCamera
from rest_bridge.types import FrameFormat
from tests.support import obs as support
from tests.support.frames import make_frame

DEVICE = "/dev/video10"
SIZE = (160, 120)
COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 200))
WALL = (30, 60, 200)
PATIENCE_S = 400.0
BEGIN_S = time.monotonic()
PLUGIN = support.PLUGIN / "build" / "linux"


def quarters() -> np.ndarray:
    """Return uint8 [120, 160, 4] with a colour in each quarter."""
    rgba = np.full((SIZE[1], SIZE[0], 4), 255, np.uint8)
    for index, colour in enumerate(COLOURS):
        top, left = index // 2 * SIZE[1] // 2, index % 2 * SIZE[0] // 2
        rgba[top : top + SIZE[1] // 2, left : left + SIZE[0] // 2, :3] = colour
    return rgba


def is_shown(shot: np.ndarray) -> bool:
    """Whether the quarters' middles have their colours, as far as YUV keeps them."""
    height, width = shot.shape[:2]
    for index, colour in enumerate(COLOURS):
        row, column = height * (1 + 2 * (index // 2)) // 4, width * (1 + 2 * (index % 2)) // 4
        if np.abs(shot[row, column, :3].astype(int) - colour).max() > 30:
            return False
    return True


def holds(what: str) -> None:
    """Say what holds, with the time since the beginning."""
    sys.stdout.write(f"HOLDS {what} ({time.monotonic() - BEGIN_S:.0f} s)\n")
    sys.stdout.flush()


def until(condition: Callable[[], bool], obs: support.Obs) -> None:
    """Wait for something.

    Raises:
        AssertionError: it did not happen in time; with the end of OBS's log.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, obs.log[-2000:]
        time.sleep(1.0)


@contextlib.contextmanager
def telling(obs: support.Obs) -> Iterator[None]:
    """Where something does not happen, say what the driver and OBS's threads do."""
    try:
        yield
    except (ObsUnavailable, AssertionError, subprocess.SubprocessError):
        tell(obs)
        raise


def tell(obs: support.Obs) -> None:
    """Write the driver's state, OBS's threads and what its outputs have written."""
    for path in sorted(Path("/sys/class/video4linux/video10").iterdir()):
        with contextlib.suppress(OSError):
            sys.stdout.write(f"TELLS {path.name} {path.read_text().strip()}\n")
    said = subprocess.run(
        ["v4l2-ctl", "-d", DEVICE, "--all"], capture_output=True, text=True, check=False
    )
    sys.stdout.write(said.stdout + said.stderr + obs.log[-4000:])
    if obs.process.poll() is not None:  # what asked it in vain is not told so while it dies
        sys.stdout.write(f"TELLS OBS has ended with code {obs.process.returncode}\n")
        return
    link._CONNECT_S = link._ANSWER_S = 20.0
    for request in ("GetStats", "GetVirtualCamStatus"):
        try:
            sys.stdout.write(f"TELLS {request} {obs.ask(request)}\n")
        except (ObsUnavailable, link.ObsRefused) as error:
            sys.stdout.write(f"TELLS {request} {error}\n")
    before = threads(obs.process.pid)
    time.sleep(5.0)
    for thread, now in threads(obs.process.pid).items():
        sys.stdout.write(f"TELLS {thread} {before.get(thread)} -> {now}\n")


def threads(pid: int) -> dict[str, str]:
    """Return name, state, ticks, bytes written and place in the kernel of each thread."""
    found = {}
    for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
        with contextlib.suppress(OSError):
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            written = (task / "io").read_text().split("wchar: ")[1].split()[0]
            place = (task / "wchan").read_text()
            name = (task / "comm").read_text().strip()
            found[f"{task.name} {name}"] = (
                f"{fields[0]} {fields[11]}+{fields[12]} {written} {place}"
            )
    return found


def show_our_camera(obs: support.Obs) -> None:
    """Our camera's picture in OBS's Video Capture Device."""
    sink = VirtualCamera(device=DEVICE, width=SIZE[0], height=SIZE[1], fps=5)
    sink.open(FrameFormat(*SIZE, 5.0))
    sink.send(make_frame(0, rgba=quarters()))
    holds("our camera is open")
    obs.add_source(
        "camera", "v4l2_input", device_id=DEVICE, input=0, pixelformat=0x32315559, resolution=-1,
        framerate=-1, buffering=False,
    )  # fmt: skip
    until(lambda: is_shown(obs.snapshot(PATIENCE_S)), obs)
    holds("OBS's Video Capture Device shows what our camera was given")
    obs.ask("RemoveInput", inputName="camera")
    until(lambda: not obs.ask("GetInputList")["inputs"], obs)
    sink.close()


def show_obs_camera(obs: support.Obs) -> None:
    """OBS's own virtual camera, started and stopped by `rest-bridge obs`."""
    colour = 0xFF000000 | WALL[2] << 16 | WALL[1] << 8 | WALL[0]
    obs.add_source("wall", "color_source_v3", color=colour, width=SIZE[0], height=SIZE[1])
    changes = ChangeFile(obs.folder / "changes.json")
    for sentence in arrange.setup(obs, Wishes(camera=True), changes):
        holds(f"setup: {sentence}")
    out = Path(tempfile.mkdtemp()) / "read.yuv"
    subprocess.run(
        ["v4l2-ctl", "-d", DEVICE, "--stream-mmap", "--stream-count=2", f"--stream-to={out}"],
        check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    pairs = np.fromfile(out, np.uint8)[-SIZE[0] * SIZE[1] * 2 :].reshape(-1, 4)
    y0, cb, y1, cr = np.median(pairs, axis=0)
    luma, red, blue = 1.164 * (y0 - 16), cr - 128, cb - 128
    rgb = (luma + 1.793 * red, luma - 0.213 * blue - 0.533 * red, luma + 2.112 * blue)
    assert y0 == y1
    assert np.abs(np.subtract(rgb, WALL)).max() < 8, rgb
    holds("v4l2-ctl reads OBS's program from the virtual camera")
    for sentence in arrange.undo(obs, ChangeFile(changes.path)):
        holds(f"undo: {sentence}")
    until(lambda: not obs.ask("GetVirtualCamStatus")["outputActive"], obs)
    holds("OBS's virtual camera is stopped")


def main() -> int:
    """Run both chains."""
    virtual_camera._START_TIMEOUT_S = 90.0
    link._CONNECT_S = link._ANSWER_S = arrange._CAMERA_S = PATIENCE_S
    support._START_S = PATIENCE_S
    support._PRIORITY.clear()
    obs = support.Obs(Path(tempfile.mkdtemp()) / "obs", PLUGIN, canvas=SIZE, fps=1)
    with (obs.config / "global.ini").open("a") as settings:
        settings.write("[BasicWindow]\nPreviewEnabled=false\n")
    with obs, telling(obs):
        holds("OBS answers")
        show_our_camera(obs)
        show_obs_camera(obs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
