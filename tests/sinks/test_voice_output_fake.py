"""The voice output on a pretended PortAudio: channels, choice of device, refusals."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rest_bridge.errors import SinkUnavailable
from rest_bridge.sinks import voice_output
from rest_bridge.sinks.voice_output import VoiceOutput
from rest_bridge.sound import portaudio, pulse
from rest_bridge.types import SAMPLES_PER_FRAME, FrameFormat
from tests.support.fake_sounddevice import FakeSounddevice, alsa, device
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


def test_each_frames_voice_is_played_on_all_channels(use) -> None:
    module = use(alsa(speakers("Speakers")))
    sink = VoiceOutput(gain_db=-6.0206)
    sink.open(FORMAT)
    assert sink.name == "voice output 'Speakers'"
    sink.send(make_frame(0, rgba=PICTURE))
    first = [module.streams[0].request(480) for _ in range(4)]
    sink.skip(make_frame(1, rgba=PICTURE[:0]))  # a frame without its picture keeps its voice
    heard = np.concatenate(first + [module.streams[0].request(480) for _ in range(4)])
    begin = int(np.flatnonzero(heard[:, 0])[0]) - 1
    expected = tone(0, 2 * SAMPLES_PER_FRAME) / 2
    assert np.abs(heard[begin : begin + 2500, 0] - expected[:2500]).max() < 1e-4
    assert np.array_equal(heard[:, 0], heard[:, 1])
    sink.close()
    sink.close()
    assert module.streams[0].closed


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
