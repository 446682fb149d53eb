"""Chirps are found where they are, and the real way through a sound server is measured."""

import json

import numpy as np
import pytest

from rest_bridge import round_trip
from rest_bridge.cli import run
from rest_bridge.errors import SinkError, SinkUnavailable
from rest_bridge.round_trip import chirp, find_chirps
from rest_bridge.sound import cable, pulse
from rest_bridge.sync_listeners import Ear, punctual
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


def test_times_of_a_recording_do_not_depend_on_when_somebody_looked() -> None:
    rng = np.random.default_rng(0)
    blocks = []
    for index in range(600):
        late_s = float(rng.exponential(0.01)) if index % 7 else 0.0
        captured_ns = round((5.0 + 0.01 * (index + 1) + 0.003 + late_s) * 1e9)
        blocks.append((np.full(480, index, np.float32), captured_ns))
    samples, ends_ns = punctual(blocks)
    assert len(samples) == 600 * 480
    np.testing.assert_allclose(ends_ns / 1e9, 5.003 + 0.01 * np.arange(1, 601), atol=2e-4)


def test_times_follow_a_device_that_lost_samples_and_blocks_of_any_length() -> None:
    blocks, at_s = [], 0.0
    for index in range(1000):
        size = (441, 960, 128)[index % 3]
        at_s += size / 48_000 + (0.25 if index == 500 else 0.0)
        blocks.append((np.zeros(size, np.float32), round(at_s * 1e9)))
    samples, ends_ns = punctual(blocks)
    assert len(ends_ns) == len(samples) // 480
    heard_s = np.arange(480, len(samples) + 1, 480) / 48_000
    off_s = ends_ns / 1e9 - heard_s
    assert np.abs(off_s[:300]).max() < 1e-4
    assert np.abs(off_s[-300:] - 0.25).max() < 1e-4


def test_an_ear_takes_samples_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    from rest_bridge.audio import source as sources
    from rest_bridge.audio.live_source import LiveSource

    device = LiveSource("an ear")
    monkeypatch.setattr(sources, "open_source", lambda *_, **__: device)
    ear = Ear("any")
    device.feed.start(48_000)
    click = np.zeros(480, np.float32)
    click[100:340] = 0.5
    for index in range(8):  # in a burst, the last one in time
        device.write(
            click if index == 3 else 0 * click, round((2.0 + 0.01 * index) * 1e9), rate_hz=48_000
        )
    samples, ends_ns = ear.recording()
    assert len(samples) == 8 * 480
    assert ends_ns[3] == pytest.approx(2.03e9, abs=1e3)
