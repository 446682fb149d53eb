"""Measures what publishing frames costs: `rest-bridge bench wire`.

The real publisher sends to real subscribers over TCP on this computer, paced at 25 frames a second
and then as fast as it can, for two sizes and 1, 4 and 16 subscribers; beside it, in the same run, a
plain pyzmq publisher that sends a JSON header and the pixels as two parts. Subscribers live in one
other process. At last a subscriber is stopped for two seconds and looked at when it wakes.
"""

import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

import numpy as np
import zmq

from rest_bridge.client import BridgeClient
from rest_bridge.rig import RIG_NAMES, VISEME_NAMES
from rest_bridge.sinks.encoder import PixelEncoder
from rest_bridge.sinks.messages import TOPICS
from rest_bridge.sinks.publisher import ZeroMqPublisher
from rest_bridge.sinks.wire import decode
from rest_bridge.types import (
    FRAME_DURATION_NS,
    SAMPLES_PER_FRAME,
    ByteArray,
    Frame,
    FrameFormat,
    RigFrame,
    VoiceChunk,
)

SIZES: Final = ((512, 512), (1920, 1080))
SUBSCRIBERS: Final = (1, 4, 16)
_ANY_PORT: Final = "tcp://127.0.0.1:*"
_FPS: Final = 25
_STALL_S: Final = 2.0
_SPAWN: Final = multiprocessing.get_context("spawn")
Connection = multiprocessing.connection.Connection


@dataclass(frozen=True, slots=True)
class WireResult:
    """One row.

    Attributes:
        sender: "rest_bridge" or "plain".
        width: in pixels.
        height: in pixels.
        subscribers: how many.
        p50_ms: from the call of `send` to a subscriber holding the frame, paced.
        p99_ms: the same.
        cpu_percent: of one core, of the sending process, paced.
        received_percent: of what was due to all subscribers, paced.
        most_fps: frames a second received by all subscribers together, as fast as it goes.
    """

    sender: str
    width: int
    height: int
    subscribers: int
    p50_ms: float
    p99_ms: float
    cpu_percent: float
    received_percent: float
    most_fps: float


def picture(width: int, height: int) -> ByteArray:
    """Return uint8 [H, W, 4]: smooth colours with some grain and a soft edge, like a portrait."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot((x - width / 2) / width, (y - height / 2) / height)
    rgba = np.empty((height, width, 4), np.uint8)
    for channel, phase in enumerate((0.0, 1.0, 2.0)):
        rgba[..., channel] = 128 + 100 * np.sin(distance * 9 + phase + x / width)
    grain = np.random.default_rng(1).integers(0, 6, (height, width, 1), np.uint8)
    rgba[..., :3] = np.minimum(250, rgba[..., :3]) + grain
    rgba[..., 3] = np.clip((0.45 - distance) * 1500, 0, 255)
    return rgba


def make_frame(index: int, rgba: ByteArray) -> Frame:
    """Return a frame of the stream."""
    pts_ns = index * FRAME_DURATION_NS
    rig = RigFrame(
        index,
        pts_ns,
        np.zeros(len(RIG_NAMES), np.float32),
        np.zeros(len(VISEME_NAMES), np.float32),
        0.0,
        "idle",
    )
    voice = VoiceChunk(np.zeros(SAMPLES_PER_FRAME, np.float32), index * SAMPLES_PER_FRAME, pts_ns)
    return Frame(index, pts_ns, time.monotonic_ns(), rgba, rig, voice, stream_id="bench")


class _Plain:
    """What one would write without thinking: PUB, a JSON part, a part of pixels."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.SNDHWM, 3)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(_ANY_PORT)
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def send(self, frame: Frame) -> None:
        height, width = frame.rgba.shape[:2]
        header = {"pub": time.monotonic_ns(), "w": width, "h": height, "seq": frame.index}
        self._socket.send_multipart([json.dumps(header).encode(), frame.rgba.data], copy=False)

    def close(self) -> None:
        self._context.destroy(linger=0)


class _Ours:
    """The publisher as the daemon runs it."""

    def __init__(self, width: int, height: int) -> None:
        self._publisher = ZeroMqPublisher(frames_endpoint=_ANY_PORT, events_endpoint=_ANY_PORT)
        self._publisher.open(FrameFormat(width, height, _FPS))
        self.endpoint = self._publisher.frames_endpoint
        self.send = self._publisher.send
        self.close = self._publisher.close


def _subscribe(endpoint: str, count: int, pipe: Connection) -> None:
    """Body of the subscribers' process: notes when each frame is there, until told to stop."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    poller = zmq.Poller()
    for _ in range(count):
        socket = context.socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, 100)
        socket.subscribe(b"")
        socket.connect(endpoint)
        poller.register(socket, zmq.POLLIN)
    delays: list[int] = []
    pipe.send("ready")
    while True:
        for socket, _ in poller.poll(20):
            parts = socket.recv_multipart(copy=False)
            now_ns = time.monotonic_ns()
            if len(parts) == 2:
                published_ns = int(json.loads(parts[0].bytes)["pub"])
            else:
                published_ns = decode(parts[0].buffer).stamp.published_ns  # type: ignore[union-attr]
            delays.append(now_ns - published_ns)
        if pipe.poll():
            if pipe.recv() == "stop":
                break
            pipe.send(delays)
            delays = []
    context.destroy(linger=0)


@contextmanager
def _subscribers(endpoint: str, count: int) -> Generator[Callable[[], list[int]]]:
    """Run subscribers; yields what fetches the delays since the last call, in ns."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_subscribe, args=(endpoint, count, theirs), daemon=True)
    process.start()
    try:
        ours.recv()

        def fetch() -> list[int]:
            ours.send("delays")
            return cast(list[int], ours.recv())

        yield fetch
        ours.send("stop")
        process.join(5.0)
    finally:
        process.kill()


def _measure(sender: str, width: int, height: int, subscribers: int, seconds: float) -> WireResult:
    rgba = picture(width, height)
    publisher = _Plain() if sender == "plain" else _Ours(width, height)
    try:
        with _subscribers(publisher.endpoint, subscribers) as fetch:
            while not fetch():  # until the subscriptions have arrived
                publisher.send(make_frame(0, rgba))
                time.sleep(0.04)
            time.sleep(0.2)
            fetch()
            count = max(1, round(seconds * _FPS))
            begin_s, begin_cpu_s = time.monotonic(), time.process_time()
            for index in range(count):
                publisher.send(make_frame(index, rgba))
                time.sleep(max(0.0, begin_s + (index + 1) / _FPS - time.monotonic()))
            cpu = (time.process_time() - begin_cpu_s) / (time.monotonic() - begin_s)
            time.sleep(0.1)
            delays = np.array(fetch() or [0]) / 1e6
            begin_s = time.monotonic()
            index = count
            while time.monotonic() - begin_s < seconds / 2:
                publisher.send(make_frame(index, rgba))
                index += 1
            most = len(fetch()) / (time.monotonic() - begin_s)
    finally:
        publisher.close()
    return WireResult(
        sender=sender,
        width=width,
        height=height,
        subscribers=subscribers,
        p50_ms=round(float(np.percentile(delays, 50)), 2),
        p99_ms=round(float(np.percentile(delays, 99)), 2),
        cpu_percent=round(100 * cpu, 1),
        received_percent=round(100 * len(delays) / count / subscribers, 1),
        most_fps=round(most),
    )


def _look(endpoint: str, pipe: Connection) -> None:
    """Body of the process that will be stopped: tells the age of each frame that it shows."""
    with BridgeClient(frames=endpoint, events="", control="") as client:
        pipe.send("ready")
        while True:
            frame = client.frame(1.0)
            if frame is not None:
                pipe.send((frame.stamp.sequence, time.monotonic_ns() - frame.stamp.published_ns))


def stalled_age_ms(width: int = 512, height: int = 512) -> float:
    """Stop a subscriber for two seconds; return the age of the first frame it shows on waking.

    Args:
        width: in pixels.
        height: in pixels.

    Returns:
        Milliseconds since that frame was published.
    """
    rgba = picture(width, height)
    publisher = _Ours(width, height)
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_look, args=(publisher.endpoint, theirs), daemon=True)
    process.start()
    assert process.pid is not None
    try:
        ours.recv()
        begin_s = time.monotonic()
        woken_at = -1
        for index in range(int((2 + _STALL_S + 5) * _FPS)):
            publisher.send(make_frame(index, rgba))
            if index == 2 * _FPS:
                # Not while it shows this one: what it has in hand it would show on waking.
                time.sleep(0.5 / _FPS)
                os.kill(process.pid, signal.SIGSTOP)
            if index == int((2 + _STALL_S) * _FPS):
                while ours.poll():
                    ours.recv()
                woken_at = index
                os.kill(process.pid, signal.SIGCONT)
            if woken_at >= 0 and ours.poll():
                sequence, age_ns = cast(tuple[int, int], ours.recv())
                del sequence
                return age_ns / 1e6
            time.sleep(max(0.0, begin_s + (index + 1) / _FPS - time.monotonic()))
    finally:
        os.kill(process.pid, signal.SIGCONT)
        process.kill()
        publisher.close()
    return float("inf")


def format_costs(seconds: float = 0.3) -> dict[str, dict[str, tuple[float, int]]]:
    """Measure each format: {"512x512": {"rgba8": (ms, KiB), ...}, ...}.

    Args:
        seconds: for each.

    Returns:
        Median milliseconds of one core, and the size.
    """
    costs: dict[str, dict[str, tuple[float, int]]] = {}
    for width, height in SIZES:
        rgba, encoder = picture(width, height), PixelEncoder()
        row = costs[f"{width}x{height}"] = {}
        for name in TOPICS:
            spent: list[float] = []
            size = 0
            while sum(spent) < seconds and len(spent) < 200:
                begin_s = time.thread_time()
                size = len(bytes(encoder.encode(rgba, name)))
                spent.append(time.thread_time() - begin_s)
            row[name] = (round(1000 * sorted(spent)[len(spent) // 2], 2), size // 1024)
    return costs


def bench_wire(
    seconds: float = 2.0, on_row: Callable[[WireResult], None] | None = None
) -> dict[str, Any]:
    """Measure everything.

    Args:
        seconds: for each row, paced; half as long unpaced.
        on_row: told each row as it is done.

    Returns:
        JSON types: "rows", "stalled_age_ms" (absent on Windows), "formats".
    """
    rows: list[WireResult] = []
    for width, height in SIZES:
        for subscribers in SUBSCRIBERS:
            for sender in ("plain", "rest_bridge"):
                rows.append(_measure(sender, width, height, subscribers, seconds))
                if on_row is not None:
                    on_row(rows[-1])
    result: dict[str, Any] = {"rows": [asdict(row) for row in rows], "formats": format_costs()}
    if hasattr(signal, "SIGSTOP"):
        result["stalled_age_ms"] = round(max(stalled_age_ms() for _ in range(3)), 1)
    return result
