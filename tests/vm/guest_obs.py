"""Inside the virtual machine: our camera, the real v4l2loopback, OBS's Video Capture Device.

Emulated, this is some thirty times slower than life: OBS draws less than a frame a second.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rest_bridge.obs import link
from rest_bridge.obs.link import ObsRefused, ObsUnavailable
from rest_bridge.sinks import virtual_camera
from rest_bridge.sinks.virtual_camera import VirtualCamera
from rest_bridge.types import FrameFormat
from tests.support import obs as support
from tests.support.frames import make_frame

DEVICE = "/dev/video10"
SIZE = (160, 120)
COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 200))
PATIENCE_S = 240.0


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


def main() -> int:
    """Run the chain until OBS shows what the camera was given."""
    virtual_camera._START_TIMEOUT_S = 90.0
    link._CONNECT_S = link._ANSWER_S = PATIENCE_S
    support._START_S = PATIENCE_S
    support._PRIORITY.clear()
    begin_s = time.monotonic()
    # Each frame costs much in here.
    sink = VirtualCamera(device=DEVICE, width=SIZE[0], height=SIZE[1], fps=5)
    sink.open(FrameFormat(*SIZE, 5.0))
    sink.send(make_frame(0, rgba=quarters()))
    with support.Obs(Path(tempfile.mkdtemp()) / "obs", None, canvas=SIZE, fps=2) as obs:
        sys.stdout.write(f"HOLDS OBS answers ({time.monotonic() - begin_s:.0f} s)\n")
        sys.stdout.flush()
        obs.add_source(
            "camera", "v4l2_input", device_id=DEVICE, input=0, pixelformat=0x32315559,
            resolution=-1, framerate=-1, buffering=False,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                if is_shown(obs.screenshot()):
                    break
            except ObsRefused:  # no picture yet
                pass
            except ObsUnavailable:
                sys.stdout.write(obs.log[-3000:])
                raise
            assert time.monotonic() < deadline, obs.log[-2000:]
            time.sleep(0.5)
        sys.stdout.write(
            "HOLDS OBS's Video Capture Device shows what our camera was given "
            f"({time.monotonic() - begin_s:.0f} s)\n"
        )
        sys.stdout.flush()
    sink.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
