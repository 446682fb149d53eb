"""Spans, floors and comparisons: what `bench` says of a computer adds up. No times are judged."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from rest_bridge import bench_rates, machine, stage_profile
from rest_bridge.bench_compare import compare, read_report, table
from rest_bridge.config import Config
from rest_bridge.errors import ConfigError
from rest_bridge.machine import Peaks
from rest_bridge.stage_profile import Profile
from rest_bridge.trace import recording, span


def _spin(count: int) -> None:
    sum(range(count))


def test_a_span_counts_only_what_no_span_inside_it_counts() -> None:
    with recording() as recorder, span("outer"):
        _spin(1000)
        with span("inner"):
            _spin(300_000)
    (outer,), (inner,) = recorder.durations_ns["outer"], recorder.durations_ns["inner"]
    assert inner > outer


def test_spans_cost_nothing_and_keep_nothing_while_nobody_measures() -> None:
    assert span("one") is span("two")
    with recording() as recorder:
        pass
    with span("late"):
        pass
    assert recorder.durations_ns == {}


def test_threads_do_not_count_for_each_other() -> None:
    with recording() as recorder, span("main"):
        thread = threading.Thread(target=lambda: span("other").__enter__())
        thread.start()
        thread.join()
    assert len(recorder.durations_ns["main"]) == 1


def test_a_floor_is_the_longer_of_arithmetic_and_bytes() -> None:
    peaks = Peaks(gflops=100.0, copy_gb_per_s=10.0)
    assert peaks.floor_ms(1e9, 0) == pytest.approx(10.0)
    assert peaks.floor_ms(1e9, 1e9) == pytest.approx(100.0)


def test_this_computer_can_say_what_it_is() -> None:
    assert machine.num_cores() >= 1
    assert machine.describe_machine()
    assert machine.calibration_ms() > 0


def _profile() -> Profile:
    stages = stage_profile.summarise(
        {"warp": [2_000_000] * 25, "jpeg": [1_000_000] * 25, "unknown": [1]}, 1.0, {"warp": 0.5}
    )
    return Profile("a machine", 512, 25, 1.0, Peaks(100, 10), stages, 5.0)


def test_stages_say_how_many_times_their_floor_they_take() -> None:
    warp, jpeg = _profile().stages
    assert (warp.name, warp.per_second, warp.ms) == ("warp", 25.0, 2.0)
    assert warp.core_percent == pytest.approx(5.0)
    assert warp.times_floor == pytest.approx(4.0)
    assert jpeg.times_floor == 0.0


def test_the_profile_is_a_table_a_picture_and_plain_json() -> None:
    result = _profile()
    assert stage_profile.card(result).row_count == 3
    text = " ".join(
        "".join(n.itertext()) for n in ET.fromstring(stage_profile.picture(result)).iter()
    )
    assert "warp" in text
    assert "jpeg" not in text  # only for those who ask
    assert json.loads(json.dumps(stage_profile.as_dict(result)))["size_px"] == 512


def _report(rtf: float, calibration: float, **other: object) -> dict:
    return {
        "size_px": 512, "fps": 25, "chunk": 1, "calibration_ms": calibration, "peak_rss_mb": 300,
        "offline": {"rtf": rtf, "stages": {}}, "live": {"latency": {"p50_ms": 130}}, **other,
    }  # fmt: skip


def test_a_busier_moment_is_taken_out_by_the_calibration() -> None:
    lines = {line.name: line for line in compare(_report(0.4, 10.0), _report(0.8, 20.0))}
    assert lines["real-time factor"].ratio == pytest.approx(2.0)
    assert lines["real-time factor"].calibrated == pytest.approx(1.0)
    assert lines["peak memory, MB"].calibrated == 0.0
    assert table(list(lines.values())).row_count == len(lines)


def test_load_that_came_later_is_taken_out_by_what_was_measured_in_between() -> None:
    reports = [_report(0.4, 10.0), _report(0.8, 10.0)]
    for report, between_ms in zip(reports, (12.0, 24.0), strict=True):
        report["offline"]["calibration_ms"] = between_ms
    (rtf, *_) = compare(*reports)
    assert (rtf.ratio, rtf.calibrated) == (pytest.approx(2.0), pytest.approx(1.0))
    del reports[0]["offline"]["calibration_ms"]  # an old report: only what both have counts
    assert compare(*reports)[0].calibrated == pytest.approx(2.0)


def test_reports_of_other_sizes_are_not_compared() -> None:
    with pytest.raises(ConfigError, match="size_px 512 and 1080"):
        compare(_report(1, 1), _report(1, 1, size_px=1080))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}'])
def test_what_is_no_report_is_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match="bench --json"):
        read_report(path)
    path.write_text(json.dumps(_report(1, 1)))
    assert read_report(path)["fps"] == 25


def test_a_rates_cost_is_the_median_of_rounds_in_which_both_took_turns() -> None:
    # The machine was busier in the second round: both rates took twice as long.
    costs = {25: [(0.4, 0.01, 0.1), (0.8, 0.01, 0.1), (0.4, 0.01, 0.1)],
             60: [(0.5, 0.03, 0.2), (1.0, 0.03, 0.2), (0.6, 0.03, 0.2)]}  # fmt: skip
    base, other = bench_rates.summarise(costs)
    assert (base.ratio, base.low, base.high) == (1.0, 1.0, 1.0)
    assert other.ratio == pytest.approx(1.25)
    assert (other.low, other.high) == (1.25, 1.5)
    assert other.publish == pytest.approx(0.03)
    assert bench_rates.card([base, other]).row_count == 2


def test_rates_are_measured_in_turns_on_this_machine(write_wav: Callable[..., Path]) -> None:
    voice = write_wav(seconds=3.0)
    config = Config(output={"size": 64})  # pyright: ignore[reportArgumentType]
    found = bench_rates.measure(config, voice, seconds=2, rates=(25, 50))
    assert [one.fps for one in found] == [25, 50]
    assert all(one.cores > 0 and one.publish > 0 and one.camera > 0 for one in found)


@pytest.mark.parametrize("text", ["25", "fast", "25,", ""])
def test_a_list_of_rates_that_is_none_is_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="25,60"):
        bench_rates.parse_rates(text)
