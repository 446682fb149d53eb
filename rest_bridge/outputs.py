"""The outputs of a daemon, which come and go while it runs.

Place in the flow: presenter -> here -> a `SinkRunner` each. Starting one never delays the others:
an output is opened by its own thread and gets frames from then on.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Final, Protocol, runtime_checkable

from rest_bridge.errors import SinkError
from rest_bridge.graph import Outlet
from rest_bridge.latency import OUTLET_PREFIX
from rest_bridge.metrics import Metrics
from rest_bridge.sinks.sink import SinkRunner, SinkStatus
from rest_bridge.types import Frame, FrameFormat, FrameSink, RigFrame, VoiceChunk

CLOSE_S: Final = 1.2
"""What an output may take to finish its file; the whole end stays under two seconds."""


@runtime_checkable
class PostingSink(Protocol):
    """A sink that publishes events."""

    def post(self, kind: str, body: Mapping[str, Any]) -> None:
        """Publish an event with the next frame; from any thread."""
        ...


@runtime_checkable
class DeskSink(Protocol):
    """A sink whose pages may ask for things."""

    desk: Any
    """What they talk to."""


class Outputs:
    """Named runners; `offer` is called by the presenter, the rest by any thread."""

    def __init__(
        self, metrics: Metrics, *, on_failure: Callable[[Outlet, SinkError], None]
    ) -> None:
        """Begin without any.

        Args:
            metrics: times each output: `outlet.NAME`, from a frame's turn until the sink has it.
            on_failure: called when an output fails while running.
        """
        self._metrics = metrics
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._fmt: FrameFormat | None = None
        self._running: dict[str, tuple[Outlet, SinkRunner]] = {}
        self._runners: tuple[SinkRunner, ...] = ()
        self.desk: Any = None
        """What pages talk to; set before the outputs begin."""

    def begin(self, fmt: FrameFormat, outlets: list[Outlet]) -> list[Callable[[], str]]:
        """Take in the first outputs.

        Args:
            fmt: of the frames.
            outlets: the outputs.

        Returns:
            What opens each of them, see `start`; frames that come before are kept for it.
        """
        self._fmt = fmt
        return [partial(self._open, outlet, self._add(outlet)) for outlet in outlets]

    def start(self, outlet: Outlet) -> str:
        """Add an output while the stream runs, in place of one of the same name.

        Args:
            outlet: the output.

        Returns:
            A sentence for a person, or nothing.

        Raises:
            SinkError: it cannot be opened, or there is no stream yet.
        """
        if self._fmt is None:
            raise SinkError(
                "The stream has not begun: the portrait is still being loaded. Try again."
            )
        self.stop(outlet.key)
        return self._open(outlet, self._add(outlet))

    def stop(self, key: str, *, timeout_s: float = 10.0) -> SinkStatus | None:
        """End an output and let it finish its file.

        Args:
            key: its name.
            timeout_s: how long that may take.

        Returns:
            What it did; None if there is none of this name.
        """
        with self._lock:
            found = self._running.pop(key, None)
            self._refresh()
        if found is None:
            return None
        found[1].close(timeout_s)
        return found[1].status

    def has(self, key: str) -> bool:
        """Say whether an output of this name runs."""
        with self._lock:
            found = self._running.get(key)
        return found is not None and found[1].status.state in ("new", "running")

    def outlet(self, key: str) -> Outlet | None:
        """Return the running output of a name."""
        with self._lock:
            found = self._running.get(key)
        return found[0] if found is not None else None

    def offer(self, frame: Frame) -> None:
        """Hand a frame to each output; never blocks."""
        for runner in self._runners:
            runner.offer(frame)

    def hear(self, voice: VoiceChunk, due_ns: int) -> None:
        """Hand voice to the outputs that want it ahead of the pictures; never blocks."""
        for runner in self._runners:
            runner.hear(voice, due_ns)

    def sinks(self) -> tuple[FrameSink, ...]:
        """Return the sinks that run."""
        with self._lock:
            return tuple(outlet.sink for outlet, _ in self._running.values())

    def post(self, kind: str, body: Mapping[str, Any]) -> None:
        """Hand an event to the outputs that publish events; never blocks."""
        for sink in self.sinks():
            if isinstance(sink, PostingSink):
                sink.post(kind, body)

    def move(self, rigs: Sequence[RigFrame]) -> None:
        """Hand the rig of coming frames to the outputs that want it at once; never blocks."""
        for runner in self._runners:
            runner.move(rigs)

    def statuses(self) -> tuple[SinkStatus, ...]:
        """Return what each output did so far."""
        return tuple(runner.status for runner in self._runners)

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return what each output is called, is made from and did, for a control client."""
        with self._lock:
            running = dict(self._running)
        return [
            {"output": key, **asdict(runner.status), "settings": dict(outlet.settings)}
            for key, (outlet, runner) in running.items()
        ]

    def closers(self) -> list[Callable[[], object]]:
        """Return what closes each output, to be called side by side."""
        return [partial(runner.close, CLOSE_S) for runner in self._runners]

    def _add(self, outlet: Outlet) -> SinkRunner:
        assert self._fmt is not None, "the stream has begun"
        if self.desk is not None and isinstance(outlet.sink, DeskSink):
            outlet.sink.desk = self.desk
        runner = SinkRunner(
            outlet.sink,
            self._fmt,
            on_failure=lambda _name, error: self._on_failure(outlet, error),
            on_sent=partial(self._time, OUTLET_PREFIX + outlet.key),
        )
        with self._lock:
            self._running[outlet.key] = (outlet, runner)
            self._refresh()
        return runner

    def _open(self, outlet: Outlet, runner: SinkRunner) -> str:
        # One that fails stays in the list, so that the status can say why.
        if not runner.start():
            return ""
        return outlet.opened() if outlet.opened is not None else ""

    def _time(self, name: str, frame: Frame, sent_ns: int) -> None:
        if frame.presented_ns:
            self._metrics.timer(name).record(sent_ns - frame.presented_ns)

    def _refresh(self) -> None:
        self._runners = tuple(runner for _, runner in self._running.values())
