#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the native library of this computer's platform and puts it where Unity finds it.

    python3 build_native.py                              into this package (Runtime/Plugins)
    python3 build_native.py --into Game/Assets/RestBridge   into a project (read-only package)
    python3 build_native.py --libzmq-source libzmq-4.3.5    with ZeroMQ inside, for players

Needs CMake 3.21, a C++17 compiler and ZeroMQ (README, "The native library"). Writes the .meta files
with the import settings, too: each library is for its own platform only.
"""

# ruff: noqa: T201  (a script for the console)

import argparse
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import metas

NATIVE = metas.PACKAGE.parent / "native"
BUILD = Path(__file__).resolve().parent / "build"


@dataclass(frozen=True)
class Target:
    """A platform as Unity knows it.

    Attributes:
        folder: below Runtime/Plugins.
        built: the library's name as CMake makes it.
        installed: and as Unity loads it.
        standalone: the player.
        system: of the editor.
        cpu: for both.
    """

    folder: str
    built: str
    installed: str
    standalone: str
    system: str
    cpu: str


TARGETS = {
    "Linux": Target(
        "Linux/x86_64", "librest_bridge.so", "librest_bridge.so", "Linux64", "Linux", "x86_64"
    ),
    "Windows": Target(
        "Windows/x86_64", "rest_bridge.dll", "rest_bridge.dll", "Win64", "Windows", "x86_64"
    ),
    "Darwin": Target(
        "macOS", "librest_bridge.dylib", "librest_bridge.dylib", "OSXUniversal", "OSX", "AnyCPU"
    ),
}
_ALL_PLAYERS = ("Android", "Linux64", "OSXUniversal", "Win", "Win64", "iOS")


def import_settings(target: Target, guid: str) -> str:
    """Return the .meta text of a library: for one platform's editor and player."""
    excluded = "".join(
        f"        Exclude {player}: {0 if player == target.standalone else 1}\n"
        for player in ("Editor", *_ALL_PLAYERS)
        if player != "Editor"
    )

    def platform_data(first: str, settings: str, *, enabled: bool) -> str:
        return (
            f"  - first:\n      {first}\n    second:\n      enabled: {int(enabled)}\n"
            f"      settings:\n{settings}"
        )

    return (
        f"fileFormatVersion: 2\nguid: {guid}\nPluginImporter:\n  externalObjects: {{}}\n"
        "  serializedVersion: 2\n  iconMap: {}\n  executionOrder: {}\n  defineConstraints: []\n"
        "  isPreloaded: 0\n  isOverridable: 1\n  isExplicitlyReferenced: 0\n"
        "  validateReferences: 1\n  platformData:\n"
        + platform_data("': Any'", "        Exclude Editor: 0\n" + excluded, enabled=False)
        + platform_data(
            "Editor: Editor",
            f"        CPU: {target.cpu}\n        DefaultValueInitialized: true\n"
            f"        OS: {target.system}\n",
            enabled=True,
        )
        + platform_data(
            f"Standalone: {target.standalone}", f"        CPU: {target.cpu}\n", enabled=True
        )
        + "  userData: \n  assetBundleName: \n  assetBundleVariant: \n"
    ).replace("': Any'", ": Any")


def place(library: Path, target: Target, into: Path) -> Path:
    """Copy a built library with its .meta files; return where it lies."""
    folder = into / target.folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / target.installed
    shutil.copyfile(library, path)
    inside = Path("Runtime/Plugins") / target.folder
    meta = import_settings(target, metas.guid_of((inside / target.installed).as_posix()))
    path.with_name(path.name + ".meta").write_text(meta, encoding="utf-8")
    while folder != into:
        text = metas.meta_of(inside, is_folder=True)
        folder.with_name(folder.name + ".meta").write_text(text, encoding="utf-8")
        folder, inside = folder.parent, inside.parent
    return path


def _cmake(*arguments: str | Path) -> None:
    subprocess.run(["cmake", *(str(argument) for argument in arguments)], check=True)


def _build_libzmq(source: Path) -> Path:
    """Build a static ZeroMQ with its own cryptography; return where it is installed."""
    prefix = BUILD / "libzmq-installed"
    _cmake(
        "-S", source, "-B", BUILD / "libzmq", "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED=OFF",
        "-DBUILD_STATIC=ON", "-DBUILD_TESTS=OFF", "-DWITH_PERF_TOOL=OFF", "-DWITH_DOCS=OFF",
        "-DENABLE_CURVE=ON", "-DWITH_LIBSODIUM=OFF", "-DWITH_TLS=OFF", "-DENABLE_WS=OFF",
        "-DWITH_OPENPGM=OFF", "-DWITH_NORM=OFF", "-DCMAKE_POSITION_INDEPENDENT_CODE=ON",
        "-DCMAKE_POLICY_VERSION_MINIMUM=3.5", f"-DCMAKE_INSTALL_PREFIX={prefix}",
    )  # fmt: skip
    _cmake("--build", BUILD / "libzmq", "--config", "Release")
    _cmake("--install", BUILD / "libzmq", "--config", "Release")
    return prefix


def build(libzmq_source: Path | None) -> Path:
    """Build the library alone; return it."""
    more = ["-DRB_JPEG=OFF"] if libzmq_source else []
    if libzmq_source:
        more.append(f"-DCMAKE_PREFIX_PATH={_build_libzmq(libzmq_source)}")
    folder = BUILD / ("static" if libzmq_source else "shared")
    _cmake(
        "-S", NATIVE, "-B", folder, "-DCMAKE_BUILD_TYPE=Release", "-DRB_TESTS=OFF",
        "-DRB_EXAMPLES=OFF", "-DRB_WERROR=OFF", *more,
    )  # fmt: skip
    _cmake("--build", folder, "--config", "Release", "--target", "rest_bridge")
    name = TARGETS[platform.system()].built
    found = [path for path in (folder / name, folder / "Release" / name) if path.exists()]
    if not found:
        raise SystemExit(f"CMake made no {name} in {folder}.")
    return found[0]


def needed_by(library: Path) -> list[str]:
    """Return what else a player's computer must have (Linux only: by its dynamic section)."""
    if platform.system() != "Linux" or shutil.which("objdump") is None:
        return []
    text = subprocess.run(["objdump", "-p", library], capture_output=True, text=True, check=True)
    names = [line.split()[1] for line in text.stdout.splitlines() if "NEEDED" in line]
    usual = ("libc.", "libm.", "libstdc++", "libgcc_s", "ld-linux", "libpthread", "librt")
    return [name for name in names if not name.startswith(usual)]


def main() -> int:
    """Build and place; return the exit status."""
    parser = argparse.ArgumentParser(description="Builds rest_bridge for Unity.")
    parser.add_argument(
        "--into", type=Path, default=metas.PACKAGE / "Runtime" / "Plugins",
        help="a folder of your project, if the package is read-only",
    )  # fmt: skip
    parser.add_argument("--libzmq-source", type=Path, help="its source folder, to be built in")
    arguments = parser.parse_args()
    if platform.system() not in TARGETS:
        print(f"No recipe for {platform.system()}: build plugins/native by its README.")
        return 1
    if shutil.which("cmake") is None:
        print('CMake was not found; install it (README, "The native library").')
        return 1
    try:
        library = build(arguments.libzmq_source)
    except subprocess.CalledProcessError:
        print("The build failed; the lines above say why. No ZeroMQ? See the README.")
        return 1
    path = place(library, TARGETS[platform.system()], arguments.into)
    print(f"Unity will find {path}")
    if needed := needed_by(library):
        print(f"Your players' computers need {', '.join(needed)} as well; or use --libzmq-source.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
