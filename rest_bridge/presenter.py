"""The pacer: hands every frame to the outputs when its turn has come.

Place in the flow: FrameQueue -> here -> one SinkRunner for each output. The presenter counts frames
of the *stream*, which begins with the still portrait while the model loads; the first frame of the
voice joins at the next free place after its fixed delay, so that subscribers never see a gap.
Turns follow the media clock, hence the audio device. A frame that is not there in time is replaced
by the last picture with its own voice, and is dropped when it comes.
The voice of coming frames goes to the voice output ahead of them, each sample with the time at
which it is due: however long a sound card's queue is, its sound leaves with the picture.
Knows nothing of models, devices or sockets.
"""

import dataclasses
import threading
from collections.abc import Callable
from typing import Final

import numpy as np

from rest_bridge.barge_in import FADE_SAMPLES, BargeIn
from rest_bridge.clock import NS_PER_S, Clock, MediaClock
from rest_bridge.handoff import FrameQueue, SampleRing
from rest_bridge.latency import record as record_latency
from rest_bridge.metrics import Metrics
from rest_bridge.rig import RIG_NAMES, VISEME_NAMES
from rest_bridge.speech_track import SpeechTrack
from rest_bridge.types import (
    VOICE_RATE_HZ,
    AudioChunk,
    ByteArray,
    Frame,
    RigFrame,
    StreamActivity,
    StreamEvent,
    VoiceChunk,
)

VOICE_LEAD_NS: Final = 80_000_000
"""How far ahead of its picture the voice is handed over. It was heard longer ago than that."""
MOST_LATE_NS: Final = NS_PER_S
"""Later than this the computer has slept: the stream goes on from now instead of hurrying."""
_SOURCE_WAKES_NS: Final = 150_000_000


class Presenter:
    """Paces one stream; `run` is a thread's body."""

    def __init__(
        self,
        queue: FrameQueue,
        ring: SampleRing,
        offer: Callable[[Frame], None],
        *,
        still: ByteArray,
        fps: int,
        clock: Clock,
        media: MediaClock,
        metrics: Metrics,
        stream_id: str,
        num_frames: int | None = None,
        offer_voice: Callable[[VoiceChunk, int], None] | None = None,
        track: SpeechTrack | None = None,
    ) -> None:
        """Begin a stream that shows the still portrait; its first frame is due now.

        Args:
            queue: generated frames, in order.
            ring: the voice, for frames that are late.
            offer: takes every paced frame; must not block.
            still: uint8 [H, W, 4], shown until the first generated frame.
            fps: frames per second.
            clock: tells the time and waits.
            media: when the source's samples were captured.
            metrics: counts `presented`, `repeated`, `late_frames` and times `latency`.
            stream_id: name of the stream.
            num_frames: end after so many frames; None goes on until the voice has ended.
            offer_voice: takes voice ahead of its frames, and the monotonic time at which its first
                sample is due; must not block.
            track: what happens in the voice; goes out with the frames.
        """
        self._queue = queue
        self._ring = ring
        self._offer = offer
        self._picture = still
        self._fps = fps
        self._clock = clock
        self._media = media
        self._metrics = metrics
        self._stream_id = stream_id
        self._num_frames = num_frames
        self._offer_voice = offer_voice
        self._samples = VOICE_RATE_HZ // fps
        self._rig = RigFrame(
            0,
            0,
            np.zeros(len(RIG_NAMES), np.float32),
            np.eye(1, len(VISEME_NAMES), dtype=np.float32)[0],
            0.0,
            "idle",
        )
        self._made_by = ("", "")  # tier and avatar of the picture
        self._track = track or SpeechTrack()
        self._barge_in = BargeIn()
        self._epoch = 0
        self._index = 0  # of the next turn
        self._lock = threading.RLock()
        self._source: tuple[int, int] | None = None  # first sample of the voice, delay in ns
        self._shift: int | None = None  # stream index of the voice's frame 0
        self._num_shown = 0  # frames of the voice that had their turn
        self._slack_ns = 0
        self._voice_end = 0  # sample of the stream up to which voice was offered ahead
        self._start_ns = clock.now_ns()
        self.activity_override: StreamActivity | None = None

    def attach(self, first_sample: int, delay_ns: int) -> None:
        """Say that the voice has begun; called once, from the worker.

        Args:
            first_sample: source index of the first sample the pipeline was given.
            delay_ns: from the start of a frame's span to its turn.
        """
        with self._lock:
            self._source = (first_sample, delay_ns)

    def until_free_turn_ns(self, first_sample: int, delay_ns: int) -> int:
        """Return how long after its delay a voice that began here would wait for a free turn.

        A live voice is better begun by so much later: nothing is lost that anybody has heard yet,
        and every frame from then on is that much less late.
        """
        first_ns = self._media.at(first_sample * NS_PER_S // VOICE_RATE_HZ) + delay_ns
        return (self._start_ns - first_ns) % (NS_PER_S // self._fps)

    def due_ns(self, voice_frame: int) -> int | None:
        """Return when the turn of a frame of the voice comes; None while that is not decided."""
        with self._lock:
            if self._source is None or not self._media.started:
                return None
            first_sample, delay_ns = self._source
            media_ns = (
                first_sample * NS_PER_S // VOICE_RATE_HZ + voice_frame * NS_PER_S // self._fps
            )
            return self._media.at(media_ns) + delay_ns + self._slack_ns

    @property
    def first_wanted(self) -> int:
        """Frames of the voice before this one have had their turn, or it was skipped."""
        with self._lock:
            return 0 if self._shift is None else self._index - self._shift

    def jump(self, chunk: AudioChunk) -> None:
        """Follow a source that went ahead in time: skip as much of what is in flight.

        The turns of the stream stay where they are; the frames of the voice that take them come
        sooner. Where the chunk cuts, what came before it is not heard any more and a new epoch
        begins. Called from the listener's thread before the chunk goes into the ring.

        Args:
            chunk: says `advance` or `cut`.
        """
        num_frames = chunk.advance // self._samples
        with self._lock:
            self._media.shift(-chunk.advance * NS_PER_S // VOICE_RATE_HZ)
            if self._shift is None or self._source is None:
                self._track.add(chunk.first_index, chunk.events)
                return
            seen = self._source[0] + self.first_wanted * self._samples
            self._shift -= num_frames
            begin = self._source[0] + self.first_wanted * self._samples
            if chunk.cut:
                self._epoch += 1
                tail = self._ring.peek(seen, FADE_SAMPLES)
                self._barge_in.cut(begin, chunk.first_index, self._barge_in.apply(seen, tail))
                self._track.cut(seen, begin, chunk.events)
            else:
                self._track.add(chunk.first_index, chunk.events)
            self._voice_end = min(self._voice_end, self._index * self._samples)
            self._queue.skip_to(self.first_wanted)

    @property
    def delay_ns(self) -> int:
        """From the start of a frame's span to its turn; 0 while that is not decided."""
        with self._lock:
            return 0 if self._source is None else self._source[1] + self._slack_ns

    def postpone(self, num_frames: int) -> None:
        """Let every frame of the voice come later from now on: its source is later than it was.

        The turns of the stream stay where they are; the next ones show the last picture, in
        silence, and nothing of the voice is lost.

        Args:
            num_frames: by so many turns; negative for sooner, which skips as much of the voice.
        """
        with self._lock:
            if self._shift is None:
                return
            self._shift += num_frames
            self._slack_ns += num_frames * NS_PER_S // self._fps
            if num_frames > 0:
                self._voice_end += num_frames * self._samples
            else:
                self._voice_end = min(self._voice_end, (self._index + 1) * self._samples)
                self._queue.skip_to(self.first_wanted)

    def run(self, stop: threading.Event) -> None:
        """Pace until `stop` is set, the time is over, or a voice that ended was shown."""
        index = 0
        while self._num_frames is None or index < self._num_frames:
            due_ns = self._turn(index)
            if not self._clock.wait_until(due_ns, stop):
                return
            voice_index = self._voice_index(index)
            frame = self._queue.take(voice_index) if voice_index >= 0 else None
            if frame is None and voice_index >= 0 and self._queue.drained:
                return
            self._present(index, voice_index, frame, due_ns)
            self._hand_voice_ahead(index)
            self._forgive(index, due_ns, stop)
            index += 1

    def _voice_index(self, index: int) -> int:
        """Return which frame of the voice has this turn; -1 for none, or one that had its turn."""
        with self._lock:
            if self._shift is None or index - self._shift < self._num_shown:
                return -1
            self._num_shown = index - self._shift + 1
            return index - self._shift

    def _turn(self, index: int) -> int:
        """Return when stream frame `index` is due; let the voice join where it fits."""
        with self._lock:  # a jump changes times and places together
            self._index = index
            return self._place(index)

    def _place(self, index: int) -> int:
        free_ns = self._start_ns + index * NS_PER_S // self._fps
        if self._shift is None:
            first_due_ns = self.due_ns(0)
            if first_due_ns is None:
                return free_ns
            # The first free place after the delay: at most one frame later than asked for.
            ahead = max(0, -((free_ns - first_due_ns) * self._fps // NS_PER_S))
            joins_ns = self._start_ns + (index + ahead) * NS_PER_S // self._fps
            with self._lock:
                self._shift = index + ahead
                self._slack_ns = max(0, joins_ns - first_due_ns)
        if index < self._shift:
            return free_ns
        due_ns = self.due_ns(index - self._shift)
        assert due_ns is not None, "a voice that has begun does not un-begin"
        return due_ns

    def _hand_voice_ahead(self, index: int) -> None:
        """Offer what will be due within the lead and was heard already."""
        if self._offer_voice is None or self._shift is None or self._source is None:
            return
        # All in samples of the stream; the voice begins at `origin`.
        origin = self._shift * self._samples
        lead = VOICE_LEAD_NS * VOICE_RATE_HZ // NS_PER_S
        first = max(self._voice_end, origin)
        heard = self._ring.end_index - self._source[0] + origin
        end = min((index + 1) * self._samples + lead, heard)
        due_ns = self.due_ns(0)
        if end <= first or due_ns is None:
            return
        source_index = first - origin + self._source[0]
        samples = self._ring.peek(source_index, end - first)
        samples = self._barge_in.apply(source_index, samples)
        self._voice_end = end
        pts_ns = first * NS_PER_S // VOICE_RATE_HZ
        voice = VoiceChunk(samples, first, pts_ns)
        self._offer_voice(voice, due_ns + (first - origin) * NS_PER_S // VOICE_RATE_HZ)

    def _forgive(self, index: int, due_ns: int, stop: threading.Event) -> None:
        """After a sleep of the computer, go on from now instead of hurrying through the past.

        The source knows best what to do with that time: most cut it out, which moves the media
        clock. Where it went on instead, the frames of that time are left out.
        """
        late_ns = self._clock.now_ns() - due_ns
        if late_ns < MOST_LATE_NS:
            return
        self._metrics.count("clock_jumps")
        self._start_ns += late_ns
        self._clock.wait_until(self._clock.now_ns() + _SOURCE_WAKES_NS, stop)
        with self._lock:
            if self._shift is None:
                return
            next_ns = self.due_ns(index + 1 - self._shift)
            if next_ns is None or self._clock.now_ns() - next_ns < MOST_LATE_NS // 2:
                return
            self._shift -= (self._clock.now_ns() - next_ns) * self._fps // NS_PER_S
            self._voice_end = min(self._voice_end, (index + 1) * self._samples)
            self._queue.skip_to(index + 1 - self._shift)

    def _present(self, index: int, voice_index: int, frame: Frame | None, due_ns: int) -> None:
        pts_ns = index * NS_PER_S // self._fps
        now_ns = self._clock.now_ns()
        if frame is not None:
            self._picture, self._rig = frame.rgba, frame.rig
            self._made_by = (frame.tier, frame.avatar_id)
            samples, captured_ns = frame.voice.samples, frame.captured_ns
            if not frame.repeated:
                record_latency(self._metrics, frame, now_ns)
        elif voice_index >= 0:
            assert self._source is not None, "a voice index means an attached voice"
            first = self._source[0] + voice_index * self._samples
            samples = self._ring.peek(first, self._samples)
            captured_ns = self._media.at((first + self._samples) * NS_PER_S // VOICE_RATE_HZ)
            self._metrics.count("late_frames")
        else:
            samples, captured_ns = np.zeros(self._samples, np.float32), now_ns
        events: tuple[StreamEvent, ...] = ()
        if voice_index >= 0 and self._source is not None:
            first = self._source[0] + voice_index * self._samples
            samples = self._barge_in.apply(first, samples)
            events = self._track.take(first, first + self._samples)
        repeated = frame is None or frame.repeated
        self._metrics.count("presented")
        if voice_index >= 0:
            self._metrics.count("repeated", int(repeated))
        activity = self.activity_override or self._rig.activity
        self._offer(
            Frame(
                index=index,
                pts_ns=pts_ns,
                captured_ns=captured_ns,
                rgba=self._picture,
                rig=dataclasses.replace(self._rig, index=index, pts_ns=pts_ns, activity=activity),
                voice=VoiceChunk(samples, index * self._samples, pts_ns),
                stream_id=self._stream_id,
                epoch=self._epoch,
                repeated=repeated and voice_index >= 0,
                tier=self._made_by[0],
                avatar_id=self._made_by[1],
                presented_ns=now_ns,
                due_ns=due_ns,
                events=events,
            )
        )
