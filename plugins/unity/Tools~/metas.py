#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the package's .meta files, and writes those that are missing.

    python3 metas.py            says what is wrong, exit status 1
    python3 metas.py --write    writes missing ones; GUIDs come from the paths, so they are stable

Every file and folder that Unity imports needs one (packages are read-only for their users: Unity
cannot make them there), and no two may have the same GUID. Folders that end with "~" are hidden
from Unity; those of Samples~ are copied into projects, so their files have one, too.
"""

# ruff: noqa: T201  (a script for the console)

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
NAME = "com.rest-bridge.unity"
_GUID = re.compile(r"^guid: ([0-9a-f]{32})$", re.MULTILINE)
_IMPORTERS = {
    ".cs": "MonoImporter:\n  externalObjects: {}\n  serializedVersion: 2\n  defaultReferences: []\n"
    "  executionOrder: 0\n  icon: {instanceID: 0}\n",
    ".asmdef": "AssemblyDefinitionImporter:\n  externalObjects: {}\n",
    ".shader": "ShaderImporter:\n  externalObjects: {}\n  defaultTextures: []\n"
    "  nonModifiableTextures: []\n  preprocessorOverride: 0\n",
    ".md": "TextScriptImporter:\n  externalObjects: {}\n",
    ".json": "PackageManifestImporter:\n  externalObjects: {}\n",
}
_TAIL = "  userData: \n  assetBundleName: \n  assetBundleVariant: \n"


def guid_of(path: str) -> str:
    """Return the GUID of a path of the package; the same for ever."""
    return hashlib.md5(f"{NAME}/{path}".encode(), usedforsecurity=False).hexdigest()


def assets(package: Path = PACKAGE) -> Iterator[Path]:
    """Yield what needs a .meta file, relative to the package; built libraries are left out."""
    for path in sorted(package.rglob("*")):
        relative = path.relative_to(package)
        parts = relative.parts
        hidden = any(part.endswith("~") and part != "Samples~" for part in parts)
        if hidden or parts == ("Samples~",) or any(part.startswith(".") for part in parts):
            continue
        is_built = parts[:2] == ("Runtime", "Plugins") and (len(parts) > 3 or path.is_dir())
        if path.suffix == ".meta" or "__pycache__" in parts or (is_built and len(parts) > 2):
            continue
        yield relative


def meta_of(relative: Path, *, is_folder: bool) -> str:
    """Return the .meta text of an asset."""
    head = f"fileFormatVersion: 2\nguid: {guid_of(relative.as_posix())}\n"
    if is_folder:
        return head + "folderAsset: yes\nDefaultImporter:\n  externalObjects: {}\n" + _TAIL
    return head + _IMPORTERS[relative.suffix] + _TAIL


def problems(package: Path = PACKAGE) -> list[str]:
    """Return what is wrong, a sentence each."""
    wanted = {f"{asset.as_posix()}.meta": asset for asset in assets(package)}
    found: list[str] = []
    owners: dict[str, str] = {}
    for name in wanted:
        if not (package / name).exists():
            found.append(f"{name} is missing; run metas.py --write")
            continue
        match = _GUID.search((package / name).read_text(encoding="utf-8"))
        if match is None:
            found.append(f"{name} has no GUID of 32 hexadecimal digits")
        elif match[1] in owners:
            found.append(f"{name} has the GUID of {owners[match[1]]}")
        else:
            owners[match[1]] = name
    for path in sorted(package.rglob("*.meta")):
        relative = path.relative_to(package)
        is_built = relative.parts[:2] == ("Runtime", "Plugins") and len(relative.parts) > 2
        if relative.as_posix() not in wanted and not is_built:
            found.append(f"{relative.as_posix()} belongs to nothing")
    return found


def write(package: Path = PACKAGE) -> int:
    """Write what is missing; return how many."""
    count = 0
    for asset in assets(package):
        path = package / f"{asset.as_posix()}.meta"
        if not path.exists():
            path.write_text(meta_of(asset, is_folder=(package / asset).is_dir()), encoding="utf-8")
            count += 1
    return count


def main() -> int:
    """Check or write; return the exit status."""
    parser = argparse.ArgumentParser(description="Checks the package's .meta files.")
    parser.add_argument("--write", action="store_true", help="write those that are missing")
    if parser.parse_args().write:
        print(f"{write()} written")
    found = problems()
    print("\n".join(found) or f"{len(list(assets()))} assets, every one with a GUID of its own")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
