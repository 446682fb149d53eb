"""plugins/unity's engine-free core: compiled here, run against golden bytes and a live daemon."""

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgpack
import numpy as np
import pytest
import zmq

from rest_bridge.client import BridgeClient
from rest_bridge.curve import ClientKeys
from tests.support.daemon import Daemon, free_ports, running_daemon
from tests.unity import csharp

pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(
        bool(csharp.missing_tools()), reason=f"not installed: {', '.join(csharp.missing_tools())}"
    ),
]
GOLDEN = csharp.ROOT / "tests" / "golden"

LAYOUT = {
    "Options": (
        "rb_options",
        "StructSize:struct_size Frames:frames Events:events Control:control Speech:speech "
        "Format:format Voice:voice Rig:rig HistoryFrames:history_frames "
        "VoiceBufferMs:voice_buffer_ms ServerKey:server_key PublicKey:public_key "
        "SecretKey:secret_key",
    ),
    "Status": (
        "rb_status",
        "Connected:connected Stream:stream State:state Tier:tier Server:server Epoch:epoch "
        "WidthPx:width_px HeightPx:height_px Fps:fps Frames:frames FramesLost:frames_lost "
        "VoiceLostSamples:voice_lost_samples EventsLost:events_lost Refused:refused "
        "Streams:streams",
    ),
    "Frame": (
        "rb_frame",
        "Sequence:sequence Epoch:epoch PtsNs:pts_ns DurationNs:duration_ns "
        "CapturedNs:captured_ns PublishedNs:published_ns SampleIndex:sample_index Level:level "
        "Format:format Width:width Height:height Stride:stride Data:data Size:size "
        "Repeated:repeated Synthetic:synthetic Owner:owner",
    ),
    "Rig": (
        "rb_rig",
        "Sequence:sequence Epoch:epoch PtsNs:pts_ns Values:values Visemes:visemes Level:level",
    ),
    "Event": (
        "rb_event",
        "Kind:kind Sequence:sequence Epoch:epoch PublishedNs:published_ns Body:body Owner:owner",
    ),
    "Message": (
        "rb_message",
        "Topic:topic Header:header Body:body Payload:payload Size:size Owner:owner",
    ),
}


@pytest.fixture(scope="module")
def library() -> Path:
    return csharp.build_native()


@pytest.fixture(scope="module")
def tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the core, and all its tests, those of the package and those that need servers."""
    folder = tmp_path_factory.mktemp("csharp")
    framework = csharp.nunit_framework()
    assert framework is not None
    core = csharp.compile_library(
        folder / "RestBridge.Core.dll", csharp.sources(csharp.PACKAGE / "Runtime" / "Core")
    )
    return csharp.compile_library(
        folder / "RestBridge.Tests.dll",
        csharp.sources(csharp.PACKAGE / "Tests" / "Runtime", csharp.HERE / "live"),
        references=[core, framework],
    )


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running_daemon(tmp_path_factory.mktemp("daemon")) as daemon:
        yield daemon


def _wait(until: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, f"it never came to this: {what}"
        time.sleep(0.02)


def _write_layout(path: Path) -> None:
    """Ask the C compiler where the fields of the structures lie."""
    lines = ['#include <stdio.h>\n#include "rest_bridge/rest_bridge.h"\nint main(void) {']
    for name, (struct, fields) in LAYOUT.items():
        lines.append(f'printf("{name}.size %zu\\n", sizeof({struct}));')
        for managed, native in (pair.split(":") for pair in fields.split()):
            lines.append(f'printf("{name}.{managed} %zu\\n", offsetof({struct}, {native}));')
    (path.parent / "layout.c").write_text("\n".join([*lines, "return 0; }\n"]))
    program = path.parent / "layout"
    csharp.run("cc", "-I", csharp.NATIVE / "include", path.parent / "layout.c", "-o", program)
    path.write_text(csharp.run(program))


def _write_bodies(path: Path) -> Path:
    """Read the bodies of the golden messages with another msgpack reader."""
    bodies: dict[str, object] = {}
    for message in sorted(GOLDEN.glob("*/*.bin")):
        data = message.read_bytes()
        if data[:4] in (b"EVNT", b"RQST", b"RPLY"):
            body = msgpack.unpackb(data[8 + int.from_bytes(data[6:8], "little") :])
            bodies[f"{message.parent.name}/{message.stem}"] = body
    path.write_text(json.dumps(bodies))
    return path


def test_units_and_golden_messages(library: Path, tests: Path, tmp_path: Path) -> None:
    _write_layout(tmp_path / "layout.txt")
    with csharp.NUnitRun(
        tests, library, tmp_path / "r.xml", exclude="live,restart,hostile", GOLDEN=GOLDEN,
        LAYOUT=tmp_path / "layout.txt", BODIES=_write_bodies(tmp_path / "bodies.json"),
    ) as run:  # fmt: skip
        outcome = run.outcome()
    assert not outcome.failed, "\n".join(outcome.failed)
    golden = [name for name in outcome.passed if "golden_message_is_decoded" in name]
    assert len(golden) == len(list(GOLDEN.glob("*/*.bin"))) >= 25
    assert len(outcome.passed) > 60


def _record(client: BridgeClient, hashes: dict[int, str], until: Callable[[], bool]) -> None:
    while not until():
        frame = client.frame(0.5)
        if frame is not None:
            digest = hashlib.sha256(frame.payload).hexdigest()
            hashes[frame.stamp.sequence] = digest


def _picture(path: Path) -> np.ndarray:
    head, pixels = path.read_bytes().split(b" 255\n", 1)
    width, height = (int(word) for word in head.split()[1:])
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3).astype(int)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="not installed: espeak-ng")
def test_against_the_live_daemon(
    library: Path, tests: Path, daemon: Daemon, tmp_path: Path
) -> None:
    wav = tmp_path / "line.wav"
    words = "Well met, traveller, the road is closed."
    wav.write_bytes(
        subprocess.run(["espeak-ng", "--stdout", words], capture_output=True, check=True).stdout
    )
    addresses = {name.upper(): value for name, value in daemon.addresses.items()}
    ours: dict[int, str] = {}
    with (
        BridgeClient(
            frames=daemon.frames, events=daemon.events, control=daemon.control
        ) as client,
        csharp.NUnitRun(
            tests, library, tmp_path / "r.xml", include="live", WAV=wav, FOLDER=tmp_path,
            GOLDEN=GOLDEN, **addresses,
        ) as run,
    ):  # fmt: skip
        _record(
            client, ours,
            lambda: (tmp_path / "hashes").exists() or run.process.poll() is not None,
        )  # fmt: skip
        outcome = run.outcome()
    assert not outcome.failed, "\n".join(outcome.failed)
    assert len(outcome.passed) == 8
    theirs = dict(line.split() for line in (tmp_path / "hashes").read_text().splitlines())
    both = [(digest, ours[int(n)]) for n, digest in theirs.items() if int(n) in ours]
    assert len(both) >= 15
    assert all(one == other for one, other in both)
    assert (
        len({one for one, _ in both}) > 1
    )  # the face moves, on a busy computer four times a second
    face, jpeg = _picture(tmp_path / "face.ppm"), _picture(tmp_path / "jpeg.ppm")
    assert face.shape == jpeg.shape == (512, 512, 3)
    assert (face[0, 0] == 96).all()  # the clear corner shows the grey ground, ...
    assert (jpeg[0, 0] < 8).all()  # ... a JPEG's is black
    middle = (slice(180, 330), slice(180, 330))
    assert np.abs(face[middle].mean((0, 1)) - jpeg[middle].mean((0, 1))).max() < 10
    # Upright: hair and sky above, shoulders fill the bottom row.
    assert (face[-1] != 96).mean() > (face[0] != 96).mean() + 0.2


def test_the_daemon_may_die_and_come_back(library: Path, tests: Path, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with ExitStack() as stack:
        first = stack.enter_context(running_daemon(tmp_path / "first"))
        addresses = {name.upper(): value for name, value in first.addresses.items()}
        run = stack.enter_context(
            csharp.NUnitRun(
                tests, library, tmp_path / "r.xml", include="restart", FOLDER=tmp_path,
                GOLDEN=GOLDEN, **addresses,
            )
        )  # fmt: skip

        def told(name: str) -> Callable[[], bool]:
            return lambda: (tmp_path / name).exists() or run.process.poll() is not None

        _wait(told("kill"), "a line is spoken")
        first.process.kill()
        first.process.wait(10)
        _wait(told("again"), "the line is lost")
        stack.enter_context(running_daemon(tmp_path / "second", addresses=first.addresses))
        outcome = run.outcome()
    assert not outcome.failed, "\n".join(outcome.failed)
    assert len(outcome.passed) == 1


def test_other_versions_and_garbage(library: Path, tests: Path, tmp_path: Path) -> None:
    good = (GOLDEN / "wire" / "frame_rgba8.bin").read_bytes()
    other = good[:4] + b"\x02" + good[5:]
    bad = [b"RGBA", b"RGBA" + bytes(500), good[:-1], other, b"RGBA\x01\x00\xff\xff" + good]
    server_public, server_secret = (key.decode() for key in zmq.curve_keypair())
    for name, server in (("good", server_public), ("other", zmq.curve_keypair()[0].decode())):
        public, secret = (key.decode() for key in zmq.curve_keypair())
        ClientKeys(public, secret, server).save(tmp_path / f"{name}.key")
    with (
        zmq.Context() as context,
        context.socket(zmq.XPUB) as frames,
        context.socket(zmq.XPUB) as locked,
    ):
        locked.curve_server = True
        locked.curve_secretkey = server_secret.encode()
        for each in (frames, locked):
            each.setsockopt(zmq.LINGER, 0)
            each.bind("tcp://127.0.0.1:*")
        (nobody,) = free_ports(1)
        with csharp.NUnitRun(
            tests, library, tmp_path / "r.xml", include="hostile", FOLDER=tmp_path, GOLDEN=GOLDEN,
            FRAMES=frames.getsockopt_string(zmq.LAST_ENDPOINT), EVENTS="", CONTROL="", SPEECH="",
            LOCKED=locked.getsockopt_string(zmq.LAST_ENDPOINT), NOBODY=f"tcp://127.0.0.1:{nobody}",
        ) as run:  # fmt: skip
            while run.process.poll() is None:
                for message in bad:
                    frames.send(message)
                    frames.send(other)
                locked.send(good)
                if (tmp_path / "better").exists():
                    frames.send(good)
                time.sleep(0.02)
            outcome = run.outcome()
    assert not outcome.failed, "\n".join(outcome.failed)
    assert len(outcome.passed) == 4
