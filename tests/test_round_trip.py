"""Chirps are found where they are, and the real way through a sound server is measured."""

import json

import numpy as np
import pytest

from rest_bridge import round_trip
from rest_bridge.cli import run
from rest_bridge.errors import SinkError, SinkUnavailable
from rest_bridge.round_trip import chirp, find_chirps
from rest_bridge.sound import cable, pulse
from rest_bridge.types import VOICE_RATE_HZ
from tests.support.pulse import PulseAudio


def test_chirps_are_found_to_the_sample_in_noise_echo_and_at_any_level() -> None:
    rng = np.random.default_rng(0)
    heard = rng.normal(0, 0.005, 3 * VOICE_RATE_HZ).astype(np.float32)
    places = [5000, 29_000, 53_000, 77_000, 101_000]
    for place in places:
        heard[place : place + 2400] += 0.1 * chirp()
        heard[place + 700 : place + 3100] += 0.04 * chirp()
    found = find_chirps(heard)
    assert [place for place, _ in found] == places
    assert [level for _, level in found] == pytest.approx([0.1] * 5, abs=0.01)


def test_music_and_silence_hold_no_chirps() -> None:
    times = np.arange(2 * VOICE_RATE_HZ) / VOICE_RATE_HZ
    music = sum(np.sin(2 * np.pi * hz * times) for hz in (220, 277, 330)) / 6
    assert find_chirps(music.astype(np.float32)) == []
    assert find_chirps(np.zeros(VOICE_RATE_HZ, np.float32)) == []
    assert find_chirps(np.zeros(10, np.float32)) == []


@pytest.mark.device
@pytest.mark.usefixtures("in_real_time")
def test_the_way_through_a_null_sink_is_measured_and_like_what_the_device_says(
    pulse: PulseAudio,
) -> None:
    del pulse
    found = round_trip.measure("rb_speakers", "rb_speakers.monitor", seconds=4.0)
    assert found.num_heard >= 4
    assert 5 < found.round_trip_ms < 150
    assert abs(found.round_trip_ms - found.reported_ms) < 40
    assert found.level_db == pytest.approx(0.0, abs=1.0)


@pytest.mark.device
@pytest.mark.usefixtures("in_real_time")
def test_what_is_not_heard_is_one_sentence_with_the_remedy(pulse: PulseAudio) -> None:
    del pulse
    with pytest.raises(SinkUnavailable, match=r"0 were heard by 'rb_mic'.*--hear"):
        round_trip.measure("rb_speakers", "rb_mic", seconds=2.0)


@pytest.mark.device
def test_a_cable_is_made_once_and_taken_away(pulse: PulseAudio) -> None:
    assert cable.find() is None
    assert cable.create() == cable.create() == cable.find()
    sources = pulse.pactl("list", "short", "sources") or ""
    assert sources.count(cable.MICROPHONE) == 1
    assert run(["cable", "remove"]) == 0
    assert cable.find() is None
    assert not cable.remove()


def test_without_a_server_the_cable_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "query", lambda: pulse.NO_SERVER)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(SinkError, match="cannot be made: no PulseAudio"):
        cable.create(SinkError)


@pytest.mark.device
@pytest.mark.slow
@pytest.mark.usefixtures("in_real_time")
def test_doctor_measures_sound_against_picture(
    pulse: PulseAudio, capsys: pytest.CaptureFixture[str]
) -> None:
    del pulse
    code = run(["doctor", "--sync", "--voice-out", "rb_cable", "--seconds", "9", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (code, found["ok"]) == (0, True), found
    assert {row["outlet"] for row in found["rows"]} == {
        "recording .mp4",
        "ZeroMQ",
        "output device rb_cable",
    }
