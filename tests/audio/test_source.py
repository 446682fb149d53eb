"""One word, a device name or a file: what `open_source` makes of it."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rest_bridge.audio import loopback, system
from rest_bridge.audio import source as source_module
from rest_bridge.audio.file import FileSource
from rest_bridge.audio.pulse_recorder import DEFAULT_MICROPHONE
from rest_bridge.audio.source import open_source
from rest_bridge.errors import SourceError
from rest_bridge.sound import portaudio, pulse
from rest_bridge.sound.devices import DeviceList, SoundDevice
from rest_bridge.sound.pulse import PulseDevice, PulseServer
from tests.conftest import WavWriter
from tests.support.fake_sounddevice import alsa, device


@pytest.fixture
def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("list_inputs", "list_monitors"):
        monkeypatch.setattr(source_module, name, lambda: DeviceList((), "no sound server runs"))


@pytest.mark.parametrize("default", ["mic", "hdmi.monitor"])
def test_the_default_microphone_is_the_servers_unless_that_hears_what_is_played(
    default: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = tuple(
        PulseDevice(name, name, name.removesuffix(".monitor") if "." in name else "", 48_000, 2,
                    name == default)
        for name in ("mic", "hdmi.monitor")
    )  # fmt: skip
    monkeypatch.setattr(pulse, "query", lambda: PulseServer(sources, (), "hdmi"))
    monkeypatch.setattr(source_module, "can_record", lambda: True)
    for name in ("PulseSource", "MicrophoneSource"):
        monkeypatch.setattr(source_module, name, lambda *given, n=name, **_: (n, *given))
    expected = ("PulseSource", DEFAULT_MICROPHONE) if default == "mic" else ("MicrophoneSource",)
    assert open_source("mic") == expected


def test_a_file_is_a_file(write_wav: WavWriter) -> None:
    source = open_source(str(write_wav("voice.wav")), paced=False)
    assert isinstance(source, FileSource)
    assert not source.live
    source.close()


def test_a_file_that_has_a_devices_name_is_a_file(
    write_wav: WavWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wav("yeti")
    monkeypatch.chdir(tmp_path)
    open_source("yeti").close()


@pytest.mark.parametrize("spec", ["missing.wav", "./missing", "/no/such/file", "~/missing.MP3"])
def test_what_looks_like_a_file_is_missed_as_a_file(spec: str) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        open_source(spec)


@pytest.mark.usefixtures("no_devices")
@pytest.mark.parametrize("spec", ["Yeti", "Line In 1/2", "mike"])
def test_anything_else_is_a_device_and_the_ways_are_named(spec: str) -> None:
    with pytest.raises(SourceError, match=r"no sound server runs.*mic, system, push.*or a file"):
        open_source(spec)


@pytest.mark.usefixtures("no_devices")
def test_a_mistyped_word_is_recognised() -> None:
    with pytest.raises(SourceError, match="Did you mean 'push'"):
        open_source("pusch")


def test_nothing_is_refused() -> None:
    with pytest.raises(SourceError, match="No voice was named"):
        open_source("  ")


def test_gain_is_in_decibels_and_limited(write_wav: WavWriter) -> None:
    path = write_wav(level=0.5)
    with FileSource(path, paced=False) as plain:
        before = plain.read(24000, 1.0).samples
    softer = open_source(str(path), paced=False, gain_db=-6.0206)
    louder = open_source(str(path), paced=False, gain_db=40.0)
    assert np.abs(softer.read(24000, 1.0).samples - before / 2).max() < 1e-5
    assert louder.read(24000, 1.0).samples.max() == 1.0
    softer.close()
    louder.close()


def test_macos_names_blackhole_or_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    core_audio = [{"name": "Core Audio", "devices": [0]}]
    module = alsa(device("MacBook Microphone"))
    module.hosts = core_audio
    monkeypatch.setattr(portaudio, "load", lambda _: module)
    with pytest.raises(SourceError, match="install BlackHole"):
        system.open_system()
    module.devices.append(device("BlackHole 2ch", inputs=2))
    source = system.open_system()
    assert source.name == "BlackHole 2ch"
    source.close()


class FakePyAudio(ModuleType):
    """What of PyAudioWPatch we use."""

    paFloat32, paContinue, paInputOverflow = 1, 0, 2  # noqa: N815 - PortAudio's names

    def __init__(self) -> None:
        super().__init__("pyaudiowpatch")
        self.options: dict[str, Any] = {}
        self.closed = False

    def PyAudio(self) -> "FakePyAudio":  # noqa: N802 - PyAudio's name
        return self

    def open(self, **options: Any) -> Any:
        self.options = options
        return SimpleNamespace(is_active=lambda: True, close=lambda: None)

    def terminate(self) -> None:
        self.closed = True


def test_windows_loopback_is_mixed_to_the_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    module = FakePyAudio()
    monkeypatch.setitem(sys.modules, "pyaudiowpatch", module)
    monkeypatch.setattr(sys, "platform", "win32")
    speakers = SoundDevice(
        "monitor", "Speakers [Loopback]", "", "Windows WASAPI", 44100, 2, is_default=True, index=7
    )
    monkeypatch.setattr(loopback, "list_monitors", lambda: DeviceList((speakers,)))
    source = open_source("system")
    assert (module.options["rate"], module.options["input_device_index"]) == (44100, 7)
    data = np.tile(np.array([0.5, 0.1], np.float32), 441).tobytes()
    for _ in range(20):
        assert module.options["stream_callback"](data, 441, None, 0) == (None, module.paContinue)
    voice = source.read(4800, 1.0).samples
    assert np.abs(voice[500:] - 0.3).max() < 1e-3
    # Nothing plays, so nothing comes: the clock goes on with silence.
    rest = np.concatenate([source.read(480, 2.0).samples for _ in range(60)])
    assert not rest[-4800:].any()
    source.close()
    assert module.closed


def test_windows_without_the_extra_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "pyaudiowpatch", None)
    with pytest.raises(SourceError, match=r'pip install "rest-bridge\[loopback\]"'):
        open_source("system")
