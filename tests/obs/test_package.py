"""The plugin as people get it: installed, as a Debian package, as zips; its texts and pins."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("simpleobsws", reason="not installed: rest-bridge[obs]")

from tests.support.obs import PLUGIN

pytestmark = pytest.mark.device
NAME = "rest-bridge-source"
LOCALES = ("de-DE", "en-US", "fr-FR")


def run(*command: str | Path, **options: object) -> str:
    done = subprocess.run(  # type: ignore[call-overload]
        [str(word) for word in command], capture_output=True, text=True, timeout=900, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def keys_of(locale: str) -> list[str]:
    lines = (PLUGIN / "data" / "locale" / f"{locale}.ini").read_text(encoding="utf-8").splitlines()
    pairs = [re.fullmatch(r'([A-Za-z.]+)="([^"]+)"', line) for line in lines]
    assert all(pairs), [line for line, pair in zip(lines, pairs, strict=True) if not pair]
    return [pair[1] for pair in pairs if pair]


def test_its_own_tests_pass(plugin: Path) -> None:
    assert "100% tests passed" in run("ctest", "--test-dir", plugin, "--output-on-failure")


def test_every_language_has_every_text_and_the_code_asks_for_no_other() -> None:
    texts = keys_of("en-US")
    assert all(keys_of(locale) == texts for locale in LOCALES)
    source = (PLUGIN / "src" / "face_source.cpp").read_text() + (
        PLUGIN / "src" / "plugin.cpp"
    ).read_text()
    quoted = set(re.findall(r'"([A-Z][A-Za-z]*(?:\.[A-Za-z]+)*)"', source))
    assert quoted == set(texts)


def test_what_is_downloaded_is_pinned_by_hashes_that_say_where_they_are_from() -> None:
    spec = json.loads((PLUGIN / "buildspec.json").read_text())
    assert "obs" not in spec["name"]  # OBS asks that of plugins
    for dependency in spec["dependencies"].values():
        assert set(dependency["hashes"]) == set(dependency["archive"]) == {"macos", "windows-x64"}
        assert all(re.fullmatch("[0-9a-f]{64}", value) for value in dependency["hashes"].values())
        assert dependency["source"]
    presets = json.loads((PLUGIN / "CMakePresets.json").read_text())
    names = {preset["name"] for preset in presets["configurePresets"]}
    assert {"linux", "debian", "windows-x64", "macos"} <= names


def test_cmake_installs_into_the_persons_plugin_folder(plugin: Path, tmp_path: Path) -> None:
    build, home = tmp_path / "build", tmp_path / "home"
    environment = {k: v for k, v in os.environ.items() if k != "XDG_CONFIG_HOME"}
    environment |= {"HOME": str(home)}
    run("cmake", "-S", PLUGIN, "-B", build, "-G", "Ninja", env=environment)
    folder = home / ".config" / "obs-studio" / "plugins"
    assert f"CMAKE_INSTALL_PREFIX:PATH={folder}" in (build / "CMakeCache.txt").read_text()
    run("cmake", "--install", plugin, "--prefix", folder, env=environment)
    assert (folder / NAME / "bin" / "64bit" / f"{NAME}.so").is_file()
    assert sorted(p.stem for p in (folder / NAME / "data" / "locale").iterdir()) == list(LOCALES)


@pytest.mark.parametrize(
    ("system", "binary"),
    [
        ("linux", f"{NAME}/bin/64bit/{NAME}.so"),
        ("windows", f"{NAME}/bin/64bit/{NAME}.dll"),
        ("macos", f"{NAME}.plugin/Contents/MacOS/{NAME}"),
    ],
)
def test_zips_hold_the_folders_that_obs_looks_into(
    system: str, binary: str, tmp_path: Path
) -> None:
    """The layout only: for Windows and macOS the binary is a stand-in, none was built here."""
    built = tmp_path / Path(binary).name
    if system == "macos":
        built = tmp_path / f"{NAME}.plugin"
        (built / "Contents" / "MacOS").mkdir(parents=True)
        (built / "Contents" / "Info.plist").write_text("<plist/>")
        (built / "Contents" / "MacOS" / NAME).write_bytes(b"stand-in")
    else:
        built.write_bytes(b"stand-in")
    script = PLUGIN / "package" / "layout.py"
    out = Path(run(sys.executable, script, system, built, "--out", tmp_path / "dist").strip())
    with zipfile.ZipFile(out) as file:
        names = set(file.namelist())
        readme = file.read(f"{NAME}-README.txt").decode()
    data = f"{NAME}.plugin/Contents/Resources" if system == "macos" else f"{NAME}/data"
    assert {binary, *(f"{data}/locale/{locale}.ini" for locale in LOCALES)} <= names
    assert "obs-studio" in readme
    assert f"{NAME}-LICENSE.txt" in names


@pytest.mark.slow
def test_the_debian_package_holds_the_plugin_where_obs_looks(plugin: Path) -> None:
    run("cmake", "--preset", "debian", cwd=PLUGIN)
    run("cmake", "--build", "--preset", "debian", cwd=PLUGIN)
    folder = PLUGIN / "build" / "debian"
    run("cpack", "-G", "DEB", cwd=folder)
    package = next(folder.glob("*.deb"))
    listed = run("dpkg-deb", "-c", package)
    assert re.search(rf"/usr/lib/[a-z0-9_-]+/obs-plugins/{NAME}\.so", listed)
    for locale in LOCALES:
        assert f"/usr/share/obs/obs-plugins/{NAME}/locale/{locale}.ini" in listed
    depends = run("dpkg-deb", "-f", package, "Depends")
    assert "libobs0" in depends
    assert "libzmq5" in depends
