"""The live daemon: source, pipeline, pacer and outputs, each in a thread of its own.

    source thread -> SampleRing -> worker (pipeline) -> FrameQueue -> presenter -> a runner a sink

The main thread starts, watches, reports and ends. Everything slow (importing a portrait, loading
graphs, opening devices) happens in threads, so that Ctrl-C works at any moment, and the still
portrait is out while the model loads.
"""

import logging
import secrets
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from rest_bridge.clock import MediaClock
from rest_bridge.config import Config
from rest_bridge.device_watch import DeviceWatch
from rest_bridge.errors import SinkError
from rest_bridge.graph import Closable, Graph, Outlet, build_graph
from rest_bridge.handoff import FrameQueue, SampleRing
from rest_bridge.latency import breakdown
from rest_bridge.listener import Listener
from rest_bridge.memory import MemoryKeeper, share_one_heap
from rest_bridge.outputs import CLOSE_S, Outputs
from rest_bridge.presenter import Presenter
from rest_bridge.speech_track import SpeechTrack
from rest_bridge.status import Outcome, Phase, Status
from rest_bridge.studio import Studio
from rest_bridge.tiers import TIER_NAMES
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk, Frame, FrameFormat
from rest_bridge.wishes import steering_facts
from rest_bridge.worker import Worker

if TYPE_CHECKING:
    from rest_bridge.sinks.control import Operation

__all__ = ["Daemon", "Outcome", "Status", "run_daemon"]

_RING_SAMPLES: Final = 4 * VOICE_RATE_HZ
_POLL_S: Final = 0.25
_TICK_S: Final = 0.05
_LOOK_S: Final = 0.25

_log = logging.getLogger(__name__)


class Daemon:
    """Runs one graph once. What may be changed meanwhile is its `studio`'s business."""

    def __init__(
        self,
        graph: Graph,
        *,
        seconds: float | None = None,
        stop_event: threading.Event | None = None,
        on_status: Callable[[Status], None] | None = None,
        on_message: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            graph: the parts.
            seconds: end after so many seconds of stream.
            stop_event: ends the daemon when set.
            on_status: called once a second from the thread that runs `run`.
            on_message: called there with sentences for a person.
        """
        self._graph = graph
        self._num_frames = None if seconds is None else max(1, round(seconds * graph.fps))
        self._stop = stop_event or threading.Event()
        self._done = threading.Event()
        self._on_status = on_status
        self._on_message = on_message
        self._messages: deque[str] = deque(maxlen=100)
        self._failures: list[str] = []
        self._required_failed = False
        self._error: BaseException | None = None
        self._threads: list[threading.Thread] = []
        self._control: Closable | None = None
        self._desk: Closable | None = None
        self._presenter: Presenter | None = None
        self._activity = "idle"
        self._interrupted = False
        self._ending = False
        self._began_s = time.monotonic()
        self._fps_mark = (self._began_s, 0)
        self._fps = 0.0
        self._memory = MemoryKeeper()
        self._media = MediaClock()
        self._ring = SampleRing(_RING_SAMPLES)
        self._queue = FrameQueue(2)
        self._worker = Worker(graph, self._ring, self._queue)
        self._track = SpeechTrack()
        self._listener = Listener(
            graph,
            self._ring,
            self._media,
            self._worker.ready,
            track=self._track,
            jump=self._jump,
            advance_samples=lambda: self._worker.advance_samples,
        )
        self._worker.arrival = self._listener.arrival
        self._outputs = Outputs(graph.metrics, on_failure=self._lose)
        self._devices = DeviceWatch(self._messages.append, self._outputs.post)
        self._worker.on_motion = self._outputs.move
        self.studio = Studio(graph, self._worker, self._listener, self._outputs)

    def run(self) -> Outcome:
        """Run until the voice or the time is over, a signal comes, or something required fails.

        Returns:
            How it went.

        Raises:
            RestBridgeError: voice, portrait, model or a required output failed.
        """
        share_one_heap()
        with _signals(self._interrupt):
            try:
                self._spawn("start", self._start)
                self._watch()
            finally:
                self._end()
        if self._error is not None:
            raise self._error
        failures = tuple(self._failures)
        return Outcome(self.snapshot(), self._interrupted, failures, self._required_failed)

    # --------------------------------------------------------------- steering, from any thread

    def snapshot(self) -> Status:
        """Return what the daemon is doing."""
        latency = self._graph.metrics.timer("latency").summary()
        return Status(
            elapsed_s=time.monotonic() - self._began_s,
            phase=self._phase(),
            activity=self._activity,
            fps=self._fps,
            latency_p50_ms=latency.p50_ms,
            latency_p95_ms=latency.p95_ms,
            presented=self._graph.metrics.counter("presented"),
            repeated=self._graph.metrics.counter("repeated"),
            dropped_samples=self._ring.num_dropped,
            sinks=self._outputs.statuses(),
            tier=self._worker.tier,
            avatar=self.studio.avatar,
            devices=self._devices.devices,
            jumps=self._media.num_jumps,
            stages=breakdown(self._graph.metrics),
        )

    def status(self) -> Mapping[str, Any]:
        """Return `snapshot` and what was asked of the face, for a control client."""
        source = self._listener.source
        return {
            **asdict(self.snapshot()),
            **self.studio.hush.as_dict(self._graph.clock.now_ns()),
            "source": source.name if source is not None else "",
            "source_spec": self.studio.source_spec,
            "outputs": self._outputs.as_dicts(),
            "steering": steering_facts(self.studio.wish()),
            "tiers": {name: self._graph.metrics.counter(f"tier.{name}") for name in TIER_NAMES},
        }

    def stop(self) -> None:
        """End soon, in good order: asked by a control client."""
        self._stop.set()

    def operations(self) -> Mapping[str, "Operation"]:
        """Return what control clients may ask for."""
        from rest_bridge.operations import operations_of
        from rest_bridge.speech_operations import speech_operations

        return {
            **operations_of(
                self.studio, status=self.status, settings=self._graph.settings, stop=self.stop
            ),
            **speech_operations(lambda: self._listener.source),
        }

    def _statistics(self) -> Mapping[str, Any]:
        """Return what subscribers of the control socket get."""
        status = asdict(self.snapshot())
        return {key: value for key, value in status.items() if key != "sinks"}

    def _phase(self) -> Phase:
        if self._ending:
            return "ending"
        return "live" if self._worker.ready.is_set() else "loading"

    def _interrupt(self) -> None:
        self._interrupted = True
        self._stop.set()

    # --------------------------------------------------------------- the main thread

    def _watch(self) -> None:
        due_s = self._began_s + 1.0
        look_s = 0.0
        while not self._done.wait(_TICK_S) and not self._stop.is_set():
            self._tell()
            self.studio.apply_hush()  # a key that is held runs out by itself
            now_s = time.monotonic()
            if now_s >= look_s:
                look_s = now_s + _LOOK_S
                self._look_at_devices()
            if now_s >= due_s:
                due_s = max(due_s + 1.0, now_s)
                self._measure_fps(now_s)
                self._memory.look()
                if self._on_status is not None:
                    self._on_status(self.snapshot())

    def _look_at_devices(self) -> None:
        source = self._listener.source
        parts = self._outputs.sinks() if source is None else (source, *self._outputs.sinks())
        self._devices.look(parts, self._media.num_jumps)

    def _measure_fps(self, now_s: float) -> None:
        then_s, count = self._fps_mark
        presented = self._graph.metrics.counter("presented")
        self._fps = (presented - count) / max(now_s - then_s, 1e-3)
        self._fps_mark = (now_s, presented)

    def _tell(self) -> None:
        while self._messages:
            message = self._messages.popleft()
            if self._on_message is not None:
                self._on_message(message)
            else:
                _log.warning("%s", message)

    def _end(self) -> None:
        """Stop every thread and let the outputs finish; takes less than two seconds."""
        self._ending = True
        self._stop.set()
        self._ring.close()
        self._queue.close(discard=True)
        self._join("start")  # else it opens outputs that nobody closes any more
        closers: list[Callable[[], object]] = [
            part.close for part in (self._listener, self._control, self._desk) if part is not None
        ]
        closers += self._outputs.closers()
        self._join("presenter")
        # All at once: one that hangs must not take the others' time.
        helpers = [threading.Thread(target=close, daemon=True) for close in closers]
        for helper in helpers:
            helper.start()
        _join_all(helpers, CLOSE_S + 0.4)
        # One of these may still be loading; it holds nothing that matters.
        _join_all(list(self._threads), 0.3)
        self._tell()

    def _join(self, name: str) -> None:
        for thread in list(self._threads):
            if thread.name == name:
                thread.join(0.5)

    def _spawn(self, name: str, body: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                body()
            except BaseException as error:  # noqa: BLE001 - the top of a thread
                self._fail(error)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _fail(self, error: BaseException) -> None:
        if self._error is None and not self._stop.is_set():
            self._error = error
        self._stop.set()
        self._done.set()

    # --------------------------------------------------------------- the other threads

    def _start(self) -> None:
        """Start everything; the still portrait goes out as soon as it is loaded."""
        graph = self._graph
        self._spawn("worker", lambda: self._worker.run(self._stop))
        self._spawn("source", lambda: self._listener.run(self._stop))
        still = graph.still()
        if self._stop.is_set():
            return
        height, width = still.shape[:2]
        fmt = FrameFormat(width, height, graph.fps)
        outlets = list(graph.outlets())
        self._outputs.desk = self._make_desk()
        openers = self._outputs.begin(fmt, outlets)
        presenter = Presenter(
            self._queue,
            self._ring,
            self._offer,
            still=still,
            fps=graph.fps,
            clock=graph.clock,
            media=self._media,
            metrics=graph.metrics,
            stream_id=secrets.token_hex(8),
            num_frames=self._num_frames,
            offer_voice=self._outputs.hear,
            track=self._track,
        )
        self._presenter = presenter
        self.studio.join(presenter)
        self._worker.join(presenter)
        for outlet, opener in zip(outlets, openers, strict=True):
            self._spawn(f"open-{outlet.key}", partial(self._open, outlet, opener))
        if graph.control is not None:
            self._control = graph.control(self.operations(), self._statistics)
        self._spawn("presenter", lambda: self._present(presenter))

    def _make_desk(self) -> Any:
        """Return what control pages talk to."""
        from rest_bridge.page.pages import make_desk

        self._desk = make_desk(
            self.studio,
            self.operations(),
            status=self.status,
            settings=self._graph.settings,
            faces=self._graph.faces,
        )
        return self._desk

    def _open(self, outlet: Outlet, opener: Callable[[], str]) -> None:
        try:
            sentence = opener()
        except SinkError as error:
            if outlet.required:
                raise
            self._failures.append(str(error))
            self._messages.append(f"{error} Everything else goes on.")
            return
        if sentence:
            self._messages.append(sentence)

    def _lose(self, outlet: Outlet, error: SinkError) -> None:
        self._failures.append(str(error))
        self._required_failed |= outlet.required
        self._messages.append(f"The output {outlet.sink.name} has stopped: {error}")

    def _offer(self, frame: Frame) -> None:
        self._activity = frame.rig.activity
        self._outputs.offer(frame)

    def _jump(self, chunk: AudioChunk) -> None:
        if self._presenter is not None:
            self._presenter.jump(chunk)

    def _present(self, presenter: Presenter) -> None:
        presenter.run(self._stop)
        self._done.set()


def run_daemon(
    config: Config,
    *,
    seconds: float | None = None,
    required: frozenset[str] = frozenset(),
    stop_event: threading.Event | None = None,
    on_status: Callable[[Status], None] | None = None,
    on_message: Callable[[str], None] | None = None,
) -> Outcome:
    """Build the graph of a configuration and run it.

    Args:
        config: what to wire together.
        seconds: end after so many seconds of stream; None runs until the voice ends or a signal.
        required: outputs named by the person, whose failure to open ends the daemon; see
            `graph.build_graph`.
        stop_event: ends the daemon when set.
        on_status: called once a second.
        on_message: called with sentences for a person.

    Returns:
        How it went.

    Raises:
        RestBridgeError: voice, portrait, model or a required output failed.
    """
    graph = build_graph(config, required=required)
    daemon = Daemon(
        graph, seconds=seconds, stop_event=stop_event, on_status=on_status, on_message=on_message
    )
    return daemon.run()


def _join_all(threads: Sequence[threading.Thread], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))


@contextmanager
def _signals(interrupt: Callable[[], None]) -> Generator[None, None, None]:
    """Let SIGINT and SIGTERM call `interrupt`; a second one raises KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    again = False

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal again
        if again:
            raise KeyboardInterrupt
        again = True
        interrupt()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
