"""The camera's own process: takes the newest picture, converts it once, sends it on time.

The only place that imports pyvirtualcam, which is GPL-2.0; everything else talks to this process
through pipes and a mapped file. Run as `python -m rest_bridge.sinks.camera_worker JSON`: answers
with one line of JSON, then runs until its standard input is closed.
"""

import contextlib
import json
import os
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from rest_bridge.sinks.camera_frames import CameraFrames
from rest_bridge.sinks.convert import FrameFitter, to_i420
from rest_bridge.types import ByteArray

_NS_PER_S: Final = 1_000_000_000
_VIDIOC_STREAMON: Final = 0x40045612
_VIDEO_OUTPUT: Final = 2
"""V4L2_BUF_TYPE_VIDEO_OUTPUT: a stream of pictures into the device."""


class Picture:
    """What the camera shows, in the camera's pixel format.

    Args:
        fitter: brings a frame to the camera's size on its background.
        planar: I420; else RGB.
    """

    def __init__(self, fitter: FrameFitter, *, planar: bool) -> None:
        self._fitter = fitter
        self._planar = planar
        self.pixels = self.convert(np.zeros((2, 2, 4), np.uint8))

    def convert(self, rgba: ByteArray) -> ByteArray:
        """Show uint8 [H, W, 4] from now on; returns the camera's pixels."""
        rgb = self._fitter.rgb(rgba)
        self.pixels = to_i420(rgb) if self._planar else rgb
        return self.pixels


def run_camera(
    camera: Any, frames: CameraFrames, picture: Picture, fps: float, stop: threading.Event
) -> None:
    """Send a picture every 1/fps seconds, the last one again where there is no new one.

    Args:
        camera: a `pyvirtualcam.Camera`.
        frames: where pictures come from.
        picture: converts.
        fps: frames per second.
        stop: ends it.
    """
    period_ns = round(_NS_PER_S / fps)
    due_ns = time.monotonic_ns()
    showing = False
    # Not pyvirtualcam's own sleep, which paces relative to the last frame and so drifts.
    while not stop.wait(max(0.0, (due_ns - time.monotonic_ns()) / _NS_PER_S)):
        rgba = frames.take()
        if rgba is not None:
            picture.convert(rgba)
        camera.send(picture.pixels)
        frames.count(repeated=rgba is None and showing)
        showing = showing or rgba is not None
        due_ns += period_ns
        # After a stall (sleep of the computer) go on from now instead of hurrying.
        due_ns = max(due_ns, time.monotonic_ns() - period_ns)


def main() -> int:
    """Run the process; returns its exit code."""
    cv2.setNumThreads(1)
    options = json.loads(sys.argv[1])
    try:
        import pyvirtualcam
    except Exception as error:  # noqa: BLE001 - a broken installation may raise anything
        return _answer(error=f"pyvirtualcam cannot be imported: {error}", missing=True)
    known = list(pyvirtualcam.camera.BACKENDS)
    if options["backend"] and options["backend"] not in known:
        names = ", ".join(known)
        return _answer(error=f"this system has no back end {options['backend']!r}, but {names}")
    planar = sys.platform == "linux"
    chosen = {key: options[key] for key in ("device", "backend") if options[key]}
    fitter = FrameFitter(
        options["width"],
        options["height"],
        background=options["background"],
        fit=options["fit"],
        mirror=options["mirror"],
    )
    picture = Picture(fitter, planar=planar)
    frames = CameraFrames(Path(options["frames"]), options["frame_width"], options["frame_height"])
    try:
        camera = pyvirtualcam.Camera(
            width=options["width"],
            height=options["height"],
            fps=options["fps"],
            fmt=pyvirtualcam.PixelFormat.I420 if planar else pyvirtualcam.PixelFormat.RGB,
            **chosen,
        )
    except Exception as error:  # noqa: BLE001 - RuntimeError from its back ends, others from us
        return _answer(error=str(error))
    stop = threading.Event()
    threading.Thread(target=_wait_for_end, args=(stop,), daemon=True).start()
    device = str(camera.device)
    with camera:
        _answer(device=device)
        run_camera(camera, frames, picture, options["fps"], stop)
    if sys.platform == "linux":
        offer_again(device)
    return 0


def offer_again(device: str) -> None:
    """Let a v4l2loopback device take a picture source again, after ours has been closed.

    With exclusive_caps=1 the driver (0.12) stops saying that it takes pictures once somebody has
    written some, and says so again only when somebody closes it who has *streamed*. pyvirtualcam
    writes, so without this a camera could be started once and never again.

    Args:
        device: like "/dev/video10".
    """
    import fcntl

    with contextlib.suppress(OSError):  # other drivers do not know the call, and need none
        handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
        try:
            fcntl.ioctl(handle, _VIDIOC_STREAMON, struct.pack("i", _VIDEO_OUTPUT))
        finally:
            os.close(handle)


def _wait_for_end(stop: threading.Event) -> None:
    sys.stdin.buffer.read()  # ends when the parent closes the pipe, or dies
    stop.set()


def _answer(**fields: Any) -> int:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()
    return 0 if "error" not in fields else 1


if __name__ == "__main__":
    sys.exit(main())
