"""Comparisons and ablations at toy size: one switch each, equal budget, one table."""

import dataclasses
import inspect
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")
pytest.importorskip("tensorboard")

from rest_bridge.inference.package import ModelPackage  # noqa: E402
from rest_bridge.training import (  # noqa: E402
    ablation,
    comparison,
    emotion_shapes,
    speech_metrics,
    stages,
    trials,
)
from rest_bridge.training.__main__ import main  # noqa: E402
from rest_bridge.training.settings import (  # noqa: E402
    SHIPPED_STEPS,
    StudentSettings,
    read_settings,
)
from rest_bridge.training.speech_metrics import Clip  # noqa: E402
from rest_bridge.training.speech_sessions import Session  # noqa: E402
from tests.support.toy_training import toy_settings  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a teacher and a student of a few steps."""
    path = tmp_path_factory.mktemp("trials")
    settings = toy_settings(toy_folder)
    run = ["--config", str(settings), "--set", f"out={path}", "--steps", "4"]
    for stage in ("speech", "teacher", "student"):
        assert main([stage, *run]) == 0
    return path


def test_weights_are_judged_with_as_many_steps_as_are_shipped() -> None:
    shipped = int(ModelPackage.load(verify=False).section("dit")["steps"])
    assert shipped == SHIPPED_STEPS == StudentSettings().validate_steps
    judges = (trials.judge, speech_metrics.generate, emotion_shapes.settle_emotions)
    defaults = [inspect.signature(judge).parameters["num_steps"].default for judge in judges]
    assert set(defaults) == {SHIPPED_STEPS}
    assert not any("num_steps" in ablation.SAMPLED[name] for name in (ablation.FULL, "chunk 2"))


def test_variants_differ_in_one_switch_each(toy_folder: Path) -> None:
    settings = read_settings(toy_settings(toy_folder))
    found = comparison.variants(settings)
    assert len(found) == 1 + 2 + 2 + 2 + 1
    for name, changes in found.items():
        assert len(changes) == (name != "as set")
        dataclasses.replace(settings.model, **changes).dit()


def test_a_comparison_is_one_table_at_equal_steps(
    folder: Path, toy_folder: Path, toy_sessions: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = {"as set": {}, "context = level": {"context": "level"}}
    monkeypatch.setattr(comparison, "variants", lambda _: some)
    table = comparison.compare(
        read_settings(toy_settings(toy_folder)), folder / "speech.pt", folder / "compare", steps=2,
        held_out=toy_sessions[:1], sessions=toy_sessions,
    )  # fmt: skip
    lines = table.splitlines()
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {len(trials.COLUMNS) + 3}
    assert (folder / "compare" / "compare.md").read_text().strip() == table


def test_several_seeds_say_whether_a_difference_is_chance() -> None:
    base = [{"score": s} for s in (1.0, 1.2, 1.4)]
    better = [{"score": s} for s in (1.11, 1.30, 1.49)]  # by 0.1 +- 0.01 with each seed
    other = [{"score": s} for s in (1.3, 1.1, 1.5)]  # by 0.1 too, by chance
    table = comparison.summary("3 seeds", {"as set": base, "a": better, "b": other})
    cells = {row.split("|")[1].strip(): row.split("|")[2:-1] for row in table.splitlines()[2:]}
    gain, interval = (float(x) for x in cells["a"][1:])
    assert gain == pytest.approx(0.1)
    assert interval < gain
    gain, interval = (float(x) for x in cells["b"][1:])
    assert gain == pytest.approx(0.1)
    assert interval > gain
    assert cells["as set"][1].strip() == ""


def test_ablations_take_one_thing_away(
    folder: Path, toy_folder: Path, toy_sessions: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = (ablation.FULL, "no ID-Sink", "no Context-Cache")
    monkeypatch.setattr(ablation, "SAMPLED", {name: ablation.SAMPLED[name] for name in some})
    rows = ablation.sampled(folder / "student.pt", toy_sessions[:1])
    full, blind = rows[ablation.FULL], rows["no ID-Sink"]
    # Without the sink the reference's 8 and 4 degrees are not even heard of.
    assert blind["identity_deg"] == pytest.approx(6.0, abs=1e-4)
    assert full["identity_deg"] != pytest.approx(6.0, abs=1e-4)
    assert rows["no Context-Cache"]["jitter"] != full["jitter"]
    monkeypatch.setattr(ablation, "TUNED", {"no ASD": ablation.TUNED["no ASD"]})
    monkeypatch.setattr(ablation, "WINDOWS", (2,))
    settings = dataclasses.replace(read_settings(toy_settings(toy_folder)), out=str(folder))
    tuned = ablation.tuned(
        settings, folder / "ablate", steps=2, held_out=toy_sessions[:1], sessions=toy_sessions
    )
    assert list(tuned) == ["before", "no ASD", "ASD, cache 3 (with the reference)"]


def test_a_seam_is_seen_and_smooth_motion_has_none(toy_sessions: list[Session]) -> None:
    rng = np.random.default_rng(0)
    smooth = np.cumsum(np.cumsum(rng.standard_normal((120, 58)), 0), 0).astype(np.float32)
    torn = smooth + np.repeat(rng.standard_normal((20, 58)) * 20, 6, 0).astype(np.float32)

    def seam(rig: np.ndarray) -> float:
        clip = Clip(toy_sessions[0], rig, rig, rig[:, 0])
        return trials._seam([clip], frames_per_chunk=6)

    assert 0.7 < seam(smooth) < 1.4
    assert seam(torn) > 3


def test_a_table_has_a_cell_for_every_column() -> None:
    table = trials.markdown_table("x", {"a": {"r": 0.5}, "b": {"r": 0.25, "more": 1.0}})
    assert table.splitlines() == [
        "| x | r | more |", "| --- | --- | --- |", "| a | 0.500 |  |", "| b | 0.250 | 1.000 |",
    ]  # fmt: skip
    assert stages.STAGES[-1] == "distill"
