"""The delayed voice on a real PulseAudio, and what is said when it cannot be played."""

import logging
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from rest_bridge.errors import SinkUnavailable
from rest_bridge.sinks.voice_output import VoiceOutput
from rest_bridge.types import SAMPLES_PER_FRAME, VOICE_RATE_HZ, FloatArray, FrameFormat
from tests.support.frames import make_frame
from tests.support.pulse import PulseAudio, holds_tone, record, running_pulse

pytestmark = pytest.mark.usefixtures("in_real_time")
FORMAT = FrameFormat(64, 48, 25.0)
PICTURE = np.zeros((2, 2, 4), np.uint8)


def play(sink: VoiceOutput, count: int, voice: FloatArray | None = None) -> list[int]:
    """Send frames at 25 fps; return when each was sent."""
    begin_ns, sent = time.monotonic_ns(), []
    for index in range(count):
        time.sleep(max(0.0, (begin_ns + index * 40_000_000 - time.monotonic_ns()) / 1e9))
        part = None
        if voice is not None:
            part = voice[index * SAMPLES_PER_FRAME : (index + 1) * SAMPLES_PER_FRAME]
        sent.append(time.monotonic_ns())
        sink.send(make_frame(index, rgba=PICTURE, voice=part))
    return sent


@pytest.mark.device
@pytest.mark.parametrize(
    ("device", "monitor"), [("rb_cable", "rb_cable.monitor"), ("default", "rb_speakers.monitor")]
)
def test_a_tone_reaches_the_named_output(pulse: PulseAudio, device: str, monitor: str) -> None:
    del pulse
    sink = VoiceOutput(device)
    sink.open(FORMAT)
    try:
        with record(monitor) as recording:
            play(sink, 60)
    finally:
        sink.close()
    assert holds_tone(recording.samples, 440.0, 0.5)


@pytest.mark.device
def test_gain_is_applied(pulse: PulseAudio) -> None:
    del pulse
    sink = VoiceOutput("rb_cable", gain_db=-6.0206)
    sink.open(FORMAT)
    try:
        with record("rb_cable.monitor") as recording:
            play(sink, 40)
    finally:
        sink.close()
    assert holds_tone(recording.samples, 440.0, 0.25)


@pytest.mark.device
def test_a_click_is_heard_soon_after_its_frame(
    pulse: PulseAudio, record_property: Callable[[str, object], None]
) -> None:
    del pulse
    voice = np.zeros(75 * SAMPLES_PER_FRAME, np.float32)
    for frame in range(25, 75, 10):
        voice[frame * SAMPLES_PER_FRAME : frame * SAMPLES_PER_FRAME + 48] = 0.8
    sink = VoiceOutput("rb_cable")
    sink.open(FORMAT)
    try:
        with record("rb_cable.monitor") as recording:
            sent = play(sink, 75, voice)
    finally:
        sink.close()
    onsets = np.flatnonzero(
        (np.abs(recording.samples[1:]) > 0.3) & (np.abs(recording.samples[:-1]) <= 0.3)
    )
    onsets = onsets[np.diff(onsets, prepend=-VOICE_RATE_HZ) > 4800]
    clicks = [sent[frame] for frame in range(25, 75, 10)]
    heard = [recording.heard_ns(int(onset)) for onset in onsets]
    # A busy machine may swallow a click; each that is heard belongs to the one sent before it.
    delays_ms = [(ns - max(c for c in clicks if c < ns)) / 1e6 for ns in heard if ns > clicks[0]]
    assert len(delays_ms) >= 3
    record_property("frame_sent_to_click_recorded_ms", np.round(delays_ms, 1).tolist())
    assert 0 < np.median(delays_ms) < 150


@pytest.mark.device
def test_a_restart_of_the_sound_server_is_survived(caplog: pytest.LogCaptureFixture) -> None:
    with running_pulse() as server, caplog.at_level(logging.WARNING):
        sink = VoiceOutput("rb_cable")
        sink.open(FORMAT)
        stop = threading.Event()
        player = threading.Thread(target=lambda: [play(sink, 5) for _ in iter(stop.is_set, True)])
        player.start()
        try:
            server.kill()
            server.start()
            deadline_s, level = time.monotonic() + 15.0, 0.0
            while level < 0.2 and time.monotonic() < deadline_s:
                with record("rb_cable.monitor") as recording:
                    time.sleep(0.5)
                level = float(np.abs(recording.samples).max(initial=0.0))
        finally:
            stop.set()
            player.join()
            sink.close()
    assert level > 0.2
    assert sink.num_losses == 1
    gone = [record.message for record in caplog.records if "is gone" in record.message]
    assert gone == [
        "Output device 'rb_cable' is gone; the voice is not heard there until it is back."
    ]


@pytest.mark.device
def test_unknown_output_lists_what_there_is(pulse: PulseAudio) -> None:
    del pulse
    with pytest.raises(SinkUnavailable, match=r"did you mean 'rb_cable'.*rb_speakers"):
        VoiceOutput("rb_cabel").open(FORMAT)


def test_without_any_output_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from rest_bridge.sinks import voice_output
    from rest_bridge.sound.devices import DeviceList

    monkeypatch.setattr(voice_output, "list_portaudio", lambda _: DeviceList((), "none is there"))
    monkeypatch.setattr(voice_output, "list_outputs", lambda: DeviceList((), "none is there"))
    with pytest.raises(SinkUnavailable, match=r"No sound output was found \(none is there\)"):
        VoiceOutput().open(FORMAT)
