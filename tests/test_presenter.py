"""Pacing: every 40 ms a frame, without gaps, each with its own voice, whatever comes late."""

import threading

import numpy as np
import pytest

from rest_bridge.clock import MediaClock
from rest_bridge.handoff import FrameQueue, SampleRing
from rest_bridge.metrics import Metrics
from rest_bridge.presenter import Presenter
from rest_bridge.types import AudioChunk, Frame
from tests.support.fake_clock import FakeClock
from tests.support.frames import make_frame

MS = 1_000_000
START = 5_000_000_000
STILL = np.full((48, 64, 4), 9, np.uint8)


class Scene:
    """A presenter with everything around it; the voice starts `voice_ms` after it."""

    def __init__(self, *, voice_ms: int = 0, delay_ms: int = 200, ppm: float = 0.0) -> None:
        self.clock = FakeClock(START)
        self.media = MediaClock()
        self.metrics = Metrics()
        self.queue = FrameQueue(100)
        self.ring = SampleRing(4 * 48_000)
        self.shown: list[tuple[int, Frame]] = []
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
