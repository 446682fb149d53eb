"""C# as it is compiled and run here: mono's compiler, NUnit's console, the native library."""

import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "plugins" / "unity"
NATIVE = ROOT / "plugins" / "native"
HERE = Path(__file__).parent
_TIMEOUT_S = 300


def missing_tools() -> list[str]:
    """Return what has to be installed before C# can be compiled and tested."""
    tools = ("mcs", "mono", "nunit-console", "cmake", "ninja", "c++", "cc", "pkg-config")
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if not missing and nunit_framework() is None:
        missing.append("libnunit-cil-dev")
    return missing


def nunit_framework() -> Path | None:
    """Return NUnit's assembly, or None."""
    for place in (Path("/usr/lib/cli"), Path("/usr/lib/mono/gac/nunit.framework")):
        for path in sorted(place.glob("**/nunit.framework.dll")):
            return path
    return None


def run(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed; return what it wrote."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True, text=True, timeout=_TIMEOUT_S, cwd=cwd, check=False,
        env=None if env is None else {**os.environ, **env},
    )  # fmt: skip
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return done.stdout


def build_native() -> Path:
    """Build plugins/native; return the folder of the library."""
    run("cmake", "--preset", "release", cwd=NATIVE)
    run("cmake", "--build", "--preset", "release", cwd=NATIVE)
    return NATIVE / "build" / "release"


def sources(*folders: Path) -> list[Path]:
    """Return the C# files below folders."""
    return sorted(path for folder in folders for path in folder.rglob("*.cs"))


def compile_library(out: Path, files: Sequence[Path], *, references: Sequence[Path] = ()) -> Path:
    """Compile an assembly in C# 7, as Unity 2021 accepts it; a warning is an error."""
    run(
        "mcs", "-target:library", "-unsafe", "-langversion:7", "-warnaserror", f"-out:{out}",
        *(f"-r:{path}" for path in references), *files,
    )  # fmt: skip
    return out


@dataclass(frozen=True)
class Outcome:
    """What NUnit said."""

    passed: tuple[str, ...]
    failed: tuple[str, ...]


class NUnitRun:
    """A run of NUnit's console in a process of its own; a context manager."""

    def __init__(self, assembly: Path, library: Path, result: Path, **how: object) -> None:
        variables = {f"REST_BRIDGE_{key}": str(value) for key, value in how.items()}
        category = variables.pop("REST_BRIDGE_include", "")
        without = variables.pop("REST_BRIDGE_exclude", "")
        self._result = result
        command = ["nunit-console", "-nologo", "-noshadow", f"-xml:{result}", str(assembly)]
        command += [f"-include:{category}"] if category else []
        command += [f"-exclude:{without}"] if without else []
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=result.parent,
            env={**os.environ, "LD_LIBRARY_PATH": str(library), **variables},
        )  # fmt: skip

    def __enter__(self) -> "NUnitRun":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def outcome(self) -> Outcome:
        """Wait for the end; return which tests passed and which did not, with their messages."""
        text, _ = self.process.communicate(timeout=_TIMEOUT_S)
        assert self._result.exists(), text
        passed: list[str] = []
        failed: list[str] = []
        for case in ET.parse(self._result).getroot().iter("test-case"):
            if case.get("success") == "True":
                passed.append(str(case.get("name")))
            elif case.get("executed") == "True":
                failed.append(f"{case.get('name')}: {case.findtext('failure/message')}")
        return Outcome(tuple(passed), tuple(failed))
