"""Choosing a device by name, and listing without surprises."""

import json
import subprocess
import sys

import pytest

from rest_bridge.errors import SinkUnavailable, SourceError
from rest_bridge.sound import devices as devices_module
from rest_bridge.sound import portaudio, pulse
from rest_bridge.sound.devices import DeviceList, SoundDevice, choose, list_inputs, list_portaudio
from tests.support.fake_sounddevice import FakeSounddevice, alsa, device, windows


def sound_device(name: str, description: str = "") -> SoundDevice:
    return SoundDevice("input", name, description or name, "ALSA", 48000, 1, False, 0)


DEVICES = DeviceList(
    (
        sound_device("alsa_input.usb-Blue_Yeti-00", "Yeti Stereo Microphone"),
        sound_device("alsa_input.pci-0000_00_1f.3", "Built-in Audio"),
        sound_device("Mic", "Mic"),
    )
)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("alsa_input.usb-Blue_Yeti-00", 0),
        ("ALSA_INPUT.USB-BLUE_YETI-00", 0),
        ("yeti", 0),
        ("built-in audio", 1),
        ("  pci ", 1),
        ("mic", 2),  # the whole name wins over "Yeti Stereo Microphone"
    ],
)
def test_a_name_or_part_of_it_chooses_whatever_its_case(name: str, index: int) -> None:
    assert choose(DEVICES, name, SourceError) is DEVICES.devices[index]


def test_an_ambiguous_part_lists_the_candidates() -> None:
    with pytest.raises(SourceError, match=r"could be 'alsa_input\.usb.*, 'alsa_input\.pci.*more"):
        choose(DEVICES, "alsa_input", SourceError)


def test_an_unknown_name_names_the_nearest_and_all() -> None:
    with pytest.raises(SinkUnavailable, match=r"did you mean 'Mic'; there is .*Blue_Yeti.*'Mic'"):
        choose(DEVICES, "Mick", SinkUnavailable)


def test_an_empty_list_says_why() -> None:
    with pytest.raises(SourceError, match="nor any other of its kind: no server"):
        choose(DeviceList((), "no server"), "x", SourceError)


def test_two_entries_of_one_name_are_one_choice() -> None:
    twice = DeviceList((sound_device("Headset (hands-free)"), sound_device("Headset (hands-free)")))
    assert choose(twice, "hands-free", SourceError) is twice.devices[0]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch):
    def install(module: FakeSounddevice) -> FakeSounddevice:
        monkeypatch.setattr(portaudio, "load", lambda _: module)
        monkeypatch.setattr(pulse, "query", lambda: pulse.NO_SERVER)
        return module

    return install


def test_listing_keeps_what_can_record_and_marks_the_default(use) -> None:
    use(alsa(device("speakers", inputs=0, outputs=2), device("usb mic", rate_hz=44100.0),
             default_indices=(1, 0)))  # fmt: skip
    listed = list_inputs()
    assert [(d.name, d.rate_hz, d.is_default) for d in listed.devices] == [("usb mic", 44100, True)]
    assert [d.name for d in list_portaudio("output").devices] == ["speakers"]


def test_windows_lists_each_device_once_with_its_whole_name(use) -> None:
    name = "Microphone (Yeti Stereo Microphone, second one)"
    use(windows(name, "Line In"))
    listed = list_portaudio("input").devices
    assert [d.name for d in listed] == [name, "Line In"]
    assert [d.is_default for d in listed] == [True, False]
    assert {d.host for d in listed} == {"Windows WASAPI"}


def test_no_portaudio_library_is_an_empty_list_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Finder:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    monkeypatch.setattr(pulse, "query", lambda: pulse.NO_SERVER)
    listed = list_inputs()
    assert listed.devices == ()
    assert "sudo apt install libportaudio2" in listed.reason
    with pytest.raises(SinkUnavailable, match="libportaudio2"):
        portaudio.load(SinkUnavailable)


def test_macos_has_no_monitors_and_names_blackhole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "BlackHole" in devices_module.list_monitors().reason


def test_windows_without_the_extra_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert 'pip install "rest-bridge[loopback]"' in devices_module.list_monitors().reason


SOURCES = [
    {"name": "mic", "description": "Desk Mic", "sample_specification": "s16le 1ch 44100Hz"},
    {"name": "hdmi.monitor", "description": "Monitor of HDMI"},
]


def answer_pactl(monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(pulse.shutil, "which", lambda _: "/usr/bin/pactl")
    monkeypatch.setattr(pulse, "run_pactl", lambda *words: answers.get(" ".join(words)))


INFO = "Server Name: PulseAudio (on PipeWire 1.0)\nDefault Sink: hdmi\nDefault Source: mic\n"


def test_pulse_sources_are_read_from_json(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_pactl(
        monkeypatch,
        {"info": INFO, "--format=json list sources": json.dumps(SOURCES),
         "--format=json list sinks": "[]"},
    )  # fmt: skip
    server = pulse.query()
    assert isinstance(server, pulse.PulseServer)
    mic, monitor = server.sources
    assert (mic.description, mic.rate_hz, mic.num_channels, mic.is_default) == (
        "Desk Mic", 44100, 1, True,
    )  # fmt: skip
    assert (monitor.monitor_of, monitor.rate_hz) == ("hdmi", 48000)
    assert server.default_monitor == "hdmi.monitor"
    assert server.default_microphone == "mic"


def test_a_monitor_as_the_default_source_is_no_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    info = INFO.replace("Default Source: mic", "Default Source: hdmi.monitor")
    answer_pactl(
        monkeypatch,
        {"info": info, "--format=json list sources": json.dumps(SOURCES),
         "--format=json list sinks": "[]"},
    )  # fmt: skip
    server = pulse.query()
    assert isinstance(server, pulse.PulseServer)
    assert server.default_microphone == ""


def test_pulse_before_version_16_is_read_from_the_short_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = "0\tmic\tmodule-alsa-card.c\ts16le 2ch 48000Hz\tIDLE\n"
    answer_pactl(
        monkeypatch,
        {"info": INFO, "--format=json list sources": "not json", "list short sources": short},
    )
    server = pulse.query()
    assert isinstance(server, pulse.PulseServer)
    assert [(s.name, s.num_channels) for s in server.sources] == [("mic", 2)]


def test_no_server_and_no_tools_are_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_pactl(monkeypatch, {})
    assert pulse.query() == pulse.NO_SERVER
    monkeypatch.setattr(pulse.shutil, "which", lambda _: None)
    assert "pulseaudio-utils" in str(pulse.query())


def test_a_pactl_that_hangs_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("pactl", 3.0)

    monkeypatch.setattr(pulse.subprocess, "run", hang)
    assert pulse.run_pactl("info") is None
