"""Jobs of an evaluation: each is run once, its rows are kept, so that a rerun goes on.

Place in the flow: the subsets (`lips`, `picture`, ...) make jobs -> here -> rows -> `report`.
A cache belongs to one fingerprint of package, program and settings; a change of any of them starts
a new one, so that no number of an older model can slip into a newer table.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from rest_bridge.errors import ConfigError
from rest_bridge.inference.package import ModelPackage

_RUNTIME: Final = ("features", "generator", "inference", "portrait")
_NOT_MEASURING: Final = ("card.py", "command.py", "report.py", "targets.py")
"""Modules of the evaluation that only arrange numbers; changing them costs no new measurement."""
_RUNTIME_FILES: Final = ("avatar.py", "pipeline.py", "rig.py", "stages.py", "types.py")
Progress = Callable[[int, int, str], None]
"""Called with how many jobs are done, how many there are, and what was done last."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured on one clip, picture or stretch of time.

    Attributes:
        subset: of the evaluation, such as "lips".
        group: what is averaged together, such as "strangers".
        clip: the unit of the bootstrap: rows of one clip are averaged before they are resampled.
        portrait: who was shown; empty where that means nothing.
        values: measure -> number; NaN where this clip says nothing of it.
    """

    subset: str
    group: str
    clip: str
    portrait: str
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work of some seconds.

    Attributes:
        key: unique among the jobs of an evaluation, and the same in the next run.
        run: does the work.
    """

    key: str
    run: Callable[[], Sequence[Row]]


class RowCache:
    """Rows of finished jobs, a file each, in a folder that belongs to one fingerprint."""

    def __init__(self, folder: Path) -> None:
        """Use a folder.

        Args:
            folder: made if it is not there.

        Raises:
            ConfigError: it cannot be made.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"The folder for measurements cannot be made ({error.strerror}); choose another "
                f"one with --out: {folder}"
            ) from None

    def read(self, key: str) -> list[Row] | None:
        """Return the rows of a finished job; None if it is not, or if its file is damaged."""
        try:
            content = json.loads(self._path(key).read_text(encoding="utf-8"))
            return [_row(entry) for entry in content["rows"]] if content["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, key: str, rows: Iterable[Row]) -> None:
        """Keep the rows of a job; the file appears whole or not at all."""
        path = self._path(key)
        part = path.with_suffix(".part")
        part.write_text(json.dumps({"key": key, "rows": [as_json(row) for row in rows]}))
        part.replace(path)

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def run_jobs(jobs: Sequence[Job], cache: RowCache, progress: Progress | None = None) -> list[Row]:
    """Run what is not in the cache.

    Args:
        jobs: in order.
        cache: read and extended.
        progress: told after every job.

    Returns:
        The rows of all jobs, in their order.

    Raises:
        ValueError: two jobs have the same key.
    """
    keys = [job.key for job in jobs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"jobs share a key: {sorted(k for k in keys if keys.count(k) > 1)[0]}")
    rows: list[Row] = []
    for number, job in enumerate(jobs, 1):
        found = cache.read(job.key)
        note = " (kept)"
        if found is None:
            begin_s = time.monotonic()
            found = list(job.run())
            cache.write(job.key, found)
            note = f" ({time.monotonic() - begin_s:.1f} s)"
        rows += found
        if progress:
            progress(number, len(jobs), job.key + note)
    return rows


def fingerprint(package: ModelPackage, *settings: object) -> str:
    """Name what is measured: the package's files, the running program and the settings.

    Args:
        package: under test.
        settings: anything else that the numbers depend on.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256(json.dumps(package.manifest["files"], sort_keys=True).encode())
    root = Path(__file__).resolve().parents[2]
    files = [root / name for name in _RUNTIME_FILES]
    for folder in (*_RUNTIME, "training/evaluation"):
        files += sorted((root / folder).glob("*.py"))
    for file in files:
        if file.is_file() and file.name not in _NOT_MEASURING:
            digest.update(file.read_bytes())
    digest.update(repr(settings).encode())
    return digest.hexdigest()[:16]


def as_json(row: Row) -> dict[str, object]:
    """Return a row as JSON wants it: numbers that are not finite become null."""
    content = asdict(row)
    content["values"] = {k: v if math.isfinite(v) else None for k, v in row.values.items()}
    return content


def _row(entry: dict[str, object]) -> Row:
    values = entry["values"]
    assert isinstance(values, dict), "written by `as_json`"
    numbers = {str(k): math.nan if v is None else float(v) for k, v in values.items()}
    texts = (str(entry[name]) for name in ("subset", "group", "clip", "portrait"))
    return Row(*texts, numbers)
