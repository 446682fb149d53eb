"""The camera's own process: takes the newest picture, converts it once, sends it on time.

The only place that imports pyvirtualcam, which is GPL-2.0; everything else talks to this process
through pipes and a mapped file. Run as `python -m rest_bridge.sinks.camera_worker JSON`: answers
with one line of JSON, then runs until its standard input is closed. A device that vanishes is let
go, so that its driver may be unloaded, and opened again by name when it is back.
"""

import contextlib
import json
import os
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from rest_bridge.sinks.camera_frames import CameraFrames
from rest_bridge.sinks.camera_pace import CameraPacer
from rest_bridge.sinks.convert import FrameFitter, to_i420
from rest_bridge.types import ByteArray

_NS_PER_S: Final = 1_000_000_000
_VIDIOC_STREAMON: Final = 0x40045612
_VIDEO_OUTPUT: Final = 2
"""V4L2_BUF_TYPE_VIDEO_OUTPUT: a stream of pictures into the device."""
_LOOK_NS: Final = _NS_PER_S // 2
_RETRY_S: Final = 0.5


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
    camera: Any,
    frames: CameraFrames,
    picture: Picture,
    pacer: CameraPacer,
    stop: threading.Event,
    *,
    is_there: Callable[[], bool] = lambda: True,
) -> bool:
    """Send a picture at each of the camera's turns, the last one again where there is no new one.

    Args:
        camera: a `pyvirtualcam.Camera`.
        frames: where pictures come from.
        picture: converts.
        pacer: says when.
        stop: ends it.
        is_there: whether the device still exists; asked now and then.

    Returns:
        False where the device has gone; True where it was stopped.
    """
    showing = False
    looked_ns = time.monotonic_ns()
    # Not pyvirtualcam's own sleep, which paces relative to the last frame and so drifts.
    while not stop.wait(max(0.0, (pacer.next_ns - time.monotonic_ns()) / _NS_PER_S)):
        rgba = frames.take()
        if rgba is not None:
            picture.convert(rgba)
            pacer.observe(frames.due_ns)
        try:
            camera.send(picture.pixels)
        except Exception as error:  # noqa: BLE001 - each back end has errors of its own
            sys.stderr.write(f"a picture could not be sent: {error}\n")
            return False
        frames.count(repeated=rgba is None and showing)
        showing = showing or rgba is not None
        now_ns = time.monotonic_ns()
        pacer.advance(now_ns)
        if now_ns - looked_ns > _LOOK_NS:
            looked_ns = now_ns
            if not is_there():
                return False
    return True


class Device:
    """The camera's device: opened, watched, let go, opened again.

    Args:
        make: opens a `pyvirtualcam.Camera` on the device of this name, or the first for "".
        name: as the person gave it.
    """

    def __init__(self, make: Callable[[str], Any], name: str) -> None:
        self._make = make
        self.name = name
        self._identity: tuple[int, ...] | None = None

    def open(self) -> Any:
        """Return the open camera; raises what its back end raises."""
        camera = self._make(self.name)
        self.name = str(camera.device)
        self._identity = _identity(self.name)
        return camera

    def is_there(self) -> bool:
        """Whether the device that was opened still has its name; True where that is not known."""
        return self._identity is None or _identity(self.name) == self._identity

    def wait_for_return(self, stop: threading.Event) -> Any:
        """Return the camera, open again; None where `stop` was set first."""
        watched = self._identity is not None
        while not stop.wait(_RETRY_S):
            if watched and _identity(self.name) is None:
                continue
            try:
                return self.open()
            except Exception as error:  # noqa: BLE001 - as above; it may still be coming up
                sys.stderr.write(f"the camera is not back yet: {error}\n")
        return None


def _identity(device: str) -> tuple[int, ...] | None:
    """Return what tells a device file from another of the same name; None where there is none."""
    try:
        found = Path(device).stat()
    except (OSError, ValueError):  # other systems name no file
        return None
    return (found.st_dev, found.st_ino, found.st_rdev)


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
    chosen = {"backend": options["backend"]} if options["backend"] else {}
    fitter = FrameFitter(
        options["width"],
        options["height"],
        background=options["background"],
        fit=options["fit"],
        mirror=options["mirror"],
    )
    picture = Picture(fitter, planar=planar)
    frames = CameraFrames(Path(options["frames"]), options["frame_width"], options["frame_height"])

    def make(name: str) -> Any:
        return pyvirtualcam.Camera(
            width=options["width"],
            height=options["height"],
            fps=options["fps"],
            fmt=pyvirtualcam.PixelFormat.I420 if planar else pyvirtualcam.PixelFormat.RGB,
            **({"device": name} if name else {}),
            **chosen,
        )

    device = Device(make, options["device"])
    try:
        camera = device.open()
    except Exception as error:  # noqa: BLE001 - RuntimeError from its back ends, others from us
        return _answer(error=str(error))
    stop = threading.Event()
    threading.Thread(target=_wait_for_end, args=(stop,), daemon=True).start()
    _answer(device=device.name)
    keep_showing(device, camera, frames, picture, options, stop)
    return 0


def keep_showing(
    device: Device,
    camera: Any,
    frames: CameraFrames,
    picture: Picture,
    options: dict[str, Any],
    stop: threading.Event,
) -> None:
    """Show until `stop` is set, through losses of the device.

    Args:
        device: of the camera.
        camera: open; it is closed here.
        frames: where pictures come from, and where losses are noted.
        picture: converts.
        options: `fps` and `frame_fps`.
        stop: ends it.
    """
    frames.note_loss(lost=False)  # a process before this one may have died without its device
    while camera is not None:
        pacer = CameraPacer(options["fps"], options["frame_fps"], time.monotonic_ns())
        stopped = run_camera(camera, frames, picture, pacer, stop, is_there=device.is_there)
        with contextlib.suppress(Exception):  # a device that has gone need not close well
            camera.close()
        if stopped:
            break
        frames.note_loss(lost=True)
        sys.stderr.write(f"{device.name} is gone\n")
        camera = device.wait_for_return(stop)
        if camera is not None:
            frames.note_loss(lost=False)
    if sys.platform == "linux":
        offer_again(device.name)


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
