#!/usr/bin/env python3
"""Makes the zip that people unpack: the plugin in the folders in which OBS of a system looks.

    python3 obs/package/layout.py linux build/linux/rest-bridge-source.so --out dist
    python3 obs/package/layout.py windows build/windows-x64/RelWithDebInfo/rest-bridge-source.dll
    python3 obs/package/layout.py macos build/macos/RelWithDebInfo/rest-bridge-source.plugin

Needs nothing but Python. Says where to unpack it; that stands in README.txt inside, too.
"""

import argparse
import json
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
UNPACK = {
    "linux": "~/.config/obs-studio/plugins",
    "windows": r"%ProgramData%\obs-studio\plugins",
    "macos": "~/Library/Application Support/obs-studio/plugins",
}
SUFFIX = {"linux": ".so", "windows": ".dll", "macos": ".plugin"}
TIME = (2026, 1, 1, 0, 0, 0)  # the same files make the same zip


def entries(system: str, name: str, binary: Path) -> dict[str, Path]:
    """Return the file of each place in the zip."""
    data = {path.relative_to(HERE / "data"): path for path in (HERE / "data").rglob("*.ini")}
    if system == "macos":
        bundle = {
            f"{name}.plugin/{path.relative_to(binary).as_posix()}": path
            for path in binary.rglob("*")
            if path.is_file()
        }
        resources = f"{name}.plugin/Contents/Resources"
        return bundle | {f"{resources}/{place.as_posix()}": path for place, path in data.items()}
    files = {f"{name}/bin/64bit/{binary.name}": binary}
    return files | {f"{name}/data/{place.as_posix()}": path for place, path in data.items()}


def make_zip(system: str, binary: Path, out: Path) -> Path:
    """Write the zip; returns its path."""
    spec = json.loads((HERE / "buildspec.json").read_text(encoding="utf-8"))
    name, version = spec["name"], spec["version"]
    if binary.name != name + SUFFIX[system] or not binary.exists():
        sys.exit(f"{binary} is not there or not {name}{SUFFIX[system]}; build it first (README.md).")
    readme = (
        f"{spec['displayName']} {version} for OBS Studio\n\nUnpack this zip into\n\n"
        f"    {UNPACK[system]}\n\nand start OBS again. The source is under + in Sources.\n"
    )
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}-{version}-{system}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for place, source in sorted(entries(system, name, binary).items()):
            mode = 0o755 if "/bin/" in place or "/MacOS/" in place else 0o644
            add(file, place, source.read_bytes(), mode)
        add(file, f"{name}-LICENSE.txt", (HERE / "LICENSE").read_bytes(), 0o644)
        add(file, f"{name}-README.txt", readme.encode(), 0o644)
    return path


def add(file: zipfile.ZipFile, place: str, content: bytes, mode: int) -> None:
    """Add a file with a time and mode of our own."""
    info = zipfile.ZipInfo(place, TIME)
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    file.writestr(info, content)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("system", choices=sorted(UNPACK))
    parser.add_argument("binary", type=Path, help="the built .so, .dll or .plugin folder")
    parser.add_argument("--out", type=Path, default=Path("dist"))
    arguments = parser.parse_args()
    print(make_zip(arguments.system, arguments.binary, arguments.out))


if __name__ == "__main__":
    main()
