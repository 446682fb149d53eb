"""Measures the live face while something else takes the computer: what a game beside it does.

Three parts, calm, busy, calm again; in the busy one, processes that only compute run on every core.
For each second: frames, pictures of their own, latency, tier. It judges nothing.
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np

from rest_bridge.audio.file import FileSource
from rest_bridge.config import Config
from rest_bridge.daemon import Daemon
from rest_bridge.errors import ConfigError
from rest_bridge.graph import LIVE_MARGIN_NS, Graph, Outlet
from rest_bridge.loader import Loader
from rest_bridge.tiers import TIER_NAMES
from rest_bridge.types import Frame, FrameFormat

CALM_S: Final = 4.0
BUSY_S: Final = 8.0
AFTER_S: Final = 13.0
"""Long enough to come back tier by tier."""
_MOST_LOADING_S: Final = 60.0
MOST_PER_CORE: Final = 2
_LONGEST_BUSY_S: Final = 60.0
_GAME: Final = """
import os, sys, time
parent = os.getppid()
end, number = time.monotonic() + float(sys.argv[1]), 1.0
while time.monotonic() < end and os.getppid() == parent:
    for _ in range(10000): number = number * 1.0000001 % 7.0
"""
"""Takes a core, as a game does; ends with its time, and at once when nobody is left to end it."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Second:
    """One second of the stream.

    Attributes:
        at_s: its beginning, since the first generated frame.
        busy: whether the others computed.
        fps: frames handed to the output.
        pictures: of these, with a picture of their own.
        latency_p50_ms: of these pictures.
        latency_max_ms: of these pictures.
        tier: the lowest in use.
        longest_ms: longest interval between two frames.
    """

    at_s: int
    busy: bool
    fps: int
    pictures: int
    latency_p50_ms: float
    latency_max_ms: float
    tier: str
    longest_ms: float


@dataclass
class _Seen:
    """An output that notes when frames come, and what they are."""

    name: str = "probe"
    policy: Literal["latest", "every"] = "every"
    frames: list[tuple[int, Frame]] = field(default_factory=list[tuple[int, Frame]])
    begun: threading.Event = field(default_factory=threading.Event)

    def open(self, fmt: FrameFormat) -> None:
        """Do nothing."""

    def send(self, frame: Frame) -> None:
        """Note a frame, without its pixels."""
        if not frame.tier:  # the portrait while the model loads
            return
        light = Frame(
            frame.index, frame.pts_ns, frame.captured_ns, frame.rgba[:0], frame.rig, frame.voice,
            repeated=frame.repeated, tier=frame.tier, presented_ns=frame.presented_ns,
        )  # fmt: skip
        self.frames.append((frame.presented_ns, light))
        self.begun.set()

    def close(self) -> None:
        """Do nothing."""


def measure_beside(
    config: Config,
    voice: Path,
    *,
    num_processes: int,
    busy_s: float = BUSY_S,
    progress: Progress | None = None,
) -> list[Second]:
    """Run the live face, with others beside it in the middle.

    Args:
        config: avatar, model, output and generator count; no output is opened.
        voice: audio file, fed like a microphone.
        num_processes: that compute without pause; one for each core is a game that takes them all.
        busy_s: for so long.
        progress: called with the fraction done and what is being done.

    Returns:
        What came of it, second by second.

    Raises:
        ConfigError: more processes, or longer, than a computer can bear.
        RestBridgeError: the face, the model or the voice cannot be used.
    """
    _check(num_processes, busy_s)
    report = progress or (lambda _done, _text: None)
    seen, stop, loader = _Seen(), threading.Event(), Loader(config)
    graph = Graph(
        still=loader.still,
        pipeline=lambda: loader.pipeline(graph.metrics, "live"),
        source=lambda: FileSource(voice, paced=True, loop=True),
        outlets=lambda: [Outlet(seen, required=True)],
        fps=config.output.fps,
        from_start=False,
        margin_ns=LIVE_MARGIN_NS,
    )
    marks: list[int] = []

    def conduct() -> None:
        if not seen.begun.wait(_MOST_LOADING_S):
            stop.set()
            return
        report(0.1, "calm")
        if stop.wait(CALM_S):
            return
        report(0.3, f"{num_processes} others compute")
        with _others(num_processes, busy_s):
            marks.append(time.monotonic_ns())
            stop.wait(busy_s)
        marks.append(time.monotonic_ns())
        report(0.6, "calm again")
        stop.wait(AFTER_S)
        stop.set()

    conductor = threading.Thread(target=conduct, daemon=True)
    conductor.start()
    try:
        Daemon(graph, stop_event=stop).run()
    finally:
        stop.set()
        conductor.join()
    report(1.0, "done")
    return summarise(seen.frames, marks)


def _check(num_processes: int, busy_s: float) -> None:
    most = MOST_PER_CORE * (os.cpu_count() or 1)
    if not 1 <= num_processes <= most or not 0 < busy_s <= _LONGEST_BUSY_S:
        raise ConfigError(
            f"{num_processes} processes for {busy_s:.0f} s are not possible; choose 1 to {most} "
            f"(twice as many as there are cores) for at most {_LONGEST_BUSY_S:.0f} s."
        )


@contextlib.contextmanager
def _others(num_processes: int, busy_s: float) -> Generator[None]:
    """Let processes compute inside the context; none is left behind, whatever happens in it."""
    others: list[subprocess.Popen[bytes]] = []
    try:
        while len(others) < num_processes:  # each is ended even though the next cannot be started
            others.append(subprocess.Popen([sys.executable, "-c", _GAME, str(busy_s)]))
        yield
    finally:
        for other in others:
            other.kill()
        for other in others:
            other.wait()


def summarise(frames: list[tuple[int, Frame]], busy_ns: list[int]) -> list[Second]:
    """Return the seconds of a run.

    Args:
        frames: when each was handed over, monotonic ns, and what it was.
        busy_ns: when the others began and ended.
    """
    if not frames:
        return []
    begin_ns = frames[0][0]
    seconds: list[Second] = []
    for number in range((frames[-1][0] - begin_ns) // 1_000_000_000):
        low = begin_ns + number * 1_000_000_000
        high = low + 1_000_000_000
        here = [(at, frame) for at, frame in frames if low <= at < high]
        fresh = [(at - f.captured_ns) / 1e6 for at, f in here if not f.repeated]
        around = [at for at, _ in frames if low - 200_000_000 <= at < high]
        middle = low + 500_000_000
        seconds.append(
            Second(
                at_s=number,
                busy=len(busy_ns) == 2 and busy_ns[0] <= middle < busy_ns[1],
                fps=len(here),
                pictures=len(fresh),
                latency_p50_ms=round(float(np.median(fresh)), 1) if fresh else 0.0,
                latency_max_ms=round(max(fresh), 1) if fresh else 0.0,
                tier=max((f.tier for _, f in here), key=_level, default=""),
                longest_ms=round(float(np.diff(around).max(initial=0)) / 1e6, 1),
            )
        )
    return seconds


def _level(tier: str) -> int:
    return TIER_NAMES.index(tier) if tier in TIER_NAMES else -1
