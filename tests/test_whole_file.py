"""Files that are read while they are written."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rest_bridge.whole_file import replacing, write_whole


def test_readers_have_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    write_whole(path, "old ü\n")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == "old ü\n".encode()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_where_writing_fails_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    write_whole(path, b"old")

    def half() -> None:
        with replacing(path) as file:
            file.write(b"half of the new")
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_threads_that_write_do_not_mix_what_they_write(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"

    def write(letter: str) -> None:
        for _ in range(50):
            write_whole(path, letter * 100_000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    write_whole(path, "c" * 100_000)
    while any(thread.is_alive() for thread in threads):
        text = path.read_text()
        assert len(text) == 100_000
        assert len(set(text)) == 1
    for thread in threads:
        thread.join()


def test_a_file_that_somebody_reads_on_windows_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "settings.json"
    refused: list[Path] = []
    replace = Path.replace

    def replace_on_windows(self: Path, target: Path) -> Path:  # a stand-in: no Windows here
        if len(refused) < 3:
            refused.append(self)
            raise PermissionError(13, "used by another process")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replace_on_windows)
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert len(refused) == 3
