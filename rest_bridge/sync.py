"""The click-and-flash test: is sound with picture at each outlet, measured where they come out?

A voice of clicks goes through the real source, pipeline, pacer and outlets, with a generator that
flashes (`flash`) in place of the face. At each outlet somebody listens and looks as a consumer
would: the recording is demuxed, ZeroMQ subscribed, the output device's monitor recorded. Positive
numbers: the sound comes after the picture.
"""

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np

from rest_bridge.audio.file import FileSource
from rest_bridge.daemon import Daemon
from rest_bridge.errors import RestBridgeError, SinkUnavailable, SourceTimeout
from rest_bridge.flash import (
    FlashDecoder,
    find_clicks,
    flash_stages,
    is_flash,
    rising,
    write_click_track,
)
from rest_bridge.graph import Graph, Outlet
from rest_bridge.pipeline import Pipeline
from rest_bridge.types import VOICE_RATE_HZ, Frame, FrameFormat, FrameSink

LIMIT_MS: Final = 20.0
SIZE_PX: Final = 128
_LONGEST_S: Final = 0.45
"""A click belongs to the flash nearest to it, if that is nearer than this."""
_SETTLE_S: Final = 3.0
"""Pairs from before this are left out: loading, opening devices."""


@dataclass(frozen=True, slots=True)
class SyncRow:
    """What was measured at one outlet.

    Attributes:
        outlet: which.
        how: where sound and picture were taken.
        num_pairs: clicks with their flash.
        median_ms: sound after picture.
        least_ms: the smallest.
        most_ms: the largest.
        problem: why there is no figure, one sentence; else empty.
    """

    outlet: str
    how: str
    num_pairs: int = 0
    median_ms: float = 0.0
    least_ms: float = 0.0
    most_ms: float = 0.0
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether sound and picture are together within 20 ms."""
        return not self.problem and abs(self.median_ms) <= LIMIT_MS


def pair(clicks_s: Sequence[float], flashes_s: Sequence[float]) -> list[float]:
    """Return for each flash how long after it its click came, in seconds."""
    if not clicks_s:
        return []
    clicks = np.asarray(clicks_s)
    nearest = [float(clicks[np.abs(clicks - flash).argmin()] - flash) for flash in flashes_s]
    return [offset for offset in nearest if abs(offset) < _LONGEST_S]


def row(outlet: str, how: str, clicks_s: Sequence[float], flashes_s: Sequence[float]) -> SyncRow:
    """Return the row of an outlet from the times of what was heard and seen there."""
    offsets_ms = np.array(pair(clicks_s, flashes_s)) * 1000
    if len(offsets_ms) < 3:
        seen = f"{len(clicks_s)} clicks and {len(flashes_s)} flashes came out"
        return SyncRow(outlet, how, len(offsets_ms), problem=f"{seen}, too few to compare")
    return SyncRow(
        outlet,
        how,
        len(offsets_ms),
        round(float(np.median(offsets_ms)), 2),
        round(float(offsets_ms.min()), 2),
        round(float(offsets_ms.max()), 2),
    )


class Listener(Protocol):
    """Listens and looks at one outlet."""

    def outlets(self) -> list[Outlet]:
        """Return the outputs to run; called once, before the stream begins."""
        ...

    def start(self) -> None:
        """Begin to listen; called when the outputs are open."""
        ...

    def finish(self, since_ns: int) -> list[SyncRow]:
        """Return what came out after a monotonic time; called when the stream has ended."""
        ...


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

    def finish(self, since_ns: int) -> list[SyncRow]:
        """Read the file."""
        del since_ns
        name, how = f"recording {self.path.suffix}", "demuxed times in the file"
        try:
            clicks_s, flashes_s = read_recording(self.path)
        except (OSError, ValueError) as error:
            return [SyncRow(name, how, problem=f"the file cannot be read ({error})")]
        return [row(name, how, clicks_s, flashes_s)]


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

    def finish(self, since_ns: int) -> list[SyncRow]:
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
            row("ZeroMQ", "stamps", stamped, [self._flashes[i][0] / 1e9 for i in ups]),
            row("ZeroMQ", "arrival", arrived, [self._flashes[i][2] / 1e9 for i in ups]),
        ]

    def _clicks(self, since_ns: int) -> tuple[list[float], list[float]]:
        stamped, arrived = [], []
        for pts_ns, samples, at_ns in self._voice:
            places = np.flatnonzero(np.abs(samples) > 0.3)
            begins = len(places) and places[0] < len(samples) // 4 and at_ns > since_ns
            if begins and not (stamped and pts_ns / 1e9 - stamped[-1] < 0.5):
                stamped.append(pts_ns / 1e9 + float(places[0]) / VOICE_RATE_HZ)
                arrived.append(at_ns / 1e9)
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

    def finish(self, since_ns: int) -> list[SyncRow]:
        """Compare the sound with each who saw the pictures."""
        name = f"output device {self.device}"
        if self._heard is None:
            return [SyncRow(name, "heard", problem=f"{self.source} could not be recorded")]
        clicks_s = [at for at in self._heard.finish() if at * 1e9 > since_ns]
        return [
            row(name, f"{self.source} against {who}", clicks_s, seen(since_ns))
            for who, seen in self.pictures.items()
        ]


class Ear:
    """Records a source of sound in a thread, with the time of each sample.

    Args:
        source: as for `audio.source`.

    Raises:
        SourceError: it cannot be recorded.
    """

    def __init__(self, source: str) -> None:
        from rest_bridge.audio.source import open_source

        self._source = open_source(source, latency_s=0.01)
        self._chunks: list[tuple[Any, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(SourceTimeout):
                chunk = self._source.read(480, 0.2)
                self._chunks.append((chunk.samples, chunk.captured_ns))

    def recording(self) -> tuple[Any, Any]:
        """Stop; return float32 [S] and int64 [S / 480], the time of each chunk's last sample."""
        self._stop.set()
        self._thread.join(2.0)
        self._source.close()
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
            chunk = click // 480
            before_end = (chunk + 1) * 480 - click
            found.append(ends_ns[chunk] / 1e9 - before_end / VOICE_RATE_HZ)
        return found


def measure(
    listeners: Sequence[Listener],
    *,
    seconds: float = 15.0,
    extra: Sequence[FrameSink] = (),
    progress: Callable[[float, str], None] | None = None,
    source: Callable[[], Any] | None = None,
) -> list[SyncRow]:
    """Run the click-and-flash test.

    Args:
        listeners: one for each outlet.
        seconds: how long.
        extra: further outputs to feed, which somebody else looks at.
        progress: told how far it is, 0..1.
        source: opens the voice instead of the click track; its clicks must begin with frames.

    Returns:
        The rows of all listeners.

    Raises:
        RestBridgeError: the stream itself cannot run.
    """
    with tempfile.TemporaryDirectory(prefix="rest-bridge-sync-") as folder:
        track = Path(folder) / "clicks.wav"
        write_click_track(track, 60.0)
        return _run(
            listeners, seconds, extra, progress, source or (lambda: FileSource(track, loop=True))
        )


def _run(
    listeners: Sequence[Listener],
    seconds: float,
    extra: Sequence[FrameSink],
    progress: Callable[[float, str], None] | None,
    source: Callable[[], Any],
) -> list[SyncRow]:
    outlets = [outlet for listener in listeners for outlet in listener.outlets()]
    outlets += [Outlet(sink, required=False) for sink in extra]
    graph = Graph(
        still=lambda: FlashDecoder(SIZE_PX).dark,
        pipeline=lambda: Pipeline(flash_stages(SIZE_PX), metrics=graph.metrics),
        source=source,
        outlets=lambda: outlets,
    )
    begun_ns = time.monotonic_ns()
    failed: list[SyncRow] = []

    def on_status(status: Any) -> None:
        if progress is not None:
            progress(min(1.0, status.elapsed_s / seconds), "clicks and flashes")

    opener = threading.Thread(target=lambda: failed.extend(_start_all(listeners)), daemon=True)
    opener.start()
    Daemon(graph, seconds=seconds, on_status=on_status, on_message=lambda _: None).run()
    opener.join(5.0)
    since_ns = begun_ns + round(_SETTLE_S * 1e9)
    return failed + [found for listener in listeners for found in listener.finish(since_ns)]


def _start_all(listeners: Sequence[Listener]) -> Iterator[SyncRow]:
    """Start to listen once the outputs have had time to open; yield what cannot."""
    time.sleep(1.0)
    for listener in listeners:
        try:
            listener.start()
        except RestBridgeError as error:
            yield SyncRow(type(listener).__name__, "", problem=str(error))


def default_listeners(voice_out: str, hear: str, folder: Path) -> list[Listener]:
    """Return a listener for each outlet that this computer can measure by itself.

    Args:
        voice_out: output device; empty for none.
        hear: source that hears it; empty for the output's own monitor.
        folder: for the recording.

    Returns:
        Recorder, ZeroMQ and, where there is one, the output device.

    Raises:
        SinkUnavailable: the output has no monitor, and no source was named.
    """
    listeners: list[Listener] = [RecordingListener(folder / "clicks.mp4"), ZeroMqListener()]
    if voice_out:
        listeners.append(VoiceListener(voice_out, hear or monitor_of(voice_out)))
    return listeners


def monitor_of(output: str) -> str:
    """Return the name of the source that hears an output of PulseAudio.

    Raises:
        SinkUnavailable: there is none.
    """
    from rest_bridge.sound import cable, pulse
    from rest_bridge.sound.devices import choose, list_outputs

    server = pulse.query()
    if isinstance(server, str):
        raise SinkUnavailable(
            f"What {output!r} plays cannot be heard directly ({server}); name a microphone near "
            "it with --hear."
        )
    word = output.strip().lower()
    if word == cable.WORD:
        return cable.create(SinkUnavailable).microphone
    default = word in ("", "default")
    sink = server.default_sink if default else choose(list_outputs(), output, SinkUnavailable).name
    found = [source.name for source in server.sources if source.monitor_of == sink]
    if not found:
        raise SinkUnavailable(
            f"The output {sink!r} has no monitor; name a microphone near it with --hear."
        )
    return found[0]
