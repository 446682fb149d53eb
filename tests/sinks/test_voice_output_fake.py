"""The voice output on a pretended PortAudio: channels, choice of device, refusals."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rest_bridge.errors import SinkUnavailable
from rest_bridge.sinks import voice_output
from rest_bridge.sinks.voice_output import DELAY_S, VoiceOutput
from rest_bridge.sound import portaudio, pulse
from rest_bridge.types import SAMPLES_PER_FRAME, FloatArray, FrameFormat
from tests.support.fake_sounddevice import FakeSounddevice, FakeStream, alsa, device
from tests.support.frames import make_frame, tone

FORMAT = FrameFormat(64, 48, 25.0)
PICTURE = np.zeros((2, 2, 4), np.uint8)
Open = Callable[..., VoiceOutput]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[FakeSounddevice], FakeSounddevice]]:
    monkeypatch.setattr(pulse, "query", lambda: pulse.NO_SERVER)

    def install(module: FakeSounddevice) -> FakeSounddevice:
        monkeypatch.setattr(portaudio, "load", lambda _: module)
        return module

    yield install
    monkeypatch.undo()


def speakers(name: str, channels: int = 2) -> dict[str, object]:
    return device(name, inputs=0, outputs=channels)


class Time:
    """The monotonic clock of sink and stream, moved by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = 10**12
        monkeypatch.setattr(voice_output.time, "monotonic_ns", lambda: self.now_ns)

    def play(self, stream: FakeStream, blocks: int) -> FloatArray:
        heard = []
        for _ in range(blocks):
            heard.append(stream.request(480))
            self.now_ns += 10_000_000
        return np.concatenate(heard)


def test_each_frames_voice_is_played_on_all_channels_at_its_time(
    use, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, clock = use(alsa(speakers("Speakers"))), Time(monkeypatch)
    sink = VoiceOutput(gain_db=-6.0206)
    sink.open(FORMAT)
    assert sink.name == "voice output 'Speakers'"
    begin_ns = clock.now_ns
    for index in range(4):
        frame = make_frame(index, rgba=PICTURE)
        sink.hear(frame.voice, begin_ns + 100_000_000 + index * 40_000_000)
        sink.send(frame)  # its voice is not played twice
    sink.skip(make_frame(4, rgba=PICTURE[:0]))
    heard = clock.play(module.streams[0], 30)
    begin = round((0.1 + DELAY_S - 0.02) * 48_000)  # what is asked for now is heard in 20 ms
    expected = tone(0, 4 * SAMPLES_PER_FRAME) / 2
    assert not heard[: begin - 16].any()
    assert np.abs(heard[begin : begin + len(expected) - 16, 0] - expected[:-16])[16:].max() < 1e-3
    assert not heard[begin + len(expected) + 16 :].any()
    assert np.array_equal(heard[:, 0], heard[:, 1])
    assert sink.health().role == "voice out"
    sink.close()
    sink.close()
    assert module.streams[0].closed


def test_frames_without_voice_ahead_are_played_evenly(use, monkeypatch: pytest.MonkeyPatch) -> None:
    module, clock = use(alsa(speakers("Speakers"))), Time(monkeypatch)
    sink = VoiceOutput()
    sink.open(FORMAT)
    heard = []
    for index in range(10):
        sink.send(make_frame(index, rgba=PICTURE)) if index % 2 else sink.skip(make_frame(index))
        heard.append(clock.play(module.streams[0], 4))
    sound = np.concatenate(heard)[:, 0]
    begin = int(np.flatnonzero(np.abs(sound) > 1e-4)[0])
    assert np.abs(np.diff(sound[begin + 16 :], 2)).max() < 0.01
    assert np.abs(sound[-4000:]).max() > 0.4
    sink.close()


def test_a_card_that_refuses_our_rate_is_opened_at_its_own(use) -> None:
    module = use(
        alsa(
            speakers("Old card hw:0") | {"default_samplerate": 44100.0},
            refuse=lambda o: "Invalid sample rate" if o["samplerate"] == 48_000 else None,
        )
    )
    sink = VoiceOutput()
    sink.open(FORMAT)
    assert module.streams[-1].options["samplerate"] == 44100
    assert module.streams[-1].request(441).shape == (441, 2)
    sink.close()


@pytest.mark.parametrize("wanted", ["", "default", "Default"])
def test_the_default_is_what_the_system_says(use, wanted: str) -> None:
    use(alsa(speakers("HDMI"), speakers("Headphones"), default_indices=(0, 1)))
    sink = VoiceOutput(wanted)
    sink.open(FORMAT)
    assert sink.name == "voice output 'Headphones'"
    sink.close()


def test_a_card_with_one_channel_is_opened_with_one(use) -> None:
    module = use(alsa(speakers("Mono", channels=1)))
    sink = VoiceOutput("mono")
    sink.open(FORMAT)
    assert module.streams[0].request(480).shape == (480, 1)
    sink.close()


def test_nothing_sent_is_silence(use) -> None:
    module = use(alsa(speakers("Speakers")))
    sink = VoiceOutput()
    sink.open(FORMAT)
    assert not module.streams[0].request(480).any()
    assert sink.num_underruns == 0
    sink.close()


def test_a_device_that_cannot_be_opened_is_one_sentence(use) -> None:
    use(alsa(speakers("Speakers"), refuse=lambda _: "Device unavailable [PaErrorCode -9985]\nx"))
    with pytest.raises(SinkUnavailable, match=r"'Speakers' cannot be opened .*-9985") as caught:
        VoiceOutput().open(FORMAT)
    assert "\n" not in str(caught.value)


def test_no_output_at_all_says_so(use) -> None:
    use(alsa(device("mic")))
    with pytest.raises(SinkUnavailable, match="No sound output was found"):
        VoiceOutput().open(FORMAT)


def test_playing_into_what_the_face_hears_is_refused(use, monkeypatch: pytest.MonkeyPatch) -> None:
    use(alsa(speakers("Speakers")))
    monkeypatch.setattr(voice_output, "feedback_reason", lambda *_: "It would hear itself.")
    with pytest.raises(SinkUnavailable, match="hear itself"):
        VoiceOutput(heard="system").open(FORMAT)
