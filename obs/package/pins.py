#!/usr/bin/env python3
"""Fetches what buildspec.json pins and compares each file with its SHA-256.

    python3 obs/package/pins.py                    # downloads all, about 200 MB, and keeps nothing
    python3 obs/package/pins.py --folder FOLDER    # keeps the files there, takes those that are there

CMake checks the same hashes before it uses a file; this is for whoever changes a version, on any
system, without Visual Studio or Xcode. Needs nothing but Python. Exit code 1: a file differs or
cannot be had.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

BUILDSPEC = Path(__file__).resolve().parents[1] / "buildspec.json"


def pinned(spec: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the name, address and SHA-256 of each file, each address once."""
    seen = set()
    for name, dependency in json.loads(spec.read_text(encoding="utf-8"))["dependencies"].items():
        for system, archive in dependency["archive"].items():
            url = dependency["url"].replace("@archive@", archive)
            url = url.replace("@version@", dependency["version"])
            if url not in seen:
                seen.add(url)
                yield name, url, dependency["hashes"][system]


def fetch(url: str, path: Path) -> None:
    """Download a file whole, or not at all.

    Raises:
        OSError: it cannot be had.
    """
    part = path.with_suffix(".part")
    with urllib.request.urlopen(url, timeout=60) as source, part.open("wb") as target:
        shutil.copyfileobj(source, target)
    part.replace(path)


def verdict(name: str, url: str, expected: str, folder: Path) -> str:
    """Return "" for a file that is the pinned one, else one sentence."""
    path = folder / f"{name}-{url.rsplit('/', 1)[1]}"
    try:
        if not path.is_file():
            fetch(url, path)
    except (OSError, ValueError) as error:
        return f"cannot be had ({error})"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        return f"is {found}, pinned is {expected}: do not use it, ask where it comes from"
    return ""


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keep the files here")
    parser.add_argument("--spec", type=Path, default=BUILDSPEC)
    arguments = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name, url, expected in pinned(arguments.spec):
            problem = verdict(name, url, expected, folder)
            wrong += bool(problem)
            sys.stdout.write(f"{'NO' if problem else 'ok'}  {url} {problem}".rstrip() + "\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
