"""What the daemon wires together, built from a configuration by explicit dicts.

Nothing is opened or loaded here: the graph holds functions that do it, each called in a thread of
its own. A test builds a graph of its own parts.
"""

import contextlib
import hashlib
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from rest_bridge import __version__
from rest_bridge.clock import Clock, MonotonicClock
from rest_bridge.config import Config
from rest_bridge.inference.package import ModelPackage
from rest_bridge.metrics import Metrics
from rest_bridge.pipeline import Pipeline
from rest_bridge.types import AudioSource, ByteArray, FrameSink

if TYPE_CHECKING:
    from rest_bridge.avatar import Avatar
    from rest_bridge.sinks.control import ControlTarget
    from rest_bridge.sinks.publisher import Provenance

LIVE_MARGIN_NS: Final = 20_000_000
FILE_MARGIN_NS: Final = 120_000_000
"""How much later than measured a frame may be ready. A file's delay is nobody's concern, a hiccup
of the computer is."""


Progress = Callable[[float, str], None]


class Closable(Protocol):
    """Something started that must be closed."""

    def close(self) -> None:
        """Stop and release; idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Outlet:
    """An output.

    Attributes:
        sink: takes the frames.
        required: if it fails to open, the daemon ends.
        opened: called when it is open; returns a sentence for a person.
    """

    sink: FrameSink
    required: bool
    opened: Callable[[], str] | None = None


@dataclass(slots=True)
class Graph:
    """The parts of a daemon.

    Attributes:
        still: loads the avatar; returns its portrait at the output's size, uint8 [H, W, 4].
        pipeline: loads the model.
        source: opens the voice.
        outlets: makes the outputs; called after `still`.
        control: starts to serve the daemon to control clients.
        avatars: the avatars at hand.
        fps: frames per second.
        from_start: the voice is not read before the model is ready (files, pushed speech).
        margin_ns: time to spare between a frame being ready and its turn.
        metrics: timers and counters of the stream.
        clock: paces.
    """

    still: Callable[[], ByteArray]
    pipeline: Callable[[], Pipeline]
    source: Callable[[], AudioSource]
    outlets: Callable[[], Sequence[Outlet]]
    control: "Callable[[ControlTarget], Closable] | None" = None
    avatars: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    fps: int = 25
    from_start: bool = True
    margin_ns: int = FILE_MARGIN_NS
    metrics: Metrics = field(default_factory=Metrics)
    clock: Clock = field(default_factory=MonotonicClock)


def build_graph(config: Config, *, required: frozenset[str] = frozenset()) -> Graph:
    """Draw the graph of a configuration; verifies the model package, opens nothing.

    Args:
        config: what is wanted.
        required: outputs whose failure to open ends the daemon, names of `OUTLETS`. ZeroMQ always
            is: a second daemon on the same ports is a mistake.

    Returns:
        The graph.

    Raises:
        PackageError: the model package is missing or damaged.
    """
    is_file = _is_file(config)
    graph = Graph(
        still=lambda: loader.still(),
        pipeline=lambda: loader.pipeline(graph.metrics),
        source=lambda: _open_source(config),
        outlets=lambda: [
            Outlet(made[0], required=name in required or name == "zeromq", opened=made[1])
            for name, make in OUTLETS.items()
            if (made := make(config, loader, graph.metrics)) is not None
        ],
        control=partial(_serve_control, config) if config.endpoints.enabled else None,
        avatars=lambda: _avatars(config),
        fps=config.output.fps,
        from_start=is_file or config.audio.source == "push",
        margin_ns=FILE_MARGIN_NS if is_file else LIVE_MARGIN_NS,
    )
    loader = Loader(config)
    return graph


class Loader:
    """Loads package and avatar once, for whichever thread asks first."""

    def __init__(self, config: Config) -> None:
        """Verify the model package.

        Args:
            config: which package, avatar, size, seed.

        Raises:
            PackageError: the package is missing or damaged.
        """
        self._config = config
        self._lock = threading.Lock()
        self._avatar: Avatar | None = None
        self.package = ModelPackage.load(
            Path(config.model.package).expanduser() if config.model.package else None
        )

    def avatar(self, progress: Progress | None = None) -> "Avatar":
        """Return the avatar; a new portrait is imported, which takes a while."""
        from rest_bridge.gallery import ImportOptions, load_avatar

        section = self._config.avatar
        with self._lock:
            if self._avatar is None:
                self._avatar = load_avatar(
                    section.picture,
                    self.package,
                    options=ImportOptions.of(section),
                    progress=progress,
                )
            return self._avatar

    def still(self) -> ByteArray:
        """Return the portrait at the output's size."""
        return portrait_at(self.avatar(), self._config.output.size)

    def pipeline(self, metrics: Metrics) -> Pipeline:
        """Load the generator; its stages are timed in `metrics`."""
        from rest_bridge.inference.session import import_onnxruntime
        from rest_bridge.stages import load_stages

        import_onnxruntime()  # while another thread still loads the avatar
        section = self._config.generator
        stages = load_stages(
            self.package,
            self.avatar(),
            size_px=self._config.output.size,
            seed=section.seed,
            steps=section.steps,
            threads=self._config.model.threads,
            provider=self._config.model.provider,
        )
        return Pipeline(
            stages,
            fps=self._config.output.fps,
            seed=section.seed,
            chunk_latents=section.chunk,
            metrics=metrics,
        )


def portrait_at(avatar: "Avatar", size_px: int) -> ByteArray:
    """Return the avatar's portrait at the output's size, uint8 [size, size, 4], straight alpha."""
    import cv2

    picture = avatar.picture.astype(np.float32)
    picture[..., :3] *= picture[..., 3:] / 255.0  # no colour of invisible pixels may bleed in
    small = cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA)
    small[..., :3] *= 255.0 / np.maximum(small[..., 3:], 1e-3)
    return np.ascontiguousarray(small.clip(0, 255).round().astype(np.uint8))


def _is_file(config: Config) -> bool:
    return Path(config.audio.source).expanduser().is_file()


def _open_source(config: Config) -> AudioSource:
    from rest_bridge.audio.source import open_source

    return open_source(
        config.audio.source,
        loop=config.audio.loop,
        latency_s=config.audio.latency_ms / 1000,
        gain_db=config.audio.gain_db,
        push_endpoint=config.endpoints.audio_in,
        insecure=config.endpoints.insecure,
    )


_Made = tuple[FrameSink, Callable[[], str]] | None
"""An output and what to call when it is open; None where it is not wanted."""


def _provenance(config: Config, loader: Loader) -> "Provenance":
    from rest_bridge.sinks.publisher import Provenance

    return Provenance(
        model_id=loader.package.name,
        avatar_id=hashlib.sha256(loader.avatar().picture.tobytes()).hexdigest()[:16],
        tier=f"{config.output.size}px",
        server=f"rest_bridge {__version__}",
    )


def _stats(metrics: Metrics) -> Mapping[str, Any]:
    latency = metrics.timer("latency").summary()
    return {
        "latency_p50_ms": round(latency.p50_ms, 1),
        "latency_p95_ms": round(latency.p95_ms, 1),
        "late": metrics.counter("late_frames"),
    }


def _publisher(config: Config, loader: Loader, metrics: Metrics) -> _Made:
    from rest_bridge.sinks.publisher import ZeroMqPublisher

    if not config.endpoints.enabled:
        return None
    sink = ZeroMqPublisher(
        frames_endpoint=config.endpoints.frames,
        events_endpoint=config.endpoints.events,
        insecure=config.endpoints.insecure,
        provenance=_provenance(config, loader),
        stats=partial(_stats, metrics),
    )
    return sink, lambda: f"Publishing frames on {sink.frames_endpoint}"


def _preview(config: Config, loader: Loader, metrics: Metrics) -> _Made:
    from rest_bridge.sinks.preview import PreviewServer

    section = config.preview
    if not section.enabled:
        return None
    sink = PreviewServer(
        port=section.port,
        token=section.token,
        provenance=_provenance(config, loader),
        stats=partial(_stats, metrics),
    )

    def opened() -> str:
        if section.open_browser:
            _open_browser(sink.url)
        return f"Preview: {sink.url}"

    return sink, opened


def _recorder(config: Config, _loader: Loader, _metrics: Metrics) -> _Made:
    from rest_bridge.sinks.recorder import Recorder

    if not config.recording.path:
        return None
    path = Path(config.recording.path).expanduser()
    return Recorder(path, background=config.recording.background), lambda: f"Recording to {path}"


def _voice_output(config: Config, _loader: Loader, _metrics: Metrics) -> _Made:
    section = config.voice_out
    if not section.device:
        return None
    from rest_bridge.sinks.voice_output import VoiceOutput

    from_device = config.audio.source != "push" and not _is_file(config)
    sink = VoiceOutput(
        section.device,
        gain_db=section.gain_db,
        offset_s=section.offset_ms / 1000,
        heard=config.audio.source if from_device else "",
    )
    return sink, lambda: f"Voice: {sink.name}"


def _camera(config: Config, _loader: Loader, _metrics: Metrics) -> _Made:
    section = config.camera
    if not section.enabled:
        return None
    from rest_bridge.sinks.virtual_camera import VirtualCamera

    sink = VirtualCamera(
        device=section.device,
        backend=section.backend,
        width=section.width,
        height=section.height,
        fps=section.fps,
        background=section.background,
    )
    return sink, lambda: f"Camera: {sink.name}"


OUTLETS: Final[dict[str, Callable[[Config, Loader, Metrics], _Made]]] = {
    "zeromq": _publisher,
    "preview": _preview,
    "recording": _recorder,
    "camera": _camera,
    "voice_out": _voice_output,
}
"""How each output is made from the configuration."""


def _open_browser(url: str) -> None:
    """Open a page where there is somebody to see it; never fails."""
    import webbrowser

    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return  # webbrowser would start a text browser in our terminal
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(url)


def _serve_control(config: Config, target: "ControlTarget") -> Closable:
    from rest_bridge.sinks.control import ControlServer

    server = ControlServer(
        target, endpoint=config.endpoints.control, insecure=config.endpoints.insecure
    )
    server.start()
    return server


def _avatars(config: Config) -> list[dict[str, Any]]:
    from rest_bridge.gallery import built_in_faces

    return [
        {"id": name, "name": face.title, "active": name == config.avatar.picture}
        for name, face in built_in_faces().items()
    ]
