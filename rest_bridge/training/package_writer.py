"""Writes one part of a model package and keeps the others.

Every exporter calls `write_package_part` with its files and manifest sections; the result always
passes `inference.package.ModelPackage.load`.
"""

import fcntl
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rest_bridge.inference.package import FORMAT, FORMAT_VERSION
from rest_bridge.types import Array
from rest_bridge.whole_file import write_whole

PACKAGE_NAME = "rest-nano"
PACKAGE_VERSION = "0.2.0"


def write_package_part(
    package_dir: Path,
    *,
    files: Mapping[str, Path | bytes],
    sections: Mapping[str, Mapping[str, Any]],
) -> None:
    """Add or replace files and manifest sections of a package; safe beside other writers.

    Args:
        package_dir: the package's folder; created if missing.
        files: file name in the package -> bytes or a path to copy from.
        sections: manifest section -> JSON-ready mapping.
    """
    package_dir.mkdir(parents=True, exist_ok=True)
    lock_path = package_dir / ".lock"
    with lock_path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        manifest = _current_manifest(package_dir)
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.read_bytes()
            write_whole(package_dir / name, data)
            manifest["files"][name] = {
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        for name, section in sections.items():
            manifest[name] = dict(section)
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        write_whole(package_dir / "manifest.json", text.encode("utf-8"))
    lock_path.unlink(missing_ok=True)


def npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Return the arrays as a compressed .npz file, byte-equal for equal arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def _current_manifest(package_dir: Path) -> dict[str, Any]:
    path = package_dir / "manifest.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": PACKAGE_NAME,
        "version": PACKAGE_VERSION,
        "files": {},
    }
