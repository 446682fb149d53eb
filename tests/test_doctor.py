"""The doctor never raises, and every failure comes with what to do."""

import json
import shutil
import socket
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from rest_bridge import doctor
from rest_bridge.config import CameraSection, Config, EndpointsSection, ModelSection, PreviewSection
from rest_bridge.devices import (
    check_inputs,
    check_monitors,
    check_outputs,
    list_all,
    list_cameras,
)
from rest_bridge.sinks.camera_remedies import camera_remedy
from rest_bridge.sound import pulse
from rest_bridge.sound.devices import DeviceList

MESSAGES = {
    "virtual camera output could not be started": "stop it there",
    "obs backend: OBS Virtual Camera device not found! Did you install OBS?": "install OBS",
    "No v4l2 loopback device found at /dev/video[0-99]. Did you run 'modprobe v4l2loopback'?":
        "modprobe v4l2loopback",
    "Could not open /dev/video10: missing permissions": "usermod -aG video",
    "Device /dev/video0 is not a video output device.": "exclusive_caps=1",
    "Device /dev/video10 is already in use": "another program",
    "modprobe: ERROR: could not insert 'v4l2loopback': Operation not permitted": "Secure Boot",
    "OBS Virtual Camera is not installed in your system.": "OBS 30",
}  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES)
def test_every_known_camera_message_has_its_remedy(message: str) -> None:
    assert MESSAGES[message] in camera_remedy(message)


def test_when_every_camera_back_end_fails_each_remedy_is_shown() -> None:
    text = "'obs' backend: OBS Virtual Camera device not found\n'unitycapture': already in use"
    remedy = camera_remedy(text)
    assert "install OBS" in remedy
    assert "another program" in remedy


def test_an_unknown_camera_message_points_to_the_readme() -> None:
    assert "README" in camera_remedy("segmentation fault")


def test_a_taken_port_is_named_with_the_key_that_changes_it() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        config = Config(
            preview=PreviewSection(port=port), endpoints=EndpointsSection(enabled=False)
        )
        check = doctor.check_ports(config)
    assert check.status == "fail"
    assert f"preview.port ({port})" in check.detail
    assert "--set preview.port=" in check.remedy


def test_free_ports_are_ok() -> None:
    config = Config(
        preview=PreviewSection(enabled=False), endpoints=EndpointsSection(enabled=False)
    )
    assert doctor.check_ports(config).status == "ok"


def test_a_missing_model_package_fails_with_a_remedy(tmp_path: Path) -> None:
    config = Config(model=ModelSection(package=str(tmp_path / "none")))
    for check in (doctor.check_package(config), doctor.check_runtime(config)):
        assert check.status == "fail"
        assert check.remedy


def test_a_truncated_model_package_is_found_by_its_size(tmp_path: Path, package_path: Path) -> None:
    copy = tmp_path / "package"
    shutil.copytree(package_path, copy)
    name = next(iter(json.loads((copy / "manifest.json").read_text())["files"]))
    (copy / name).write_bytes((copy / name).read_bytes()[:-1])
    check = doctor.check_package(Config(model=ModelSection(package=str(copy))))
    assert check.status == "fail"
    assert name in check.detail


@pytest.mark.parametrize(("free", "status"), [(10**12, "ok"), (10**9, "warn"), (10**6, "fail")])
def test_disk_space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, status: str
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**13, 0, free))
    assert doctor.check_disk([tmp_path / "not" / "there"]).status == status


def test_the_codecs_of_all_three_recording_formats_are_here() -> None:
    assert doctor.check_codecs().status == "ok"


def test_a_camera_that_is_not_there_is_a_warning_with_a_remedy() -> None:
    config = Config(camera=CameraSection(device="/dev/video-none", backend="v4l2loopback"))
    check = doctor.check_camera(config)
    assert check.status == "warn"
    assert check.remedy


def test_all_checks_return_and_failures_have_remedies() -> None:
    checks = doctor.examine(Config())
    assert len({check.name for check in checks}) == len(checks)
    assert all(check.remedy for check in checks if check.status != "ok")


def test_listing_devices_always_works_and_says_why_a_list_is_empty() -> None:
    listings = list_all()
    assert [listing.kind for listing in listings] == ["input", "monitor", "output", "camera"]
    assert all(listing.devices or listing.reason for listing in listings)


def test_without_a_sound_server_each_check_of_sound_says_how_to_start_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = DeviceList((), f"{pulse.NO_SERVER}; none is connected")
    for name in ("list_inputs", "list_monitors", "list_outputs"):
        monkeypatch.setattr(f"rest_bridge.devices.{name}", lambda: nothing)
    for check in (check_inputs(), check_monitors(), check_outputs()):
        assert (check.status, check.remedy) == ("warn", pulse.START_ONE)
        assert "pulseaudio --start" in check.remedy
    assert all("--start" in listing.reason for listing in list_all()[:3])


def test_a_missing_camera_driver_is_named_with_what_to_type(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("elsewhere cameras are found when opened")
    assert "sudo modprobe v4l2loopback" in list_cameras(tmp_path).reason


def test_only_virtual_video_devices_are_cameras_to_write_to(tmp_path: Path) -> None:
    folder = tmp_path / "video4linux"
    folder.mkdir()
    for name, bus, title in (("video0", "pci", "Webcam"), ("video10", "virtual", "rest_bridge")):
        device = tmp_path / "devices" / bus / name
        device.mkdir(parents=True)
        (device / "name").write_text(f"{title}\n")
        (folder / name).symlink_to(device)
    cameras = list_cameras(folder)
    assert [(c.name, c.description) for c in cameras.devices] == [("/dev/video10", "rest_bridge")]
