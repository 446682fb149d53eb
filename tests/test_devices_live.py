"""A whole daemon while devices go, come back, change their rate, and the server restarts."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rest_bridge.daemon import Daemon
from rest_bridge.flash import FlashDecoder, flash_stages
from rest_bridge.graph import LIVE_MARGIN_NS, Graph, Outlet
from rest_bridge.pipeline import Pipeline
from rest_bridge.sinks.voice_output import VoiceOutput
from rest_bridge.sound import cable
from rest_bridge.status import Status
from tests.support.pipewire import running_pipewire
from tests.support.pulse import PulseAudio, running_pulse, tone
from tests.support.standins import StandInSink

pytestmark = [
    pytest.mark.device,
    pytest.mark.slow,
    pytest.mark.usefixtures("in_real_time"),
]
SIDE = 16


class Live:
    """A daemon that hears a source and plays to an output, in a thread of its own."""

    def __init__(self, spec: str, output: str = "") -> None:
        from rest_bridge.audio.source import open_source

        self.sink = StandInSink()
        self.voice = VoiceOutput(output) if output else None
        self.told: list[str] = []
        self.status: Status | None = None
        self.stop = threading.Event()
        outlets = [Outlet(self.sink, required=True)]
        if self.voice is not None:
            outlets.append(Outlet(self.voice, required=True))
        graph = Graph(
            still=lambda: FlashDecoder(SIDE).dark,
            pipeline=lambda: Pipeline(flash_stages(SIDE), metrics=graph.metrics),
            source=lambda: open_source(spec),
            outlets=lambda: outlets,
            from_start=False,
            margin_ns=LIVE_MARGIN_NS,
        )
        self.daemon = Daemon(
            graph,
            stop_event=self.stop,
            on_status=lambda status: setattr(self, "status", status),
            on_message=self.told.append,
        )
        self._thread = threading.Thread(target=self.daemon.run)

    def __enter__(self) -> "Live":
        self._thread.start()
        self.wait_for(lambda: len(self.sink.frames) > 50)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(5)
        assert not self._thread.is_alive()

    def wait_for(self, condition: Callable[[], Any], timeout_s: float = 20.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s, "\n".join([*self.told, str(self.status)])
            time.sleep(0.05)

    def returns(self) -> list[str]:
        return [text for text in self.told if text.endswith("is back.") and "gone" not in text]

    def hears(self, server: PulseAudio, sink: str, timeout_s: float = 20.0) -> None:
        """Wait until what is played into a sink comes out in the frames."""
        player = server.play(tone(440.0, timeout_s), sink)
        try:
            self.wait_for(lambda: self.level() > 0.1, timeout_s)
        finally:
            player.kill()
            player.wait()
        self.wait_for(lambda: self.level() < 0.01)

    def level(self) -> float:
        frames = self.sink.frames[-4:]
        return float(np.abs(np.concatenate([f.voice.samples for f in frames])).max())

    def assert_alive(self) -> None:
        """The face went on, whatever happened to the devices: a frame every 40 ms, none missing."""
        frames, times = self.sink.frames, np.array(self.sink.times_ns)
        assert [f.index for f in frames] == list(range(len(frames)))
        assert np.diff(times).max() < 0.6e9
        seconds = (times[-1] - times[0]) / 1e9
        assert len(frames) == pytest.approx(seconds * 25, rel=0.03)


@pytest.fixture(scope="module")
def server():
    with running_pulse() as running:
        yield running


def load_pipe_source(server: PulseAudio, name: str, sink: str) -> None:
    assert server.pactl(
        "load-module", "module-remap-source", f"master={sink}.monitor", f"source_name={name}"
    )


def unload(server: PulseAudio, text: str) -> None:
    for line in (server.pactl("list", "short", "modules") or "").splitlines():
        if text in line:
            server.pactl("unload-module", line.split("\t")[0])


def test_a_microphone_that_is_unplugged_and_plugged_in_again(server: PulseAudio) -> None:
    load_pipe_source(server, "usb_mic", "rb_micfeed")
    with Live("usb_mic") as live:
        live.hears(server, "rb_micfeed")
        unload(server, "source_name=usb_mic")
        live.wait_for(lambda: any("is gone" in text for text in live.told))
        begin = len(live.sink.frames)
        live.wait_for(lambda: len(live.sink.frames) > begin + 25)
        load_pipe_source(server, "usb_mic", "rb_micfeed")
        live.wait_for(live.returns)
        live.hears(server, "rb_micfeed")
        live.assert_alive()
        device = live.daemon.snapshot().devices[0]
        assert (device.losses, device.lost) == (1, False)
        assert device.filled_ms > 500
    unload(server, "source_name=usb_mic")


def test_an_output_that_is_unplugged_and_comes_back_at_another_rate(server: PulseAudio) -> None:
    server.pactl("load-module", "module-null-sink", "sink_name=usb_out", "rate=48000")
    with Live("rb_mic", "usb_out") as live:
        live.hears(server, "rb_micfeed")
        unload(server, "sink_name=usb_out")
        live.wait_for(lambda: any("usb_out" in text and "gone" in text for text in live.told))
        server.pactl("load-module", "module-null-sink", "sink_name=usb_out", "rate=44100")
        live.wait_for(live.returns)
        live.hears(server, "rb_micfeed")
        live.assert_alive()
        assert live.voice is not None
        assert live.voice.health().losses == 1
    unload(server, "sink_name=usb_out")


def test_a_restart_of_the_server_with_everything_open(server: PulseAudio) -> None:
    del server
    with running_pulse() as own, Live("rb_mic", cable.WORD) as live:
        live.hears(own, "rb_micfeed")
        own.kill()
        live.wait_for(lambda: sum("is gone" in text for text in live.told) == 2)
        own.start()
        live.wait_for(lambda: len(live.returns()) == 2)
        live.hears(own, "rb_micfeed")
        live.assert_alive()
        # The virtual cable died with the server and was made anew.
        assert cable.find() is not None
        assert [d.losses for d in live.daemon.snapshot().devices] == [1, 1]


def test_what_the_computer_plays_goes_on_when_nothing_plays(server: PulseAudio) -> None:
    with Live("system") as live:
        live.hears(server, "rb_speakers")
        server.pactl("suspend-sink", "rb_speakers", "1")
        begin = len(live.sink.frames)
        live.wait_for(lambda: len(live.sink.frames) > begin + 75)
        server.pactl("suspend-sink", "rb_speakers", "0")
        live.hears(server, "rb_speakers")
        live.assert_alive()


def test_pipewire_in_place_of_pulseaudio_and_its_restart() -> None:
    """Microphone, virtual cable, unplugging and a restart through PipeWire's own server."""
    with running_pipewire() as own, Live("rb_mic", cable.WORD) as live:
        assert "PipeWire" in (own.pactl("info") or "")
        live.hears(own, "rb_micfeed")
        unload(own, "source_name=rb_mic")
        live.wait_for(lambda: any("rb_mic is gone" in text for text in live.told))
        load_pipe_source(own, "rb_mic", "rb_micfeed")
        live.wait_for(live.returns)
        live.hears(own, "rb_micfeed")
        before = len(live.returns())
        own.kill()
        live.wait_for(lambda: all(d.lost for d in live.daemon.snapshot().devices))
        own.start()
        live.wait_for(lambda: len(live.returns()) >= before + 2, 40.0)
        live.hears(own, "rb_micfeed")
        live.assert_alive()
        assert cable.find() is not None


def test_a_microphone_that_comes_back_at_another_rate(server: PulseAudio) -> None:
    server.pactl("load-module", "module-null-sink", "sink_name=usb_feed", "rate=48000")
    load_pipe_source(server, "usb_mic", "usb_feed")
    with Live("usb_mic") as live:
        live.hears(server, "usb_feed")
        unload(server, "source_name=usb_mic")
        unload(server, "sink_name=usb_feed")
        live.wait_for(lambda: any("is gone" in text for text in live.told))
        server.pactl("load-module", "module-null-sink", "sink_name=usb_feed", "rate=44100")
        load_pipe_source(server, "usb_mic", "usb_feed")
        live.wait_for(live.returns)
        live.hears(server, "usb_feed")
        live.assert_alive()
    unload(server, "source_name=usb_mic")
    unload(server, "sink_name=usb_feed")
