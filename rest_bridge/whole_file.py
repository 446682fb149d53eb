"""Files that other threads and programs read while we write them are never seen half written."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_TRIES = 20
_PAUSE_S = 0.01


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """Open a new file that takes the place of `path` once it is whole.

    Readers, also those that have it mapped into memory, have the old file or the new one, never a
    part; where writing fails, the old one stays.

    Raises:
        OSError: the file cannot be written, e.g. for lack of space.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with part.open("wb") as file:
            yield file
        _take_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file as `replacing` does.

    Args:
        path: the file; its folder exists.
        content: text is written as UTF-8 with the line ends that it has.

    Raises:
        OSError: the file cannot be written, e.g. for lack of space.
    """
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def _take_place(part: Path, path: Path) -> None:
    for _ in range(_TRIES):
        try:
            part.replace(path)
            return
        except PermissionError:  # Windows, while somebody reads the old file
            time.sleep(_PAUSE_S)
    part.replace(path)
