"""What the presets for Windows and macOS download: checked by hash, built, found again.

Neither system is here, so stand-ins of the three dependencies, laid out as theirs are, go through
the same CMake code: what it fetches, refuses, builds, installs and finds.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "obs"
ARCHITECTURES = "arm64;x86_64"
LIBZMQ = """
cmake_minimum_required(VERSION 3.21)
project(ZeroMQ C)
file(WRITE "${CMAKE_INSTALL_PREFIX}/libzmq-architectures" "${CMAKE_OSX_ARCHITECTURES}")
file(WRITE "${CMAKE_BINARY_DIR}/zmq.c" "int zmq_version_stub;\\n")
add_library(libzmq-static STATIC "${CMAKE_BINARY_DIR}/zmq.c")
install(TARGETS libzmq-static EXPORT targets ARCHIVE DESTINATION lib)
install(EXPORT targets FILE ZeroMQConfig.cmake DESTINATION CMake)
"""
OBS = """
cmake_minimum_required(VERSION 3.21)
project(obs-studio C)
if(NOT EXISTS "${CMAKE_PREFIX_PATH}/include/of-obs-deps.h")
  message(FATAL_ERROR "the prebuilt dependencies are not to be found")
endif()
file(WRITE "${CMAKE_INSTALL_PREFIX}/obs-architectures" "${CMAKE_OSX_ARCHITECTURES}")
file(WRITE "${CMAKE_INSTALL_PREFIX}/obs-version" "${OBS_VERSION_OVERRIDE}")
file(WRITE "${CMAKE_BINARY_DIR}/obs.c" "int obs_stub;\\n")
add_library(libobs SHARED "${CMAKE_BINARY_DIR}/obs.c")
add_library(obs-frontend-api SHARED "${CMAKE_BINARY_DIR}/obs.c")
target_link_libraries(obs-frontend-api PRIVATE libobs)
add_custom_target(everything ALL COMMAND "${CMAKE_COMMAND}" -E false)
foreach(name libobs obs-frontend-api)
  install(TARGETS ${name} EXPORT ${name} LIBRARY DESTINATION bin
          COMPONENT Development EXCLUDE_FROM_ALL)
  install(EXPORT ${name} FILE ${name}Config.cmake NAMESPACE OBS:: DESTINATION cmake/${name}
          COMPONENT Development EXCLUDE_FROM_ALL)
endforeach()
"""


def pack(folder: Path, name: str, files: dict[str, str]) -> Path:
    for place, text in files.items():
        path = folder / name / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    archive = folder / f"{name}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted((folder / name).rglob("*")):
            if path.is_file():
                tar.add(path, path.relative_to(folder / name))
    return archive


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The plugin's folder of a checkout whose pins name stand-ins; returns it."""
    folder = tmp_path / "obs"
    shutil.copytree(PLUGIN, folder, ignore=shutil.ignore_patterns("build"))
    (tmp_path / "plugins").symlink_to(ROOT / "plugins")
    deps = {"include/of-obs-deps.h": "", "bin/of-obs-deps.exe": "", "lib/of-obs-deps.lib": ""}
    archives = {
        "obs-studio": pack(tmp_path, "obs-studio", {"obs-studio-31/CMakeLists.txt": OBS}),
        "prebuilt": pack(tmp_path, "prebuilt", deps),
        "libzmq": pack(tmp_path, "libzmq", {"zeromq-4/CMakeLists.txt": LIBZMQ}),
    }
    spec = json.loads((folder / "buildspec.json").read_text())
    for name, archive in archives.items():
        dependency = spec["dependencies"][name]
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        dependency["url"] = archive.as_uri()
        dependency["hashes"] = dict.fromkeys(dependency["hashes"], digest)
    (folder / "buildspec.json").write_text(json.dumps(spec))
    return folder


def configure(checkout: Path) -> subprocess.CompletedProcess[str]:
    if missing := [tool for tool in ("cmake", "ninja", "c++") if shutil.which(tool) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    return subprocess.run(
        ["cmake", "-S", str(checkout), "-B", str(checkout / "build"), "-G", "Ninja",
         "-DFACE_FETCH=ON", "-DFACE_PLATFORM=macos", f"-DCMAKE_OSX_ARCHITECTURES={ARCHITECTURES}",
         "-DCMAKE_OSX_DEPLOYMENT_TARGET=12.0", "-DRB_JPEG=OFF"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def swap(checkout: Path, name: str) -> None:
    """Exchange what the address of a dependency gives, as an attacker would."""
    spec = json.loads((checkout / "buildspec.json").read_text())
    path = Path(spec["dependencies"][name]["url"].removeprefix("file://"))
    path.write_bytes(path.read_bytes() + b"\0")


def test_dependencies_are_built_for_every_architecture_and_found_again(checkout: Path) -> None:
    done = configure(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    installed = checkout / "build" / "deps" / "installed"
    assert (installed / "libzmq-architectures").read_text() == ARCHITECTURES
    assert (installed / "obs-architectures").read_text() == ARCHITECTURES
    spec = json.loads((checkout / "buildspec.json").read_text())
    version = spec["dependencies"]["obs-studio"]["version"]
    assert (installed / "obs-version").read_text() == version
    cache = (checkout / "build" / "CMakeCache.txt").read_text()
    assert f"libobs_DIR:PATH={installed}/cmake/libobs" in cache
    graph = (checkout / "build" / "build.ninja").read_text()
    assert "deps/installed/lib/liblibzmq-static.a" in graph
    assert "deps/installed/bin/liblibobs.so" in graph
    assert configure(checkout).returncode == 0  # a second time: nothing is fetched or built again


@pytest.mark.parametrize("name", ["obs-studio", "prebuilt", "libzmq"])
def test_a_file_with_another_hash_stops_the_build_before_it_is_unpacked(
    checkout: Path, name: str
) -> None:
    swap(checkout, name)
    done = configure(checkout)
    assert done.returncode != 0
    assert "HASH mismatch" in done.stderr
    assert not list((checkout / "build" / "deps").glob(f"{name}-*.fetched"))
    assert not (checkout / "build" / "build.ninja").exists()


def test_the_script_checks_every_pin(checkout: Path, tmp_path: Path) -> None:
    script = [sys.executable, str(checkout / "package" / "pins.py")]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok"] * 3
    swap(checkout, "libzmq")
    spec = json.loads((checkout / "buildspec.json").read_text())
    spec["dependencies"]["prebuilt"]["url"] = (tmp_path / "nowhere").as_uri()
    (checkout / "buildspec.json").write_text(json.dumps(spec))
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    studio, prebuilt, libzmq = done.stdout.splitlines()
    assert studio.startswith("ok")
    assert prebuilt.startswith("NO")
    assert "cannot be had" in prebuilt
    assert libzmq.startswith("NO")
    assert "do not use it" in libzmq
