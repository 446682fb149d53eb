"""A live daemon whose face, mood, voice and outputs change: no gap; a refusal changes nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rest_bridge.audio.gain import GainSource
from rest_bridge.client import BridgeClient, Refused
from rest_bridge.daemon import Daemon
from rest_bridge.errors import AvatarError, SinkError, SourceError
from rest_bridge.graph import Graph, Outlet
from rest_bridge.metrics import Metrics
from rest_bridge.outputs import Outputs
from rest_bridge.pipeline import Pipeline
from rest_bridge.sinks.control import ControlServer
from rest_bridge.types import VOICE_RATE_HZ, Frame, StreamEvent
from tests.support.standins import StandInDecoder, StandInSink, StandInSource, standin_stages

LOUD = np.full(VOICE_RATE_HZ * 60, 0.3, np.float32)
SOFT = np.full(VOICE_RATE_HZ * 60, 0.1, np.float32)
STILL = np.full((8, 8, 4), 7, np.uint8)


class Faces:
    """Faces are numbers: the mark of their decoder. "slow" waits, "broken" is refused."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def stages(self, choice: str, options: Any, progress: Callable[[float, str], None]):
        if choice == "broken":
            raise AvatarError("No face was found in broken; use a picture that shows one.")
        if choice == "slow":
            progress(0.25, "looking for the face")
            assert self.go_on.wait(10)
        mark = int(choice) if choice.isdigit() else 9
        base = standin_stages(lookahead_ms=40)
        return replace(base, decoder=StandInDecoder(mark), avatar_id=f"face-{choice}")

    def prepare(self, choice: str, options: Any, progress: Callable[[float, str], None]) -> str:
        return self.stages(choice, options, progress).avatar_id


class LinesSource(StandInSource):
    """A voice of lines, two of which wait when it is left."""

    def last_events(self) -> tuple[StreamEvent, ...]:
        bodies = [{"event": "finished", "utt": name, "position": 0} for name in ("one", "two")]
        return tuple(StreamEvent("speech", 0, body) for body in bodies)


class Live:
    """A daemon in a thread, its frames, and a client."""

    def __init__(self) -> None:
        self.sink = StandInSink("screen")
        self.recordings: list[StandInSink] = []
        self.faces = Faces()
        self.graph = Graph(
            still=lambda: STILL,
            pipeline=lambda: Pipeline(
                replace(standin_stages(lookahead_ms=40), avatar_id="face-0"),
                metrics=self.graph.metrics,
            ),
            source=lambda: StandInSource(LOUD),
            outlets=lambda: [Outlet(self.sink, required=True)],
            control=self._serve,
            avatars=lambda: [{"id": "1", "name": "One"}, {"id": "2", "name": "Two"}],
            avatar="0",
            faces=self.faces,
            voices=self._voice,
            outlet=self._outlet,
            from_start=False,
        )
        self.daemon = Daemon(self.graph)
        self.thread = threading.Thread(target=self._run)
        self.error: BaseException | None = None
        self.served = threading.Event()

    def _run(self) -> None:
        try:
            self.daemon.run()
        except BaseException as error:
            self.error = error

    def _serve(self, operations, statistics):
        server = ControlServer(operations, statistics=statistics, endpoint="tcp://127.0.0.1:*")
        server.start()
        self.client = BridgeClient(frames="", events="", control=server.endpoint)
        self.served.set()
        return server

    def _voice(self, spec: str, options: Any):
        def open_voice():
            if spec == "broken":
                raise SourceError('There is no microphone "broken".')
            voice = SOFT[: VOICE_RATE_HZ // 2] if spec == "short" else SOFT
            if spec == "lines":
                return GainSource(LinesSource(voice), 0.0)
            return StandInSource(voice, late_s=0.2 if spec == "late" else 0.0)

        return open_voice

    def _outlet(self, key: str, options: Any) -> Outlet:
        error = "The camera is in use." if options.get("broken") else ""
        sink = StandInSink(key, open_error=error)
        self.recordings.append(sink)
        return Outlet(sink, required=False, opened=lambda: "open", name=key, settings=dict(options))

    def __enter__(self) -> "Live":
        self.thread.start()
        assert self.served.wait(10)
        self.wait(lambda f: not np.array_equal(f.rgba, STILL))
        return self

    def __exit__(self, *_: object) -> None:
        self.faces.go_on.set()
        self.daemon.stop()
        self.thread.join(5)
        self.client.close()
        assert not self.thread.is_alive()
        assert self.error is None

    def wait(self, condition: Callable[[Frame], bool], timeout_s: float = 10) -> Frame:
        """Return the first frame from now on that is so."""
        seen, deadline_s = len(self.sink.frames), time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            for frame in self.sink.frames[seen:]:
                if condition(frame):
                    return frame
                seen += 1
            time.sleep(0.005)
        raise AssertionError("no such frame came")

    def ask(self, operation: str, **body: Any) -> dict[str, Any]:
        return self.client.call(operation, body, timeout_s=10)


@pytest.fixture
def live() -> Iterator[Live]:
    with Live() as live:
        yield live
    frames = live.sink.frames
    assert [f.index for f in frames] == list(range(len(frames))), "a frame is missing"
    assert [f.pts_ns for f in frames] == [k * 40_000_000 for k in range(len(frames))]
    assert [f.voice.first_index for f in frames] == [k * 1920 for k in range(len(frames))]
    assert all(len(f.voice.samples) == 1920 for f in frames)
    assert len({f.stream_id for f in frames}) == 1


def mark(frame: Frame) -> int:
    return int(frame.rgba.reshape(-1)[-1])


def test_another_face_without_a_gap_and_the_old_one_until_it_is_ready(live):
    asked = len(live.sink.frames)
    reply = live.ask("avatar.set", avatar="2")
    assert reply["id"] == "face-2"
    frame = live.wait(lambda f: f.avatar_id == "face-2")
    assert mark(frame) == 2
    between = live.sink.frames[asked : frame.index]
    assert {f.avatar_id for f in between} <= {"face-0"}
    # The voice and the motion went on: nothing starts anew.
    assert all(np.all(f.voice.samples == np.float32(0.3)) for f in between)
    # The stand-in's mouth opens by chance, and only an open mouth counts as speaking.
    live.wait(lambda f: f.avatar_id == "face-2" and f.rig.activity == "speaking")
    assert next(a for a in live.ask("avatars")["avatars"] if a["active"])["id"] == "2"


def test_motion_goes_on_through_a_change_of_face(live):
    live.wait(lambda f: f.index > 20)
    live.ask("avatar.set", avatar="1")
    frame = live.wait(lambda f: f.avatar_id == "face-1")
    live.wait(lambda f: f.index > frame.index + 10)
    rigs = np.array([f.rig.values for f in live.sink.frames[frame.index - 10 : frame.index + 10]])
    steps = np.abs(np.diff(rigs[:, 12:], axis=0)).max(1)  # the head pose is smoothed elsewhere
    assert steps[9] <= 2.0 * np.sort(steps)[-4]


def test_broken_picture_is_refused_with_its_sentence_and_the_old_face_stays(live):
    with pytest.raises(Refused, match="No face was found in broken"):
        live.ask("avatar.set", avatar="broken")
    begin = len(live.sink.frames)
    live.wait(lambda f: f.index > begin + 5)
    assert {f.avatar_id for f in live.sink.frames[begin:]} == {"face-0"}
    assert live.ask("status")["avatar"] == "0"


def test_while_a_picture_is_imported_everything_else_goes_on_and_the_newest_wish_wins(live):
    events: list[Any] = []
    slow = threading.Thread(target=lambda: events.append(_try(live, "slow")))
    other = BridgeClient(frames="", events="", control=live.client._control_endpoint)
    slow.start()
    time.sleep(0.1)
    assert other.call("avatar.set", {"avatar": "1"}, timeout_s=5)["id"] == "face-1"
    live.wait(lambda f: f.avatar_id == "face-1")
    live.faces.go_on.set()
    slow.join(5)
    assert "Another face was asked for" in events[0]
    begin = len(live.sink.frames)
    live.wait(lambda f: f.index > begin + 5)
    assert {f.avatar_id for f in live.sink.frames[begin:]} == {"face-1"}
    other.close()


def _try(live: Live, avatar: str) -> str:
    try:
        return str(live.ask("avatar.set", avatar=avatar))
    except Refused as error:
        return str(error)


def test_another_voice_without_a_gap(live):
    assert live.ask("source.set", source="soft") == {"source": "stand-in"}
    frame = live.wait(lambda f: np.allclose(f.voice.samples, 0.1))
    around = np.concatenate([f.voice.samples for f in live.sink.frames[frame.index - 3 :]])
    levels = np.unique(around)
    assert set(np.round(levels, 3)) <= {np.float32(0.3), np.float32(0.1), np.float32(0.0)}
    hole = (around == 0).sum() / VOICE_RATE_HZ
    assert hole < 0.05, f"{hole * 1000:.0f} ms of silence between two voices"


def test_lines_that_wait_in_a_voice_that_is_left_get_their_end(live):
    live.ask("source.set", source="lines")
    live.wait(lambda f: abs(float(f.voice.samples[-1]) - 0.1) < 0.01)
    live.ask("source.set", source="other")
    frame = live.wait(lambda f: bool(f.events))
    assert [event.body["utt"] for event in frame.events] == ["one", "two"]


def test_voice_that_cannot_be_opened_leaves_the_old_one(live):
    with pytest.raises(Refused, match='no microphone "broken"'):
        live.ask("source.set", source="broken")
    begin = len(live.sink.frames)
    live.wait(lambda f: f.index > begin + 8)
    assert all(np.all(f.voice.samples == np.float32(0.3)) for f in live.sink.frames[begin:])


def test_after_a_short_voice_that_took_over_comes_silence_not_the_end(live):
    live.ask("source.set", source="short")
    live.wait(lambda f: np.allclose(f.voice.samples, 0.1))
    live.wait(lambda f: f.rig.activity == "idle" and not f.voice.samples.any())
    assert live.ask("source.set", source="soft")
    live.wait(lambda f: np.allclose(f.voice.samples, 0.1))


def test_a_voice_that_comes_later_than_the_one_before_delays_the_stream_once(live):
    live.ask("source.set", source="late")
    frame = live.wait(lambda f: np.allclose(f.voice.samples, 0.1))
    live.wait(lambda f: f.index > frame.index + 75)
    assert not any(f.repeated for f in live.sink.frames[-25:])
    assert live.graph.metrics.counter("delay_changes") == 1
    heard = np.concatenate([f.voice.samples for f in live.sink.frames[frame.index :]])
    assert set(np.unique(heard)) <= {np.float32(0.0), np.float32(0.1)}


def test_expression_reaches_the_generator_and_the_status(live):
    reply = live.ask("expression", name="happy", strength=0.8)
    assert reply["expression"] == {"happy": 0.8}
    assert live.ask("status")["steering"]["expression"] == {"happy": 0.8}
    assert live.daemon.studio.wish().expression == {"happy": 0.8}


def test_mute_is_silence_for_the_face_and_everybody_behind_it(live):
    assert live.ask("mute", on=True)["silent"]
    frame = live.wait(lambda f: f.rig.activity == "muted" and not f.voice.samples.any())
    assert not frame.voice.samples.any()
    live.ask("mute", on=False)
    live.wait(lambda f: f.rig.activity == "speaking" and np.all(f.voice.samples > 0.2))


def test_a_held_key_runs_out_by_itself(live):
    live.ask("push_to_talk", on=True)
    live.wait(lambda f: f.rig.activity == "muted" and not f.voice.samples.any())
    live.ask("push_to_talk", held=True, timeout_s=0.4)
    live.wait(lambda f: np.all(f.voice.samples > 0.2))
    live.wait(lambda f: f.rig.activity == "muted" and not f.voice.samples.any())


def test_pause_stops_the_picture_and_the_work_and_going_on_is_without_a_jump(live):
    live.ask("pause", on=True)
    live.wait(lambda f: f.rig.activity == "paused" and f.repeated)
    pictures = live.daemon._worker._ladder._full.decoder.num_pictures
    begin = len(live.sink.frames)
    live.wait(lambda f: f.index > begin + 12)
    paused = live.sink.frames[begin : begin + 12]
    assert all(np.array_equal(f.rgba, paused[0].rgba) for f in paused)
    assert not np.any([f.voice.samples for f in paused[6:]])
    assert live.daemon._worker._ladder._full.decoder.num_pictures == pictures
    live.ask("pause", on=False)
    live.wait(lambda f: f.rig.activity == "speaking" and not f.repeated)


def test_outputs_come_and_go(live):
    started = live.ask("output.start", output="camera", options={"width": 640})
    assert started["running"]
    assert not started["already"]
    assert live.ask("output.start", output="camera", options={"width": 640})["already"]
    camera = live.recordings[0]
    live.wait(lambda f: f.index > 30)
    stopped = live.ask("output.stop", output="camera")
    assert stopped["sent"] > 0
    assert camera.closed == 1
    indices = [f.index for f in camera.frames]
    assert indices == list(range(indices[0], indices[0] + len(indices)))
    assert live.ask("output.stop", output="camera")["already"]
    live.ask("output.start", output="camera", options={"width": 320})
    assert len(live.recordings) == 3


def test_output_that_cannot_be_opened_is_refused_and_the_others_go_on(live):
    with pytest.raises(Refused, match="The camera is in use"):
        live.ask("output.start", output="camera", options={"broken": True})
    status = live.ask("status")
    states = {output["output"]: output["state"] for output in status["outputs"]}
    assert states == {"screen": "running", "camera": "failed"}


def test_an_output_that_runs_goes_on_where_its_new_options_cannot_be_used(live):
    live.ask("output.start", output="camera", options={"width": 640})
    with pytest.raises(Refused, match=r"The camera is in use.* It goes on as it was before\."):
        live.ask("output.start", output="camera", options={"broken": True})
    found = next(o for o in live.ask("status")["outputs"] if o["output"] == "camera")
    assert (found["state"], found["settings"]) == ("running", {"width": 640})
    first, second = live.recordings[0], live.recordings[-1]
    assert first.closed == 1
    live.wait(lambda f: len(second.frames) > 3)


def test_a_second_recording_is_refused_until_the_first_is_stopped(live):
    live.ask("recording.start", path="/tmp/one.mp4")
    assert live.ask("recording.start", path="/tmp/one.mp4")["already"]
    with pytest.raises(Refused, match=r"one\.mp4 runs; stop it first"):
        live.ask("recording.start", path="/tmp/two.mp4")
    assert not live.ask("recording.stop")["running"]
    live.ask("recording.start", path="/tmp/two.mp4")


def test_statistics_are_pushed_with_tier_and_stages(live):
    live.ask("statistics.subscribe", interval_s=0.1)
    event = live.client.control_event(5)
    assert event is not None
    assert event.kind == "statistics"
    assert event.body["tier"] == "full"
    assert {"look_ahead", "assembly", "capture", "encode", "motion", "decode", "pacer"} <= set(
        event.body["stages"]
    )


def test_stop_ends_the_daemon(live):
    assert live.ask("stop") == {"stopping": True}
    live.thread.join(5)
    assert not live.thread.is_alive()
    assert live.sink.closed == 1


def test_output_that_is_taken_while_nothing_is_shown_yet_is_refused():
    outputs = Outputs(Metrics(), on_failure=lambda _outlet, _error: None)
    with pytest.raises(SinkError, match="has not begun"):
        outputs.start(Outlet(StandInSink(), required=False))
