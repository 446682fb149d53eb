"""Who listens and looks at each outlet in the click-and-flash test, as a consumer would.

The recording is demuxed, ZeroMQ subscribed, the output device's monitor recorded.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from rest_bridge.errors import SourceTimeout
from rest_bridge.flash import find_clicks, is_flash, rising
from rest_bridge.graph import Outlet
from rest_bridge.sync_rows import Taken
from rest_bridge.types import VOICE_RATE_HZ, FloatArray, Frame, FrameFormat

IntArray = np.ndarray[tuple[int], np.dtype[np.int64]]

_NEAR_BLOCKS: Final = 100
"""On each side of a block, a second: one of them came in time."""


class TurnSink:
    """Notes when the flashes had their turn: what all outputs are handed at the same time."""

    name = "turns"
    policy: Literal["latest", "every"] = "every"

    def __init__(self) -> None:
        self.turns: list[tuple[int, bool]] = []

    def open(self, fmt: FrameFormat) -> None:
        """Nothing to open."""

    def send(self, frame: Frame) -> None:
        """Note a frame."""
        self.turns.append((frame.due_ns, is_flash(frame.rgba)))

    def close(self) -> None:
        """Nothing to close."""

    def flashes_s(self, since_ns: int) -> list[float]:
        """Return the turns of the flashes, in seconds."""
        turns = [turn for turn in self.turns if turn[0] > since_ns]
        return [turns[i][0] / 1e9 for i in rising([flash for _, flash in turns])]


@dataclass(slots=True)
class RecordingListener:
    """Records and demuxes a file.

    Attributes:
        path: where.
    """

    path: Path

    def outlets(self) -> list[Outlet]:
        """Return a recorder."""
        from rest_bridge.sinks.recorder import Recorder

        return [Outlet(Recorder(self.path, background="black"), required=False)]

    def start(self) -> None:
        """Nothing to listen to yet."""

    def finish(self, since_ns: int) -> list[Taken]:
        """Read the file."""
        del since_ns
        name, how = f"recording {self.path.suffix}", "demuxed times in the file"
        try:
            clicks_s, flashes_s = read_recording(self.path)
        except (OSError, ValueError) as error:
            return [Taken(name, how, problem=f"the file cannot be read ({error})")]
        return [Taken(name, how, clicks_s, flashes_s)]


def read_recording(path: Path) -> tuple[list[float], list[float]]:
    """Return when a video file clicks and flashes, in seconds of its own time."""
    import av

    flags, times_s, pieces = list[bool](), list[float](), list[tuple[float, Any]]()
    with av.open(str(path)) as container:
        decoded: Any = container.decode()  # pictures and sound in turn; PyAV's types name one kind
        for frame in decoded:
            assert frame.pts is not None
            assert frame.time_base is not None
            at_s = float(frame.pts * frame.time_base)
            if isinstance(frame, av.VideoFrame):
                flags.append(is_flash(np.asarray(frame.to_ndarray(format="gray"), np.uint8)))
                times_s.append(at_s)
            elif isinstance(frame, av.AudioFrame):
                samples = frame.to_ndarray().astype(np.float32).reshape(-1)
                scale = 32768.0 if frame.format.name.startswith("s16") else 1.0
                pieces.append((at_s, samples / scale))
    voice = np.zeros(round((pieces[-1][0] + 1.0) * VOICE_RATE_HZ) if pieces else 0, np.float32)
    for at_s, samples in pieces:
        first = round(at_s * VOICE_RATE_HZ)
        skipped = max(0, -first)  # what a decoder needs before the first picture
        part = samples[skipped:]
        voice[first + skipped : first + skipped + len(part)] = part
    return [c / VOICE_RATE_HZ for c in find_clicks(voice)], [times_s[i] for i in rising(flags)]


class ZeroMqListener:
    """Subscribes to frames and voice and compares their stamps, as an engine does."""

    def __init__(self) -> None:
        from rest_bridge.sinks.publisher import ZeroMqPublisher

        self._sink = ZeroMqPublisher(
            frames_endpoint="tcp://127.0.0.1:*", events_endpoint="tcp://127.0.0.1:*"
        )
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._client: Any = None
        self._flashes: list[tuple[int, bool, int]] = []
        self._voice: list[tuple[int, Any, int]] = []

    def outlets(self) -> list[Outlet]:
        """Return a publisher on free ports."""
        return [Outlet(self._sink, required=False)]

    def start(self) -> None:
        """Subscribe."""
        from rest_bridge.client import BridgeClient

        self._client = BridgeClient(
            frames=self._sink.frames_endpoint, events=self._sink.events_endpoint, control=""
        )
        for body in (self._watch, self._hear):
            self._threads.append(threading.Thread(target=body, daemon=True))
            self._threads[-1].start()

    def finish(self, since_ns: int) -> list[Taken]:
        """Compare by stamps, and by arrival."""
        self._stop.set()
        for thread in self._threads:
            thread.join(2.0)
        if self._client is not None:
            self._client.close()
        flags = [flash for _, flash, _ in self._flashes]
        ups = [i for i in rising(flags) if self._flashes[i][2] > since_ns]
        stamped, arrived = self._clicks(since_ns)
        return [
            Taken("ZeroMQ", "stamps", stamped, [self._flashes[i][0] / 1e9 for i in ups]),
            Taken("ZeroMQ", "arrival", arrived, [self._flashes[i][2] / 1e9 for i in ups]),
        ]

    def inside(self, since_ns: int) -> list[tuple[float, float]]:
        """Return when each click arrived, and how far into its frame it begins, in seconds."""
        stamped, arrived = self._clicks(since_ns)
        flags = [flash for _, flash, _ in self._flashes]
        seen = np.array([self._flashes[i][0] / 1e9 for i in rising(flags)])
        if not len(seen):
            return []
        near = [float(seen[np.abs(seen - at).argmin()]) for at in stamped]
        return [
            (there, at - flash)
            for there, at, flash in zip(arrived, stamped, near, strict=True)
            if abs(at - flash) < 0.1
        ]

    def _clicks(self, since_ns: int) -> tuple[list[float], list[float]]:
        """Return when clicks are to be heard by their stamps, and when their voice arrived."""
        if not self._voice:
            return [], []
        pts_ns, pieces, at_ns = zip(*self._voice, strict=True)
        starts = np.cumsum([0, *(len(piece) for piece in pieces)])
        stamped: list[float] = []
        arrived: list[float] = []
        for click in find_clicks(np.concatenate(pieces)):
            place = int(np.searchsorted(starts, click, side="right")) - 1
            if at_ns[place] > since_ns:
                inside_s = (click - int(starts[place])) / VOICE_RATE_HZ
                stamped.append(pts_ns[place] / 1e9 + inside_s)
                arrived.append(at_ns[place] / 1e9)
        return stamped, arrived

    def _watch(self) -> None:
        while not self._stop.is_set():
            message = self._client.frame(0.2)
            if message is not None:
                flash = is_flash(message.pixels())
                self._flashes.append((message.stamp.pts_ns, flash, time.monotonic_ns()))

    def _hear(self) -> None:
        while not self._stop.is_set():
            message = self._client.voice(0.2)
            if message is not None:
                self._voice.append((message.stamp.pts_ns, message.samples, time.monotonic_ns()))


@dataclass(slots=True)
class VoiceListener:
    """Plays to an output device and records what it plays, as Zoom or OBS would.

    Attributes:
        device: output, as for `voice_out.device`.
        source: what hears it: a monitor, the virtual microphone of a cable, or a microphone near
            the loudspeaker; by name, as for `audio.source`.
        offset_s: as `voice_out.offset_ms`.
        pictures: when the flashes were seen, in seconds, by who sees them, since a time.
    """

    device: str
    source: str
    offset_s: float = 0.0
    pictures: dict[str, Callable[[int], list[float]]] = field(
        default_factory=dict[str, Callable[[int], list[float]]]
    )
    _sink: Any = None
    _heard: "Ear | None" = None

    def outlets(self) -> list[Outlet]:
        """Return a voice output."""
        from rest_bridge.sinks.voice_output import VoiceOutput

        self._sink = VoiceOutput(self.device, offset_s=self.offset_s)
        return [Outlet(self._sink, required=False)]

    def start(self) -> None:
        """Begin to record."""
        self._heard = Ear(self.source)

    def finish(self, since_ns: int) -> list[Taken]:
        """Compare the sound with each who saw the pictures."""
        name = f"output device {self.device}"
        if self._heard is None:
            return [Taken(name, "heard", problem=f"{self.source} could not be recorded")]
        clicks_s = [at for at in self._heard.finish() if at * 1e9 > since_ns]
        return [
            Taken(name, f"{self.source} against {who}", clicks_s, seen(since_ns))
            for who, seen in self.pictures.items()
        ]


def punctual(blocks: Sequence[tuple[FloatArray, int]]) -> tuple[FloatArray, IntArray]:
    """Return what a device delivered, with times that do not depend on when we looked.

    Args:
        blocks: float32 [S] each, with the time at which it came, in ns; at 48 kHz.

    Returns:
        samples: float32 [S].
        ends_ns: int64 [S // 480], when the last sample of each 480 was captured.
    """
    ends = np.cumsum([len(samples) for samples, _ in blocks])
    came_s = np.array([at_ns for _, at_ns in blocks], np.int64) / 1e9
    late_s = came_s - ends / VOICE_RATE_HZ
    least_s = np.array(
        [late_s[max(0, k - _NEAR_BLOCKS) : k + _NEAR_BLOCKS + 1].min() for k in range(len(blocks))]
    )
    wanted = np.arange(480, ends[-1] + 1, 480)
    at_s = wanted / VOICE_RATE_HZ + np.interp(wanted, ends, least_s)
    return np.concatenate([samples for samples, _ in blocks]), np.round(at_s * 1e9).astype(np.int64)


class Ear:
    """Records a source of sound, with the time of each sample.

    What the face hears is steered: gaps are filled, samples resampled until their clock is known,
    which is up to 10 ms off in the first minute and more after a stall. So this takes the samples
    as they come. Each block comes late by what the computer was busy, and never early: its time is
    that of the most punctual block near it.

    Args:
        source: as for `audio.source`.

    Raises:
        SourceError: it cannot be recorded.
    """

    def __init__(self, source: str) -> None:
        from rest_bridge.audio.source import open_source

        self._chunks: list[tuple[Any, int]] = []
        self._blocks: list[tuple[Any, int]] = []
        self._as_it_comes = True
        self._source: Any = open_source(source, latency_s=0.01)
        if hasattr(self._source, "tap"):
            self._source.tap = self._take
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _take(self, samples: FloatArray, captured_ns: int, rate_hz: int) -> None:
        """Keep a block of the device; another rate than ours is left to the source."""
        self._as_it_comes &= rate_hz == VOICE_RATE_HZ
        self._blocks.append((samples, captured_ns))

    def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(SourceTimeout):
                chunk = self._source.read(480, 0.2)
                if not (self._blocks and self._as_it_comes):
                    self._chunks.append((chunk.samples, chunk.captured_ns))

    def recording(self) -> tuple[Any, Any]:
        """Stop; return float32 [S] and int64 [S / 480], the time of each chunk's last sample."""
        self._stop.set()
        self._thread.join(2.0)
        self._source.close()
        if self._blocks and self._as_it_comes:
            return punctual(self._blocks)
        if not self._chunks:
            return np.zeros(0, np.float32), np.zeros(0, np.int64)
        return (
            np.concatenate([samples for samples, _ in self._chunks]),
            np.array([at_ns for _, at_ns in self._chunks], np.int64),
        )

    def finish(self) -> list[float]:
        """Stop; return when clicks were heard, in seconds of the monotonic clock."""
        samples, ends_ns = self.recording()
        found = []
        for click in find_clicks(samples):
            chunk = min(click // 480, len(ends_ns) - 1)
            before_end = (chunk + 1) * 480 - click
            found.append(ends_ns[chunk] / 1e9 - before_end / VOICE_RATE_HZ)
        return found
