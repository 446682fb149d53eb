"""Whatever goes wrong is one clear sentence with the remedy, a non-zero exit, and no traceback.

One test for each row of the table that the project was ordered with; the whole program runs, as a
process of its own, without a sound server.
"""

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from rest_bridge import cli
from tests.conftest import WavWriter

LUNA = Path(__file__).parent.parent / "rest_bridge/faces/luna"
COMPLETE = ("dit.onnx", "speech_encoder.onnx", "face_detector.onnx", "landmarks.onnx")


class Program:
    """Runs `rest-bridge` in a folder of its own, without sound server and configuration."""

    def __init__(self, folder: Path, free_port: Callable[[], int]) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PULSE_SERVER": "unix:/nonexistent",
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "OMP_NUM_THREADS": "1",
            "REST_BRIDGE_PREVIEW_PORT": str(free_port()),
        }
        for name in ("frames", "events", "control", "audio_in"):
            variable = f"REST_BRIDGE_ENDPOINTS_{name.upper()}"
            self.environment[variable] = f"tcp://127.0.0.1:{free_port()}"

    def start(self, *words: object, limit_bytes: int = 0) -> "subprocess.Popen[str]":
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

        return subprocess.Popen(
            [sys.executable, "-m", "rest_bridge", *map(str, words)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit if limit_bytes else None,
        )

    def run(self, *words: object, limit_bytes: int = 0) -> tuple[int, str, str]:
        process = self.start(*words, limit_bytes=limit_bytes)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def refuses(self, *words: object, says: str, code: int = 1, limit_bytes: int = 0) -> str:
        """Assert that a command line fails with one sentence that holds `says`; return it."""
        got, _, err = self.run(*words, limit_bytes=limit_bytes)
        sentences = [line for line in err.splitlines() if line.startswith("Error: ")]
        assert "Traceback" not in err, err
        assert "unforeseen" not in err, err
        assert got == code, err
        assert len(sentences) == 1, err
        assert says.lower() in sentences[0].lower()
        return sentences[0]


@pytest.fixture
def program(tmp_path: Path, free_port: Callable[[], int]) -> Program:
    return Program(tmp_path, free_port)


@pytest.fixture(scope="session")
def complete(package_path: Path) -> None:
    """Skip what needs all of the shipped model package where it is not built yet."""
    files = json.loads((package_path / "manifest.json").read_text())["files"]
    missing = [name for name in COMPLETE if name not in files]
    if missing:
        pytest.skip(f"the model package lacks {', '.join(missing)}")


# ---------------------------------------------------------------- voice


def test_no_audio_device(program: Program) -> None:
    program.refuses("run", "--audio", "mic", "--seconds", 2, says="microphone")


def test_unknown_device(program: Program) -> None:
    program.refuses("run", "--audio", "Blue Yeti", "--seconds", 2, says="Blue Yeti")


def test_no_system_audio(program: Program) -> None:
    program.refuses("run", "--audio", "system", "--seconds", 2, says="PulseAudio")


def test_audio_file_missing(program: Program) -> None:
    program.refuses("render", "none.wav", says="does not exist")


@pytest.mark.parametrize("content", [b"", b"RIFF", b"this is no sound " * 1000])
def test_audio_file_empty_or_not_audio(program: Program, content: bytes) -> None:
    (program.folder / "x.wav").write_bytes(content)
    program.refuses("render", "x.wav", says="x.wav")


@pytest.mark.usefixtures("complete")
@pytest.mark.parametrize(
    ("rate_hz", "channels", "level"), [(8000, 1, 0.5), (96_000, 1, 0.5), (48_000, 6, 0.5)]
)
def test_any_rate_and_channel_count_is_fine(
    program: Program, write_wav: WavWriter, rate_hz: int, channels: int, level: float
) -> None:
    write_wav("x.wav", rate_hz=rate_hz, channels=channels, level=level)
    code, out, err = program.run("render", "x.wav", "-o", "x.mp4", "--size", 128, "--json")
    assert code == 0, err
    assert json.loads(out)["frames"] == 25


@pytest.mark.usefixtures("complete")
def test_a_silent_file_is_rendered_with_a_warning(program: Program, write_wav: WavWriter) -> None:
    write_wav("x.wav", level=0.0)
    code, _, err = program.run("render", "x.wav", "-o", "x.mp4", "--size", 128)
    assert code == 0, err
    assert "silent" in err


# ---------------------------------------------------------------- picture


def test_picture_missing(program: Program) -> None:
    program.refuses("avatar", "check", "none.png", says="none.png")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"no picture " * 100])
def test_not_a_picture(program: Program, content: bytes) -> None:
    (program.folder / "x.png").write_bytes(content)
    program.refuses("avatar", "check", "x.png", says="x.png")


def save(path: Path, picture: np.ndarray) -> None:
    assert cv2.imwrite(str(path), picture)


@pytest.mark.usefixtures("complete")
def test_picture_16_px_wide(program: Program) -> None:
    picture = cv2.imread(str(LUNA / "portrait.png"))
    assert picture is not None
    save(program.folder / "x.png", cv2.resize(picture, (16, 16)))
    program.refuses("avatar", "check", "x.png", says="at least 64")


@pytest.mark.usefixtures("complete")
def test_picture_12000_px_wide(program: Program) -> None:
    picture = cv2.imread(str(LUNA / "portrait.png"))
    assert picture is not None
    save(program.folder / "x.jpg", cv2.resize(picture, (12_000, 12_000)))
    code, _, err = program.run("avatar", "check", "x.jpg")
    assert "Traceback" not in err
    assert "unforeseen" not in err
    assert code in (0, 1)  # used, or refused in one sentence for its size


@pytest.mark.usefixtures("complete")
def test_picture_without_a_face(program: Program) -> None:
    noise = np.random.default_rng(0).integers(90, 110, (512, 512, 3), np.uint8)
    save(program.folder / "x.png", noise)
    program.refuses("avatar", "check", "x.png", says="face")


@pytest.mark.usefixtures("complete")
def test_picture_with_several_faces(program: Program) -> None:
    picture = cv2.imread(str(LUNA / "portrait.png"))
    assert picture is not None
    save(program.folder / "x.png", np.hstack([cv2.resize(picture, (512, 512))] * 2))
    program.refuses("avatar", "check", "x.png", says="face")


# ---------------------------------------------------------------- outputs


@pytest.mark.usefixtures("complete")
def test_port_in_use(program: Program, write_wav: WavWriter) -> None:
    write_wav("x.wav", seconds=3.0)
    endpoint = program.environment["REST_BRIDGE_ENDPOINTS_FRAMES"]
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(endpoint.rpartition(":")[2])))
        other.listen()
        program.refuses("run", "--audio", "x.wav", "--avatar", "luna", says="in use")


@pytest.mark.usefixtures("complete")
def test_camera_missing(program: Program, write_wav: WavWriter) -> None:
    write_wav("x.wav", seconds=3.0)
    program.refuses(
        "run", "--audio", "x.wav", "--camera", "--set", "camera.device=/dev/video-none",
        says="camera",
    )  # fmt: skip


def test_unknown_recording_format_or_folder(program: Program, write_wav: WavWriter) -> None:
    write_wav("x.wav")
    program.refuses("render", "x.wav", "-o", "x.avi", says=".mp4")
    program.refuses("render", "x.wav", "-o", "no/where/x.mp4", says="folder")


@pytest.mark.usefixtures("complete")
def test_disk_full_while_recording(program: Program, write_wav: WavWriter) -> None:
    write_wav("x.wav", seconds=20.0)
    program.refuses("run", "--audio", "x.wav", "--record", "x.mp4", says="disk", limit_bytes=60_000)


# ---------------------------------------------------------------- model package


@pytest.fixture
def package_copy(package_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(package_path, tmp_path / "package"))


def test_model_package_missing(program: Program, write_wav: WavWriter) -> None:
    write_wav("x.wav")
    program.refuses("render", "x.wav", "--set", "model.package=none", says="package")


def test_model_package_truncated(
    program: Program, write_wav: WavWriter, package_copy: Path
) -> None:
    write_wav("x.wav")
    largest = max(package_copy.glob("*.*"), key=lambda file: file.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:1000])
    program.refuses("render", "x.wav", "--set", f"model.package={package_copy}", says=largest.name)


def test_model_package_of_another_version(
    program: Program, write_wav: WavWriter, package_copy: Path
) -> None:
    write_wav("x.wav")
    manifest = json.loads((package_copy / "manifest.json").read_text())
    (package_copy / "manifest.json").write_text(json.dumps({**manifest, "format_version": 99}))
    program.refuses("render", "x.wav", "--set", f"model.package={package_copy}", says="version 99")


# ---------------------------------------------------------------- configuration


def test_unknown_or_mistyped_key(program: Program) -> None:
    program.refuses("run", "--set", "audio.sorce=mic", says="audio.source", code=2)
    (program.folder / "c.toml").write_text("[outptu]\nsize = 3\n")
    program.refuses("run", "--config", "c.toml", says="[output]", code=2)
    program.refuses("run", "--size", "8", says="64 to 2048", code=2)


# ---------------------------------------------------------------- Ctrl-C


def most_s() -> float:
    """A hang would be longer: the end takes a second or two, longer on a busy machine."""
    return 10.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def interrupt(process: "subprocess.Popen[str]") -> str:
    """Press Ctrl-C; assert that the end is quick, orderly and quiet; return stderr."""
    process.send_signal(signal.SIGINT)
    begin_s = time.monotonic()
    _, err = process.communicate(timeout=60)
    took_s = time.monotonic() - begin_s
    assert process.returncode == 130, err
    assert took_s < most_s()
    assert "Traceback" not in err
    return err


def test_ctrl_c_while_a_dataclass_is_made_ends_with_the_same_code(tmp_path: Path) -> None:
    tmp_path.joinpath("interrupted.py").write_text(
        "from rest_bridge import cli\n"
        "cli.run = lambda words: exec('raise KeyboardInterrupt')\n"
        "cli.main()\n"
    )
    command = [sys.executable, "-m", "interrupted"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "")


def wait_until_loading(pid: int) -> None:
    """Return when the program has begun: on a busy machine Python itself takes half a second."""
    maps = Path(f"/proc/{pid}/maps")
    until_s = time.monotonic() + 30
    while maps.exists() and "numpy" not in maps.read_text() and time.monotonic() < until_s:
        time.sleep(0.02)


@pytest.mark.parametrize("after_s", [0.5, 1.0, 2.0, 4.0])
def test_ctrl_c_ends_the_program_whatever_it_is_doing(
    program: Program, write_wav: WavWriter, after_s: float
) -> None:
    write_wav("x.wav", seconds=60.0)
    process = program.start("run", "--audio", "x.wav", "--record", "x.mp4", "--size", 256)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
    wait_until_loading(process.pid)
    interrupt(process)
    if (program.folder / "x.mp4").is_file():
        count_frames(program.folder / "x.mp4")


def count_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.usefixtures("complete")
def test_ctrl_c_leaves_a_playable_recording(program: Program, write_wav: WavWriter) -> None:
    write_wav("x.wav", seconds=60.0)
    process = program.start("run", "--audio", "x.wav", "--record", "x.mp4", "--size", 256)
    assert process.stderr is not None
    while "Recording" not in (line := process.stderr.readline()):
        assert line, "the program ended before it recorded"
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(3.0)
    interrupt(process)
    assert count_frames(program.folder / "x.mp4") >= 25


@pytest.mark.usefixtures("complete")
def test_ctrl_c_ends_a_rendering(program: Program, write_wav: WavWriter) -> None:
    write_wav("x.wav", seconds=120.0)
    process = program.start("render", "x.wav", "-o", "x.mp4")
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(4.0)
    interrupt(process)
