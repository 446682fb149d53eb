"""Damaged recordings, lists and stored sessions: left out or refused by name, nothing shifts."""

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("av")
pytest.importorskip("soundfile")

from rest_bridge.errors import ConfigError
from rest_bridge.training import recordings, speech_prepare, speech_sources
from rest_bridge.training.phonemes import Phone, tile
from rest_bridge.training.speech_sessions import Session, save_sessions, usable_sessions
from rest_bridge.training.splits import is_held_out

RATE_HZ = 16_000


def _write(path: Path, seconds: float = 1.0) -> Path:
    import soundfile

    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    soundfile.write(path, 0.1 * np.sin(2 * np.pi * 200 * t), RATE_HZ)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return assets with twelve clips of LibriSpeech's folder and none of LJ's."""
    for name in ("librispeech_subset", "ljspeech_samples"):
        (tmp_path / name).mkdir()
    clips = [{"file": f"{i}.flac"} for i in range(12)]
    for clip in clips:
        _write(tmp_path / "librispeech_subset" / clip["file"])
    (tmp_path / "librispeech_subset/manifest.json").write_text(json.dumps({"clips": clips}))
    (tmp_path / "ljspeech_samples/manifest.json").write_text("[]")
    return tmp_path


@pytest.mark.parametrize("content", [b"", b"no sound at all " * 99])
def test_a_damaged_recording_is_left_out_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    path = tmp_path / "broken.flac"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert recordings.usable_audio(path) is None
    assert "left out" in caplog.text
    assert "broken.flac" in caplog.text


def test_a_missing_and_a_short_recording_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert recordings.usable_audio(tmp_path / "none.flac") is None
        assert recordings.usable_audio(_write(tmp_path / "short.flac", 0.1)) is None
        assert recordings.usable_frames(_write(tmp_path / "no_video.flac")) is None
    for said in ("none.flac", "too short (0.10 s)", "no_video.flac"):
        assert said in caplog.text


def test_a_damaged_clip_moves_no_other_one_to_the_other_split(folder: Path) -> None:
    phones = {f"{i}.flac": tile([Phone("AA", 0.3, 0.7)], 1.0) for i in range(12)}

    def split() -> dict[str, bool]:
        pairs = speech_sources.read_speech_utterances(folder, phones)
        return {utterance.name: held_out for utterance, held_out in pairs}

    before = split()
    assert sum(before.values()) == 2
    (folder / "librispeech_subset/3.flac").write_bytes(b"fLaC damaged")
    after = split()
    assert after == {k: v for k, v in before.items() if k != "3.flac"}
    assert all(
        held == is_held_out("librispeech_subset", name, int(name.split(".")[0]))
        for name, held in after.items()
    )


@pytest.mark.parametrize("text", [None, "{", '{"files": []}', "3"])
def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ConfigError, match=r"list of recordings.*manifest\.json"):
        recordings.read_manifest(tmp_path)


def test_phones_whose_cache_broke_are_found_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("grid_other_talkers", "grid_s1_video"):
        (folder / name).mkdir()
        (folder / name / "manifest.json").write_text("[]")
    monkeypatch.setattr(speech_prepare, "_phones_of", lambda *_: [("AA", 0.3, 0.7)])
    (folder / "librispeech_subset/5.flac").write_bytes(b"")
    cache = folder / "phones.json"
    cache.write_text('{"0.flac": [["AA", 0')
    with caplog.at_level(logging.WARNING):
        found = speech_prepare.find_phones(folder, cache)
    assert sorted(found) == sorted(f"{i}.flac" for i in range(12) if i != 5)
    assert "anew" in caplog.text
    assert "5.flac" in caplog.text
    assert len(json.loads(cache.read_text())) == 11
    assert not list(folder.glob("*.part"))


def test_damaged_sessions_are_left_out_and_the_others_stay(
    toy_sessions: list[Session], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third = toy_sessions
    mouth = second.mouth.copy()
    mouth[3, 3] = np.nan
    torn = dataclasses.replace(third, name="torn", mel=third.mel[:, :-200])
    sick = dataclasses.replace(second, name="sick", mouth=mouth)
    save_sessions([first, sick, torn], tmp_path / "train-a.npz")
    with caplog.at_level(logging.WARNING):
        usable = usable_sessions(tmp_path / "train-a.npz")
    assert [s.name for s in usable] == [first.name]
    assert "sick left out (it holds values that are no numbers)" in caplog.text
    assert "torn left out (its arrays do not fit together)" in caplog.text


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_file_of_sessions_that_breaks_off_is_left_out_by_name(
    toy_sessions: list[Session], tmp_path: Path, caplog: pytest.LogCaptureFixture, kept: float
) -> None:
    path = tmp_path / "train-half.npz"
    save_sessions(toy_sessions, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with caplog.at_level(logging.WARNING):
        assert usable_sessions(path) == []
    assert "train-half.npz" in caplog.text
