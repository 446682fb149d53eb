"""Inside the virtual machine: our camera output on the real v4l2loopback driver.

Prints a line for each thing that holds; the first that does not ends it with an exception.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rest_bridge.errors import SinkUnavailable
from rest_bridge.sinks import virtual_camera
from rest_bridge.sinks.convert import FrameFitter, to_i420
from rest_bridge.sinks.virtual_camera import VirtualCamera
from rest_bridge.types import FrameFormat
from tests.support.frames import make_frame

DEVICE = "/dev/video10"
FORMAT = FrameFormat(128, 128, 25.0)
NUM_READ = 12


def picture(seed: int) -> np.ndarray:
    rgba = np.random.default_rng(seed).integers(0, 256, (16, 16, 4), np.uint8)
    return np.repeat(np.repeat(rgba, 8, axis=0), 8, axis=1)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def holds(name: str, *, begin_s: float) -> None:
    say(f"HOLDS {name} ({time.monotonic() - begin_s:.1f} s)")


def read_device(width: int, height: int) -> np.ndarray:
    """Read frames as another program does."""
    out = Path("/tmp/read.yuv")
    subprocess.run(
        ["v4l2-ctl", "-d", DEVICE, "--stream-mmap", f"--stream-count={NUM_READ}",
         f"--stream-to={out}"],
        check=True, timeout=60, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    size = width * height * 3 // 2
    return np.fromfile(out, np.uint8).reshape(-1, size)


def show(options: dict, size: tuple[int, int], seed: int) -> None:
    """Open the camera, show a picture, read it back, close."""
    begin_s = time.monotonic()
    width, height = size
    sink = VirtualCamera(device=DEVICE, width=width, height=height, fps=25, **options)
    sink.open(FORMAT)
    holds(f"{width}x{height} opens as {sink.name}", begin_s=begin_s)
    rgba = picture(seed)
    sink.send(make_frame(0, rgba=rgba))
    before = sink.num_sent
    while sink.num_sent < before + 2:
        time.sleep(0.02)
    read = read_device(width, height)
    expected = to_i420(FrameFitter(width, height, **options).rgb(rgba)).reshape(-1)
    equal = [bool(np.array_equal(frame, expected)) for frame in read]
    assert len(read) >= NUM_READ
    assert all(equal[1:]), f"frames differ: {equal}"  # the first may be the one before
    holds(f"{len(read)} frames read by v4l2-ctl are ours, byte by byte", begin_s=begin_s)
    if options.get("mirror"):
        told = refused()
        say(f"SAYS {told}")
        assert told.startswith(f"Another program sends pictures to the virtual camera {DEVICE}")
        assert "It is open in python" in told
        holds("a second program is told so", begin_s=begin_s)
    sink.close()
    holds("closes", begin_s=begin_s)


def refused() -> str:
    """Open the camera, which another one has, and return what a person is told."""
    try:
        VirtualCamera(device=DEVICE, width=640, height=360).open(FORMAT)
    except SinkUnavailable as error:
        return str(error)
    raise AssertionError("this driver lets two programs write")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 90.0
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.05)


def unplug_and_plug_in() -> None:
    """The device's file goes, the driver is unloaded under a running camera, and both come back."""
    begin_s = time.monotonic()
    sink = VirtualCamera(device=DEVICE, width=320, height=180, fps=25, background="#102030")
    sink.open(FORMAT)
    rgba = picture(4)
    sink.send(make_frame(0, rgba=rgba))
    busy = subprocess.run(["rmmod", "v4l2loopback"], capture_output=True, check=False)
    assert busy.returncode != 0, "the driver could be unloaded while it was in use"
    Path(DEVICE).unlink()
    wait_for(lambda: sink.health().lost)
    holds("the loss is noticed", begin_s=begin_s)
    wait_for(lambda: subprocess.run(["rmmod", "v4l2loopback"], check=False).returncode == 0)
    holds("the driver can be unloaded: the device was let go", begin_s=begin_s)
    sink.send(make_frame(1, rgba=rgba))
    driver = os.environ["V4L2LOOPBACK"]
    options = ["video_nr=10", "card_label=rest_bridge", "exclusive_caps=1"]
    subprocess.run(["insmod", driver, *options], check=True)
    wait_for(lambda: not sink.health().lost)
    before = sink.num_sent
    wait_for(lambda: sink.num_sent > before + 2)
    read = read_device(320, 180)
    expected = to_i420(FrameFitter(320, 180, background="#102030").rgb(rgba)).reshape(-1)
    assert all(np.array_equal(frame, expected) for frame in read[1:])
    assert sink.health().losses == 1
    holds("it is open again after the driver came back, byte by byte", begin_s=begin_s)
    sink.close()


def main() -> int:
    virtual_camera._START_TIMEOUT_S = 90.0  # everything is some thirty times slower in here
    virtual_camera._END_TIMEOUT_S = 10.0
    show({"background": "#102030"}, (320, 180), 1)
    show({"background": "blur", "mirror": True}, (640, 360), 2)
    show({"background": "#102030", "fit": "cover"}, (320, 180), 3)
    unplug_and_plug_in()
    about = subprocess.run(
        ["v4l2-ctl", "-d", DEVICE, "--all"], capture_output=True, text=True, check=False
    ).stdout
    say("DRIVER " + " ".join(about.split()[:12]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
