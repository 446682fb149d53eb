"""The live daemon with stand-ins at both ends: nothing lost, everything ends, failures are told."""

import threading
import time

import numpy as np
import pytest

from rest_bridge import worker
from rest_bridge.daemon import Daemon, Outcome
from rest_bridge.errors import SinkUnavailable, SourceError
from rest_bridge.graph import Graph, Outlet
from rest_bridge.pipeline import Pipeline
from rest_bridge.rehearsal import rehearse
from tests.support.standins import StandInSink, StandInSource, standin_stages

VOICE = (np.random.default_rng(5).standard_normal(24_000) * 0.1).astype(np.float32)
ENDLESS = np.zeros(48_000 * 60, np.float32)
STILL = np.full((8, 8, 4), 7, np.uint8)


def make_graph(*sinks: StandInSink, voice: np.ndarray = VOICE, required: bool = True, **options):
    stages = options.pop("stages", None) or standin_stages(lookahead_ms=40)
    error = options.pop("source_error", None)
    graph = Graph(
        still=lambda: STILL,
        pipeline=lambda: Pipeline(stages, metrics=graph.metrics),
        source=lambda: StandInSource(voice, error=error),
        outlets=lambda: [Outlet(sink, required) for sink in sinks],
        **options,
    )
    return graph


def run(graph: Graph, **options) -> Outcome:
    before = set(threading.enumerate())
    outcome = Daemon(graph, **options).run()
    left = [t for t in threading.enumerate() if t not in before and t.is_alive()]
    assert not left, f"threads left behind: {left}"
    return outcome


def test_everything_that_was_said_comes_out_once_in_order_and_the_end_is_drained():
    sink = StandInSink()
    outcome = run(make_graph(sink))
    frames = sink.frames
    assert [f.index for f in frames] == list(range(len(frames)))
    assert [f.pts_ns for f in frames] == [k * 40_000_000 for k in range(len(frames))]
    assert len({f.stream_id for f in frames}) == 1
    voice = np.concatenate([f.voice.samples for f in frames])
    start = int(np.flatnonzero(voice)[0])
    start -= start % 1920
    np.testing.assert_array_equal(voice[start : start + len(VOICE)], VOICE)
    assert not voice[:start].any()
    assert sink.closed == 1
    assert not outcome.interrupted
    assert not outcome.failures
    assert outcome.status.dropped_samples == 0


def test_turns_follow_the_voice_and_no_frame_leaves_before_its_turn():
    sink = StandInSink()
    run(make_graph(sink, voice=ENDLESS), seconds=1.2)
    assert len(sink.frames) == 30
    turns_ns = np.diff([frame.due_ns for frame in sink.frames])
    assert turns_ns.min() >= 39_900_000
    assert np.median(turns_ns) == pytest.approx(40_000_000, rel=0.001)
    left_ns = [at - frame.due_ns for frame, at in zip(sink.frames, sink.times_ns, strict=True)]
    assert min(left_ns) >= 0


def test_one_hiccup_does_not_stop_the_pictures_for_good():
    sink = StandInSink()
    stages = standin_stages(lookahead_ms=40)
    draw = stages.decoder.decode
    calls = []

    def decode(latents: np.ndarray, wanted=None):
        calls.append(None)
        if len(calls) == 20:  # 6 are the rehearsal's; then one chunk takes far too long
            time.sleep(0.45)
        yield from draw(latents, wanted)

    stages.decoder.decode = decode
    run(make_graph(sink, voice=ENDLESS, stages=stages), seconds=4)
    repeated = [frame.repeated for frame in sink.frames]
    assert any(repeated[15:])
    assert not any(repeated[-25:])


def test_still_portrait_is_out_before_the_model_is_loaded():
    sink = StandInSink()
    graph = make_graph(sink)
    load = graph.pipeline

    def slowly() -> Pipeline:
        while len(sink.frames) < 3:
            time.sleep(0.005)
        return load()

    graph.pipeline = slowly
    run(graph)
    for frame in sink.frames[:3]:
        np.testing.assert_array_equal(frame.rgba, STILL)


def test_live_voice_begins_now_not_with_what_was_captured_while_loading():
    sink = StandInSink()
    graph = make_graph(sink, voice=np.arange(48_000, dtype=np.float32) / 48_000, from_start=False)
    load = graph.pipeline
    graph.pipeline = lambda: (time.sleep(0.3), load())[1]
    run(graph)
    voice = np.concatenate([f.voice.samples for f in sink.frames])
    first_heard_s = voice[np.flatnonzero(voice)[0]]
    assert first_heard_s > 0.25


def test_pushed_speech_is_opened_only_when_the_model_is_ready_and_is_not_late_for_it():
    sink = StandInSink()
    graph = make_graph(sink, voice=ENDLESS, from_start=False, open_when_ready=True)
    load, opened_after = graph.pipeline, []
    graph.pipeline = lambda: (time.sleep(0.5), opened_after.append("loaded"), load())[2]
    source = graph.source
    graph.source = lambda: (opened_after.append("opened"), source())[1]
    outcome = run(graph, seconds=2)
    assert opened_after == ["loaded", "opened"]
    assert outcome.status.latency_p50_ms < 450


def test_optional_output_that_fails_to_open_is_told_and_the_rest_goes_on():
    good, bad = StandInSink("good"), StandInSink("bad", open_error="bad: no such camera.")
    messages: list[str] = []
    outcome = run(make_graph(good, bad, required=False), on_message=messages.append)
    assert len(good.frames) > 12
    assert outcome.failures == ("bad: no such camera.",)
    assert not outcome.required_failed
    assert any("no such camera" in message for message in messages)


def test_required_output_that_fails_to_open_ends_the_daemon_with_its_sentence():
    good, bad = StandInSink("good"), StandInSink("bad", open_error="bad: port 5570 is in use.")
    with pytest.raises(SinkUnavailable, match="port 5570"):
        run(make_graph(good, bad, voice=ENDLESS))
    assert good.closed == 1


def test_output_that_fails_later_is_told_and_the_others_go_on():
    good, bad = StandInSink("good"), StandInSink("bad", send_error="The disk is full.", fail_at=4)
    messages: list[str] = []
    outcome = run(make_graph(good, bad), on_message=messages.append)
    assert len(good.frames) > 12
    assert outcome.required_failed
    assert "The disk is full." in messages[0]


def test_failing_generator_stops_the_daemon_with_its_error():
    sink = StandInSink()
    stages = standin_stages(lookahead_ms=40, fail_at=8)
    with pytest.raises(RuntimeError, match="the stand-in generator fails"):
        run(make_graph(sink, voice=ENDLESS, stages=stages))
    assert sink.closed == 1


def test_failing_source_stops_the_daemon_with_its_error():
    with pytest.raises(SourceError, match="unplugged"):
        run(make_graph(StandInSink(), source_error=SourceError("The microphone was unplugged.")))


def test_failing_portrait_stops_the_daemon_before_anything_is_shown():
    sink = StandInSink()
    graph = make_graph(sink)
    graph.still = lambda: (_ for _ in ()).throw(SourceError("no such face"))
    with pytest.raises(SourceError, match="no such face"):
        run(graph)
    assert not sink.frames


def test_stop_ends_within_two_seconds_and_closes_the_outputs():
    sink, stop = StandInSink(), threading.Event()
    threading.Timer(0.4, stop.set).start()
    begin_s = time.monotonic()
    run(make_graph(sink, voice=ENDLESS), stop_event=stop)
    assert time.monotonic() - begin_s < 2.0
    assert sink.closed == 1


def test_control_client_can_mute_ask_and_stop():
    sink = StandInSink()
    loud = np.full(48_000 * 60, 0.3, np.float32)
    daemon = Daemon(make_graph(sink, voice=loud))

    def steer() -> None:
        while not any(f.rig.activity == "speaking" for f in sink.frames):
            time.sleep(0.01)
        daemon.studio.hush.mute(True)
        while not (
            sink.frames[-1].rig.activity == "muted" and not sink.frames[-1].voice.samples.any()
        ):
            time.sleep(0.01)
        assert daemon.status()["muted"] is True
        daemon.stop()

    helper = threading.Thread(target=steer)
    helper.start()
    outcome = daemon.run()
    helper.join()
    assert not outcome.interrupted  # asked for: the program ends well
    assert sink.frames[-1].rig.activity == "muted"


def test_status_comes_once_a_second_with_rate_and_latency():
    seen = []
    run(make_graph(StandInSink(), voice=ENDLESS), seconds=2.3, on_status=seen.append)
    assert len(seen) == 2
    assert seen[-1].fps == pytest.approx(25, abs=2)
    assert 100 < seen[-1].latency_p50_ms < 600
    assert seen[-1].phase == "live"
    assert seen[-1].sinks[0].sent > 20


def test_slow_generator_repeats_pictures_but_neither_queues_nor_breaks_the_voice(monkeypatch):
    sink = StandInSink()
    voice = (np.random.default_rng(1).standard_normal(48_000) * 0.1).astype(np.float32)
    stages = standin_stages(lookahead_ms=40)
    graph = make_graph(sink, voice=voice, stages=stages)

    def and_then_slow(pipeline: Pipeline):
        result = rehearse(pipeline)
        stages.motion.work_s = 0.12
        return result

    monkeypatch.setattr(worker, "rehearse", and_then_slow)
    outcome = run(graph)
    assert outcome.status.repeated > 5
    heard = np.concatenate([f.voice.samples for f in sink.frames])
    start = int(np.flatnonzero(heard)[0])
    start -= start % 1920
    num_heard = min(len(voice), len(heard) - start)
    np.testing.assert_array_equal(heard[start : start + num_heard], voice[:num_heard])
    assert num_heard > 0.9 * len(voice)
