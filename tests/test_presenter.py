"""Pacing: every 40 ms a frame, without gaps, each with its own voice, whatever comes late."""

import threading

import numpy as np
import pytest

from rest_bridge.clock import MediaClock
from rest_bridge.handoff import FrameQueue, SampleRing
from rest_bridge.metrics import Metrics
from rest_bridge.presenter import Presenter
from rest_bridge.speech_track import SpeechTrack
from rest_bridge.types import AudioChunk, Frame, StreamEvent, VoiceChunk
from tests.support.fake_clock import FakeClock
from tests.support.frames import make_frame

MS = 1_000_000
START = 5_000_000_000
STILL = np.full((48, 64, 4), 9, np.uint8)


class Scene:
    """A presenter with everything around it; the voice starts `voice_ms` after it."""

    def __init__(
        self,
        *,
        voice_ms: int = 0,
        delay_ms: int = 200,
        ppm: float = 0.0,
        track: SpeechTrack | None = None,
    ) -> None:
        self.clock = FakeClock(START)
        self.media = MediaClock()
        self.metrics = Metrics()
        self.queue = FrameQueue(100)
        self.ring = SampleRing(4 * 48_000)
        self.shown: list[tuple[int, Frame]] = []
        self.heard: list[tuple[int, VoiceChunk, int]] = []
        self.stop = threading.Event()
        self.origin = START + voice_ms * MS
        self.delay_ns = delay_ms * MS
        self.scale = 1 + ppm * 1e-6
        self.presenter = Presenter(
            self.queue,
            self.ring,
            lambda frame: self.shown.append((self.clock.now_ns(), frame)),
            still=STILL,
            fps=25,
            clock=self.clock,
            media=self.media,
            metrics=self.metrics,
            stream_id="s",
            offer_voice=lambda voice, due_ns: self.heard.append(
                (self.clock.now_ns(), voice, due_ns)
            ),
            track=track,
        )

    def speak(self, num_frames: int, *, late: dict[int, int] | None = None, close: bool = True):
        """Schedule voice, and frames 120 ms after their span; `late` adds ms to some."""
        for k in range(num_frames):
            heard_ns = self.origin + int((k + 1) * 40 * MS * self.scale)
            self.clock.schedule(heard_ns, lambda k=k, heard_ns=heard_ns: self._hear(k, heard_ns))
            ready_ns = heard_ns + 80 * MS + (late or {}).get(k, 0) * MS
            frame = make_frame(k, captured_ns=heard_ns)
            self.clock.schedule(ready_ns, lambda frame=frame: self.queue.put(frame))
        end_ns = self.origin + int(num_frames * 40 * MS * self.scale) + 81 * MS
        self.clock.schedule(end_ns, self.queue.close if close else self.stop.set)

    def _hear(self, k: int, heard_ns: int) -> None:
        voice = make_frame(k).voice.samples
        self.media.observe((k + 1) * 1920, heard_ns)
        self.ring.write(AudioChunk(voice, 48_000, k * 1920, heard_ns))
        if k == 0:
            self.presenter.attach(0, self.delay_ns)

    def run(self) -> list[Frame]:
        self.presenter.run(self.stop)
        return [frame for _, frame in self.shown]


def test_frames_leave_every_40_ms_without_gaps():
    scene = Scene()
    scene.speak(50)
    frames = scene.run()
    assert [f.index for f in frames] == list(range(len(frames)))
    assert [f.pts_ns for f in frames] == [k * 40 * MS for k in range(len(frames))]
    assert [t for t, _ in scene.shown] == [START + k * 40 * MS for k in range(len(frames))]


def test_still_portrait_is_shown_until_the_voice_joins_and_everything_of_it_is_shown():
    scene = Scene(voice_ms=310)
    scene.speak(30)
    frames = scene.run()
    stills = [f for f in frames if (f.rgba.shape == STILL.shape and (f.rgba == 9).all())]
    assert len(stills) == 13  # 310 + 200 ms, up to the next free place
    spoken = frames[len(stills) :]
    assert len(spoken) == 30
    assert scene.metrics.counter("repeated") == 0
    for k, frame in enumerate(spoken):
        np.testing.assert_array_equal(frame.rgba, make_frame(k).rgba)
        np.testing.assert_array_equal(frame.voice.samples, make_frame(k).voice.samples)
        assert frame.voice.first_index == frame.index * 1920
        assert frame.rig.index == frame.index
    assert not any(f.voice.samples.any() for f in stills)


def test_latency_is_the_chosen_delay_less_the_frame_itself():
    scene = Scene(delay_ms=200)
    scene.speak(30)
    scene.run()
    assert scene.metrics.summaries()["latency"].max_ms == pytest.approx(160, abs=40)
    assert scene.metrics.summaries()["latency"].count == 30


def test_late_frame_repeats_the_picture_with_its_own_voice_and_is_dropped_when_it_comes():
    scene = Scene()
    scene.speak(20, late={7: 300})
    # Frames are put in order by the worker: what follows a late one is late too.
    frames = scene.run()
    first = next(i for i, f in enumerate(frames) if not (f.rgba[:48] == 9).all())
    seventh = frames[first + 7]
    assert seventh.repeated
    np.testing.assert_array_equal(seventh.rgba, make_frame(6).rgba)
    np.testing.assert_array_equal(seventh.voice.samples, make_frame(7).voice.samples)
    assert not frames[first + 8].repeated
    assert scene.metrics.counter("repeated") == 1
    assert scene.metrics.counter("late_frames") == 1
    assert scene.queue.num_dropped == 1


def test_voice_goes_on_while_the_generator_stands_still():
    scene = Scene()
    scene.speak(40, late=dict.fromkeys(range(10, 40), 1000), close=False)
    frames = scene.run()
    voice = np.concatenate([f.voice.samples for f in frames])
    start = int(np.flatnonzero(voice)[0]) - 1
    expected = np.concatenate([make_frame(k).voice.samples for k in range(35)])
    np.testing.assert_array_equal(voice[start : start + len(expected)], expected)


@pytest.mark.parametrize("ppm", [-200, 200])
def test_pace_follows_the_clock_of_the_audio_device(ppm):
    scene = Scene(ppm=ppm)
    scene.speak(25 * 60 * 5)
    scene.run()
    times = np.array([t for t, _ in scene.shown])
    measured = (times[-1] - times[500]) / ((len(times) - 501) * 40 * MS)
    assert measured == pytest.approx(1 + ppm * 1e-6, abs=2e-5)
    assert scene.metrics.counter("repeated") == 0


def test_stop_ends_at_once():
    scene = Scene()
    scene.clock.schedule(START + 100 * MS, scene.stop.set)
    assert len(scene.run()) == 3


def test_override_of_the_activity_is_seen_in_every_frame():
    scene = Scene()
    scene.presenter.activity_override = "muted"
    scene.speak(5)
    assert {f.rig.activity for f in scene.run()} == {"muted"}


def test_a_jump_shows_later_frames_in_the_same_turns():
    scene = Scene()
    scene.speak(50)
    # After 1 s the source goes ahead by three frames, which are heard and drawn sooner.
    chunk = AudioChunk(np.zeros(0, np.float32), 48_000, 25 * 1920, 0, advance=3 * 1920)
    scene.clock.schedule(START + 1000 * MS, lambda: scene.presenter.jump(chunk))
    for k in range(25, 40):
        frame = make_frame(k, captured_ns=START + k * 40 * MS)
        scene.clock.schedule(START + 1030 * MS + (k - 25) * MS, lambda f=frame: scene.queue.put(f))
    frames = scene.run()
    turns = [t for t, _ in scene.shown]
    # The scene's later samples come in the old time; the media clock follows it slowly.
    assert np.abs(np.array(turns[:45]) - START - np.arange(45) * 40 * MS).max() < MS
    assert [f.index for f in frames] == list(range(len(frames)))
    assert [f.pts_ns for f in frames] == [k * 40 * MS for k in range(len(frames))]
    voices = [f.voice.samples for f in frames]
    np.testing.assert_array_equal(voices[24], make_frame(24 - 5).voice.samples)
    for turn in (27, 28, 29, 35):
        assert not frames[turn].repeated
        np.testing.assert_array_equal(voices[turn], make_frame(turn - 5 + 3).voice.samples)
    assert {f.epoch for f in frames} == {0}


def test_a_cut_is_heard_within_the_fade_and_begins_an_epoch():
    scene = Scene()
    scene.speak(50)
    chunk = AudioChunk(np.zeros(0, np.float32), 48_000, 25 * 1920, 0, advance=3 * 1920, cut=True)
    scene.clock.schedule(START + 1000 * MS, lambda: scene.presenter.jump(chunk))
    frames = scene.run()
    cut = [f for f in frames if f.epoch == 1]
    assert cut[0].pts_ns == 1000 * MS
    # Source frames before 25 are silent but for the fade; the later ones are heard.
    silent = 25 - (1000 - 200) // 40 - 3
    voices = np.concatenate([f.voice.samples for f in cut[:silent]])
    assert not voices[240:].any()
    assert cut[silent].voice.samples.any()


def test_events_leave_with_the_frame_in_which_they_happen():
    track = SpeechTrack()
    scene = Scene(track=track)
    scene.speak(20)
    event = StreamEvent("speech", 700, {"event": "mark", "utt": "a", "mark": "m"})
    scene.clock.schedule(START + 50 * MS, lambda: track.add(5 * 1920, (event,)))
    frames = scene.run()
    (bearer,) = [f for f in frames if f.events]
    assert bearer.pts_ns == 5 * 40 * MS + 200 * MS
    assert bearer.events == (event,)


def test_a_cut_tells_the_position_that_was_seen():
    track = SpeechTrack()

    def happened(word: str, utt: str, position: int, offset: int = 0) -> StreamEvent:
        body = {"event": word, "utt": utt, "position": position, "interrupted": False}
        return StreamEvent("speech", offset, body)

    track.add(1000, (happened("started", "seen", 0),))
    track.add(60_000, (happened("finished", "seen", 10**9),))
    track.add(60_000, (happened("started", "unseen", 0),))
    assert len(track.take(0, 1920)) == 1
    ends = (happened("finished", "unseen", 5), happened("finished", "queued", 0))
    track.cut(49_000, 52_000, ends)
    told = {e.body["utt"]: e.body["position"] for e in track.take(51_840, 53_760)}
    assert told == {"queued": 0, "seen": 10**9, "unseen": 0}
    assert track.take(53_760, 10**9) == ()


def test_voice_goes_out_ahead_with_the_time_of_its_picture():
    scene = Scene(voice_ms=130, delay_ms=200)
    scene.speak(50)
    frames = scene.run()
    turns = {frame.index: when for when, frame in scene.shown}
    pictures = {f.index: f for f in frames}
    begin = scene.heard[0][1].first_index
    assert begin % 1920 == 0
    following = begin
    for when_ns, voice, due_ns in scene.heard:
        assert voice.first_index == following  # no gap, nothing twice
        following += len(voice.samples)
        exact_ns = turns[0] + voice.first_index * 10**9 // 48_000
        assert abs(due_ns - exact_ns) < 10_000
        assert due_ns - when_ns <= 120 * MS
    ahead_ms = [(due_ns - when_ns) / MS for when_ns, _, due_ns in scene.heard[1:]]
    assert np.median(ahead_ms) >= 40
    sound = np.concatenate([voice.samples for _, voice, _ in scene.heard])
    shown = np.concatenate([pictures[i].voice.samples for i in range(begin // 1920, len(frames))])
    np.testing.assert_array_equal(sound[: len(shown)], shown[: len(sound)])


def test_every_frame_says_when_its_turn_was():
    scene = Scene()
    scene.speak(30)
    scene.run()
    assert all(frame.due_ns == when for when, frame in scene.shown)


def test_after_a_sleep_the_stream_goes_on_from_now_instead_of_hurrying():
    scene = Scene(delay_ms=200)
    slept_ns = 600 * 1000 * MS
    asleep_ns = scene.origin + 25 * 40 * MS + 100 * MS
    for k in range(75):
        heard_ns = scene.origin + (k + 1) * 40 * MS + slept_ns * (k >= 25)
        scene.clock.schedule(heard_ns, lambda k=k, heard_ns=heard_ns: scene._hear(k, heard_ns))
        frame = make_frame(k, captured_ns=heard_ns)
        scene.clock.schedule(heard_ns + 80 * MS, lambda frame=frame: scene.queue.put(frame))
    scene.clock.schedule(asleep_ns, lambda: scene.clock.jump_to(asleep_ns + slept_ns))
    scene.clock.schedule(scene.origin + slept_ns + 75 * 40 * MS + 400 * MS, scene.queue.close)
    frames = scene.run()
    assert [f.index for f in frames] == list(range(len(frames)))
    times = np.array([when for when, _ in scene.shown])
    steps_ms = np.diff(times) / MS
    assert (steps_ms > 1000).sum() == 1
    assert (steps_ms < 20).sum() <= 12  # nothing is rushed through but what waited already
    assert len(frames) < 95
    assert scene.metrics.counter("clock_jumps") + scene.media.num_jumps >= 1
    last = [f for f in frames if not f.repeated][-1]
    np.testing.assert_array_equal(last.voice.samples, make_frame(74).voice.samples)


@pytest.mark.parametrize("num_frames", [1, 3])
def test_postponed_voice_loses_nothing_and_the_turns_stay(num_frames):
    scene = Scene()
    scene.speak(40)
    when = START + 810 * MS
    scene.clock.schedule(when, lambda: scene.presenter.postpone(num_frames))
    frames = scene.run()
    assert [t for t, _ in scene.shown] == [START + k * 40 * MS for k in range(len(frames))]
    assert [f.index for f in frames] == list(range(len(frames)))
    spoken = [f for f in frames if f.voice.samples.any()]
    heard = np.concatenate([f.voice.samples for f in spoken])
    expected = np.concatenate([make_frame(k).voice.samples for k in range(40)])
    np.testing.assert_array_equal(heard, expected)
    first, last = spoken[0].index, spoken[-1].index
    assert last - first + 1 == 40 + num_frames
    # The voice that was handed ahead has the same hole, and nothing twice.
    ahead = np.concatenate([voice.samples for _, voice, _ in scene.heard])
    np.testing.assert_array_equal(ahead[: len(expected)], expected[: len(ahead)])


def test_voice_may_come_sooner_again():
    scene = Scene(delay_ms=400)
    scene.speak(60)
    scene.clock.schedule(START + 1210 * MS, lambda: scene.presenter.postpone(-3))
    frames = scene.run()
    assert [t for t, _ in scene.shown] == [START + k * 40 * MS for k in range(len(frames))]
    spoken = [f for f in frames if f.voice.samples.any()]
    assert len(spoken) == 57
    np.testing.assert_array_equal(spoken[-1].rgba, make_frame(59).rgba)
    assert scene.metrics.counter("repeated") == 0
