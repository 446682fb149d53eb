"""The microphone on a pretended PortAudio: rates, channels, times, refusals."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rest_bridge.audio.microphone import MicrophoneSource
from rest_bridge.errors import SourceError
from rest_bridge.sound import portaudio, stream
from tests.support.fake_sounddevice import FakeSounddevice, alsa, device, windows

Use = Callable[[FakeSounddevice], FakeSounddevice]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    def install(module: FakeSounddevice) -> FakeSounddevice:
        monkeypatch.setattr(portaudio, "load", lambda _: module)
        return module

    return install


def block(num_samples: int, *levels: float) -> Any:
    return np.tile(np.array(levels, np.float32), (num_samples, 1))


def test_native_rate_and_ten_millisecond_blocks(use: Use) -> None:
    module = use(alsa(device("USB mic (hw:1,0)", rate_hz=44100.0)))
    with MicrophoneSource() as source:
        options = module.streams[0].options
        assert (options["samplerate"], options["blocksize"], options["channels"]) == (44100, 441, 1)
        for _ in range(60):
            module.streams[0].deliver(block(441, 0.25))
        voice = source.read(24000, 1.0).samples
    assert np.abs(voice[1000:] - 0.25).max() < 1e-3
    assert module.streams[0].closed


def test_alsa_plugins_are_opened_at_the_media_rate(use: Use) -> None:
    module = use(alsa(device("pulse", inputs=32, rate_hz=44100.0)))
    with MicrophoneSource():
        assert module.streams[0].options["samplerate"] == 48000


def test_an_interface_that_refuses_mono_is_mixed_down(use: Use) -> None:
    module = use(
        alsa(
            device("interface hw:0", inputs=18),
            refuse=lambda o: "Invalid number of channels" if o["channels"] == 1 else None,
        )
    )
    with MicrophoneSource() as source:
        for _ in range(10):
            module.streams[0].deliver(block(480, 0.5, 0.0))
        assert np.abs(source.read(4800, 1.0).samples - 0.25).max() < 1e-6


def test_capture_time_is_the_adc_time_where_it_is_plausible(use: Use) -> None:
    module = use(alsa(device("mic hw:0")))
    with MicrophoneSource() as source:
        source.feed._covered_ns = 0  # as if it had been open for long
        # First sample 35 ms ago in a block of 10 ms: the last one was captured 25 ms ago.
        before_ns = time.monotonic_ns()
        module.streams[0].deliver(block(480, 0.1), adc_s=99.965, now_s=100.0)
        after_ns = time.monotonic_ns()
        captured_ns = source.read(480, 1.0).captured_ns
        assert before_ns <= captured_ns + 25_000_000 <= after_ns + 1000


@pytest.mark.parametrize(("adc_s", "now_s"), [(0.0, 100.0), (3.0, 100.0), (101.0, 100.0)])
def test_an_implausible_adc_time_is_not_used(use: Use, adc_s: float, now_s: float) -> None:
    module = use(alsa(device("mic hw:0")))
    with MicrophoneSource() as source:
        before_ns = time.monotonic_ns()
        module.streams[0].deliver(block(480, 0.1), adc_s=adc_s, now_s=now_s)
        assert source.read(480, 1.0).captured_ns >= before_ns


def test_overflow_is_counted(use: Use) -> None:
    module = use(alsa(device("mic hw:0")))
    with MicrophoneSource() as source:
        module.streams[0].deliver(block(480, 0.1), overflow=True)
        assert source.read(480, 1.0).discontinuity
        assert source.num_dropped == 1


def test_windows_shares_the_device_and_lets_the_system_convert(use: Use) -> None:
    module = use(windows("Microphone (Yeti)"))
    with MicrophoneSource("yeti"):
        assert module.streams[0].options["extra_settings"] == {"auto_convert": True}


def test_no_microphone_names_the_other_ways(use: Use) -> None:
    use(alsa(device("speakers", inputs=0, outputs=2), default_indices=(-1, 0)))
    with pytest.raises(SourceError, match=r"No microphone was found; .*--audio FILE"):
        MicrophoneSource()


def test_a_microphone_that_cannot_be_opened_is_one_sentence(use: Use) -> None:
    use(alsa(device("mic hw:0"), refuse=lambda _: "Device unavailable [PaErrorCode -9985]\nmore"))
    with pytest.raises(SourceError, match=r"'mic hw:0' cannot be opened .*-9985.*permission") as e:
        MicrophoneSource()
    assert "\n" not in str(e.value)


def test_a_lost_device_is_opened_again_by_name_at_its_new_place(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = stream.DeviceKeeper
    monkeypatch.setattr(
        stream, "DeviceKeeper", lambda *a, **k: keeper(*a, **(k | {"poll_s": 0.001}))
    )
    module = use(alsa(device("Yeti hw:0")))
    with MicrophoneSource("yeti") as source:
        module.devices = [device("Webcam hw:0"), device("other hw:3")]
        module.streams[0].active = False  # unplugged
        while module.num_refreshes < 2:
            threading.Event().wait(0.001)
        module.devices = [device("Webcam hw:0"), device("Yeti hw:1", rate_hz=16000.0)]
        while len(module.streams) < 2:
            threading.Event().wait(0.001)
        assert module.streams[1].options["device"] == 1
        assert module.streams[1].options["samplerate"] == 16000
        for _ in range(30):
            module.streams[1].deliver(block(160, 0.5))
        samples = np.concatenate([source.read(480, 1.0).samples for _ in range(25)])
        assert samples.max() == pytest.approx(0.5, abs=0.1)
        assert source.num_losses == 1
