import json
import math
from pathlib import Path

import pytest

from rest_bridge.errors import ConfigError
from rest_bridge.training.evaluation import command, report, targets
from rest_bridge.training.evaluation.jobs import Row


def _rows() -> list[Row]:
    rows = [
        Row("lips", "strangers", clip, "p", {"r": r, "sentence": r, "gain": 0.5, "range": 1.0})
        for clip, r in (("a", 0.6), ("b", 0.8))
    ]
    rows += [
        Row("lips", f"language: {name}", name, "p", {"sentence": value})
        for name, value in (("English", 0.8), ("German", 0.6), ("Hindi", 0.6))
    ]
    return rows


def _verdict(name: str) -> targets.Verdict:
    return next(v for v in targets.verdicts(_rows()) if v.target.name == name)


def test_a_demand_is_met_by_the_mean_over_clips() -> None:
    found = _verdict("strangers: aperture, whole clip")
    assert found.met is True
    assert found.found.mean == pytest.approx(0.7)
    assert found.found.num_clips == 2


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert _verdict("blinks a minute").met is None
    assert "blinks a minute" not in report.as_markdown(report.Report({}, _rows()))


def test_languages_are_judged_against_english() -> None:
    found = _verdict("eight languages over English")
    assert found.found.mean == pytest.approx(0.75)
    assert found.met is False


def test_a_missed_demand_is_said_plainly() -> None:
    text = report.as_markdown(report.Report({"package": "x"}, _rows()))
    assert "| eight languages over English | ≥ 0.90 | 0.75" in text
    assert "**no**" in text
    assert "### Lips in the pictures" in text


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [*_rows(), Row("lips", "strangers", "c", "p", {"r": math.nan})]
    path, text = report.write(report.Report({"package": "x"}, rows), tmp_path)
    again = report.read(path)
    assert report.as_markdown(again) == text.read_text(encoding="utf-8")
    content = json.loads(path.read_text())
    assert {t["name"] for t in content["targets"]} == {t.name for t in targets.TARGETS}


def test_a_file_that_is_no_report_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(ConfigError, match="no report"):
        report.read(tmp_path / "x.json")


def test_an_unknown_subset_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--assets", str(tmp_path), "--out", str(tmp_path), "--only", "lisp"]
    assert command.main(words) == 2
    assert "choose from rig, lips" in capsys.readouterr().err


def test_missing_data_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--assets", str(tmp_path / "none"), "--out", str(tmp_path), "--only", "lips"]
    assert command.main(words) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len([line for line in told if "--assets" in line]) == 1
