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
from rest_bridge.config_sources import changed
from rest_bridge.curve import security_of
from rest_bridge.gallery import built_in_faces, face_name, kept_portraits
from rest_bridge.generator.steering import Steering
from rest_bridge.loader import Loader, voice_is_file
from rest_bridge.metrics import Metrics
from rest_bridge.outlets import OUTLETS, settings_of, with_output
from rest_bridge.pipeline import Pipeline
from rest_bridge.stages import Stages
from rest_bridge.tiers import TIER_NAMES, Governor
from rest_bridge.types import AudioSource, ByteArray, FrameSink
from rest_bridge.wishes import steering_of

if TYPE_CHECKING:
    from rest_bridge.sinks.control import Operation

LIVE_MARGIN_NS: Final = 20_000_000
FILE_MARGIN_NS: Final = 120_000_000
"""How much later than measured a frame may be ready. A file's delay is nobody's concern, a hiccup
of the computer is."""


Statistics = Callable[[], Mapping[str, Any]]


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
        name: what clients call it; the sink's own name if empty.
        settings: what it was made from.
    """

    sink: FrameSink
    required: bool
    opened: Callable[[], str] | None = None
    name: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def key(self) -> str:
        """What clients call it."""
        return self.name or self.sink.name


class Faces(Protocol):
    """Loads other faces while one is live."""

    def stages(
        self, choice: str, options: Mapping[str, Any], progress: Callable[[float, str], None]
    ) -> Stages:
        """Load a face's parts, for the full tier."""
        ...

    def prepare(
        self, choice: str, options: Mapping[str, Any], progress: Callable[[float, str], None]
    ) -> str:
        """Import a picture into the cache; return the hash that names it."""
        ...


@dataclass(slots=True)
class Graph:
    """The parts of a daemon.

    Attributes:
        still: loads the avatar; returns its portrait at the output's size, uint8 [H, W, 4].
        pipeline: loads the model.
        source: opens the voice.
        outlets: makes the outputs; called after `still`.
        control: starts to serve operations, and statistics, to control clients.
        avatars: the avatars at hand, `id` and `name`.
        avatar: what the first face was asked for by.
        faces: loads other faces; None where there is one only.
        voices: returns what opens another voice, by what it is called and options.
        outlet: makes another output, by its name and options.
        settings: the configuration, for clients to read.
        wish: what is asked of the face from the start.
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
    control: "Callable[[Mapping[str, Operation], Statistics], Closable] | None" = None
    avatars: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    avatar: str = ""
    faces: Faces | None = None
    voices: Callable[[str, Mapping[str, Any]], Callable[[], AudioSource]] | None = None
    outlet: Callable[[str, Mapping[str, Any]], Outlet] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    wish: Steering = field(default_factory=Steering)
    fps: int = 25
    from_start: bool = True
    open_when_ready: bool = False
    margin_ns: int = FILE_MARGIN_NS
    metrics: Metrics = field(default_factory=Metrics)
    clock: Clock = field(default_factory=MonotonicClock)
    governor: Callable[[], Governor] = Governor


def build_graph(
    config: Config, *, required: frozenset[str] = frozenset(), loader: Loader | None = None
) -> Graph:
    """Draw the graph of a configuration; verifies the model package, opens nothing.

    Args:
        config: what is wanted.
        required: outputs whose failure to open ends the daemon, names of `outlets.OUTLETS`. ZeroMQ
            always is: a second daemon on the same ports is a mistake.
        loader: of the same configuration, where somebody else needs it as well.

    Returns:
        The graph.

    Raises:
        PackageError: the model package is missing or damaged.
    """
    is_file = voice_is_file(config)
    parts = loader or Loader(config)
    graph = Graph(
        still=parts.still,
        pipeline=lambda: parts.pipeline(graph.metrics),
        source=lambda: _open_source(config),
        outlets=lambda: [
            outlet
            for name in OUTLETS
            if (outlet := _make(config, name, name in required or name == "zeromq")) is not None
        ],
        control=partial(_serve_control, config) if config.endpoints.enabled else None,
        avatars=_avatars,
        avatar=face_name(config.avatar.picture),
        voices=lambda spec, options: partial(
            _open_source,
            changed(
                config,
                {"audio.source": spec} | {f"audio.{key}": v for key, v in options.items()},
                "the request",
            ),
        ),
        outlet=lambda name, options: _wanted(with_output(config, name, options), name),
        settings=_readable(config),
        wish=steering_of(config.steering),
        fps=config.output.fps,
        from_start=is_file,
        open_when_ready=config.audio.source == "push",
        margin_ns=FILE_MARGIN_NS if is_file else LIVE_MARGIN_NS,
        governor=partial(governor_of, config),
    )

    def _make(config: Config, name: str, required: bool) -> Outlet | None:
        made = OUTLETS[name](config, parts, graph.metrics)
        if made is None:
            return None
        return Outlet(made[0], required, made[1], name, settings_of(config, name))

    def _wanted(config: Config, name: str) -> Outlet:
        outlet = _make(config, name, False)
        assert outlet is not None, "with_output asks for it"
        return outlet

    graph.faces = parts
    return graph


def governor_of(config: Config) -> Governor:
    """Return what chooses tiers: one only, where `generator.tier` names it."""
    if config.generator.tier == "auto":
        return Governor()
    fixed = TIER_NAMES.index(config.generator.tier)
    return Governor(highest=fixed, lowest=fixed)


def _open_source(config: Config) -> AudioSource:
    from rest_bridge.audio.gate import OFF_DB, GateSource
    from rest_bridge.audio.source import open_source

    source = open_source(
        config.audio.source,
        loop=config.audio.loop,
        latency_s=config.audio.latency_ms / 1000,
        gain_db=config.audio.gain_db,
        push_endpoint=config.endpoints.audio_in,
        security=security_of(config.endpoints),
    )
    gate_db = config.audio.gate_db
    return GateSource(source, gate_db) if gate_db > OFF_DB else source


def _serve_control(
    config: Config,
    operations: "Mapping[str, Operation]",
    statistics: Statistics,
) -> Closable:
    from rest_bridge.sinks.control import ControlServer

    server = ControlServer(
        operations,
        statistics=statistics,
        endpoint=config.endpoints.control,
        security=security_of(config.endpoints),
    )
    server.start()
    return server


def _readable(config: Config) -> dict[str, Any]:
    """Return a configuration without what nobody else should read."""
    content = config.model_dump()
    content["preview"]["token"] = "set" if config.preview.token else ""
    return content


def _avatars() -> list[dict[str, Any]]:
    titles = {name: face.title for name, face in built_in_faces().items()} | kept_portraits()
    return [{"id": name, "name": title} for name, title in titles.items()]
