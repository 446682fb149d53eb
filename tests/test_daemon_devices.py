"""The daemon on a real sound server: what a device hears comes out in the frames."""

import threading
import time

import numpy as np
import pytest

from rest_bridge.daemon import Daemon
from rest_bridge.graph import LIVE_MARGIN_NS, Graph, Outlet
from rest_bridge.pipeline import Pipeline
from tests.support.pulse import PulseAudio
from tests.support.standins import StandInSink, standin_stages

pytestmark = pytest.mark.device
TONE = (0.4 * np.sin(2 * np.pi * 330 * np.arange(48_000) / 48_000)).astype(np.float32)


@pytest.mark.parametrize(("word", "sink_name"), [("mic", "rb_micfeed"), ("system", "rb_speakers")])
def test_what_a_device_hears_comes_out_in_the_frames_a_moment_later(
    pulse: PulseAudio, word: str, sink_name: str
):
    from rest_bridge.audio.source import open_source

    sink, stop = StandInSink(), threading.Event()
    graph = Graph(
        still=lambda: np.zeros((8, 8, 4), np.uint8),
        pipeline=lambda: Pipeline(standin_stages(lookahead_ms=40), metrics=graph.metrics),
        source=lambda: open_source(word),
        outlets=lambda: [Outlet(sink, required=True)],
        from_start=False,
        margin_ns=LIVE_MARGIN_NS,
    )

    def speak() -> None:
        while not any(f.rig.values.any() for f in sink.frames):
            time.sleep(0.05)
        pulse.play(TONE, sink_name).wait()
        time.sleep(1.0)
        stop.set()

    speaker = threading.Thread(target=speak)
    speaker.start()
    outcome = Daemon(graph, seconds=20, stop_event=stop).run()
    speaker.join()
    heard = np.concatenate([f.voice.samples for f in sink.frames])
    loud = np.abs(heard) > 0.2
    assert 0.4 * len(TONE) < loud.sum() * 48_000 / 32_000 < 1.6 * len(TONE)
    assert {f.rig.activity for f in sink.frames} >= {"idle", "speaking"}
    assert 50 < outcome.status.latency_p50_ms < 1000
    assert [f.index for f in sink.frames] == list(range(len(sink.frames)))
