"""The plugin and the C library built for Windows with MinGW, their tests run by Wine: slow.

    pytest -m slow tests/obs/test_windows.py

It shows that the code builds and runs there; OBS for Windows itself was never tried.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.obs import PLUGIN, ROOT

pytestmark = [pytest.mark.device, pytest.mark.slow]
TOOLS = ("x86_64-w64-mingw32-g++-posix", "gendef", "cmake", "ninja")
WINE = Path("/usr/lib/wine/wine64")
GOLDEN = ROOT / "tests" / "golden"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if not all(Path(f"/usr/include/{name}").is_dir() for name in ("obs", "simde")):
        pytest.skip("not installed: libobs-dev libsimde-dev")
    folder = tmp_path_factory.mktemp("windows")
    done = subprocess.run(
        [sys.executable, PLUGIN / "package" / "cross.py", folder],
        capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_the_dll_needs_obs_libzmq_and_windows_and_is_a_module_of_obs(built: Path) -> None:
    dll = built / "plugin" / "rest-bridge-source.dll"
    said = subprocess.run(
        ["x86_64-w64-mingw32-objdump", "-p", dll], capture_output=True, text=True, check=True
    ).stdout
    needed = set(re.findall(r"DLL Name: (\S+)", said))
    ours = {name for name in needed if name == "obs.dll" or name.startswith("libzmq")}
    assert len(ours) == 2
    assert {name.lower() for name in needed - ours} <= {"kernel32.dll", "msvcrt.dll", "ws2_32.dll"}
    exported = set(
        re.findall(r"^\s+\[\s*\d+\] (?:\+base\[\s*\d+\] +[0-9a-f]+ )?(\w+)$", said, re.M)
    )
    assert {"obs_module_load", "obs_module_ver", "obs_module_name"} <= exported


@pytest.mark.parametrize(
    ("program", "word", "said"),
    [
        ("native/rb-tests.exe", str(GOLDEN), "all golden messages decoded"),
        ("native/rb-golden.exe", str(GOLDEN / "wire"), "messages"),
        ("native/rb-loopback.exe", str(GOLDEN), "in this process agree"),
        ("plugin/face-tests.exe", "", ""),
    ],
)
def test_their_own_tests_pass_under_wine(
    built: Path, tmp_path: Path, program: str, word: str, said: str
) -> None:
    if not WINE.is_file():
        pytest.skip("not installed: wine64")
    environment = os.environ | {
        "WINEPREFIX": str(built / "wine"), "WINEDEBUG": "-all", "DISPLAY": "",
        "HOME": str(tmp_path),
    }  # fmt: skip
    path = built / program
    words = [f"Z:{word}"] if word else []
    done = subprocess.run(
        [WINE, path.name, *words],
        cwd=path.parent, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
