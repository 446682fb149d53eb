#!/usr/bin/env python3
"""Builds the plugin and plugins/native for Windows x64 on Linux, as a proof that they build there.

    apt-get install g++-mingw-w64-x86-64-posix mingw-w64-tools libobs-dev libsimde-dev
    python3 obs/package/cross.py FOLDER

libzmq is the one in a Windows wheel of pyzmq, pinned by its hash; OBS's headers are Debian's, and
its import library lists what Debian's libobs exports. The result loads into no OBS that people have
(those are built with Visual Studio): it shows that nothing in the code is for Linux only.
"""

import argparse
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
NATIVE = HERE.parent / "plugins" / "native"
WHEEL = (
    "pyzmq==25.1.2 --hash=sha256:25c2dbb97d38b5ac9fd15586e048ec5eb1e38f3d47fe7d92167b0c77bb3584e9\n"
)
LIBOBS = "/usr/lib/x86_64-linux-gnu/libobs.so.0"
INCLUDES = ("/usr/include/obs", "/usr/include/simde")
TOOL = "x86_64-w64-mingw32-"


def run(*command: str | Path, **options: object) -> str:
    """Run a command; ends the script with what it said if it fails."""
    done = subprocess.run(  # type: ignore[call-overload]
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return str(done.stdout)


def import_library(sdk: Path, name: str, dll: str, symbols: list[str]) -> None:
    """Write lib/NAME.dll.a for a DLL that exports these functions."""
    table = sdk / "lib" / f"{name}.def"
    table.write_text("\n".join([f"LIBRARY {dll}", "EXPORTS", *symbols, ""]))
    run(f"{TOOL}dlltool", "-d", table, "-l", table.with_suffix(".dll.a"), "-D", dll)


def package(sdk: Path, name: str, target: str, library: str, include: str) -> None:
    """Write a CMake package with one imported library."""
    folder = sdk / "lib" / "cmake" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}Config.cmake").write_text(
        f"add_library({target} SHARED IMPORTED)\n"
        f"set_target_properties({target} PROPERTIES IMPORTED_IMPLIB {sdk}/lib/{library}.dll.a\n"
        f'  IMPORTED_LOCATION {sdk}/bin/{library}.dll INTERFACE_INCLUDE_DIRECTORIES "{include}")\n'
    )


def make_sdk(folder: Path) -> Path:
    """Collect headers and import libraries of libzmq and libobs; returns their folder."""
    sdk = folder / "sdk"
    for part in ("include", "lib", "bin"):
        (sdk / part).mkdir(parents=True, exist_ok=True)
    pins = folder / "pins.txt"
    pins.write_text(WHEEL)
    run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:",
        "--platform", "win_amd64", "--python-version", "3.11", "--require-hashes",
        "-d", folder, "-r", pins)  # fmt: skip
    with zipfile.ZipFile(next(folder.glob("pyzmq-*.whl"))) as wheel:
        for name in wheel.namelist():
            if name.endswith(".dll"):
                (sdk / "bin" / Path(name).name).write_bytes(wheel.read(name))
    zmq = next((sdk / "bin").glob("libzmq*.dll"))
    exported = run("gendef", "-", zmq)
    import_library(
        sdk, "libzmq", zmq.name,
        [line for line in exported.splitlines() if line.startswith("zmq_")],
    )  # fmt: skip
    shutil.copy("/usr/include/zmq.h", sdk / "include")
    package(sdk, "ZeroMQ", "libzmq", "libzmq", f"{sdk}/include")
    for include in INCLUDES:
        shutil.copytree(include, sdk / "include" / Path(include).name, dirs_exist_ok=True)
    # Debian leaves it out; of it the plugin needs nothing.
    (sdk / "include" / "obs" / "util" / "threading-windows.h").write_text("")
    listed = run("nm", "-D", "--defined-only", LIBOBS).splitlines()
    names = sorted({line.split()[-1].split("@")[0] for line in listed if line.split()[1] in "TDBR"})
    import_library(sdk, "libobs", "obs.dll", names)
    package(sdk, "libobs", "OBS::libobs", "libobs", f"{sdk}/include/obs;{sdk}/include")
    return sdk


def build(source: Path, folder: Path, sdk: Path) -> None:
    """Configure and build with MinGW, warnings as errors."""
    environment = os.environ | {"FACE_SDK": str(sdk)}
    toolchain = HERE / "cmake" / "mingw.cmake"
    run("cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", env=environment)  # fmt: skip
    run("cmake", "--build", folder, env=environment)
    for dll in (sdk / "bin").glob("*.dll"):
        shutil.copy(dll, folder)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    sdk = make_sdk(folder)
    build(NATIVE, folder / "native", sdk)
    build(HERE, folder / "plugin", sdk)
    sys.stdout.write(f"{folder / 'plugin' / 'rest-bridge-source.dll'}\n")


if __name__ == "__main__":
    main()
