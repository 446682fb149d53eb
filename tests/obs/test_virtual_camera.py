"""`rest-bridge obs setup --virtual-camera` in the real OBS, on a stand-in for v4l2loopback.

This kernel has no such driver, so a preloaded library pretends to OBS that it is loaded and that
/dev/video10 is its device: OBS finds it, starts, and writes its program there. With the real driver
it is tried in a virtual machine (tests/vm).
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("simpleobsws", reason="not installed: rest-bridge[obs]")

from rest_bridge import cli
from rest_bridge.errors import SinkUnavailable
from rest_bridge.obs import arrange
from rest_bridge.obs.changes import ChangeFile
from tests.support.face_daemon import FaceDaemon
from tests.support.fakev4l2 import FakeDevice, Record, build
from tests.support.obs import SCENE, Obs

pytestmark = pytest.mark.device
CANVAS = (320, 180)
FACE = np.kron(
    np.array([[[200, 40, 40], [40, 200, 40]], [[40, 40, 200], [220, 220, 60]]], np.uint8),
    np.ones((32, 32, 1), np.uint8),
)
"""A colour in each quarter, uint8 [64, 64, 3]."""
TO_RGB = np.array([[1.164, 0, 1.793], [1.164, -0.213, -0.533], [1.164, 2.112, 0]])
"""From Y, Cb, Cr of BT.709 in the limited range, OBS's usual one."""
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> FakeDevice:
    return FakeDevice("/dev/video10", tmp_path_factory.mktemp("camera") / "frames.bin")


@pytest.fixture(scope="module")
def obs(
    plugin: Path, network: None, camera: FakeDevice, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Obs]:
    variables = {
        "LD_PRELOAD": str(build(tmp_path_factory.mktemp("library"))),
        "FAKE_V4L2_DEV": camera.path,
        "FAKE_V4L2_SINK": str(camera.sink),
        "FAKE_V4L2_LISTED": "1",
    }
    folder = tmp_path_factory.mktemp("obs")
    with Obs(folder, plugin, canvas=CANVAS, fps=10, variables=variables) as running:
        yield running


def picture(record: Record) -> np.ndarray:
    """Return what was written to the device, uint8 [H, W, 3] RGB."""
    pairs = record.data.reshape(record.height, record.width // 2, 4).astype(float)
    chroma = pairs[..., [1, 3]].repeat(2, axis=1)
    luma = pairs[..., [0, 2]].reshape(record.height, record.width, 1)
    rgb = (np.concatenate((luma, chroma), axis=-1) - (16, 128, 128)) @ TO_RGB.T
    return rgb.clip(0, 255).round().astype(np.uint8)


def test_the_virtual_camera_carries_the_face_and_undo_stops_it(
    obs: Obs, camera: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(obs.folder / "config"))
    opaque = np.dstack((FACE, np.full((64, 64), 255, np.uint8)))
    with FaceDaemon(lambda _: opaque):
        assert cli.run(["obs", "setup", "--virtual-camera"]) == 0
        assert obs.ask("GetVirtualCamStatus")["outputActive"]
        obs.wait_for_line("connected")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            records = camera.records()
            if records and picture(records[-1])[-20:, -20:].max() > 150:
                break
            assert time.monotonic() < deadline, len(records)
            time.sleep(0.2)
        program = obs.screenshot(SCENE)
        shown = camera.records()[-1]
    assert (shown.width, shown.height, shown.fourcc) == (*CANVAS, "YUYV")
    away = np.abs(picture(shown).astype(int) - program[..., :3])
    assert np.quantile(away, 0.97) <= 4  # but for the borders between colours
    side = round(0.6 * CANVAS[1])
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        top, left = CANVAS[1] - side + row * side // 2, CANVAS[0] - side + column * side // 2
        quarter = picture(shown)[top + 8 : top + side // 2 - 8, left + 8 : left + side // 2 - 8]
        assert np.abs(quarter.astype(int) - FACE[40 * row, 40 * column]).max() <= 4
    assert picture(shown)[: CANVAS[1] - side - 4].max() <= 2  # nothing above it

    assert cli.run(["obs", "undo"]) == 0
    deadline = time.monotonic() + PATIENCE_S
    while obs.ask("GetVirtualCamStatus")["outputActive"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    count = len(camera.records())
    time.sleep(0.5)
    assert len(camera.records()) == count


class SaysYes:
    """An OBS that takes the order and starts nothing."""

    def ask(self, request: str, **_: Any) -> dict[str, Any]:
        return {"outputActive": False} if request == "GetVirtualCamStatus" else {}


def test_a_camera_that_obs_did_not_start_is_told_and_can_be_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrange, "_CAMERA_S", 0.0)
    changes = ChangeFile(tmp_path / "changes.json")
    with pytest.raises(SinkUnavailable, match="OBS's window says why"):
        arrange._start_camera(SaysYes(), changes)
    assert list(arrange.undo(SaysYes(), ChangeFile(changes.path))) == [
        "OBS's virtual camera does not run any more."
    ]
    assert not changes.path.exists()
