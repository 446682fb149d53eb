"""Several faces in one process: each a daemon with its own voice, ports and outputs.

    face A: source -> pipeline ─┐                       ┌─ pictures in turns ─► outputs of A
    face B: source -> pipeline ─┼─ motion, in one run ──┼─ pictures in turns ─► outputs of B
    face C: source -> pipeline ─┘                       └─ ...

They share the model package, the networks (`generator.motion_desk`) and the cores (`turns`), and
nothing else: a face whose picture, voice or outputs fail ends alone. Used by `rest-bridge serve`
and by `examples/faces_on_ray.py`.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from rest_bridge.config import Config
from rest_bridge.config_sources import changed
from rest_bridge.daemon import Daemon, Outcome, Status
from rest_bridge.errors import ConfigError, RestBridgeError
from rest_bridge.graph import Graph, build_graph
from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.providers import choose
from rest_bridge.loader import Loader, chunk_of, voice_mode
from rest_bridge.machine import num_cores
from rest_bridge.metrics import Metrics
from rest_bridge.pipeline import Pipeline
from rest_bridge.stages import Stages
from rest_bridge.turns import TakingTurns, Turns

if TYPE_CHECKING:
    from rest_bridge.generator.many_motion import ManyMotion
    from rest_bridge.generator.motion_desk import MotionDesk

PORT_STEP: Final = 20
"""From the ports of one face to those of the next."""
MOST_FACES: Final = 64
_SOCKETS: Final = ("frames", "events", "control", "audio_in")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FaceEnd:
    """How a face of several ended.

    Attributes:
        name: of the face.
        outcome: of its daemon; None if it failed.
        error: why it failed; empty if it did not.
    """

    name: str
    outcome: Outcome | None
    error: str = ""


class SharedParts:
    """The networks and the cores that all faces share; loaded by the first face that asks."""

    def __init__(
        self,
        config: Config,
        *,
        places: int | None = None,
        chunk_latents: int | None = None,
        together: bool = True,
    ) -> None:
        """Prepare; nothing is loaded yet.

        Args:
            config: model package, provider, threads, steps: of all faces.
            places: faces that may draw at a time; as many as there are cores if None.
            chunk_latents: length of the chunks, where all faces have the same.
            together: move faces whose chunks are due at the same time in one run, if cheaper.
        """
        self._config = config
        self._chunk, self._together = chunk_latents, together
        self._lock = threading.Lock()
        self._motion: ManyMotion | None = None
        self._desk: MotionDesk | None = None
        self.turns = Turns(places or num_cores())

    @property
    def batches(self) -> dict[int, int]:
        """How many runs of the network there were, by the number of streams in them."""
        return {} if self._desk is None else dict(self._desk.batches)

    def pipeline(self, loader: Loader, name: str, metrics: Metrics) -> Pipeline:
        """Load a face's pipeline on the shared parts.

        Args:
            loader: of the face.
            name: of its stream.
            metrics: of its stream.
        """
        from rest_bridge.generator.motion_desk import SharedMotion

        motion, desk = self._load(loader.package)
        shared = SharedMotion(desk, motion, motion.alone.num_steps)
        return loader.pipeline(
            metrics, motion=shared, change=lambda stages: self._taking_turns(stages, name)
        )

    def _taking_turns(self, stages: Stages, name: str) -> Stages:
        smaller = stages.smaller
        return replace(
            stages,
            decoder=TakingTurns(stages.decoder, self.turns, name),
            smaller=None
            if smaller is None
            else lambda scale: TakingTurns(smaller(scale), self.turns, name),
        )

    def _load(self, package: ModelPackage) -> "tuple[ManyMotion, MotionDesk]":
        from rest_bridge.generator.generator import MotionGenerator
        from rest_bridge.generator.many_motion import GRAPH, MOST_TOGETHER, ManyMotion
        from rest_bridge.generator.motion_desk import GATHER_S, MotionDesk

        section, steps = self._config.model, self._config.generator.steps
        with self._lock:
            if self._motion is None or self._desk is None:
                graph = GRAPH if package.has(f"{GRAPH}.onnx") else "dit"
                provider = choose(
                    package, graph, section.provider, threads=section.threads
                ).provider
                kind: dict[str, Any] = {
                    "threads": section.threads, "provider": provider, "chunk_latents": self._chunk
                }  # fmt: skip
                alone = MotionGenerator(package, num_steps=steps or None, **kind)
                self._motion = ManyMotion(alone, package, **kind)
                batches = self._together and self._motion.batches
                self._desk = MotionDesk(
                    self._motion,
                    most_together=MOST_TOGETHER if batches else 1,
                    gather_s=GATHER_S if batches else 0.0,
                )
            return self._motion, self._desk


class Ensemble:
    """Runs several faces until all have ended or it is told to stop."""

    def __init__(
        self,
        faces: Mapping[str, Config],
        *,
        seconds: float | None = None,
        stop_event: threading.Event | None = None,
        on_status: Callable[[str, Status], None] | None = None,
        on_message: Callable[[str, str], None] | None = None,
        graph_of: Callable[[str, Config], Graph] | None = None,
    ) -> None:
        """Prepare; verifies configurations and the model package, opens nothing.

        Args:
            faces: name -> configuration, each with ports of its own (see `face_configs`).
            seconds: end each after so many seconds of stream.
            stop_event: ends all when set.
            on_status: called with a face's name once a second, from its thread.
            on_message: called there with sentences for a person.
            graph_of: draws the graph of a face; `build_graph` on the shared parts if None.

        Raises:
            ConfigError: no faces, too many, two with one port, or with different models.
            PackageError: the model package is missing or damaged.
        """
        check_faces(faces)
        self._stop = stop_event or threading.Event()
        self._seconds = seconds
        self._on_status = on_status
        self._on_message = on_message
        chunks = {chunk_of(config, voice_mode(config)) for config in faces.values()}
        self.shared = SharedParts(
            next(iter(faces.values())), chunk_latents=chunks.pop() if len(chunks) == 1 else None
        )
        self._graphs = {
            name: (graph_of or self._graph)(name, config) for name, config in faces.items()
        }
        self._daemons: dict[str, Daemon] = {}
        self._ends: dict[str, FaceEnd] = {}

    def run(self) -> list[FaceEnd]:
        """Run all faces.

        Returns:
            How each ended. A face that fails is among them; it stops no other.
        """
        threads = [
            threading.Thread(target=self._run_one, args=(name, graph), name=f"face-{name}")
            for name, graph in self._graphs.items()
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)  # so that Ctrl-C is heard
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        return [self._ends[name] for name in self._graphs]

    def stop(self) -> None:
        """End all faces soon."""
        self._stop.set()

    def statuses(self) -> dict[str, Status]:
        """Return what each face that runs is doing."""
        return {name: daemon.snapshot() for name, daemon in list(self._daemons.items())}

    def _graph(self, name: str, config: Config) -> Graph:
        loader = Loader(config)
        graph = build_graph(config, loader=loader)
        graph.pipeline = lambda: self.shared.pipeline(loader, name, graph.metrics)
        return graph

    def _run_one(self, name: str, graph: Graph) -> None:
        on_status, on_message = self._on_status, self._on_message
        try:
            daemon = Daemon(
                graph,
                seconds=self._seconds,
                stop_event=_Either(self._stop),
                on_status=None if on_status is None else lambda status: on_status(name, status),
                on_message=None if on_message is None else lambda text: on_message(name, text),
            )
            self._daemons[name] = daemon
            self._ends[name] = FaceEnd(name, daemon.run())
        except RestBridgeError as error:
            self._fail(name, str(error))
        except Exception as error:  # noqa: BLE001 - the top of a face's thread: it must not end the others
            _log.exception("face %s", name)
            self._fail(name, f"Something unforeseen went wrong ({type(error).__name__}: {error}).")
        finally:
            self._daemons.pop(name, None)
            self.shared.turns.leave(name)

    def _fail(self, name: str, error: str) -> None:
        self._ends[name] = FaceEnd(name, None, error)
        if self._on_message is not None:
            self._on_message(name, f"{error} The other faces go on.")


class _Either(threading.Event):
    """An event of one face that is also set when all are to stop."""

    def __init__(self, all_of_them: threading.Event) -> None:
        super().__init__()
        self._all = all_of_them

    def is_set(self) -> bool:
        return super().is_set() or self._all.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        if self._all.is_set():
            return True
        return super().wait(timeout) or self._all.is_set()


def face_configs(config: Config, names: Sequence[str]) -> dict[str, Config]:
    """Return a configuration for each face: its picture, its ports, its seed.

    Args:
        config: for all of them; the first face keeps its ports, each further one has them
            `PORT_STEP` higher.
        names: built-in faces, pictures or avatar files; the same one may come twice.

    Raises:
        ConfigError: a port would lie beyond 65535.
    """
    faces: dict[str, Config] = {}
    for number, picture in enumerate(names):
        values: dict[str, object] = {
            f"endpoints.{key}": _moved(str(getattr(config.endpoints, key)), number)
            for key in _SOCKETS
        }
        values["preview.port"] = config.preview.port + number * PORT_STEP
        values["avatar.picture"] = picture
        values["generator.seed"] = config.generator.seed + number
        name = picture if picture not in faces else f"{picture}-{number + 1}"
        faces[name] = changed(config, values, f"face {name}")
    return faces


def check_faces(faces: Mapping[str, Config]) -> None:
    """Refuse faces that cannot live in one process.

    Raises:
        ConfigError: no faces, too many, two with one port, or with different models.
    """
    if not 1 <= len(faces) <= MOST_FACES:
        raise ConfigError(f"{len(faces)} faces are not possible; serve 1 to {MOST_FACES}.")
    taken: dict[int, str] = {}
    for name, config in faces.items():
        for port in _ports(config):
            if port in taken:
                raise ConfigError(
                    f"The faces {taken[port]} and {name} both want port {port}; give each its own "
                    "endpoints and preview.port."
                )
            taken[port] = name
    models = {(c.model.package, c.model.provider, c.model.threads) for c in faces.values()}
    if len(models) > 1:
        raise ConfigError(
            "Faces in one process share the networks, so their section [model] must be the same; "
            "serve the others with a rest-bridge of their own."
        )


def _ports(config: Config) -> list[int]:
    ports: list[int] = []
    if config.endpoints.enabled:
        keys = [key for key in _SOCKETS if key != "audio_in" or config.audio.source == "push"]
        ports += [urlsplit(str(getattr(config.endpoints, key))).port or 0 for key in keys]
    return [*ports, config.preview.port] if config.preview.enabled else ports


def _moved(endpoint: str, number: int) -> str:
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.hostname}:{(parts.port or 0) + number * PORT_STEP}"
