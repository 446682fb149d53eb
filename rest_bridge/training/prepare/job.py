"""Goes through a list of videos: what can serve becomes clips, the rest is named with its reason.

Place in the flow: files -> `footage`, `faces`, `lip_sync`, `clips` -> here -> report.json, sessions
by `talkers`. Every file is finished by itself and entered into the report, which is replaced as a
whole: a run that was killed goes on with the file it was at.
"""

import errno
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np

from rest_bridge.errors import ConfigError
from rest_bridge.inference.package import ModelPackage
from rest_bridge.training.prepare import clips, faces, footage, lip_sync
from rest_bridge.training.prepare.faces import Limits, Tracked
from rest_bridge.training.prepare.footage import Footage, Refused
from rest_bridge.training.tracks import measure
from rest_bridge.types import FRAME_RATE_HZ, MODEL_RATE_HZ, FloatArray

log = logging.getLogger(__name__)

SUFFIXES: Final = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv"}
)
_LEAST_FREE_BYTES: Final = 200 * 2**20
_REPORT: Final = "report.json"
_VERSION: Final = 1
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How videos are cut.

    Attributes:
        size_px: width and height of the clips.
        least_s: shorter stretches are refused.
        most_s: longer ones are cut into equal parts.
        limits: what a face must be like.
        check_sync: compare lips and sound.
        talker: "folder": files of one folder show one person; "file": each file shows another.
    """

    size_px: int = 256
    least_s: float = 2.0
    most_s: float = 30.0
    limits: Limits = field(default_factory=Limits)
    check_sync: bool = True
    talker: str = "folder"

    def key(self) -> str:
        """Return what the report is valid for."""
        return json.dumps({"version": _VERSION, **asdict(self)}, sort_keys=True)


@dataclass(slots=True)
class Entry:
    """What became of one file.

    Attributes:
        file: as it was given.
        clips: one dictionary a clip: name, first_s, seconds, sync (r, lag_ms).
        refused: reason -> seconds (0 for a whole file whose length is unknown).
        reason: why nothing was kept; "" if something was.
        detail: in words.
        seconds: of the video.
        took_s: to prepare it.
    """

    file: str
    clips: list[dict[str, Any]] = field(default_factory=list)
    refused: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""
    seconds: float = 0.0
    took_s: float = 0.0


def find_videos(paths: Iterable[Path]) -> list[Path]:
    """Return the files given and the videos in the folders given, in order, each once."""
    found: dict[Path, None] = {}
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        found.update(dict.fromkeys(inside))
    return list(found)


class Job:
    """One run over a list of videos into one folder."""

    def __init__(self, out: Path, package: ModelPackage, settings: Settings) -> None:
        """Open the folder.

        Args:
            out: made if missing; clips/, tracks/ and report.json are written there.
            package: whose nets look and listen.
            settings: how to cut.

        Raises:
            ConfigError: the folder cannot be made, or was filled with other settings.
        """
        self.out, self.package, self.settings = out, package, settings
        try:
            for folder in ("clips", "tracks"):
                (out / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"The folder cannot be made ({error.strerror}): {out}") from error
        self._reader: lip_sync.LipReader | None = None
        self.entries = self._read_report()

    def run(self, videos: Sequence[Path], progress: Progress | None = None) -> list[Entry]:
        """Prepare what is not yet in the report.

        Args:
            videos: files; those that are missing get an entry as well.
            progress: told the fraction done and the file at hand.

        Returns:
            An entry for every file, in the order given.

        Raises:
            ConfigError: the disk is full; what is finished stays, the same command goes on.
        """
        report = progress or (lambda _done, _text: None)
        for number, path in enumerate(videos):
            report(number / len(videos), path.name)
            key = _identity(path)
            if key in self.entries:
                continue
            self._check_space()
            begun = time.monotonic()
            entry = self._prepare(
                path, lambda part, n=number, p=path: report((n + part) / len(videos), p.name)
            )
            entry.took_s = round(time.monotonic() - begun, 2)
            self.entries[key] = entry
            self._write_report()
        report(1.0, "")
        return [self.entries[_identity(path)] for path in videos]

    def _prepare(self, path: Path, progress: Callable[[float], None]) -> Entry:
        entry = Entry(file=str(path))
        try:
            self._cut(path, entry, progress)
        except Refused as refusal:
            entry.reason, entry.detail = refusal.reason, refusal.detail
            entry.refused.setdefault(refusal.reason, entry.seconds)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise self._full() from error
            raise ConfigError(f"Cannot write ({error.strerror}): {self.out}") from error
        return entry

    def _cut(self, path: Path, entry: Entry, progress: Callable[[float], None]) -> None:
        film = footage.inspect(path)
        samples = footage.sound(film)
        tracked = self._follow(film, len(samples), progress)
        entry.seconds = round(len(tracked.verdicts) / FRAME_RATE_HZ, 2)
        spans, lost = faces.segments(
            tracked,
            least_frames=round(self.settings.least_s * FRAME_RATE_HZ),
            most_frames=round(self.settings.most_s * FRAME_RATE_HZ),
        )
        kept: list[tuple[int, int, dict[str, Any]]] = []
        details: dict[str, str] = {}
        for first, stop in spans:
            try:
                kept.append((first, stop, self._judge(tracked, samples, first, stop)))
            except Refused as refusal:
                lost[refusal.reason] = lost.get(refusal.reason, 0) + stop - first
                details[refusal.reason] = refusal.detail
        entry.refused = {r: round(n / FRAME_RATE_HZ, 2) for r, n in sorted(lost.items())}
        if not kept:
            whole_s = max(film.seconds, len(samples) / MODEL_RATE_HZ)
            if entry.seconds < 0.6 * whole_s and not details:
                raise Refused(
                    footage.BROKEN,
                    f"its pictures break off after {entry.seconds:g} s of {whole_s:.1f} s",
                )
            reason = max(lost, key=lambda r: lost[r]) if lost else footage.TOO_SHORT
            raise Refused(reason, details.get(reason) or self._explain(reason, entry))
        self._write(film, tracked, samples, kept, entry)

    def _follow(
        self, film: Footage, num_samples: int, progress: Callable[[float], None]
    ) -> Tracked:
        scale = min(1.0, faces.LONGEST_PX / max(film.width, film.height))
        expected = max(1, num_samples * FRAME_RATE_HZ // MODEL_RATE_HZ)

        def told() -> Iterator[Any]:
            for count, item in enumerate(footage.pictures(film, longest_px=faces.LONGEST_PX)):
                progress(min(0.95, count / expected))
                yield item

        return faces.follow(told(), self.package, scale=scale, limits=self.settings.limits)

    def _judge(
        self, tracked: Tracked, samples: FloatArray, first: int, stop: int
    ) -> dict[str, Any]:
        own = _samples_of(samples, first, stop)
        if len(own) < 0.9 * (stop - first) * MODEL_RATE_HZ / FRAME_RATE_HZ:
            raise Refused(footage.NO_SOUND, "the sound ends before the pictures do")
        footage.check_loudness(own)
        if not self.settings.check_sync:
            return {}
        if self._reader is None:
            self._reader = lip_sync.LipReader(self.package)
        found = self._reader.check(own, measure(_points_of(tracked, first, stop)).aperture)
        return {"r": round(found.r, 2), "lag_ms": 40 * found.lag_frames}

    def _write(
        self,
        film: Footage,
        tracked: Tracked,
        samples: FloatArray,
        kept: Sequence[tuple[int, int, dict[str, Any]]],
        entry: Entry,
    ) -> None:
        size, stem = self.settings.size_px, _stem(film.path)
        source = enumerate(footage.pictures(film))
        for number, (first, stop, sync) in enumerate(kept):
            points = _points_of(tracked, first, stop)
            box = clips.static_box(points, film.width, film.height)
            name = f"{stem}_{number:03d}"
            own = _samples_of(samples, first, stop)
            wanted = islice(((k, p) for k, (p, _) in source if k >= first), stop - first)
            clips.write_clip(
                self.out / "clips" / f"{name}.mkv",
                (clips.cut_out(picture, box, size) for _, picture in wanted), own,
            )  # fmt: skip
            clips.write_track(
                self.out / "tracks" / f"{name}.npz", measure(points),
                clips.in_box(points, box, size), box, own, self._talker(film.path),
            )  # fmt: skip
            seconds = (stop - first) / FRAME_RATE_HZ
            entry.clips.append(
                {"name": name, "first_s": first / FRAME_RATE_HZ, "seconds": seconds, "sync": sync}
            )

    def _talker(self, path: Path) -> str:
        return str(path.resolve().parent if self.settings.talker == "folder" else path.resolve())

    def _explain(self, reason: str, entry: Entry) -> str:
        limits, least = self.settings.limits, self.settings.least_s
        words = {
            faces.NO_FACE: "no face was found in it",
            faces.SEVERAL_FACES: "more than one face is in the picture; crop it to one",
            faces.TOO_SMALL: f"the eyes are less than {limits.least_eye_distance_px:g} px apart",
            faces.TURNED_AWAY: f"the head turns beyond {limits.most_yaw_deg:g} degrees",
            faces.CUT: f"no scene lasts {least:g} s",
            footage.TOO_SHORT: f"no usable stretch of it lasts {least:g} s",
            footage.BROKEN: "its pictures are damaged",
        }
        return f"{words.get(reason, reason)} ({entry.seconds:g} s long)"

    def _check_space(self) -> None:
        if shutil.disk_usage(self.out).free < _LEAST_FREE_BYTES:
            raise self._full()

    def _full(self) -> ConfigError:
        return ConfigError(
            "The disk is full; free some space and run the same command again: what is finished "
            f"stays and is not done twice. {self.out}"
        )

    def _read_report(self) -> dict[str, Entry]:
        path = self.out / _REPORT
        if not path.exists():
            return {}
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            if raw["settings"] != self.settings.key():
                raise ConfigError(
                    "The folder was filled with other settings; take another folder or the same "
                    f"settings as before: {path}"
                )
            return {key: Entry(**entry) for key, entry in raw["files"].items()}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"The report of an earlier run cannot be read ({error}); remove it to begin anew: "
                f"{path}"
            ) from error

    def _write_report(self) -> None:
        files = {key: asdict(entry) for key, entry in self.entries.items()}
        part = self.out / f"{_REPORT}.part"
        try:
            part.write_text(
                json.dumps({"settings": self.settings.key(), "files": files}, indent=1),
                encoding="utf-8",
            )
            part.replace(self.out / _REPORT)
        except OSError as error:
            part.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._full() from error
            raise ConfigError(f"Cannot write ({error.strerror}): {self.out}") from error

    def tracks(self) -> list[Path]:
        """Return the tracks of every clip that the report names."""
        names = [str(clip["name"]) for e in self.entries.values() for clip in e.clips]
        return [self.out / "tracks" / f"{name}.npz" for name in sorted(names)]


def summary(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return how much was kept and what was refused for which reason."""
    refused: dict[str, float] = {}
    for entry in entries:
        for reason, seconds in entry.refused.items():
            refused[reason] = round(refused.get(reason, 0.0) + seconds, 2)
    return {
        "files": len(entries),
        "files_kept": sum(bool(e.clips) for e in entries),
        "clips": sum(len(e.clips) for e in entries),
        "seconds_kept": round(sum(c["seconds"] for e in entries for c in e.clips), 1),
        "seconds": round(sum(e.seconds for e in entries), 1),
        "seconds_refused": dict(sorted(refused.items(), key=lambda item: -item[1])),
    }


def _identity(path: Path) -> str:
    """Return what names a file and its content; a file that was replaced is prepared again."""
    try:
        about = path.stat()
    except OSError:
        return f"{path}|missing"
    return f"{path.resolve()}|{about.st_size}|{about.st_mtime_ns}"


def _stem(path: Path) -> str:
    return f"{path.stem}-{crc32(str(path.resolve()).encode()):08x}"


def _samples_of(samples: FloatArray, first: int, stop: int) -> FloatArray:
    hop = MODEL_RATE_HZ // FRAME_RATE_HZ
    return samples[first * hop : stop * hop]


def _points_of(tracked: Tracked, first: int, stop: int) -> FloatArray:
    usable = np.array([not verdict for verdict in tracked.verdicts[first:stop]], bool)
    return faces.bridge(tracked.points[first:stop], usable)
