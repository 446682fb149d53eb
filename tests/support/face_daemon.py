"""Stands in for the daemon before its plugins: real sockets and messages, a pretended face.

What it shows and says is known to the sample; it can be stopped, restarted and made to lie.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rest_bridge.flash import CLICK_HZ, CLICK_LEVEL, CLICK_S
from rest_bridge.sinks.control import ControlServer, Operation
from rest_bridge.sinks.publisher import Provenance, ZeroMqPublisher
from rest_bridge.types import (
    FRAME_DURATION_NS,
    SAMPLES_PER_FRAME,
    VOICE_RATE_HZ,
    ByteArray,
    FloatArray,
    FrameFormat,
)
from tests.support.frames import make_frame

SILENCE = np.zeros(SAMPLES_PER_FRAME, np.float32)
FACES = ("luna", "maya", "theo")


def chart(size: int = 64) -> ByteArray:
    """Return uint8 [size, size, 4]: 64 colours in squares, each row of them of another alpha."""
    step = size // 8
    rgba = np.zeros((size, size, 4), np.uint8)
    for row in range(8):
        for column in range(8):
            colour = (column * 36, row * 36, 255 - column * 30, round(255 * row / 7))
            rgba[row * step : (row + 1) * step, column * step : (column + 1) * step] = colour
    return rgba


def flash_picture(size: int, *, bright: bool) -> ByteArray:
    """Return uint8 [size, size, 4]: white or black, opaque."""
    rgba = np.full((size, size, 4), 255 if bright else 0, np.uint8)
    rgba[..., 3] = 255
    return rgba


def click(index: int, period: int = 25) -> FloatArray:
    """Return the voice of a frame: a click that begins with every `period`th one."""
    since = (index % period) * SAMPLES_PER_FRAME
    times = (since + np.arange(SAMPLES_PER_FRAME)) / VOICE_RATE_HZ
    voice = CLICK_LEVEL * np.cos(2 * np.pi * CLICK_HZ * times) * (times < CLICK_S)
    return voice.astype(np.float32)


class FaceDaemon:
    """Publishes at 25 frames per second and answers requests; a context manager.

    Args:
        picture: of a frame number, uint8 [H, W, 4].
        voice: of a frame number, float32 [1920].
        port: of the frames; events and control are the two after it.
        stream: its name; another one for a daemon that was restarted.
    """

    def __init__(
        self,
        picture: Callable[[int], ByteArray],
        voice: Callable[[int], FloatArray] = lambda _: SILENCE,
        *,
        port: int = 5570,
        stream: str = "one",
    ) -> None:
        self.picture, self.voice, self.stream = picture, voice, stream
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.avatar, self.muted = FACES[0], False
        self.published: list[tuple[int, int]] = []
        """Frame number and monotonic ns of each publishing."""
        self._stop = threading.Event()
        first = picture(0)
        self._format = FrameFormat(first.shape[1], first.shape[0], 25.0)
        self._publisher = ZeroMqPublisher(
            frames_endpoint=f"tcp://127.0.0.1:{port}",
            events_endpoint=f"tcp://127.0.0.1:{port + 1}",
            provenance=Provenance(server="face daemon for tests"),
        )
        self._control = ControlServer(
            {
                name: Operation(self._note(name, answer))
                for name, answer in {
                    "avatars": self._avatars,
                    "avatar.set": self._set_avatar,
                    "status": self._status,
                    "mute": self._mute,
                    "expression": lambda _: {},
                    "pause": lambda body: {"paused": body.get("on")},
                }.items()
            },
            endpoint=f"tcp://127.0.0.1:{port + 2}",
        )
        self._thread = threading.Thread(target=self._run, name="face-daemon", daemon=True)

    def __enter__(self) -> "FaceDaemon":
        self._control.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self._control.__exit__(None, None, None)

    def requests(self, name: str) -> list[dict[str, Any]]:
        """Return the arguments of the requests of a name so far."""
        return [body for operation, body in self.asked if operation == name]

    @property
    def is_watched(self) -> bool:
        """Whether somebody subscribes to the pictures."""
        return bool(self._publisher._frame_topics)

    def _run(self) -> None:
        """Thread body; the sockets are its own."""
        with contextlib.suppress(OSError, AttributeError):  # in time on a busy machine, if it may
            os.sched_setscheduler(threading.get_native_id(), os.SCHED_RR, os.sched_param(1))
        self._publisher.open(self._format)
        begin_ns = time.monotonic_ns()
        index = 0
        while not self._stop.is_set():
            frame = make_frame(
                index,
                rgba=self.picture(index),
                voice=self.voice(index),
                captured_ns=time.monotonic_ns() - 100_000_000,
                stream_id=self.stream,
            )
            now_ns = time.monotonic_ns()
            self._publisher.send(frame)
            self.published.append((index, now_ns))
            index += 1
            left_ns = begin_ns + index * FRAME_DURATION_NS - time.monotonic_ns()
            self._stop.wait(max(0.0, left_ns / 1e9))
        self._publisher.close()

    def _note(
        self, name: str, answer: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    ) -> Callable[[Mapping[str, Any], object], Mapping[str, Any]]:
        def run(body: Mapping[str, Any], _progress: object) -> Mapping[str, Any]:
            self.asked.append((name, dict(body)))
            return answer(body)

        return run

    def _avatars(self, _: Mapping[str, Any]) -> dict[str, Any]:
        faces = [{"id": f, "name": f.title(), "active": f == self.avatar} for f in FACES]
        return {"avatars": faces}

    def _set_avatar(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self.avatar = str(body["avatar"])
        return {"avatar": self.avatar, "id": self.avatar, "took_ms": 1.0}

    def _status(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "phase": "running", "muted": self.muted, "latency_p50_ms": 100.0, "fps": 25.0,
            "outputs": [], "avatar": self.avatar,
        }  # fmt: skip

    def _mute(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self.muted = bool(body["on"])
        return {"muted": self.muted}
