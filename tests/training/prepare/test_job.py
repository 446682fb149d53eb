"""A run over many videos: reasons, resume, a full disk, a kill at any moment."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("scipy")

from rest_bridge.errors import ConfigError
from rest_bridge.inference.package import DEFAULT_PACKAGE, ModelPackage
from rest_bridge.training.prepare import __main__ as command
from rest_bridge.training.prepare import clips, faces, job
from rest_bridge.training.prepare.faces import NO_FACE, TOO_SMALL, Tracked
from tests.training.prepare.films import counted, points_at, voice, write_film

SETTINGS = job.Settings(size_px=64, least_s=1.0, most_s=2.0, check_sync=False)


@pytest.fixture(scope="module")
def package() -> ModelPackage:
    return ModelPackage.load(DEFAULT_PACKAGE, verify=False)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Instead of the nets: a face in every picture but white ones; counts the films looked at."""
    films: list[int] = []

    def follow(pictures, _package, *, scale: float, limits: faces.Limits) -> Tracked:
        shown = [picture for picture, _ in pictures]
        films.append(len(shown))
        verdicts = tuple(NO_FACE if picture.mean() > 240 else "" for picture in shown)
        return Tracked(points_at(len(shown)), verdicts, np.zeros(len(shown), bool))

    monkeypatch.setattr(faces, "follow", follow)
    return films


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "films"
    folder.mkdir()
    white = [np.full((64, 64, 3), 255, np.uint8)] * 40
    (folder / "garbage.mp4").write_bytes(bytes(range(256)) * 50)
    return [
        write_film(folder / "good.mkv", counted(75), voice(3.0)),
        write_film(folder / "white.mkv", white, voice(1.6)),
        folder / "garbage.mp4",
        write_film(folder / "short.mkv", counted(20), voice(0.8)),
        write_film(folder / "mixed.mkv", [*white, *counted(50)], voice(3.6)),
        folder / "nowhere.mp4",
    ]


def reasons(entries: list[job.Entry]) -> dict[str, str]:
    return {Path(e.file).stem: e.reason for e in entries}


@pytest.mark.usefixtures("looks")
def test_good_stretches_are_kept_and_every_other_file_has_its_reason(
    tmp_path: Path, films: list[Path], package: ModelPackage
) -> None:
    entries = job.Job(tmp_path / "out", package, SETTINGS).run(films)
    assert reasons(entries) == {
        "good": "", "white": "no face", "garbage": "broken file", "short": "too short",
        "mixed": "", "nowhere": "missing file",
    }  # fmt: skip
    assert [clip["seconds"] for clip in entries[0].clips] == [1.48, 1.52]
    assert entries[4].refused == {"no face": 1.6}
    assert entries[4].clips[0]["first_s"] == 1.6
    assert all(e.detail for e in entries if e.reason)
    told = job.summary(entries)
    assert (told["files"], told["files_kept"], told["clips"]) == (6, 2, 3)
    assert len(list((tmp_path / "out" / "clips").glob("*.mkv"))) == 3
    assert not list((tmp_path / "out").rglob("*.part"))


def test_a_second_run_does_nothing_again_and_a_changed_file_is_done_anew(
    tmp_path: Path, films: list[Path], package: ModelPackage, looks: list[int]
) -> None:
    job.Job(tmp_path / "out", package, SETTINGS).run(films)
    done = len(looks)
    again = job.Job(tmp_path / "out", package, SETTINGS).run(films)
    assert len(looks) == done
    assert reasons(again)["white"] == "no face"
    write_film(films[3], counted(60), voice(2.4))
    assert reasons(job.Job(tmp_path / "out", package, SETTINGS).run(films))["short"] == ""
    assert len(looks) == done + 1


@pytest.mark.usefixtures("looks")
@pytest.mark.parametrize("killed_at", ["write_clip", "write_track"])
def test_a_run_killed_at_any_moment_goes_on_to_the_same_result(
    tmp_path: Path, films: list[Path], package: ModelPackage,
    monkeypatch: pytest.MonkeyPatch, killed_at: str,
) -> None:  # fmt: skip
    straight = job.Job(tmp_path / "straight", package, SETTINGS).run(films)
    real = getattr(clips, killed_at)
    calls = iter(range(9))

    def dies(*arguments: object) -> None:
        if next(calls) == 1:
            raise KeyboardInterrupt
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(clips, killed_at, dies)
        with pytest.raises(KeyboardInterrupt):
            job.Job(tmp_path / "out", package, SETTINGS).run(films)
    resumed = job.Job(tmp_path / "out", package, SETTINGS).run(films)
    for one, two in zip(straight, resumed, strict=True):
        one.took_s = two.took_s = 0.0
        assert one == two
    names = {p.name for p in (tmp_path / "straight").rglob("*.npz")}
    assert {p.name for p in (tmp_path / "out").rglob("*.npz")} == names


@pytest.mark.usefixtures("looks")
def test_pictures_that_break_off_long_before_the_sound_are_a_broken_file(
    tmp_path: Path, package: ModelPackage
) -> None:
    film = write_film(tmp_path / "a.mkv", counted(10), voice(3.0))
    (entry,) = job.Job(tmp_path / "out", package, SETTINGS).run([film])
    assert entry.reason == "broken file"
    assert entry.detail == "its pictures break off after 0.4 s of 3.0 s"


@pytest.mark.usefixtures("looks")
def test_a_full_disk_ends_the_run_with_one_sentence_and_keeps_what_is_done(
    tmp_path: Path, films: list[Path], package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, pictures: Iterator[np.ndarray], samples: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(clips, "write_clip", full)
        with pytest.raises(ConfigError, match="disk is full; free some space and run the same"):
            job.Job(tmp_path / "out", package, SETTINGS).run(films[1:])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [entry["reason"] for entry in report["files"].values()] == [
        "no face", "broken file", "too short",
    ]  # fmt: skip
    assert reasons(job.Job(tmp_path / "out", package, SETTINGS).run(films))["mixed"] == ""


def test_other_settings_and_a_damaged_report_are_refused(
    tmp_path: Path, package: ModelPackage
) -> None:
    work = job.Job(tmp_path, package, SETTINGS)
    work.run([tmp_path / "none.mp4"])
    with pytest.raises(ConfigError, match="other settings"):
        job.Job(tmp_path, package, job.Settings())
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        job.Job(tmp_path, package, SETTINGS)


def test_folders_are_searched_and_each_file_comes_once(films: list[Path]) -> None:
    found = job.find_videos([films[0].parent, films[0], films[-1]])
    assert [p.name for p in found] == [
        "garbage.mp4", "good.mkv", "mixed.mkv", "short.mkv", "white.mkv", "nowhere.mp4",
    ]  # fmt: skip


@pytest.mark.usefixtures("looks")
def test_the_command_tells_what_was_kept_and_why_not(
    tmp_path: Path, films: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--size", "64", "--min-seconds", "1", "--no-sync"]
    out = str(tmp_path / "out")
    assert command.main([*map(str, films), "--out", out, *words]) == 0
    said = capsys.readouterr()
    assert "2 clips, 5 s, from 2 of 6 files" in said.out
    assert "skipped (broken file)" in said.err
    assert "garbage.mp4" in said.err
    assert (tmp_path / "out" / "train-own.npz").exists()
    assert command.main([str(films[2]), "--out", str(tmp_path / "bad"), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["files_in_detail"][0]["reason"] == "broken file"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "63"], "even number"),
        (["--min-seconds", "40"], "at most --max-seconds"),
        (["--package", "/nowhere"], "nowhere"),
    ],
)
def test_wrong_settings_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert command.main([str(tmp_path / "a.mp4"), "--out", str(tmp_path / "o"), *words]) == 2
    assert message in capsys.readouterr().err


def test_the_nets_find_one_face_none_and_one_too_small(tmp_path: Path, package) -> None:
    from PIL import Image

    from rest_bridge.training.prepare.footage import inspect, pictures

    portrait = next((Path(job.__file__).parents[2] / "faces").glob("*/portrait.*"))
    face = np.asarray(Image.open(portrait).convert("RGB").resize((160, 160)))
    shown = [face] * 3 + [np.full_like(face, 90)] * 3 + [face] * 3
    film = inspect(write_film(tmp_path / "a.mkv", shown, voice(0.4)))
    limits = faces.Limits(least_eye_distance_px=20)
    found = faces.follow(pictures(film), package, scale=1.0, limits=limits)
    assert found.verdicts == ("", "", "", NO_FACE, NO_FACE, NO_FACE, "", "", "")
    assert found.cuts[[3, 6]].all()
    strict = faces.Limits(least_eye_distance_px=400)
    again = faces.follow(pictures(film), package, scale=1.0, limits=strict)
    assert set(again.verdicts[:3]) == {TOO_SMALL}
