"""A virtual camera: Zoom, Meet, Discord and OBS see the face as a webcam.

The camera runs in a process of its own (`camera_worker`), with a pacer of its own: it keeps its
rate when we are late, and what goes wrong in a driver does not take the stream with it. A device
that vanishes is opened again by that process, and a process that dies is started again from here.
"""

import contextlib
import importlib.util
import json
import logging
import subprocess
import sys
import threading
import time
from collections import deque
from typing import Any, Final, Literal

import cv2
import numpy as np

from rest_bridge.errors import ConfigError, SinkUnavailable
from rest_bridge.sinks.camera_frames import CameraFrames
from rest_bridge.sinks.camera_remedies import MISSING_EXTRA, camera_remedy, taken
from rest_bridge.sinks.convert import Fit, parse_background
from rest_bridge.sound.health import DeviceHealth
from rest_bridge.types import Frame, FrameFormat

_START_TIMEOUT_S: Final = 12.0
_END_TIMEOUT_S: Final = 1.0
_MODULE: Final = "rest_bridge.sinks.camera_worker"
_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 8.0
"""Between two attempts to start a camera's process that has died."""

_log = logging.getLogger(__name__)


class VirtualCamera:
    """Shows the newest frame, letterboxed on a background, at the camera's own rate.

    Args:
        device: like "/dev/video10" or "OBS Virtual Camera"; empty for the first.
        backend: of pyvirtualcam; empty for the first that works.
        width: of the camera, pixels, by 4.
        height: of the camera, pixels, even.
        fps: of the camera.
        background: behind the face, see `convert.parse_background`.
        fit: how the frame is put into the camera's shape.
        mirror: swap left and right.
    """

    policy: Literal["latest", "every"] = "latest"

    def __init__(
        self,
        *,
        device: str = "",
        backend: str = "",
        width: int = 1280,
        height: int = 720,
        fps: int = 30,
        background: str = "#00b140",
        fit: Fit = "contain",
        mirror: bool = False,
    ) -> None:
        self.name = "virtual camera"
        self._options: dict[str, Any] = {
            "device": device,
            "backend": backend,
            "width": width,
            "height": height,
            "fps": fps,
            "background": background,
            "fit": fit,
            "mirror": mirror,
        }
        self._frames: CameraFrames | None = None
        self._size = (0, 0)
        self._fps = 25.0
        self._process: subprocess.Popen[bytes] | None = None
        self._said: deque[str] = deque(maxlen=5)
        self._num_deaths = 0
        self._dead = False
        self._retry_s = self._wait_s = 0.0

    @property
    def num_sent(self) -> int:
        """Pictures that went to the camera."""
        return self._frames.num_sent if self._frames is not None else 0

    @property
    def num_repeated(self) -> int:
        """Pictures that were shown again because no new one was there."""
        return self._frames.num_repeated if self._frames is not None else 0

    def health(self) -> DeviceHealth:
        """Return whether the camera is there, and how often it was not."""
        frames = self._frames
        gone = frames is not None and frames.lost
        losses = self._num_deaths + (frames.num_losses if frames is not None else 0)
        return DeviceHealth("camera", self.name, lost=gone or self._dead, losses=losses)

    def open(self, fmt: FrameFormat) -> None:
        """Start the camera's process and wait until the camera is open.

        Args:
            fmt: size of the frames that will come.

        Raises:
            SinkUnavailable: the extra, the camera or the right to use it is missing, or another
                program sends to it; the message says what to do.
        """
        if importlib.util.find_spec("pyvirtualcam") is None:
            raise SinkUnavailable(f"The virtual camera cannot be used: {MISSING_EXTRA}.")
        try:
            parse_background(self._options["background"])
        except ConfigError as error:
            raise SinkUnavailable(f"The virtual camera cannot be used: {error}.") from None
        self._size, self._fps = (fmt.width, fmt.height), fmt.fps
        self._frames = CameraFrames.create(fmt.width, fmt.height)
        self.name = f"virtual camera {self._start()}"

    def send(self, frame: Frame) -> None:
        """Let the camera show a frame from its next turn on.

        Never waits for it, but where its process has died and is started again.

        Args:
            frame: of any size; another one than announced is scaled.
        """
        assert self._frames is not None
        rgba = frame.rgba
        if rgba.shape[1::-1] != self._size:
            rgba = np.asarray(cv2.resize(rgba, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        self._frames.put(rgba, frame.due_ns)
        if self._process is None or self._process.poll() is not None:
            self._revive()

    def _revive(self) -> None:
        """Start the camera's process again, if it is time to try."""
        now_s = time.monotonic()
        if not self._dead:
            code = self._process.poll() if self._process is not None else None
            _log.warning(
                "The process of the virtual camera has ended (exit code %s) %s; it is started "
                "again, the other outputs go on.", code, " ".join(self._said)
            )  # fmt: skip
            self._dead, self._num_deaths = True, self._num_deaths + 1
            self._wait_s, self._retry_s = _FIRST_WAIT_S, now_s
        if now_s < self._retry_s:
            return
        self._release()
        try:
            self._start()
        except SinkUnavailable as error:
            _log.debug("%s", error)
            self._retry_s = time.monotonic() + self._wait_s
            self._wait_s = min(_LONGEST_WAIT_S, 2 * self._wait_s)
        else:
            self._dead = False

    def _start(self) -> str:
        """Start the camera's process; returns the name of its device."""
        assert self._frames is not None
        options = self._options | {
            "frames": str(self._frames.path),
            "frame_width": self._size[0],
            "frame_height": self._size[1],
            "frame_fps": self._fps,
        }
        process = self._process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us; we tell the camera when to end
        )
        answer = self._read_answer(process)
        if "error" in answer:
            self._release()
            if not self._dead:
                self.close()
            raise SinkUnavailable(_explain(answer))
        # The same one again, should this process die.
        self._options["device"] = str(answer["device"])
        listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
        listener.start()
        return str(answer["device"])

    def close(self) -> None:
        """End the camera's process; idempotent."""
        self._release()
        if self._frames is not None:
            self._frames.close(delete=True)

    def _release(self) -> None:
        """End the camera's process and let its pipes go."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
            try:
                process.wait(_END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None
                with contextlib.suppress(OSError):
                    pipe.close()

    def _read_answer(self, process: "subprocess.Popen[bytes]") -> dict[str, Any]:
        # A driver may hang while it opens; killing the process ends the read.
        timer = threading.Timer(_START_TIMEOUT_S, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            if line:
                answer: dict[str, Any] = json.loads(line)
                return answer
            code = process.wait()
            said = process.stderr.read().decode(errors="replace").strip().splitlines()
        finally:
            timer.cancel()
        return {"error": said[-1] if said else f"its process ended with exit code {code}"}

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        """Thread body: a failed write shows only on the process's standard error."""
        assert process.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            for line in process.stderr:
                text = line.decode(errors="replace").strip()
                if text and not self._said:
                    _log.warning("The virtual camera says: %s", text)
                if text:
                    self._said.append(text)


def _explain(answer: dict[str, Any]) -> str:
    """One sentence from what the process answered; each back end's cause stands in it."""
    if answer.get("missing"):
        return f"The virtual camera cannot be used: {MISSING_EXTRA} ({answer['error']})."
    if text := taken(answer["error"]):
        return text
    causes = "; ".join(line.strip().rstrip(".") for line in answer["error"].splitlines() if line)
    return f"The virtual camera cannot be opened ({causes}): {camera_remedy(answer['error'])}."
