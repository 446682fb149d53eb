"""A virtual camera: Zoom, Meet, Discord and OBS see the face as a webcam.

The camera runs in a process of its own (`camera_worker`), with a pacer of its own: it keeps its
rate when we are late, and what goes wrong in a driver does not take the stream with it.
"""

import contextlib
import importlib.util
import json
import logging
import subprocess
import sys
import threading
from collections import deque
from typing import Any, Final, Literal

import cv2
import numpy as np

from rest_bridge.errors import ConfigError, SinkError, SinkUnavailable
from rest_bridge.sinks.camera_frames import CameraFrames
from rest_bridge.sinks.camera_remedies import MISSING_EXTRA, camera_remedy
from rest_bridge.sinks.convert import Fit, parse_background
from rest_bridge.types import Frame, FrameFormat

_START_TIMEOUT_S: Final = 12.0
_END_TIMEOUT_S: Final = 1.0
_MODULE: Final = "rest_bridge.sinks.camera_worker"

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
        self._process: subprocess.Popen[bytes] | None = None
        self._said: deque[str] = deque(maxlen=5)

    @property
    def num_sent(self) -> int:
        """Pictures that went to the camera."""
        return self._frames.num_sent if self._frames is not None else 0

    @property
    def num_repeated(self) -> int:
        """Pictures that were shown again because no new one was there."""
        return self._frames.num_repeated if self._frames is not None else 0

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
        self._size = (fmt.width, fmt.height)
        self._frames = CameraFrames.create(fmt.width, fmt.height)
        options = self._options | {
            "frames": str(self._frames.path),
            "frame_width": fmt.width,
            "frame_height": fmt.height,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us; we tell the camera when to end
        )
        answer = self._read_answer(self._process)
        if "error" in answer:
            self.close()
            raise SinkUnavailable(_explain(answer))
        self.name = f"virtual camera {answer['device']}"
        listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        listener.start()

    def send(self, frame: Frame) -> None:
        """Let the camera show a frame from its next turn on; never waits for it.

        Args:
            frame: of any size; another one than announced is scaled.

        Raises:
            SinkError: the camera's process has ended.
        """
        assert self._frames is not None
        assert self._process is not None
        code = self._process.poll()
        if code is not None:
            said = f": {' '.join(self._said)}" if self._said else ""
            raise SinkError(
                f"The process of the virtual camera has ended (exit code {code}){said}; the other "
                "outputs go on. Start rest-bridge again to get the camera back."
            )
        rgba = frame.rgba
        if rgba.shape[1::-1] != self._size:
            rgba = np.asarray(cv2.resize(rgba, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        self._frames.put(rgba)

    def close(self) -> None:
        """End the camera's process; idempotent."""
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
        if self._frames is not None:
            self._frames.close(delete=True)

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
    causes = "; ".join(line.strip().rstrip(".") for line in answer["error"].splitlines() if line)
    return f"The virtual camera cannot be opened ({causes}): {camera_remedy(answer['error'])}."
