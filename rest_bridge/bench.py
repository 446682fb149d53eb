"""Measures this computer in one run: start, compute, live latency, memory; a card and JSON.

Two measurements with the configured face and the built-in voice: *offline*, as fast as it goes,
gives the real-time factor and the time of each stage; *live*, the voice fed in real time like a
microphone through the daemon, gives latency, frame rate and repeats. It judges nothing.
"""

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from rest_bridge import __version__
from rest_bridge.audio.file import FileSource
from rest_bridge.audio.source import open_source
from rest_bridge.config import Config
from rest_bridge.daemon import Daemon
from rest_bridge.gallery import Progress
from rest_bridge.graph import LIVE_MARGIN_NS, Graph, Outlet, governor_of
from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.providers import choose
from rest_bridge.latency import FAST_RIG, breakdown
from rest_bridge.loader import Loader, chunk_of
from rest_bridge.machine import (
    calibration_ms,
    calibration_work,
    cpu_features,
    describe_machine,
    num_cores,
    peak_rss_mb,
)
from rest_bridge.metrics import Metrics, Summary
from rest_bridge.rehearsal import rehearse
from rest_bridge.tiers import TIER_NAMES
from rest_bridge.types import VOICE_RATE_HZ, AudioSource, Frame, FrameFormat

DEFAULT_SECONDS: Final = 20.0
_COMPUTE: Final = ("features", "motion", "decode", "chunk")
_NETWORKS: Final = ("speech_encoder", "dit", "decoder")
_MOST_LOADING_S: Final = 60.0
_READ_SAMPLES: Final = VOICE_RATE_HZ // 25


@dataclass(frozen=True, slots=True)
class Offline:
    """As fast as it goes.

    Attributes:
        media_s: seconds of voice.
        wall_s: what they took.
        rtf: wall_s / media_s; below 1 is faster than real time.
        frames_per_s: pictures made per second.
        stages: milliseconds of each stage; `decode` for a picture, `motion` and `chunk` for a
            latent chunk, `features` for 10 ms of voice.
        calibration_ms: of a fixed piece of work, done once a second of voice in between: how fast
            the machine was just then (median; `wall_s` does not count it).
    """

    media_s: float
    wall_s: float
    rtf: float
    frames_per_s: float
    stages: dict[str, Summary]
    calibration_ms: float


@dataclass(frozen=True, slots=True)
class Live:
    """In real time, through the daemon.

    Attributes:
        seconds: from the first generated frame to the last.
        fps: frames handed to an output in each second.
        voice: where it came from.
        latency: from captured sample to frame handed over, milliseconds.
        latencies_ms: of each of the last frames.
        stages: where it goes, by stage (`latency.STAGES`) and outlet.
        fast_rig: from captured sample to the face's parameters on the fast path.
        tiers: how often each tier was entered after the start.
        repeated: frames that were not in time.
        dropped_samples: voice that was lost.
        first_still_s: from the start of the load to the portrait at an output.
        first_frame_s: from the start of the load to the first generated frame at an output.
    """

    seconds: float
    fps: float
    voice: str
    latency: Summary
    latencies_ms: list[float]
    stages: dict[str, Summary]
    fast_rig: Summary
    tiers: dict[str, int]
    repeated: int
    dropped_samples: int
    first_still_s: float
    first_frame_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was measured, and where.

    Attributes:
        version: of rest_bridge.
        machine: processor, cores this process may use, system, Python.
        model: model package.
        size_px: width and height of the pictures.
        fps: frame rate asked for.
        chunk: latent frames generated together.
        offline: as fast as it goes.
        live: in real time.
        peak_rss_mb: most memory that this process held; 0 where the system does not say.
        cores: that this process may use.
        cpu_features: vector instructions that the processor has.
        providers: what computes each network.
        calibration_ms: of a fixed piece of work, just before: how fast the machine was then.
    """

    version: str
    machine: str
    model: str
    size_px: int
    fps: int
    chunk: int
    offline: Offline
    live: Live
    peak_rss_mb: float
    cores: int
    cpu_features: list[str]
    providers: dict[str, str]
    calibration_ms: float


def measure(
    config: Config,
    voice: Path,
    *,
    seconds: float = DEFAULT_SECONDS,
    source: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Run both measurements.

    Args:
        config: avatar, model, output and generator count; no output is opened.
        voice: audio file, repeated as needed.
        seconds: of voice for each measurement.
        source: a real voice for the live measurement, as `audio.source`, whose own delay counts
            then; the file, fed like a microphone without any, if None.
        progress: called with the fraction done and what is being done.

    Returns:
        What was measured.

    Raises:
        RestBridgeError: the face, the model or the voice cannot be used.
    """
    report = progress or _quiet
    calibrated_ms = calibration_ms()
    report(0.0, "live")
    live = _live(config, voice, seconds, source)
    report(0.5, "offline")
    offline = _offline(config, voice, seconds)
    report(1.0, "done")
    package = Loader(config).package
    return Report(
        version=__version__,
        machine=describe_machine(),
        model=package.name,
        size_px=config.output.size,
        fps=config.output.fps,
        chunk=chunk_of(config, "live"),
        offline=offline,
        live=live,
        peak_rss_mb=round(peak_rss_mb(), 1),
        cores=num_cores(),
        cpu_features=cpu_features(),
        providers=_providers(package, config),
        calibration_ms=calibrated_ms,
    )


def _offline(config: Config, voice: Path, seconds: float) -> Offline:
    metrics = Metrics()
    pipeline = Loader(config).pipeline(metrics, "live")
    rehearse(pipeline)
    calibration = calibration_work()
    calibrations_s: list[float] = []
    num_frames, num_samples = 0, 0
    with FileSource(voice, paced=False, loop=True) as source:
        begin_s = time.perf_counter()
        while num_samples < seconds * VOICE_RATE_HZ:
            if num_samples >= len(calibrations_s) * VOICE_RATE_HZ:
                calibrations_s.append(_took_s(calibration))
            chunk = source.read(_READ_SAMPLES, 10.0)
            num_samples += len(chunk.samples)
            num_frames += len(pipeline.push(chunk))
        num_frames += len(pipeline.finish())
        wall_s = time.perf_counter() - begin_s - sum(calibrations_s)
    media_s = num_samples / VOICE_RATE_HZ
    summaries = metrics.summaries()
    return Offline(
        media_s=media_s,
        wall_s=wall_s,
        rtf=wall_s / media_s,
        frames_per_s=num_frames / wall_s,
        stages={name: summaries[name] for name in _COMPUTE if name in summaries},
        calibration_ms=1e3 * statistics.median(calibrations_s),
    )


def _took_s(work: Callable[[], object]) -> float:
    begin_s = time.perf_counter()
    work()
    return time.perf_counter() - begin_s


class _Probe:
    """An output that only notes when frames come, and says when it has seen enough."""

    name = "probe"
    policy: Literal["latest", "every"] = "every"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.enough = threading.Event()
        self.first_s = 0.0
        self.last_s = 0.0
        self.first_generated_s = 0.0
        self.num_frames = 0

    def open(self, fmt: FrameFormat) -> None:
        pass

    def send(self, frame: Frame) -> None:
        self.last_s = time.monotonic()
        self.first_s = self.first_s or self.last_s
        if not self.first_generated_s:
            if not frame.rig.values.any():  # the still portrait's
                return
            self.first_generated_s = self.last_s
        self.num_frames += 1
        if self.last_s - self.first_generated_s >= self._seconds:
            self.enough.set()

    def close(self) -> None:
        pass


def _live(config: Config, voice: Path, seconds: float, source: str | None) -> Live:
    loader, probe = Loader(config), _Probe(seconds)
    heard: list[str] = []

    def microphone() -> AudioSource:
        if source is None:
            opened: AudioSource = FileSource(voice, paced=True, loop=True)
        else:
            opened = open_source(source, latency_s=config.audio.latency_ms / 1000)
        heard.append(opened.name)
        return opened

    graph = Graph(
        still=loader.still,
        pipeline=lambda: loader.pipeline(graph.metrics, "live"),
        source=microphone,
        outlets=lambda: [Outlet(probe, required=True)],
        fps=config.output.fps,
        from_start=False,
        margin_ns=LIVE_MARGIN_NS,
        governor=lambda: governor_of(config),
    )
    begin_s = time.monotonic()
    daemon = Daemon(graph, seconds=seconds + _MOST_LOADING_S, stop_event=probe.enough)
    status, latency = daemon.run().status, graph.metrics.timer("latency").summary()
    lasted_s = probe.last_s - probe.first_generated_s
    return Live(
        seconds=lasted_s,
        fps=(probe.num_frames - 1) / max(lasted_s, 1e-9),
        voice=heard[0] if heard else "",
        latency=latency,
        latencies_ms=graph.metrics.timer("latency").window_ms(),
        stages=breakdown(graph.metrics),
        fast_rig=graph.metrics.timer(FAST_RIG).summary(),
        tiers={name: graph.metrics.counter(f"tier.{name}") for name in TIER_NAMES},
        repeated=status.repeated,
        dropped_samples=status.dropped_samples,
        first_still_s=probe.first_s - begin_s,
        first_frame_s=max(0.0, probe.first_generated_s - begin_s),
    )


def _providers(package: ModelPackage, config: Config) -> dict[str, str]:
    section = config.model
    return {
        graph: choose(
            package,
            graph,
            section.provider,
            threads=section.threads,
            sizes={"T": chunk_of(config, "live")} if graph == "dit" else None,
        ).provider
        for graph in _NETWORKS
        if package.has(f"{graph}.onnx")
    }


def _quiet(_done: float, _text: str) -> None:
    """Report nothing."""
