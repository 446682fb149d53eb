"""What the daemon wires together, built from a configuration.

Nothing is opened or loaded here: the graph holds functions that do it, each called in a thread of
its own. A test builds a graph of its own parts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from rest_bridge.clock import Clock, MonotonicClock
from rest_bridge.config import Config
from rest_bridge.endpoint import Security
from rest_bridge.loader import Loader
from rest_bridge.metrics import Metrics
from rest_bridge.outlets import OUTLETS, voice_is_file
from rest_bridge.pipeline import Pipeline
from rest_bridge.tiers import Governor
from rest_bridge.types import AudioSource, ByteArray, FrameSink

if TYPE_CHECKING:
    from rest_bridge.sinks.control import ControlTarget

LIVE_MARGIN_NS: Final = 20_000_000
FILE_MARGIN_NS: Final = 120_000_000
"""How much later than measured a frame may be ready. A file's delay is nobody's concern, a hiccup
of the computer is."""


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
        from_start: the voice is not read before the model is ready (files); else it begins with
            what is heard then.
        open_when_ready: the voice is opened only then (pushed speech, whose clock starts with it).
        margin_ns: time to spare between a frame being ready and its turn.
        metrics: timers and counters of the stream.
        clock: paces.
        governor: chooses the tier of effort.
    """

    still: Callable[[], ByteArray]
    pipeline: Callable[[], Pipeline]
    source: Callable[[], AudioSource]
    outlets: Callable[[], Sequence[Outlet]]
    control: "Callable[[ControlTarget], Closable] | None" = None
    avatars: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    fps: int = 25
    from_start: bool = True
    open_when_ready: bool = False
    margin_ns: int = FILE_MARGIN_NS
    metrics: Metrics = field(default_factory=Metrics)
    clock: Clock = field(default_factory=MonotonicClock)
    governor: Callable[[], Governor] = Governor


def build_graph(config: Config, *, required: frozenset[str] = frozenset()) -> Graph:
    """Draw the graph of a configuration; verifies the model package, opens nothing.

    Args:
        config: what is wanted.
        required: outputs whose failure to open ends the daemon, names of `outlets.OUTLETS`. ZeroMQ
            always is: a second daemon on the same ports is a mistake.

    Returns:
        The graph.

    Raises:
        PackageError: the model package is missing or damaged.
    """
    is_file = voice_is_file(config)
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
        from_start=is_file,
        open_when_ready=config.audio.source == "push",
        margin_ns=FILE_MARGIN_NS if is_file else LIVE_MARGIN_NS,
    )
    loader = Loader(config)
    return graph


def _open_source(config: Config) -> AudioSource:
    from rest_bridge.audio.source import open_source

    return open_source(
        config.audio.source,
        loop=config.audio.loop,
        latency_s=config.audio.latency_ms / 1000,
        gain_db=config.audio.gain_db,
        push_endpoint=config.endpoints.audio_in,
        security=Security(insecure=config.endpoints.insecure),
    )


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
