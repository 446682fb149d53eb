"""plugins/native: built here, tested by its own tests, compared with our decoder, run live."""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgpack
import numpy as np
import pytest

from rest_bridge.errors import WireError
from rest_bridge.sinks.messages import FrameMessage, ReplyMessage, RequestMessage
from rest_bridge.sinks.wire import decode
from tests.fuzz.decoders import SEEDS, mutate
from tests.support.daemon import running_daemon

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "plugins" / "native"
TOOLS = ("cmake", "ninja", "c++", "pkg-config")

missing = [tool for tool in TOOLS if shutil.which(tool) is None]
if not missing and subprocess.run(["pkg-config", "--exists", "libzmq"], check=False).returncode:
    missing = ["libzmq3-dev"]
pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
]


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [str(word) for word in command], capture_output=True, text=True, timeout=600, **options
    )


@pytest.fixture(scope="module")
def build() -> Path:
    for command in (["cmake", "--preset", "release"], ["cmake", "--build", "--preset", "release"]):
        done = run(*command, cwd=SOURCE)
        assert done.returncode == 0, done.stdout + done.stderr
    return SOURCE / "build" / "release"


def test_its_own_tests_pass_on_the_golden_messages(build: Path) -> None:
    done = run("ctest", "--test-dir", build, "--output-on-failure")
    assert done.returncode == 0, done.stdout
    assert "100% tests passed" in done.stdout


def test_it_installs_and_a_stranger_can_build_with_it(build: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    assert run("cmake", "--install", build, "--prefix", prefix).returncode == 0
    (tmp_path / "main.c").write_text(
        "#include <rest_bridge/rest_bridge.h>\n#include <stdio.h>\n"
        "int main(void) { puts(rb_version()); return rb_rig_name(57) == NULL; }\n"
    )
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\nproject(x C)\nfind_package(rest_bridge REQUIRED)\n"
        "add_executable(x main.c)\ntarget_link_libraries(x rest_bridge::rest_bridge)\n"
    )
    configured = run(
        "cmake", "-G", "Ninja", "-B", tmp_path / "b", "-S", tmp_path,
        f"-DCMAKE_PREFIX_PATH={prefix}",
    )  # fmt: skip
    assert configured.returncode == 0, configured.stderr
    assert run("cmake", "--build", tmp_path / "b").returncode == 0
    assert run(tmp_path / "b" / "x").stdout == "1.0.0\n"

    (flags,) = list(prefix.glob("**/rest_bridge.pc"))
    told = run(
        "pkg-config", "--cflags", "--libs", "rest_bridge",
        env={**os.environ, "PKG_CONFIG_PATH": str(flags.parent)},
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    made = run("cc", tmp_path / "main.c", "-o", tmp_path / "y", *told.stdout.split())
    assert made.returncode == 0, made.stderr
    env = {**os.environ, "LD_LIBRARY_PATH": str(flags.parents[1])}
    assert run(tmp_path / "y", env=env).stdout == "1.0.0\n"
    # A later 1.x takes the place of this one: programs ask for the major version only.
    needed = run("readelf", "-d", tmp_path / "y").stdout
    assert "librest_bridge.so.1]" in needed


def test_a_c_program_reads_every_golden_message_as_the_index_says(build: Path) -> None:
    golden = ROOT / "tests" / "golden" / "wire"
    done = run(build / "rb-golden", golden, "--print")
    assert done.returncode == 0, done.stderr
    index = json.loads((golden / "index.json").read_text())
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert sorted(row[0] for row in rows) == sorted(index)
    for name, topic, header, body, payload in rows:
        assert topic == index[name]["topic"]
        assert json.loads(header) == index[name]["header"]
        assert payload == index[name]["payload_hex"]
        if body:
            assert json.loads(body) == msgpack.unpackb(bytes.fromhex(payload))


def _expected(data: bytes) -> str:
    """Say what our own decoder makes of a message, as rb-decode prints it."""
    try:
        message = decode(data)
    except WireError:
        return "no"
    if isinstance(message, RequestMessage | ReplyMessage):
        return "ok"
    stamp = getattr(message, "stamp", message)
    stream = f"{stamp.sequence} {getattr(stamp, 'pts_ns', 0)}"
    size = len(message.payload) if isinstance(message, FrameMessage) else None
    return f"ok {data[:4].decode()} {stream}" + ("" if size is None else f" {size}")


def test_c_and_python_accept_the_same_messages(build: Path) -> None:
    source = random.Random(7)
    messages = [*SEEDS, *(mutate(source) for _ in range(6000))]
    stream = b"".join(struct.pack("<I", len(data)) + data for data in messages)
    done = subprocess.run([build / "rb-decode"], input=stream, capture_output=True, timeout=120)
    lines = done.stdout.decode("utf-8", "replace").split("\n")
    accepted = 0
    for data, line in zip(messages, lines, strict=False):
        expected = _expected(data)
        assert line.startswith(expected), (data.hex(), expected, line)
        accepted += expected.startswith("ok")
    assert accepted > 100


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run a real daemon that takes pushed speech; yields its addresses."""
    with running_daemon(tmp_path_factory.mktemp("daemon")) as daemon:
        yield daemon.addresses


def test_the_viewer_shows_the_live_face_with_its_transparency(
    build: Path, daemon: dict[str, str], tmp_path: Path
) -> None:
    pictures = {}
    for name in ("rgba", "bgra", "jpeg"):
        path = tmp_path / f"{name}.pam"
        done = run(
            build / "rb-viewer", "--frames", daemon["frames"], "--events", daemon["events"],
            "--count", "5", "--format", name, "--picture", path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        header, pixels = path.read_bytes().split(b"ENDHDR\n", 1)
        assert b"WIDTH 512\nHEIGHT 512" in header
        pictures[name] = np.frombuffer(pixels, np.uint8).reshape(512, 512, 4).astype(int)
    rgba = pictures["rgba"]
    assert rgba[0, 0, 3] == 0
    assert (rgba[..., 3] == 255).mean() > 0.2
    solid = rgba[..., 3] == 255
    # The face moves between the three, so only its colours are compared.
    colours = {name: picture[solid][:, :3].mean(axis=0) for name, picture in pictures.items()}
    assert abs(colours["rgba"][0] - colours["rgba"][2]) > 12  # else swapped ones would not show
    assert np.abs(colours["bgra"] - colours["rgba"]).max() < 5
    assert np.abs(colours["jpeg"] - colours["rgba"]).max() < 8
    assert (pictures["jpeg"][..., 3] == 255).all()


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="not installed: espeak-ng")
def test_a_c_program_speaks_and_interrupts(build: Path, daemon: dict[str, str]) -> None:
    speech = subprocess.run(
        ["espeak-ng", "--stdout", "Well met, traveller, the road is closed."],
        capture_output=True, check=True,
    ).stdout[44:]  # fmt: skip
    addresses = [
        word for name in ("speech", "events", "control") for word in (f"--{name}", daemon[name])
    ]
    for more, ending in (([], ""), (["--interrupt-after", "500"], ", interrupted")):
        done = subprocess.run(
            [str(build / "rb-speak"), "22050", *addresses, *more],
            input=speech, capture_output=True, timeout=60,
        )  # fmt: skip
        lines = done.stdout.decode().splitlines()
        assert done.returncode == 0, done.stderr
        assert lines[0].startswith("started")
        assert lines[1].startswith("mark begin")
        assert lines[-1].startswith("finished")
        assert lines[-1].endswith(ending or " s")
        assert ("mark end after" in lines[-2]) == (not ending)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="not installed: espeak-ng")
def test_the_dialogue_example_speaks_its_lines(daemon: dict[str, str]) -> None:
    done = run(
        sys.executable, ROOT / "examples" / "npc_dialogue.py", "Hello.", "This one is cut off.",
        "--interrupt", "--events", daemon["events"], "--control", daemon["control"],
        "--speech", daemon["speech"], cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line.strip() for line in done.stdout.splitlines()]
    assert sum(line.startswith("line-1: finished") for line in told) == 1
    assert sum(line.startswith("line-2: finished") for line in told) == 1
    assert any(line.startswith("flush answered") for line in told) or "interrupted" not in told[-1]
