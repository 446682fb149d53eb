"""A real OBS under Xvfb with our plugin, in a home of its own, steered over its websocket.

To be started inside `own_network`: OBS's websocket listens on all interfaces.
"""

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from rest_bridge.obs.link import ObsLink, ObsRefused, ObsUnavailable
from rest_bridge.types import ByteArray
from tests.support.xwindow import close_window

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "obs"
KIND = "rest_bridge_source"
SCENE = "Scene"
PASSWORD = "of-a-test"
_START_S = 60.0
_END_S = 60.0
_EXISTS = 601
_TOOLS = ("obs", "Xvfb", "xdotool", "ip", "cmake", "ninja", "c++")
# On a busy test machine a starved OBS or Xvfb would be late before we could be; see pulse.py.
_MAY = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("chrt") is not None
_PRIORITY = ["chrt", "-r", "1"] if _MAY else []
_LEAKS = re.compile(r"Number of memory leaks: (\d+)")


def missing_tools() -> list[str]:
    """Return what is not installed."""
    found = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if not Path("/usr/include/obs/obs-module.h").is_file():
        found.append("libobs-dev")
    return found


def build_plugin() -> Path:
    """Build the plugin with its preset; return the folder."""
    for command in (["cmake", "--preset", "linux"], ["cmake", "--build", "--preset", "linux"]):
        done = subprocess.run(
            command, cwd=PLUGIN, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return PLUGIN / "build" / "linux"


class Obs:
    """One OBS; `start`, `stop` and start again as often as wanted.

    Args:
        folder: becomes its home.
        build: of the plugin, installed as a person does; None for an OBS without it.
        canvas: width and height, pixels.
        fps: of the canvas.
        window: show OBS's window on its (virtual) screen.
        audio: sources of the scene collection for desktop audio or microphones, as OBS's JSON.
        variables: more environment variables of OBS.
    """

    def __init__(
        self,
        folder: Path,
        build: Path | None,
        *,
        canvas: tuple[int, int] = (640, 360),
        fps: int = 30,
        audio: dict[str, Any] | None = None,
        window: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.canvas = canvas
        self._flags = [] if window else ["--minimize-to-tray"]
        self.config = folder / "config" / "obs-studio"
        (folder / "run").mkdir(mode=0o700, parents=True)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "DISPLAY"},
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "GALLIUM_DRIVER": "llvmpipe",
            "LP_NUM_THREADS": "1",
            "QT_QPA_PLATFORM": "xcb",
            **(variables or {}),
        }
        self._write_config(fps, audio or {})
        if build is not None:
            done = subprocess.run(
                ["cmake", "--install", str(build), "--prefix", str(self.config / "plugins")],
                capture_output=True, text=True, env=self.environment, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        self.client: ObsLink | None = None
        self._processes: list[subprocess.Popen[bytes]] = []
        self._num_starts = 0
        self._num_forgotten = 0

    def __enter__(self) -> "Obs":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start Xvfb and OBS, and wait until OBS answers."""
        read, write = os.pipe()
        self._spawn(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x720x24", "-nolisten", "tcp"],
            "xvfb.log", pass_fds=(write,),
        )  # fmt: skip
        os.close(write)
        with os.fdopen(read) as pipe:
            self.environment["DISPLAY"] = f":{pipe.readline().strip()}"
        self._num_starts += 1
        self._num_forgotten = 0
        self.log_path = self.folder / f"obs-{self._num_starts}.log"
        self.process = self._spawn(
            ["obs", "--multi", "--disable-updater", "--disable-missing-files-check",
             *self._flags, "--collection", "rb", "--profile", "rb", "--scene", SCENE,
             "--verbose"],
            self.log_path.name,
        )  # fmt: skip
        deadline = time.monotonic() + _START_S
        while self.client is None:
            assert self.process.poll() is None, self.log[-3000:]
            assert time.monotonic() < deadline, "OBS did not answer:\n" + self.log[-3000:]
            try:
                link = ObsLink(port=4455, password=PASSWORD).__enter__()
                link.ask("GetSceneList")
                self.client = link
            except (ObsUnavailable, ObsRefused):  # its port opens a little before OBS answers
                time.sleep(0.1)

    def stop(self) -> bool:
        """Close OBS's window, as a person does, and end Xvfb.

        Not by SIGINT: OBS 29 closes its window from inside the signal's handler, wherever its main
        thread is, which crashes or hangs it with any source that is heard (obs-studio #8506).

        Returns:
            Whether OBS ended in order.
        """
        if self.client is not None:
            with contextlib.suppress(ObsUnavailable):
                self.client.__exit__()
            self.client = None
        obs, xvfb = self.process, self._processes[0]
        try:
            close_window(self.environment["DISPLAY"], obs.pid, "^OBS ")
            obs.wait(_END_S)
        except (AssertionError, subprocess.TimeoutExpired):
            obs.kill()
            obs.wait()
        finally:
            xvfb.terminate()
            xvfb.wait()
            self._processes.clear()
        return obs.returncode == 0

    @property
    def log(self) -> str:
        """What OBS has said since its last start."""
        return self.log_path.read_text(errors="replace")

    def own_lines(self) -> list[str]:
        """Return what our plugin has said since OBS's start, or since `forget_lines`."""
        return [
            line.split("[rest-bridge] ", 1)[1]
            for line in self.log.splitlines()
            if "[rest-bridge] " in line
        ][self._num_forgotten :]

    def forget_lines(self) -> None:
        """Leave what was said so far out of `own_lines`."""
        self._num_forgotten = 0
        self._num_forgotten = len(self.own_lines())

    def wait_for_line(self, text: str, *, count: int = 1, timeout_s: float = 20.0) -> None:
        """Wait until the plugin has said something so many times."""
        deadline = time.monotonic() + timeout_s
        while sum(text in line for line in self.own_lines()) < count:
            assert time.monotonic() < deadline, (text, self.own_lines())
            assert self.process.poll() is None, "OBS is gone:\n" + self.log[-3000:]
            time.sleep(0.05)

    def num_leaks(self) -> int:
        """Return how many memory leaks OBS counted at its end."""
        found = _LEAKS.search(self.log)
        assert found is not None, self.log[-2000:]
        return int(found[1])

    def memory_mb(self) -> float:
        """Return what OBS holds of the computer's memory."""
        return float(psutil.Process(self.process.pid).memory_info().rss / 1e6)

    def cpu_s(self) -> float:
        """Return the processor time that OBS has used so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def ask(self, request: str, **arguments: Any) -> dict[str, Any]:
        """Send one request of obs-websocket."""
        assert self.client is not None
        return self.client.ask(request, **arguments)

    def add_source(
        self, name: str = "face", kind: str = KIND, *, scene: str = SCENE, **settings: Any
    ) -> int:
        """Create a source in a scene; returns the scene item."""
        deadline = time.monotonic() + _START_S
        while True:
            try:
                reply = self.ask(
                    "CreateInput", sceneName=scene, inputName=name, inputKind=kind,
                    inputSettings=settings, sceneItemEnabled=True,
                )  # fmt: skip
                break
            except ObsRefused as error:  # one of that name is being removed, by a thread of OBS's
                if error.code != _EXISTS or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        return int(reply["sceneItemId"])

    def screenshot(self, source: str = SCENE, size: tuple[int, int] | None = None) -> ByteArray:
        """Return a picture of a source or scene, uint8 [H, W, 4] RGBA."""
        width, height = size or (None, None)
        arguments = {"sourceName": source, "imageFormat": "png"}
        if size is not None:
            arguments |= {"imageWidth": width, "imageHeight": height}
        data = self.ask("GetSourceScreenshot", **arguments)["imageData"]
        encoded = np.frombuffer(base64.b64decode(data.split(",", 1)[1]), np.uint8)
        picture = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
        assert picture is not None
        code = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGBA
        return np.asarray(cv2.cvtColor(picture, code), np.uint8)

    def snapshot(self, timeout_s: float = 20.0) -> ByteArray:
        """Return the program as OBS's own screenshot saves it, uint8 [H, W, 4] RGBA.

        Unlike `screenshot` it is taken by the thread that draws: where drawing takes all of the
        time, as in an emulated computer, another thread may wait for its turn for minutes.

        Args:
            timeout_s: until OBS has saved it, in seconds.
        """
        folder = self.folder / "recordings"
        before = set(folder.glob("*.png"))
        self.ask("TriggerHotkeyByName", hotkeyName="OBSBasic.Screenshot")
        deadline = time.monotonic() + timeout_s
        while True:
            for path in set(folder.glob("*.png")) - before:
                picture = cv2.imread(str(path))
                if picture is not None:  # else it is being written
                    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGBA), np.uint8)
            assert time.monotonic() < deadline, "OBS saved no screenshot:\n" + self.log[-2000:]
            time.sleep(0.05)

    def _spawn(
        self, command: list[str], log: str, *, pass_fds: tuple[int, ...] = ()
    ) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("wb") as file:
            process = subprocess.Popen(
                [*_PRIORITY, *command],
                stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=self.environment, pass_fds=pass_fds, cwd=self.folder,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def _write_config(self, fps: int, audio: dict[str, Any]) -> None:
        profile = self.config / "basic" / "profiles" / "rb"
        scenes = self.config / "basic" / "scenes"
        profile.mkdir(parents=True)
        scenes.mkdir(parents=True)
        (self.folder / "recordings").mkdir()
        (self.config / "global.ini").write_text(
            "[General]\nFirstRun=true\nLastVersion=486539266\nInfoIncrement=999\n"
            "EnableAutoUpdates=false\nConfirmOnExit=false\nPre19Defaults=false\n"
            "Pre21Defaults=false\nPre23Defaults=false\nPre24.1Defaults=false\n"
            "[Basic]\nProfile=rb\nProfileDir=rb\nSceneCollection=rb\nSceneCollectionFile=rb\n"
            "[OBSWebSocket]\nFirstLoad=false\nServerEnabled=true\nServerPort=4455\n"
            f"AlertsEnabled=false\nAuthRequired=true\nServerPassword={PASSWORD}\n"
        )
        width, height = self.canvas
        (profile / "basic.ini").write_text(
            f"[General]\nName=rb\n[Video]\nBaseCX={width}\nBaseCY={height}\nOutputCX={width}\n"
            f"OutputCY={height}\nFPSType=1\nFPSInt={fps}\n[Audio]\nSampleRate=48000\n"
            "[Output]\nMode=Simple\n"
            f"[SimpleOutput]\nFilePath={self.folder}/recordings\nRecFormat=mkv\n"
            "RecQuality=Stream\nStreamEncoder=x264\nVBitrate=1500\nPreset=ultrafast\n"
        )
        collection = {
            "name": "rb", "current_scene": SCENE, "current_program_scene": SCENE,
            "scene_order": [{"name": SCENE}],
            "sources": [{"id": "scene", "versioned_id": "scene", "name": SCENE,
                         "settings": {"custom_size": False, "id_counter": 0, "items": []}}],
            **audio,
        }  # fmt: skip
        (scenes / "rb.json").write_text(json.dumps(collection))
