"""Training settings: every key checked, every mistake one sentence."""

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("scipy")

from rest_bridge.errors import ConfigError
from rest_bridge.training.settings import STAGES, read_settings

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "train"


@pytest.mark.parametrize("name", ["nano.toml", "paper.toml"])
def test_shipped_settings_are_valid(name: str) -> None:
    settings = read_settings(CONFIGS / name)
    for stage in STAGES:
        assert getattr(settings, stage)


def test_the_papers_settings_are_the_papers_figures() -> None:
    settings = read_settings(CONFIGS / "paper.toml")
    dit = settings.model.dit()
    assert (dit.num_blocks, dit.width, dit.window) == (28, 2048, 3)
    assert settings.teacher.num_latents == 4 * settings.teacher.chunk_latents
    assert (settings.teacher.synchronous, settings.teacher.drop_audio) == (0.5, 0.1)
    assert (settings.asd.contrastive, settings.asd.smoothness) == (0.2, 0.2)
    assert settings.teacher.learning_rate == settings.asd.learning_rate == 1e-5


def test_changes_win_over_the_file() -> None:
    changes = ["teacher.batch_size=7", "data=/some/folder", "asd.contrast_on=clean", "seed=5"]
    settings = read_settings(CONFIGS / "nano.toml", changes)
    assert settings.teacher.batch_size == 7
    assert (settings.data, settings.asd.contrast_on, settings.seed) == ("/some/folder", "clean", 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("teacher.learning_rat=1.0", "teacher.learning_rat is no setting; known are .*learning_ra"),
        ("teachr.steps=1", "teachr is no setting"),
        ("teacher.steps=many", "teacher.steps = 'many' must be of kind int, not str"),
        ("teacher.steps=-3", "teacher.steps = -3 must not be negative"),
        ("teacher.learning_rate=-1", "teacher.learning_rate = -1.0 must not be negative"),
        ("teacher.batch_size=0", "teacher.batch_size = 0 must be at least 1"),
        ("student.tract=30", "student.tract = 30.0 is a share and must not be above 1"),
        ("student.precision=fp16", "precision = 'fp16' does not exist; choose bf16 or float32"),
        ("asd.contrast_on=noise", "'noise' does not exist; choose velocity or clean"),
        ("teacher=3", "teacher must be a section"),
        ("model.context=foggy", "context = 'foggy' does not exist; choose one of clean, last"),
        ("nothing", "changes no setting; write section.key=value"),
    ],
)
def test_wrong_settings_are_refused(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_settings(CONFIGS / "nano.toml", [change])


def test_a_file_without_data_or_without_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_settings(path)
    path.write_text("data = ")
    with pytest.raises(ConfigError, match="not TOML"):
        read_settings(path)
    path.write_text("seed = 1")
    with pytest.raises(ConfigError, match="lack `data`"):
        read_settings(path)
