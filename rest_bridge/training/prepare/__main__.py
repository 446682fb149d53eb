"""Command line: `rest-bridge train prepare VIDEOS... --out DIR`."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rest_bridge.errors import ConfigError, RestBridgeError
from rest_bridge.features.mel import LogMel, MelConfig
from rest_bridge.inference.package import DEFAULT_PACKAGE, ModelPackage
from rest_bridge.training.prepare import job, talkers
from rest_bridge.training.prepare.faces import Limits

_NOTHING_KEPT = 1
_WRONG = 2
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare videos; returns 0 if something was kept, 1 if nothing was, 2 for wrong settings."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        return _run(options)
    except RestBridgeError as error:
        print(error, file=sys.stderr)
        return _WRONG
    except KeyboardInterrupt:
        print("Stopped; the same command goes on where this one was.", file=sys.stderr)
        return _INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    videos = job.find_videos(options.videos)
    if not videos:
        raise ConfigError(
            "There is no video to prepare; name files, or folders that hold "
            f"{', '.join(sorted(job.SUFFIXES))}."
        )
    package = ModelPackage.load(options.package)
    work = job.Job(options.out, package, _settings(options))
    with _bar(quiet=options.json) as bar:
        task = bar.add_task("", total=1.0)
        entries = work.run(
            videos, lambda done, text: bar.update(task, completed=done, description=text)
        )
    told = job.summary(entries)
    if not options.no_sessions and work.tracks():
        mel = LogMel(MelConfig.from_arrays(package.arrays("audio"), package.section("audio")))
        told["sessions"] = talkers.write_sessions(
            work.tracks(), options.out, mel, seed=options.seed
        )
    _tell(entries, told, as_json=options.json)
    return 0 if told["clips"] else _NOTHING_KEPT


def _settings(options: argparse.Namespace) -> job.Settings:
    if options.size < 64 or options.size % 2:
        raise ConfigError(f"--size is an even number from 64 on, not {options.size}.")
    if not 1.0 <= options.min_seconds <= options.max_seconds:
        raise ConfigError(
            f"--min-seconds is at least 1 and at most --max-seconds ({options.max_seconds:g}), "
            f"not {options.min_seconds:g}."
        )
    limits = Limits(options.min_eye_distance, options.max_yaw, options.max_pitch)
    return job.Settings(
        size_px=options.size, least_s=options.min_seconds, most_s=options.max_seconds,
        limits=limits, check_sync=not options.no_sync, talker=options.talker,
    )  # fmt: skip


def _tell(entries: Sequence[job.Entry], told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        files = [{"file": e.file, "clips": len(e.clips), "reason": e.reason} for e in entries]
        sys.stdout.write(json.dumps({**told, "files_in_detail": files}) + "\n")
        return
    for entry in entries:
        if entry.reason:
            print(f"skipped ({entry.reason}): {entry.detail}: {entry.file}", file=sys.stderr)
    print(
        f"{told['clips']} clips, {told['seconds_kept']:g} s, from {told['files_kept']} of "
        f"{told['files']} files; why the rest was left out stands in report.json."
    )
    for reason, seconds in told["seconds_refused"].items():
        print(f"  {reason}: {seconds:g} s")


def _bar(*, quiet: bool) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(), TimeRemainingColumn(),
        console=console, disable=quiet or not console.is_terminal, transient=True,
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rest-bridge train prepare", description=__doc__)
    parser.add_argument("videos", type=Path, nargs="+", help="files, or folders of videos")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to, resumed")
    parser.add_argument("--package", type=Path, default=DEFAULT_PACKAGE, help="model package")
    parser.add_argument("--size", type=int, default=256, help="of the clips, in pixels")
    parser.add_argument("--min-seconds", type=float, default=2.0, help="of a clip")
    parser.add_argument("--max-seconds", type=float, default=30.0, help="of a clip")
    parser.add_argument("--min-eye-distance", type=float, default=24.0, help="in pixels")
    parser.add_argument("--max-yaw", type=float, default=35.0, help="of the head, in degrees")
    parser.add_argument("--max-pitch", type=float, default=30.0, help="of the head, in degrees")
    parser.add_argument("--talker", choices=("folder", "file"), default="folder",
                        help="what holds one person: a folder, or each file")  # fmt: skip
    parser.add_argument("--no-sync", action="store_true", help="do not compare lips and sound")
    parser.add_argument("--no-sessions", action="store_true", help="clips and tracks only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one line of JSON, no progress bar")
    return parser


if __name__ == "__main__":
    sys.exit(main())
