"""The worker: loads the model, then turns the voice in the ring into frames in the queue.

Place in the flow: SampleRing -> here (Pipeline) -> FrameQueue -> presenter. It owns the pipeline
and all state of the generator; `run` is a thread's body. It decides which sample the stream begins
with and tells the pipeline how late it is; what that means is `lateness.late_action`'s business.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from rest_bridge.arrival import JITTER_NS, SPARE_NS, Arrival, LentDelay, frames_to_postpone
from rest_bridge.clock import NS_PER_S
from rest_bridge.errors import SourceClosed, SourceTimeout
from rest_bridge.graph import Graph
from rest_bridge.handoff import FrameQueue, SampleRing
from rest_bridge.ladder import Ladder
from rest_bridge.pipeline import Pipeline
from rest_bridge.presenter import Presenter
from rest_bridge.redraw import redraw
from rest_bridge.rehearsal import rehearse
from rest_bridge.stages import Stages
from rest_bridge.tiers import ChunkReport
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk, Frame, RigFrame

READ_SAMPLES: Final = VOICE_RATE_HZ // 100
_POLL_S: Final = 0.25
_ROOM_S: Final = 2.0
"""How long a frame waits for room in the queue before the oldest one is dropped."""
_LEARNING_TURNS: Final = 25
_TURN_S: Final = 0.02
_MOST_GROWN_NS: Final = 160_000_000
"""How much longer than needed the delay becomes at most, where not even the least is in time."""
_JUDGED_CHUNKS: Final = 100
"""Chunks after which a faster computer is believed: eight seconds of the shortest ones."""

_log = logging.getLogger(__name__)


class ComputeGuess:
    """How long the next chunk will take to draw: as long as the last one that was drawn.

    A chunk that is skipped tells nothing new, so the guess then shrinks: else one hiccup of the
    machine would count for ever, and no picture be drawn again (measured: 11,164 of 15,000).
    """

    def __init__(self) -> None:
        """Begin without knowing anything."""
        self.ns = 0

    def drawn(self, duration_ns: int) -> None:
        """Take note of a chunk that was drawn."""
        self.ns = duration_ns

    def skipped(self) -> None:
        """Take note of a chunk whose pictures were left out."""
        self.ns = self.ns * 3 // 4


class Worker:
    """Generates one stream."""

    def __init__(self, graph: Graph, ring: SampleRing, queue: FrameQueue) -> None:
        """Connect; nothing is loaded yet.

        Args:
            graph: loads the pipeline.
            ring: the voice.
            queue: takes the frames; it is closed behind the last one.
        """
        self._graph = graph
        self._ring = ring
        self._queue = queue
        self._joined = threading.Event()
        self._presenter: Presenter | None = None
        self._guess = ComputeGuess()
        self._governor = graph.governor()
        self._ladder: Ladder | None = None
        self._changes: deque[tuple[Callable[[Pipeline], None], threading.Event]] = deque()
        self._look_ahead_ns = self._compute_ns = 0
        self._computed: deque[int] = deque(maxlen=_JUDGED_CHUNKS)
        self._fitted_at = 0
        self._starved = 0
        self._lent = LentDelay()
        self.on_motion: Callable[[Sequence[RigFrame]], None] | None = None
        """Takes the rig of a chunk before its pictures are drawn; set before the stream begins."""
        self.arrival: Arrival | None = None
        """How late the voice is; set before the stream begins."""
        self.resting = False
        """Whether the pipeline was last asked to rest."""
        self.ready = threading.Event()
        """Set once the model is loaded and warm."""
        self.advance_samples = 0
        """How far the generator looks ahead, in whole frames; known when ready."""

    @property
    def tier(self) -> str:
        """Name of the tier that the next chunk is generated in."""
        return self._governor.tier.name

    def join(self, presenter: Presenter) -> None:
        """Say who shows the frames; called once."""
        self._presenter = presenter
        self._joined.set()

    def post(self, change: Callable[[Pipeline], None]) -> threading.Event:
        """Change something of the pipeline before its next chunk; from any thread.

        Args:
            change: called by the worker's thread; must be quick.

        Returns:
            Set when it was done.
        """
        done = threading.Event()
        self._changes.append((change, done))
        return done

    def wear(self, stages: Stages) -> threading.Event:
        """Go on with another face, in whatever tier the stream is then; from any thread.

        Args:
            stages: of the face, in the full tier.

        Returns:
            Set when it was done.
        """

        def change(pipeline: Pipeline) -> None:
            self._ladder = Ladder(stages)
            pipeline.adopt(self._ladder.at(self._governor.tier))
            self._redraw(pipeline)

        return self.post(change)

    def _redraw(self, pipeline: Pipeline) -> None:
        """Show a new face in the frames that wait, as far as the next chunk leaves time."""
        next_ns = self._presenter and self._presenter.due_ns(pipeline.num_frames)
        if next_ns is None or pipeline.resting:
            return
        picture = redraw(
            self._queue,
            pipeline.stages,
            now_ns=self._graph.clock.now_ns,
            until_ns=next_ns - self._guess.ns - SPARE_NS,
        )
        if picture is not None:
            pipeline.repeat(picture)

    def run(self, stop: threading.Event) -> None:
        """Load, rehearse, and generate until the voice ends or `stop` is set."""
        pipeline = self._graph.pipeline()
        rehearsal = rehearse(pipeline)
        self._ladder = Ladder(pipeline.stages)
        pipeline.adopt(self._ladder.at(self._governor.tier))
        pipeline.on_motion = self.on_motion
        self._queue.resize(max(2, 2 * pipeline.frames_per_chunk))
        self.advance_samples = (
            rehearsal.num_samples // pipeline.samples_per_frame * pipeline.samples_per_frame
        )
        self._look_ahead_ns = rehearsal.num_samples * NS_PER_S // VOICE_RATE_HZ
        self._compute_ns = rehearsal.compute_ns
        while not self._joined.wait(_POLL_S):
            if stop.is_set():
                return
        presenter = self._presenter
        assert presenter is not None, "joined means that there is one"
        self.ready.set()
        if not self._graph.from_start:
            self._learn_arrival(stop)
            self._ring.skip_to_newest()
        begun = False
        while not stop.is_set():
            try:
                chunk = self._ring.read(READ_SAMPLES, _POLL_S)
            except SourceTimeout:
                continue
            except SourceClosed:
                break
            if not begun:
                chunk = self._begin(presenter, chunk, self._needed_ns())
                begun = True
            self._make_changes(pipeline)
            self._generate(presenter, pipeline, chunk)
        for frame in pipeline.finish():
            self._queue.put(frame, timeout_s=_ROOM_S)
        self._queue.close()

    def _needed_ns(self) -> int:
        """Return the delay that the generator and the voice's own lateness need together."""
        usual_ns = self.arrival.usual_ns() if self.arrival is not None else None
        late_ns = 0 if usual_ns is None else usual_ns + JITTER_NS
        own_ns = self._look_ahead_ns + self._compute_ns * 3 // 2
        return own_ns + max(self._graph.margin_ns, late_ns)

    def _note_compute(self, pipeline: Pipeline, made: list[Frame]) -> None:
        """Learn that the computer has become faster than it was in the rehearsal.

        Where it has become slower the tiers help: a delay that follows a game would not come back.
        """
        if pipeline.stages.tier.every > 1 or pipeline.stages.tier.scale < 1:
            return
        frame_ns = NS_PER_S // pipeline.fps
        late_ns = [
            frame.times.drawn_ns - frame.times.begun_ns - place * frame_ns
            for place, frame in enumerate(made)
            if frame.times is not None
        ]
        self._computed.append(max(late_ns, default=0))
        if len(self._computed) == self._computed.maxlen:
            usual_ns = sorted(self._computed)[-len(self._computed) // 20]
            self._compute_ns = min(self._compute_ns, usual_ns)
            self._computed.clear()

    def _learn_arrival(self, stop: threading.Event) -> None:
        """Wait a moment for how late the voice is now that nothing is being loaded any more."""
        if self.arrival is None or self._graph.open_when_ready:
            return  # pushed speech is not late, and its first frame is waited for
        self.arrival.forget()
        for _ in range(_LEARNING_TURNS):
            if self.arrival.usual_ns() is not None or stop.wait(_TURN_S):
                return

    def _fit_delay(self, presenter: Presenter, pipeline: Pipeline, *, silent: bool) -> None:
        """Follow a voice that has become later, or sooner: another device, another server."""
        settled_ns = (pipeline.num_samples - self._fitted_at) * NS_PER_S // VOICE_RATE_HZ
        needed_ns, delay_ns = self._needed_ns(), presenter.delay_ns
        frame_ns = NS_PER_S // pipeline.fps
        num_frames = self._starved or frames_to_postpone(
            needed_ns=needed_ns,
            delay_ns=delay_ns,
            frame_ns=frame_ns,
            silent=silent,
            settled_ns=settled_ns,
        )
        if self._starved:
            self._lent.lend()
        elif num_frames < 0:
            self._lent.clear()
        elif not num_frames and self._governor.at_best:
            num_frames = -self._lent.have_back(
                spare_ns=delay_ns - needed_ns, frame_ns=frame_ns, silent=silent,
                settled_ns=settled_ns,
            )  # fmt: skip
        if num_frames < 0 and not self._lent.any:
            self._governor.calm()
        self._starved = 0
        if num_frames:
            self._fitted_at = pipeline.num_samples
            presenter.postpone(num_frames)
            self._graph.metrics.count("delay_changes")
            _log.info("the delay changes by %d frames", num_frames)

    def _make_changes(self, pipeline: Pipeline) -> None:
        while self._changes:
            change, done = self._changes.popleft()
            change(pipeline)
            done.set()

    def _generate(self, presenter: Presenter, pipeline: Pipeline, chunk: AudioChunk) -> None:
        """Hand on the frames that a few samples complete, and judge how that went."""
        behind_ns = self._behind_ns(presenter, pipeline)
        made: list[Frame] = []
        spare_ns: int | None = None
        for frame in pipeline.stream(chunk, behind_ns=behind_ns):
            due_ns = presenter.due_ns(frame.index)
            if due_ns is not None and frame.times is not None:
                left_ns = due_ns - frame.times.drawn_ns
                spare_ns = left_ns if spare_ns is None else min(spare_ns, left_ns)
            made.append(frame)
            self._queue.put(frame, timeout_s=_ROOM_S)
        if not made:
            return
        self._fit_delay(presenter, pipeline, silent=made[-1].rig.activity != "speaking")
        if pipeline.resting or made[-1].index < self._queue.first_wanted:
            return  # what was skipped for pushed speech was late on purpose
        compute_ns = self._graph.metrics.timer("chunk").last_ns()
        drawn = behind_ns <= 0
        if drawn:
            self._note_compute(pipeline, made)
            self._guess.drawn(compute_ns)
        else:
            self._guess.skipped()
        if made[-1].times is None or spare_ns is None:
            return
        if presenter.delay_ns + SPARE_NS < self._needed_ns():
            return  # late for the voice's sake, which less effort does not mend; see _fit_delay
        self._govern(
            presenter,
            pipeline,
            ChunkReport(
                at_ns=made[-1].times.drawn_ns,
                length_ns=len(made) * NS_PER_S // pipeline.fps,
                compute_ns=compute_ns,
                spare_ns=spare_ns,
                drawn=drawn,
            ),
        )

    def _govern(self, presenter: Presenter, pipeline: Pipeline, report: ChunkReport) -> None:
        """Choose the tier of the next chunk."""
        before = self._governor.tier
        tier = self._governor.done(report)
        wanted = self._governor.starves or self._governor.wants_delay
        if wanted and presenter.delay_ns < self._needed_ns() + _MOST_GROWN_NS:
            self._starved = 1
        assert self._ladder is not None, "it is there before anything is generated"
        stages = self._ladder.at(tier)
        if stages is not pipeline.stages:
            pipeline.adopt(stages)
        if tier is not before:
            self._guess.ns = int(self._guess.ns * tier.cost / before.cost)
            self._graph.metrics.count(f"tier.{tier.name}")
            _log.info("tier %s", tier.name)

    def _begin(self, presenter: Presenter, chunk: AudioChunk, delay_ns: int) -> AudioChunk:
        """Choose the first sample, so that a live frame's turn fits the turns of the stream."""
        if not self._graph.from_start:
            wait_ns = presenter.until_free_turn_ns(chunk.first_index, delay_ns)
            begin = chunk.first_index + wait_ns * VOICE_RATE_HZ // NS_PER_S
            while chunk.first_index + len(chunk.samples) <= begin:
                chunk = self._ring.read(READ_SAMPLES, 1.0)
            cut = max(0, begin - chunk.first_index)
            chunk = AudioChunk(
                chunk.samples[cut:],
                chunk.sample_rate_hz,
                chunk.first_index + cut,
                chunk.captured_ns,
                chunk.discontinuity,
            )
        presenter.attach(chunk.first_index, delay_ns)
        return chunk

    def _behind_ns(self, presenter: Presenter, pipeline: Pipeline) -> int:
        """Return by how much the next chunk's last frame will miss its turn."""
        due_ns = presenter.due_ns(pipeline.num_frames + pipeline.frames_per_chunk - 1)
        if due_ns is None:
            return 0
        return self._graph.clock.now_ns() + self._guess.ns - due_ns
