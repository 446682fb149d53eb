import math
from pathlib import Path

import pytest

from rest_bridge.errors import ConfigError
from rest_bridge.inference.package import ModelPackage
from rest_bridge.training.evaluation.jobs import Job, Row, RowCache, fingerprint, run_jobs


def _counting(key: str, log: list[str], value: float = 1.0) -> Job:
    def run() -> list[Row]:
        log.append(key)
        return [Row("lips", "g", key, "p", {"r": value})]

    return Job(key, run)


def test_a_rerun_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    log: list[str] = []

    def stop() -> list[Row]:
        raise KeyboardInterrupt

    jobs = [_counting("a", log), Job("b", stop), _counting("c", log)]
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, RowCache(tmp_path))
    jobs[1] = _counting("b", log)
    rows = run_jobs(jobs, RowCache(tmp_path))
    assert log == ["a", "b", "c"]
    assert [row.clip for row in rows] == ["a", "b", "c"]


def test_a_damaged_file_is_measured_again(tmp_path: Path) -> None:
    log: list[str] = []
    run_jobs([_counting("a", log)], RowCache(tmp_path))
    next(tmp_path.glob("*.json")).write_text("{")
    run_jobs([_counting("a", log)], RowCache(tmp_path))
    assert log == ["a", "a"]


def test_what_is_unknown_stays_unknown(tmp_path: Path) -> None:
    cache = RowCache(tmp_path)
    run_jobs([_counting("a", [], math.nan)], cache)
    found = cache.read("a")
    assert found is not None
    assert math.isnan(found[0].values["r"])


def test_equal_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="share a key"):
        run_jobs([_counting("a", []), _counting("a", [])], RowCache(tmp_path))


def test_progress_tells_each_job(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    jobs = [_counting(key, []) for key in "abc"]
    run_jobs(jobs, RowCache(tmp_path), lambda n, of, _: told.append((n, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_another_setting_or_package_is_another_measurement(tmp_path: Path) -> None:
    one = ModelPackage(tmp_path, {"files": {"a": {"sha256": "1"}}})
    other = ModelPackage(tmp_path, {"files": {"a": {"sha256": "2"}}})
    marks = {fingerprint(one, 0), fingerprint(one, 1), fingerprint(other, 0)}
    assert len(marks) == 3
    assert fingerprint(one, 0) == fingerprint(one, 0)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--out"):
        RowCache(tmp_path / "file" / "rows")
