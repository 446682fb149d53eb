"""Command line of the evaluation: `rest-bridge evaluate`.

Chooses the subsets, runs what is not done yet, prints the table. An aborted run goes on where it
stopped; another package, program or setting starts anew.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rest_bridge.errors import ConfigError, RestBridgeError
from rest_bridge.inference.package import ModelPackage
from rest_bridge.training.evaluation import (
    halo,
    hour,
    lips,
    liveliness,
    reconstruction,
    rig_lips,
    sharpness,
    talking,
)
from rest_bridge.training.evaluation.driving import Driver
from rest_bridge.training.evaluation.held_out import Library
from rest_bridge.training.evaluation.jobs import Job, RowCache, fingerprint, run_jobs
from rest_bridge.training.evaluation.portraits import PortraitShelf
from rest_bridge.training.evaluation.report import Report, as_markdown, write
from rest_bridge.training.evaluation.workshop import Weights, Workshop

SUBSETS: Final[dict[str, Callable[[Workshop], list[Job]]]] = {
    "rig": rig_lips.jobs,
    "lips": lips.jobs,
    "reconstruction": reconstruction.jobs,
    "picture": sharpness.jobs,
    "halo": halo.jobs,
    "life": liveliness.jobs,
    "sync": talking.sync_jobs,
    "realism": talking.realism_jobs,
    "hour": hour.jobs,
}
"""What can be measured, in this order."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the evaluation; returns the exit code. What is wrong is one sentence."""
    options = _parser().parse_args(arguments)
    try:
        report = run(options)
    except RestBridgeError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    print(json.dumps(report.as_dict()) if options.json else as_markdown(report))
    return 0


def run(options: argparse.Namespace) -> Report:
    """Measure what the options ask for.

    Args:
        options: of `_parser`.

    Returns:
        The report, which is also written to the output folder.

    Raises:
        RestBridgeError: data, a portrait or the package is missing.
    """
    begin_s, begin_cpu_s = time.monotonic(), time.process_time()
    _one_thread()
    names = _chosen(options.only)
    package = ModelPackage.load(options.package)
    mark = fingerprint(package, options.size, options.seed, options.quick, *_files(options))
    folder = options.out / f"{package.name}-{mark}"
    cache = RowCache(folder / "rows")
    shop = Workshop(
        driver=Driver(package, size_px=options.size, seed=options.seed),
        shelf=PortraitShelf(package, options.assets, folder / "avatars"),
        library=Library(options.assets, options.references or options.out / "references"),
        seed=options.seed,
        quick=options.quick,
        weights=Weights(options.inception, options.i3d, options.syncnet),
        features=folder / "features",
        shards=options.shard,
    )
    jobs: list[Job] = []
    for name in names:
        _say(options, f"preparing {name}")
        jobs += SUBSETS[name](shop)
    rows = run_jobs(jobs, cache, lambda n, of, what: _say(options, f"{n}/{of} {what}"))
    spent = {"seconds": round(time.monotonic() - begin_s),
             "processor seconds": round(time.process_time() - begin_cpu_s)}  # fmt: skip
    report = Report(_about(options, package, mark, names, shop) | spent, rows)
    for path in write(report, options.out):
        _say(options, str(path))
    return report


def _one_thread() -> None:
    """Keep every library to one thread: the time it takes is stated for one core."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _chosen(text: str | None) -> list[str]:
    if text is None:
        return list(SUBSETS)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in SUBSETS]
    if unknown or not names:
        raise ConfigError(
            f"--only {text} is not possible; choose from {', '.join(SUBSETS)}, with commas between."
        )
    return [name for name in SUBSETS if name in names]


def _files(options: argparse.Namespace) -> list[str]:
    return [str(f) for f in (options.inception, options.i3d, options.syncnet, options.shard) if f]


def _about(
    options: argparse.Namespace,
    package: ModelPackage,
    mark: str,
    names: Sequence[str],
    shop: Workshop,
) -> dict[str, Any]:
    about: dict[str, Any] = {
        "package": f"{package.name} ({package.path})",
        "fingerprint": mark,
        "program": _commit(),
        "subsets": ", ".join(names) + (", quick" if options.quick else ""),
        "pictures": f"{options.size} px, seed {options.seed}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores (shared), one thread",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    supplied = talking.Judges(shop).identity()
    about["judges"] = "our own (FID-own, FVD-own, Sync-own)"
    if supplied:
        about["judges"] += "; supplied: " + ", ".join(f"{n} {s}" for n, s in supplied.items())
    return about


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent,
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _say(options: argparse.Namespace, text: str) -> None:
    if not options.silent:
        print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rest-bridge evaluate product",
        description="Measure the product on fixed held-out sets; one table out.",
    )
    add = parser.add_argument
    add("--assets", type=Path, required=True, help="the data folder")
    add("--out", type=Path, required=True, help="folder for report.md, report.json and the cache")
    add("--package", type=Path, default=None, help="model package (the shipped one)")
    add("--only", default=None, metavar="A,B", help=f"some of {', '.join(SUBSETS)}")
    add("--quick", action="store_true", help="fewer clips: a look in some minutes")
    add("--json", action="store_true", help="print JSON instead of Markdown")
    add("--silent", action="store_true", help="no progress")
    add("--references", type=Path, default=None, help="tracks and phones (default: below --out)")
    add("--shard", type=Path, default=None, help="held-out rendered shard (default: rendered anew)")
    add("--size", type=int, default=512, help="pixels")
    add("--seed", type=int, default=0)
    add("--inception", type=Path, default=None, help="TorchScript of the FID network")
    add("--i3d", type=Path, default=None, help="TorchScript of the FVD network")
    add("--syncnet", type=Path, default=None, help="syncnet_v2.model")
    return parser
