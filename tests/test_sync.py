"""Clicks and flashes through the real outlets: sound and picture come out together."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rest_bridge import sync
from rest_bridge.flash import PERIOD_S, click_track, find_clicks, flash_stages, is_flash, rising
from rest_bridge.pipeline import Pipeline
from rest_bridge.sinks.video_writer import VideoWriter
from rest_bridge.sinks.voice_output import DELAY_S
from rest_bridge.types import (
    FRAME_DURATION_NS,
    SAMPLES_PER_FRAME,
    VOICE_RATE_HZ,
    AudioChunk,
    FrameFormat,
)
from tests.support.chromium import find_chromium
from tests.support.outlets import PreviewListener, camera_flashes_s, stand_in_camera
from tests.support.pulse import PulseAudio

SECONDS = 14.0
Record = Callable[[str, object], None]


def test_the_pipeline_flashes_exactly_in_the_frames_that_hold_a_click() -> None:
    voice = click_track(5.0)
    pipeline = Pipeline(flash_stages(16))
    frames = pipeline.push(AudioChunk(voice, VOICE_RATE_HZ, 0, 0)) + pipeline.finish()
    ups = rising([is_flash(frame.rgba) for frame in frames])
    assert [up * SAMPLES_PER_FRAME for up in ups] == find_clicks(voice)
    assert np.diff(ups).tolist() == [round(PERIOD_S * 25)] * (len(ups) - 1)


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".mov"])
@pytest.mark.parametrize("late_ms", [0, 40])
def test_a_recording_is_read_back_with_the_offset_that_it_has(
    tmp_path: Path, ending: str, late_ms: int
) -> None:
    voice, path = click_track(5.0), tmp_path / f"clicks{ending}"
    pipeline = Pipeline(flash_stages(64))
    frames = pipeline.push(AudioChunk(voice, VOICE_RATE_HZ, 0, 0)) + pipeline.finish()
    with VideoWriter(path, FrameFormat(64, 64, 25.0), background="black") as writer:
        for frame in frames:
            first = frame.index * SAMPLES_PER_FRAME + late_ms * VOICE_RATE_HZ // 1000
            writer.write(frame.rgba, frame.index * FRAME_DURATION_NS)
            writer.write_voice(frame.voice.samples, first)
    found = sync.row(sync.Taken("file", "", *sync.read_recording(path)))
    assert found.num_pairs >= 4
    assert found.median_ms == pytest.approx(late_ms, abs=1.5)
    assert found.ok is (late_ms == 0)


def test_pairs_are_of_neighbours_and_too_few_are_a_problem() -> None:
    assert sync.pair([1.02, 2.0, 9.0], [1.0, 2.01, 5.0]) == pytest.approx([0.02, -0.01])
    assert sync.pair([], [1.0]) == []
    assert "too few" in sync.row(sync.Taken("x", "", [1.0], [1.0, 2.0, 3.0])).problem


def test_a_crackle_louder_than_the_clicks_hides_none_of_them() -> None:
    voice = 0.4 * click_track(9.0)
    found = find_clicks(voice)
    crackled = voice.copy()
    crackled[100_000:100_003] = 1.0
    assert [at for at in find_clicks(crackled) if abs(at - 100_000) > 3] == found


def test_what_begins_inside_its_frame_is_no_fault_of_the_outlet() -> None:
    flashes = [1.0 + n for n in range(9)]
    taken = sync.Taken("x", "", [at + 0.030 for at in flashes], flashes)
    inside = [(at + 0.01, 0.022) for at in flashes]
    assert sync.row(taken).median_ms == pytest.approx(30.0)
    assert sync.row(taken.without(inside)).median_ms == pytest.approx(8.0)
    assert sync.row(taken.between(3.0, 6.0)).num_pairs == 3
    assert taken.without([]) == taken


@pytest.mark.device
@pytest.mark.slow
@pytest.mark.usefixtures("in_real_time")
@pytest.mark.skipif(
    importlib.util.find_spec("pyvirtualcam") is None or sys.platform != "linux",
    reason="needs pyvirtualcam on Linux",
)
def test_all_outlets_at_once(
    pulse: PulseAudio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    del pulse
    camera, fake = stand_in_camera(tmp_path, monkeypatch)
    turns = sync.TurnSink()
    voice = sync.VoiceListener("rb_cable", "rb_cable.monitor")
    voice.pictures = {
        "the camera": lambda since_ns: camera_flashes_s(fake, since_ns),
        "when a camera shows it": lambda since_ns: [
            at + DELAY_S for at in turns.flashes_s(since_ns)
        ],
    }
    listeners = [
        sync.RecordingListener(tmp_path / "clicks.mp4"),
        sync.ZeroMqListener(),
        voice,
    ]
    rows = sync.measure(listeners, seconds=SECONDS, extra=[turns, camera])
    for row in rows:
        record_property(f"{row.outlet}, {row.how}", (row.median_ms, row.least_ms, row.most_ms))
    assert len(rows) == 5
    assert [row for row in rows if not row.ok] == []
    assert min(row.num_pairs for row in rows) >= 5
    by_stamp = [row for row in rows if row.how.startswith(("stamps", "demuxed"))]
    assert max(abs(row.median_ms) for row in by_stamp) < 1.5


@pytest.mark.device
@pytest.mark.slow
@pytest.mark.usefixtures("in_real_time")
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium here (apt install chromium)")
def test_a_browser_shows_what_it_plays(pulse: PulseAudio, record_property: Record) -> None:
    del pulse
    listener = PreviewListener("rb_speakers.monitor")
    try:
        rows = sync.measure([listener], seconds=SECONDS + 8)
    finally:
        listener.close()
    record_property("preview", (rows[0].median_ms, rows[0].least_ms, rows[0].most_ms))
    assert rows[0].num_pairs >= 5
    assert rows[0].ok, rows
