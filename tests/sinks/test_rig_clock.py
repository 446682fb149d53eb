import numpy as np
import pytest

from rest_bridge.errors import SinkError
from rest_bridge.rig import RIG_INDEX, RIG_NAMES, VISEME_NAMES
from rest_bridge.sinks.rig_clock import RigSink, RigTimeline, between
from rest_bridge.sinks.rig_values import RigInstant
from rest_bridge.types import FRAME_DURATION_NS, FrameFormat
from tests.support.frames import make_frame

MS = 1_000_000


def instant(pts_ns: int, jaw: float = 0.0) -> RigInstant:
    values = np.zeros(len(RIG_NAMES), np.float32)
    values[RIG_INDEX["jawOpen"]] = jaw
    return RigInstant(pts_ns, values, np.zeros(len(VISEME_NAMES), np.float32), 0.0, "speaking")


def jaw(face: RigInstant | None) -> float:
    assert face is not None
    return face.value("jawOpen")


def test_nothing_is_due_before_the_first_rig():
    assert RigTimeline().at(0) is None


def test_halfway_is_the_mean():
    assert jaw(between(instant(0, 0.2), instant(40 * MS, 0.4), 0.5)) == pytest.approx(0.3)


def test_a_ramp_at_25_a_second_is_the_same_ramp_at_60():
    timeline, seen = RigTimeline(), []
    tick, frame = 1e9 / 60, 0
    for step in range(600):
        now = 5_000 * MS + round(step * tick)
        while 5_000 * MS + frame * FRAME_DURATION_NS <= now:
            timeline.add(instant(frame * FRAME_DURATION_NS, frame * 0.001), now)
            frame += 1
        seen.append(jaw(timeline.at(now)))
    moves = np.diff(seen[60:])
    assert moves.min() > 0
    assert moves == pytest.approx(0.001 * tick / FRAME_DURATION_NS, rel=0.35)


def test_rigs_that_come_in_pairs_move_evenly_all_the_same():
    timeline, seen, frame = RigTimeline(), [], 0
    for step in range(1200):
        now = 100 * MS + round(step * 1e9 / 60)
        while frame // 2 * 2 * FRAME_DURATION_NS <= now - 100 * MS:
            timeline.add(instant(frame * FRAME_DURATION_NS, frame * 0.001), now)
            frame += 1
        seen.append(jaw(timeline.at(now)))
    moves = np.diff(seen[300:])
    assert moves.min() > 0
    assert moves.max() < 2 * moves.mean()


def test_a_pause_holds_the_last_face():
    timeline = RigTimeline()
    timeline.add(instant(0, 0.1), 0)
    timeline.add(instant(40 * MS, 0.5), 40 * MS)
    assert jaw(timeline.at(10_000 * MS)) == pytest.approx(0.5)


def test_a_new_stream_is_taken_over_at_once():
    timeline = RigTimeline()
    for index in range(10):
        timeline.add(instant(index * FRAME_DURATION_NS, 0.5), index * FRAME_DURATION_NS)
    timeline.add(instant(0, 0.1), 400 * MS)
    assert jaw(timeline.at(400 * MS)) == pytest.approx(0.1)


class Output:
    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.seen, self.is_open = error, [], False

    def open(self) -> None:
        self.is_open = True

    def emit(self, face: RigInstant) -> None:
        if self.error:
            raise self.error
        self.seen.append(face)

    def close(self) -> None:
        self.is_open = False


FORMAT = FrameFormat(64, 48, 25)


def test_at_the_frame_rate_each_frame_goes_out_once_as_it_is():
    output = Output()
    sink = RigSink("rig", output)
    sink.open(FORMAT)
    frames = [make_frame(index) for index in range(5)]
    for frame in frames:
        sink.send(frame)
    sink.close()
    assert [face.pts_ns for face in output.seen] == [frame.pts_ns for frame in frames]
    assert not output.is_open


def test_the_fast_path_takes_rigs_and_leaves_frames_alone():
    output = Output()
    sink = RigSink("rig", output, path="fast", rate_hz=200)
    sink.open(FORMAT)
    sink.send(make_frame(3))
    assert not output.seen
    sink.move(make_frame(7).rig)
    for _ in range(200):
        if output.seen:
            break
        sink._stop.wait(0.01)
    sink.close()
    assert output.seen[0].pts_ns == make_frame(7).pts_ns


def test_an_output_that_fails_in_its_thread_is_reported_to_the_runner():
    sink = RigSink("rig", Output(SinkError("gone")), rate_hz=200)
    sink.open(FORMAT)
    sink.send(make_frame(0))
    for _ in range(200):
        if sink._error is not None:
            break
        sink._stop.wait(0.01)
    with pytest.raises(SinkError, match="gone"):
        sink.send(make_frame(1))
    sink.close()
