"""Microphone and system audio against a real PulseAudio (TESTING.md section 2)."""

import logging
import threading
import time

import numpy as np
import pytest

from rest_bridge.audio.microphone import MicrophoneSource
from rest_bridge.audio.pulse_recorder import PulseSource
from rest_bridge.audio.source import open_source
from rest_bridge.errors import SourceError
from rest_bridge.sound.devices import list_inputs, list_monitors, list_outputs
from rest_bridge.sound.feedback import feedback_reason
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk, AudioSource, FloatArray
from tests.support.pulse import PulseAudio, holds_tone, running_pulse, tone

pytestmark = [pytest.mark.device, pytest.mark.usefixtures("in_real_time")]
BLOCK = 480


def listen(source: AudioSource, seconds: float) -> tuple[FloatArray, list[AudioChunk], float]:
    """Read in real time; return the voice, its chunks and how long it took."""
    begin_s = time.monotonic()
    chunks = [source.read(BLOCK, 2.0) for _ in range(round(seconds * VOICE_RATE_HZ / BLOCK))]
    took_s = time.monotonic() - begin_s
    return np.concatenate([chunk.samples for chunk in chunks]), chunks, took_s


def assert_continuous(chunks: list[AudioChunk]) -> None:
    assert [c.first_index - chunks[0].first_index for c in chunks] == [
        BLOCK * number for number in range(len(chunks))
    ]


def assert_timed(chunks: list[AudioChunk]) -> None:
    # Capture times follow the sample index, give or take what a busy machine delays.
    times = np.array([chunk.captured_ns for chunk in chunks]) / 1e6
    drift = times - times[0] - 10.0 * np.arange(len(chunks))
    assert np.abs(drift - np.median(drift)).max() < 400


def assert_hears(source: AudioSource, pulse: PulseAudio, sink: str, tone_hz: float) -> None:
    player = pulse.play(tone(tone_hz, 8.0), sink)
    heard: list[AudioChunk] = []
    try:
        deadline_s = time.monotonic() + 7.0
        while time.monotonic() < deadline_s:
            voice, chunks, took_s = listen(source, 0.7)
            heard += chunks
            assert took_s < 3.0
            if holds_tone(voice, tone_hz, 0.5):
                break
        else:
            pytest.fail(f"no clean {tone_hz} Hz in {len(heard) / 100} s")
    finally:
        player.kill()
        player.wait()
    assert_continuous(heard)
    assert_timed(chunks)  # of the part with the tone: before it the device may have been away


def test_default_microphone_hears_a_tone(pulse: PulseAudio) -> None:
    with MicrophoneSource() as source:
        assert_hears(source, pulse, "rb_micfeed", 440.0)
        assert source.num_dropped == 0


def test_the_word_mic_is_the_servers_default_also_after_another_became_it(
    pulse: PulseAudio,
) -> None:
    number = pulse.pactl(
        "load-module", "module-remap-source", "master=rb_cable.monitor", "source_name=rb_second"
    )
    assert number
    try:
        with open_source("mic") as source:
            assert source.name == "rb_mic"
            assert_hears(source, pulse, "rb_micfeed", 440.0)
            pulse.pactl("set-default-source", "rb_second")
            listen(source, 1.0)
            assert_hears(source, pulse, "rb_cable", 610.0)
            assert source.name == "rb_second"
    finally:
        pulse.pactl("set-default-source", "rb_mic")
        pulse.pactl("unload-module", number.strip())


def test_microphone_by_name(pulse: PulseAudio) -> None:
    source = open_source("rb_mic")
    try:
        assert_hears(source, pulse, "rb_micfeed", 997.0)
    finally:
        source.close()


@pytest.mark.parametrize("spec", ["Test_Microphone", "test_micro", "RB_MIC"])
def test_microphone_by_description_or_part(pulse: PulseAudio, spec: str) -> None:
    del pulse
    source = open_source(spec)
    assert source.name == "rb_mic"
    source.close()


def test_system_audio_is_the_default_outputs_monitor(pulse: PulseAudio) -> None:
    source = open_source("system")
    try:
        assert_hears(source, pulse, "rb_speakers", 1234.0)
    finally:
        source.close()


def test_a_monitor_can_be_chosen_by_name(pulse: PulseAudio) -> None:
    source = open_source("rb_cable.monitor")
    try:
        assert_hears(source, pulse, "rb_cable", 523.0)
    finally:
        source.close()


def test_system_audio_follows_a_change_of_the_default_output(pulse: PulseAudio) -> None:
    with PulseSource() as source:
        listen(source, 0.3)
        pulse.pactl("set-default-sink", "rb_cable")
        try:
            listen(source, 1.0)
            assert_hears(source, pulse, "rb_cable", 700.0)
        finally:
            pulse.pactl("set-default-sink", "rb_speakers")


@pytest.mark.parametrize("kind", ["mic", "system"])
def test_clicks_arrive_at_once(pulse: PulseAudio, kind: str) -> None:
    sink = "rb_micfeed" if kind == "mic" else "rb_speakers"
    clicks = np.zeros(VOICE_RATE_HZ * 2, np.float32)
    for start in range(VOICE_RATE_HZ // 2, len(clicks), VOICE_RATE_HZ // 4):
        clicks[start : start + 48] = 0.8
    for _attempt in range(3):  # a starved recorder may still be starting during the first
        with open_source(kind) as source:
            listen(source, 0.5)
            player = pulse.play(clicks, sink)
            voice, _, _ = listen(source, 2.6)
            player.wait()
        onsets = np.flatnonzero((np.abs(voice[1:]) > 0.3) & (np.abs(voice[:-1]) <= 0.3))
        onsets = onsets[np.diff(onsets, prepend=-VOICE_RATE_HZ) > 4800]
        if len(onsets) == 6:
            break
    assert len(onsets) == 6
    assert np.abs(np.diff(onsets) - VOICE_RATE_HZ // 4).max() <= 2  # not a sample inserted or lost


def test_devices_are_listed_with_paste_able_names_and_defaults(pulse: PulseAudio) -> None:
    del pulse
    inputs = {device.name: device for device in list_inputs().devices}
    monitors = {device.name: device for device in list_monitors().devices}
    outputs = {device.name: device for device in list_outputs().devices}
    assert inputs["rb_mic"].is_default
    assert inputs["rb_mic"].description == "Test_Microphone"
    assert (inputs["rb_mic"].rate_hz, inputs["rb_mic"].num_channels) == (48000, 1)
    assert monitors["rb_speakers.monitor"].is_default
    assert not monitors["rb_cable.monitor"].is_default
    assert outputs["rb_speakers"].is_default
    assert {"rb_cable", "rb_micfeed"} <= set(outputs)
    assert "pulse" in inputs  # PortAudio's own are there as well
    for listed in (inputs, monitors, outputs):
        assert sum(device.is_default for device in listed.values()) == 1


def test_unknown_and_ambiguous_names_list_what_there_is(pulse: PulseAudio) -> None:
    del pulse
    with pytest.raises(SourceError, match=r"did you mean 'rb_mic'; there is .*rb_mic"):
        open_source("rb_mick")
    with pytest.raises(SourceError, match=r"could be .*rb_speakers\.monitor'.*more of its name"):
        open_source("monitor")
    with pytest.raises(SourceError, match="Did you mean 'system'"):
        open_source("sistem")


def test_hearing_the_own_voice_is_refused(pulse: PulseAudio) -> None:
    del pulse
    for source, output in [
        ("system", "default"),
        ("system", "rb_speakers"),
        ("rb_cable.monitor", "rb_cable_description"),
    ]:
        assert "would hear its own voice" in feedback_reason(source, output)
    for source, output in [
        ("system", "rb_cable"),
        ("mic", "default"),
        ("rb_mic", "rb_micfeed"),
        ("push", "default"),
        ("voice.wav", "default"),
        ("rb_cable.monitor", "nowhere"),
    ]:
        assert feedback_reason(source, output) == ""


def test_no_server_is_one_sentence_and_empty_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere/pulse")
    with pytest.raises(SourceError, match="no PulseAudio or PipeWire server"):
        open_source("system")
    monitors = list_monitors()
    assert monitors.devices == ()
    assert "no PulseAudio or PipeWire server" in monitors.reason


@pytest.mark.parametrize("kind", ["mic", "system"])
def test_a_restart_of_the_sound_server_is_survived(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    sink = "rb_micfeed" if kind == "mic" else "rb_speakers"
    with running_pulse() as server, caplog.at_level(logging.WARNING):
        source = open_source(kind)
        try:
            listen(source, 0.3)
            server.kill()
            silence, chunks, took_s = listen(source, 1.5)
            assert took_s == pytest.approx(1.5, abs=0.8)
            assert not silence[VOICE_RATE_HZ // 2 :].any()
            assert any(chunk.discontinuity for chunk in chunks)
            restart = threading.Thread(target=server.start)
            restart.start()
            while restart.is_alive():  # whoever stops reading has slept, for the source
                listen(source, 0.2)
            assert_hears(source, server, sink, 880.0)
            assert source.health().losses == 1
            assert not source.health().lost
        finally:
            source.close()
    assert [record.message for record in caplog.records if "is gone" in record.message]
    assert len([record for record in caplog.records if "is gone" in record.message]) == 1
