"""The benchmark measures everything in one run and says it as a card and as JSON. No times here."""

import io
import json
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import soundfile
from rich.console import Console

from rest_bridge import bench, bench_card
from rest_bridge.config import Config
from rest_bridge.latency import STAGES
from rest_bridge.pipeline import Pipeline
from tests.support.standins import standin_stages


class StandInLoader:
    """Loads stand-ins."""

    def __init__(self, config: Config) -> None:
        self.package = SimpleNamespace(name="stand-in-0", has=lambda _name: False)

    def still(self):
        return np.zeros((8, 8, 4), np.uint8)

    def pipeline(self, metrics, mode=None):
        return Pipeline(standin_stages(lookahead_ms=40), metrics=metrics)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> bench.Report:
    patch = pytest.MonkeyPatch()
    patch.setattr(bench, "Loader", StandInLoader)
    voice = tmp_path_factory.mktemp("bench") / "voice.wav"
    soundfile.write(voice, np.sin(np.arange(48_000) / 20) * 0.3, 48_000)
    told: list[float] = []
    try:
        return bench.measure(
            Config(), voice, seconds=1.5, progress=lambda done, _text: told.append(done)
        )
    finally:
        patch.undo()
        assert told == sorted(told)
        assert told[-1] == 1


def test_every_stage_and_the_live_stream_were_measured(report):
    assert set(report.offline.stages) == {"features", "motion", "decode", "chunk"}
    assert report.offline.rtf > 0
    assert report.offline.media_s == pytest.approx(1.5, abs=0.05)
    assert report.live.latency.count > 10
    assert report.live.seconds == pytest.approx(1.5, abs=0.5)
    assert report.live.fps > 0
    assert 0 <= report.live.first_still_s < report.live.first_frame_s
    assert report.peak_rss_mb > 10


def test_rig_values_are_there_before_their_picture(report):
    assert report.live.fast_rig.count == report.live.latency.count
    assert report.live.fast_rig.p50_ms < report.live.latency.p50_ms


def test_the_stages_of_a_frame_add_up_to_its_latency(report):
    stages = [report.live.stages[name] for name in STAGES]
    total_s = sum(stage.total_s for stage in stages)
    assert total_s == pytest.approx(report.live.latency.total_s, rel=1e-6)
    assert {stage.count for stage in stages} == {report.live.latency.count}
    assert report.live.stages["look_ahead"].p50_ms == pytest.approx(40, abs=1)
    assert report.live.stages["assembly"].max_ms == pytest.approx(40, abs=1)
    assert "outlet.probe" in report.live.stages


def test_picture_shows_the_figures_and_every_stage(report):
    svg = ET.fromstring(bench_card.picture(report))
    text = " ".join("".join(node.itertext()) for node in svg.iter())
    assert f"median {report.live.latency.p50_ms:.0f} ms" in text
    for name in STAGES:
        assert name.replace("_", " ") in text


def test_json_line_is_plain_and_complete(report):
    data = json.loads(json.dumps(bench_card.as_dict(report)))
    assert data["live"]["latency"]["p95_ms"] >= data["live"]["latency"]["p50_ms"]
    assert data["offline"]["stages"]["decode"]["count"] > 0
    assert data["model"] == "stand-in-0"
    assert "cores" in data["machine"]


def test_card_shows_what_matters(report):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(bench_card.card(report))
    text = console.export_text()
    for word in ("latency", "real-time factor", "peak memory", "first generated frame", "decode"):
        assert word in text


def test_a_fixed_tier_is_what_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "Loader", StandInLoader)
    seen: list[str] = []
    send = bench._Probe.send
    monkeypatch.setattr(
        bench._Probe, "send", lambda probe, frame: (seen.append(frame.tier), send(probe, frame))[1]
    )
    voice = tmp_path / "voice.wav"
    soundfile.write(voice, np.sin(np.arange(48_000) / 20) * 0.3, 48_000)
    bench.measure(Config(generator={"tier": "still"}), voice, seconds=0.5)
    assert seen[-1] == "still"
