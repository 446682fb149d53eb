"""The real daemon's face in the real OBS, and what the source costs: slow, to be looked at.

    pytest -m slow -s tests/obs/test_live.py

With REST_BRIDGE_SHOTS=FOLDER the screenshots are left there.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("simpleobsws", reason="not installed: rest-bridge[obs]")

from rest_bridge import cli
from rest_bridge.client import BridgeClient
from rest_bridge.flash import click_track
from rest_bridge.types import VOICE_RATE_HZ, ByteArray
from tests.obs.test_timing import read_recording, record, tell, tell_offsets
from tests.support.face_daemon import FaceDaemon
from tests.support.obs import SCENE, Obs

pytestmark = [pytest.mark.device, pytest.mark.slow]
SHOTS = os.environ.get("REST_BRIDGE_SHOTS", "")  # tests run without such variables
SIZES = {"512 x 512": (512, 512), "1920 x 1080": (1920, 1080)}


def keep(name: str, picture: ByteArray) -> None:
    """Leave a screenshot for a person."""
    if SHOTS:
        Image.fromarray(picture[..., :3]).save(Path(SHOTS) / f"{name}.png")


@contextlib.contextmanager
def demo(folder: Path) -> Iterator[None]:
    """Run `rest-bridge demo`, and end it."""
    command = [sys.executable, "-m", "rest_bridge", "demo", "--no-browser", "--avatar", "luna"]
    may = hasattr(os, "geteuid") and os.geteuid() == 0
    with (folder / "demo.log").open("wb") as log:
        process = subprocess.Popen(
            [*(["chrt", "-r", "1"] if may else []), *command], stdout=log, stderr=log
        )
    try:
        with BridgeClient() as client:
            assert client.frame(timeout_s=60) is not None, (folder / "demo.log").read_text()
            yield
    finally:
        process.terminate()
        process.wait(15)


def test_a_speaking_face_stands_in_the_scene_with_what_is_behind_it(
    plugin: Path,
    network: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Obs(tmp_path / "obs", plugin, canvas=(960, 540), fps=10) as obs:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(obs.folder / "config"))
        for index, colour in enumerate((0xFF5A3A20, 0xFF7A5230, 0xFF9A7048, 0xFFB89468)):
            item = obs.add_source(
                f"wall {index}", "color_source_v3", color=colour, width=960, height=135
            )
            obs.ask(
                "SetSceneItemTransform", sceneName=SCENE, sceneItemId=item,
                sceneItemTransform={"positionX": 0.0, "positionY": 135.0 * index},
            )  # fmt: skip
        item = obs.add_source(
            "title", "text_ft2_source_v2", text="Good evening!",
            font={"face": "DejaVu Sans", "size": 72},
        )  # fmt: skip
        obs.ask(
            "SetSceneItemTransform", sceneName=SCENE, sceneItemId=item,
            sceneItemTransform={"positionX": 45.0, "positionY": 70.0},
        )  # fmt: skip
        with demo(tmp_path):
            assert cli.run(["obs", "setup"]) == 0
            obs.wait_for_line("connected", timeout_s=40)
            time.sleep(3)
            alone = obs.screenshot("rest_bridge")
            shots = []
            for _ in range(6):
                shots.append(obs.screenshot(SCENE))
                time.sleep(0.4)
            checked = cli.run(["obs", "check"])
        assert cli.run(["obs", "undo"]) == 0
    with capsys.disabled():
        tell(f"check: {checked}")
    keep("obs-alone", alone)
    for index, shot in enumerate(shots):
        keep(f"obs-program-{index}", shot)
    assert checked == 0
    assert alone.shape == (512, 512, 4)
    assert alone[..., 3].min() == 0  # transparent beside the head
    assert alone[..., 3].max() == 255
    face = np.stack([shot[216:, 636:, :3] for shot in shots]).astype(float)
    assert face.std(axis=0).max() > 20  # it moves
    wall = np.stack([shot[225:, :450, :3] for shot in shots]).astype(float)
    assert wall.std(axis=0).max() == 0  # nothing else does


def moving(size: tuple[int, int]) -> list[ByteArray]:
    """Return 50 different pictures, uint8 [H, W, 4], smooth enough for a codec."""
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width]
    pictures = []
    for index in range(50):
        rgba = np.full((height, width, 4), 255, np.uint8)
        rgba[..., 0] = (columns // 4 + 5 * index) % 256
        rgba[..., 1] = (rows // 4 + 3 * index) % 256
        pictures.append(rgba)
    return pictures


def write_video(path: Path, pictures: list[ByteArray], voice: np.ndarray | None = None) -> None:
    """Write a video at 25 frames per second, sound and pictures interleaved."""
    samples = VOICE_RATE_HZ // 25
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "20"})
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt = "yuv420p"
        audio = None
        if voice is not None:
            audio = file.add_stream("pcm_s16le", rate=VOICE_RATE_HZ, layout="mono")
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[..., :3]), "rgb24")
            file.mux(video.encode(frame))
            if audio is not None and voice is not None:
                piece = voice[index * samples : (index + 1) * samples]
                pcm = (piece * 32767).astype(np.int16)[None]
                sound = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
                sound.sample_rate = VOICE_RATE_HZ
                sound.pts = index * samples
                file.mux(audio.encode(sound))
        file.mux(video.encode(None))


def cost(obs: Obs, seconds: float = 4.0) -> float:
    """Return the share of one core that OBS uses, in per cent."""
    time.sleep(1.5)
    begin_s, used_s = time.monotonic(), obs.cpu_s()
    time.sleep(seconds)
    return 100 * (obs.cpu_s() - used_s) / (time.monotonic() - begin_s)


@pytest.mark.parametrize("name", SIZES)
def test_what_the_source_costs_beside_obs_own_media_source(
    name: str, plugin: Path, network: None, tmp_path: Path
) -> None:
    pictures = moving(SIZES[name])
    write_video(tmp_path / "same.mp4", pictures)
    with Obs(tmp_path / "obs", plugin, canvas=(640, 360), fps=25) as obs:
        empty = cost(obs)
        obs.add_source(
            "media", "ffmpeg_source", local_file=str(tmp_path / "same.mp4"), looping=True,
            hw_decode=False,
        )  # fmt: skip
        media = cost(obs)
        obs.ask("RemoveInput", inputName="media")
        with FaceDaemon(lambda index: pictures[index % 50]):
            obs.add_source("ours")
            obs.wait_for_line("connected")
            ours = cost(obs)
            obs.ask("RemoveInput", inputName="ours")
    tell(
        f"{name}, 25 fps, canvas 640 x 360 drawn by llvmpipe: OBS alone {empty:.0f} % of a core, "
        f"media source +{media - empty:.0f} %, ours +{ours - empty:.0f} %"
    )
    assert ours - empty < 2.5 * (media - empty) + 15


def test_click_and_flash_of_obs_own_media_source_for_comparison(
    plugin: Path, network: None, tmp_path: Path
) -> None:
    """How far apart OBS itself records a file that is in sync: the yardstick for ours."""
    voice = click_track(12.0)
    frames = np.abs(voice.reshape(-1, VOICE_RATE_HZ // 25)).max(1) > 0.2
    dark = np.zeros((360, 360, 4), np.uint8)
    write_video(
        tmp_path / "clicks.mkv", [dark + np.uint8(255) if loud else dark for loud in frames], voice
    )
    with Obs(tmp_path / "obs", plugin, canvas=(360, 360), fps=30) as obs:
        obs.add_source("media", "ffmpeg_source", local_file=str(tmp_path / "clicks.mkv"))
        time.sleep(0.5)
        offsets_ms = read_recording(record(obs, 9.0))
    tell_offsets("OBS's media source", offsets_ms)
    assert len(offsets_ms) >= 6  # how far apart is OBS's affair: -84 and +27 ms were measured
