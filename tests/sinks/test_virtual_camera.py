"""The virtual camera, byte by byte through a stand-in for the v4l2loopback driver."""

import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rest_bridge.errors import SinkUnavailable
from rest_bridge.sinks import camera_worker
from rest_bridge.sinks.camera_frames import CameraFrames
from rest_bridge.sinks.camera_pace import CameraPacer
from rest_bridge.sinks.camera_remedies import camera_remedy, taken
from rest_bridge.sinks.convert import FrameFitter, to_i420
from rest_bridge.sinks.sink import SinkRunner
from rest_bridge.sinks.virtual_camera import VirtualCamera
from rest_bridge.types import ByteArray, FrameFormat
from tests.support.fakev4l2 import FakeDevice, build
from tests.support.frames import make_frame, pattern_picture

FORMAT = FrameFormat(128, 128, 25.0)
needs_camera = pytest.mark.skipif(
    importlib.util.find_spec("pyvirtualcam") is None or sys.platform != "linux",
    reason="needs pyvirtualcam on Linux",
)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("fakev4l2"))


@pytest.fixture
def device(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    fake = FakeDevice("/dev/video10", tmp_path / "frames.bin")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("FAKE_V4L2_DEV", fake.path)
    monkeypatch.setenv("FAKE_V4L2_SINK", str(fake.sink))
    return fake


@pytest.fixture
def camera(device: FakeDevice) -> Iterator[VirtualCamera]:
    sink = VirtualCamera(device=device.path, width=320, height=180, fps=30, background="#102030")
    yield sink
    sink.close()


def picture(seed: int) -> ByteArray:
    rgba = np.random.default_rng(seed).integers(0, 256, (16, 16, 4), np.uint8)
    rgba = np.repeat(np.repeat(rgba, 8, axis=0), 8, axis=1)
    rgba[..., 3] = 255 if seed % 2 else rgba[..., 3]
    return rgba


def wait_for(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)


@needs_camera
def test_every_byte_of_every_frame_reaches_the_device(
    camera: VirtualCamera, device: FakeDevice
) -> None:
    camera.open(FORMAT)
    wait_for(lambda: camera.num_sent > 0)  # the empty picture that the camera begins with
    pictures = [picture(seed) for seed in range(8)]
    for index, rgba in enumerate(pictures):
        before = camera.num_sent - camera.num_repeated
        camera.send(make_frame(index, rgba=rgba))
        wait_for(lambda before=before: camera.num_sent - camera.num_repeated > before)
    camera.close()
    records = device.records()
    assert {(r.fourcc, r.width, r.height) for r in records} == {("YU12", 320, 180)}
    fitter = FrameFitter(320, 180, background="#102030")
    expected = [to_i420(fitter.rgb(rgba)).tobytes() for rgba in pictures]
    shown = list(dict.fromkeys(record.data.tobytes() for record in records))
    assert shown[0] == to_i420(fitter.rgb(np.zeros((2, 2, 4), np.uint8))).tobytes()
    assert shown[1:] == expected


@needs_camera
@pytest.mark.usefixtures("in_real_time")
def test_the_last_frame_is_repeated_on_time_when_none_is_new(
    camera: VirtualCamera, device: FakeDevice
) -> None:
    camera.open(FORMAT)
    camera.send(make_frame(0, rgba=picture(1)))
    wait_for(lambda: camera.num_sent >= 40)
    camera.close()
    records = device.records()
    assert len({record.data.tobytes() for record in records[5:]}) == 1
    assert camera.num_repeated >= 35
    times = np.array([record.written_ns for record in records]) / 1e6
    intervals = np.diff(times)
    assert np.median(intervals) == pytest.approx(1000 / 30, abs=1.5)
    # Paced from the start, not from the last frame: delays do not add up.
    assert (times[-1] - times[0]) / len(intervals) == pytest.approx(1000 / 30, abs=1.5)


@needs_camera
def test_the_frame_fills_the_camera_where_that_is_asked_for(device: FakeDevice) -> None:
    sink = VirtualCamera(width=320, height=180, background="#102030", fit="cover")
    sink.open(FORMAT)
    rgba = picture(3)
    sink.send(make_frame(0, rgba=rgba))
    wait_for(lambda: sink.num_sent >= 10)
    sink.close()
    fitter = FrameFitter(320, 180, background="#102030", fit="cover")
    expected = to_i420(fitter.rgb(rgba)).tobytes()
    assert device.records()[-1].data.tobytes() == expected


@needs_camera
@pytest.mark.parametrize("size", [(1280, 720), (640, 480), (480, 640)])
def test_mirrored_face_on_a_blur_of_itself_in_any_size(
    device: FakeDevice, size: tuple[int, int]
) -> None:
    width, height = size
    sink = VirtualCamera(width=width, height=height, background="blur", mirror=True)
    sink.open(FORMAT)
    wait_for(lambda: sink.num_sent > 0)
    rgba = picture(3)
    sink.send(make_frame(0, rgba=rgba))
    sent = sink.num_sent
    wait_for(lambda: sink.num_sent >= sent + 2)
    sink.close()
    last = device.records()[-1]
    assert (last.width, last.height) == size
    fitter = FrameFitter(width, height, background="blur", mirror=True)
    assert last.data.tobytes() == to_i420(fitter.rgb(rgba)).tobytes()


@needs_camera
def test_camera_may_start_and_stop_again_and_again(device: FakeDevice) -> None:
    for number in range(2):
        sink = VirtualCamera(device=device.path, width=64, height=64)
        sink.open(FORMAT)
        sink.send(make_frame(0, rgba=picture(number)))
        before = sink.num_sent
        wait_for(lambda sink=sink, before=before: sink.num_sent > before)
        sink.close()
    assert len(device.records()) > 1


@needs_camera
def test_the_first_camera_is_found_without_a_name(device: FakeDevice) -> None:
    sink = VirtualCamera(width=64, height=64)
    sink.open(FORMAT)
    assert sink.name == f"virtual camera {device.path}"
    sink.close()
    sink.close()


@needs_camera
def test_closing_ends_the_process_and_leaves_no_file(camera: VirtualCamera) -> None:
    camera.open(FORMAT)
    assert camera._process is not None
    assert camera._frames is not None
    process, path = camera._process, camera._frames.path
    begin_s = time.monotonic()
    camera.close()
    assert time.monotonic() - begin_s < 1.0
    assert process.returncode == 0
    assert not path.exists()


@needs_camera
def test_a_process_that_dies_is_started_again_and_the_stream_goes_on(
    camera: VirtualCamera, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[str] = []
    runner = SinkRunner(camera, FORMAT, on_failure=lambda _, error: failures.append(str(error)))
    runner.start()
    assert camera._process is not None
    first = camera._process.pid
    assert (camera.health().lost, camera.health().losses) == (False, 0)
    os.kill(first, signal.SIGKILL)
    camera._process.wait()
    sent = camera.num_sent
    runner.offer(make_frame(1, rgba=picture(1)))
    wait_for(lambda: camera.num_sent > sent + 3)
    assert camera._process.pid != first
    assert (camera.health().lost, camera.health().losses) == (False, 1)
    assert camera.health().role == "camera"
    assert "ended (exit code -9)" in caplog.text
    assert failures == []
    runner.close()


@needs_camera
def test_a_device_that_vanishes_is_let_go_and_opened_again(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "video10"
    node.touch()
    fake = FakeDevice(str(node), tmp_path / "frames.bin")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("FAKE_V4L2_DEV", fake.path)
    monkeypatch.setenv("FAKE_V4L2_SINK", str(fake.sink))
    sink = VirtualCamera(device=fake.path, width=64, height=64, background="#102030")
    sink.open(FORMAT)
    sink.send(make_frame(0, rgba=picture(1)))
    node.unlink()
    wait_for(lambda: sink.health().lost)
    gone = sink.num_sent
    sink.send(make_frame(1, rgba=picture(2)))  # the face goes on meanwhile
    time.sleep(0.1)
    assert sink.num_sent == gone
    node.touch()
    wait_for(lambda: not sink.health().lost)
    wait_for(lambda: sink.num_sent > gone + 2)
    assert sink.health().losses == 1
    sink.close()
    fitter = FrameFitter(64, 64, background="#102030")
    shown = to_i420(fitter.rgb(picture(2))).tobytes()
    assert fake.records()[-1].data.tobytes() == shown


@needs_camera
def test_the_process_ends_when_we_die(camera: VirtualCamera) -> None:
    camera.open(FORMAT)
    assert camera._process is not None
    assert camera._process.stdin is not None
    camera._process.stdin.close()  # what the system does when a process ends
    assert camera._process.wait(2.0) == 0


@needs_camera
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "/dev/video55"}, r"does not exist\).*rest-bridge devices"),
        ({"device": "/dev/null"}, "cannot be opened"),
        ({"background": "greenish"}, "background 'greenish' is neither"),
        ({"backend": "obs"}, r"no back end 'obs', but v4l2loopback"),
    ],
)
def test_a_camera_that_cannot_be_opened_is_one_sentence(
    options: dict[str, str], words: str
) -> None:
    sink = VirtualCamera(width=64, height=64, **options)  # type: ignore[arg-type]
    with pytest.raises(SinkUnavailable, match=words) as caught:
        sink.open(FORMAT)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


@needs_camera
def test_no_device_names_the_module_to_load() -> None:
    with pytest.raises(SinkUnavailable, match="modprobe v4l2loopback exclusive_caps=1"):
        VirtualCamera().open(FORMAT)


def test_missing_extra_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SinkUnavailable, match=r'pip install "rest-bridge\[cam\]"'):
        VirtualCamera().open(FORMAT)


def test_our_own_process_never_imports_pyvirtualcam() -> None:
    assert "pyvirtualcam" not in sys.modules


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("'obs' backend: virtual camera output could not be started", "stop it there"),
        ("Device /dev/video0 is not a video output device.", "real webcam"),
        ("open: Permission denied, missing permissions", "usermod -aG video"),
        ("Device or resource busy", "another program"),
        ("modprobe: Operation not permitted", "Secure Boot"),
        ("something never seen", "troubleshooting"),
        (
            "'obs' backend: OBS Virtual Camera device not found\n"
            "'unitycapture' backend: already in use",
            "press Start Virtual Camera.*; or another program",
        ),
    ],
)
def test_every_known_message_has_its_remedy(message: str, words: str) -> None:
    import re

    assert re.search(words, camera_remedy(message))


MESSAGE = "'v4l2loopback' backend: Device /dev/video10 is not a video output device"


@pytest.mark.skipif(sys.platform == "win32", reason="links as Linux has them")
def test_a_camera_that_another_program_sends_to_is_said_with_the_program(tmp_path: Path) -> None:
    virtual, proc = tmp_path / "virtual", tmp_path / "proc"
    assert taken(MESSAGE, proc=proc, virtual=virtual) == ""  # a real webcam
    (virtual / "video10").mkdir(parents=True)
    for number, (name, device) in enumerate([("obs", "video10"), ("zoom", "video0")], 7):
        (proc / str(number) / "fd").mkdir(parents=True)
        (proc / str(number) / "comm").write_text(f"{name}\n")
        (proc / str(number) / "fd" / "3").symlink_to(f"/dev/{device}")
    text = taken(MESSAGE, proc=proc, virtual=virtual)
    assert text.startswith("Another program sends pictures to the virtual camera /dev/video10")
    assert text.endswith("It is open in obs (process 7).")
    (proc / "7" / "fd" / "3").unlink()
    assert "modprobe -r" in taken(MESSAGE, proc=proc, virtual=virtual)
    assert taken("Device /dev/video10 does not exist", proc=proc, virtual=virtual) == ""


class FakeCamera:
    """Counts, and ends the loop after a number of frames."""

    def __init__(self, stop: threading.Event, count: int) -> None:
        self.sent: list[bytes] = []
        self._stop, self._count = stop, count

    def send(self, pixels: ByteArray) -> None:
        self.sent.append(pixels.tobytes())
        if len(self.sent) >= self._count:
            self._stop.set()


def test_worker_shows_the_background_before_the_first_frame() -> None:
    stop = threading.Event()
    frames = CameraFrames.create(8, 8)
    fitter = FrameFitter(16, 16, background="#ff0000")
    fake = FakeCamera(stop, 3)
    pacer = CameraPacer(1000.0, 25.0, time.monotonic_ns())
    picture_ = camera_worker.Picture(fitter, planar=False)
    assert camera_worker.run_camera(fake, frames, picture_, pacer, stop)
    assert fake.sent == [bytes([255, 0, 0]) * 256] * 3
    assert (frames.num_sent, frames.num_repeated) == (3, 0)
    frames.close(delete=True)


def test_newest_picture_wins_and_is_taken_once() -> None:
    frames = CameraFrames.create(64, 48)
    reader = CameraFrames(frames.path, 64, 48)
    assert reader.take() is None
    for seed in range(5):
        frames.put(pattern_picture(seed=seed))
    taken = reader.take()
    assert taken is not None
    assert np.array_equal(taken, pattern_picture(seed=4))
    assert reader.take() is None
    reader.close()
    frames.close(delete=True)
    frames.close(delete=True)


def test_a_picture_is_never_torn() -> None:
    frames = CameraFrames.create(256, 256)
    reader = CameraFrames(frames.path, 256, 256)
    done = threading.Event()

    def write() -> None:
        for number in range(100):
            frames.put(np.full((256, 256, 4), number % 256, np.uint8))
            time.sleep(0.0005)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    num_taken = 0
    while not done.is_set():
        taken = reader.take()
        if taken is not None:
            num_taken += 1
            assert taken.min() == taken.max()
    writer.join()
    assert num_taken > 0
    reader.close()
    frames.close(delete=True)
