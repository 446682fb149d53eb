"""A real PulseAudio with virtual devices, started by the tests that need one.

`rb_speakers` is the default output (its monitor is what the computer plays), `rb_cable` a virtual
cable, and `rb_mic` the default microphone, which hears what is played into `rb_micfeed`.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rest_bridge.types import VOICE_RATE_HZ, FloatArray

_SINKS = {"rb_speakers": 2, "rb_micfeed": 1, "rb_cable": 2}
_SETTLE_S = 2.5
# On a busy test machine a starved player or server would lose sound before we could. Niceness does
# not help there: it counts only among the processes of one session (autogroups).
_MAY = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("chrt") is not None
_PRIORITY = ["chrt", "-r", "1"] if _MAY else []
_SCRIPT = (
    "\n".join(
        f"load-module module-null-sink sink_name={name} rate=48000 channels={channels}"
        f" sink_properties=device.description={name}_description"
        for name, channels in _SINKS.items()
    )
    + """
load-module module-remap-source master=rb_micfeed.monitor source_name=rb_mic \
source_properties=device.description=Test_Microphone
load-module module-native-protocol-unix
set-default-sink rb_speakers
set-default-source rb_mic
"""
)


class PulseAudio:
    """One server in a folder of its own; `start` and `kill` as often as wanted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "run").mkdir(mode=0o700)
        (folder / "home").mkdir()
        (folder / "rb.pa").write_text(_SCRIPT)
        self.environment = {
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "HOME": str(folder / "home"),
            "PULSE_SERVER": f"unix:{folder}/run/pulse/native",
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *, keep_in_real_time: bool = True) -> None:
        self._spawn(
            "pulseaudio", "-n", "-F", str(self.folder / "rb.pa"), "--daemonize=no",
            "--exit-idle-time=-1", "--disallow-exit=yes",
            f"--log-target=file:{self.folder}/pulse.log",
        )  # fmt: skip
        for _ in range(200):
            if self.pactl("info") is not None:
                break
            time.sleep(0.05)
        else:
            raise RuntimeError("PulseAudio did not start")
        if _PRIORITY:  # it gives up what it was started with
            for task in Path(f"/proc/{self._processes[0].pid}/task").iterdir():
                os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(1))
        if keep_in_real_time:
            # An idle null sink renders up to 2 s ahead; a player with little latency prevents it.
            for name, channels in _SINKS.items():
                self._spawn(
                    "pacat", "--playback", f"--device={name}", "--latency-msec=20", "--raw",
                    "--rate=48000", f"--channels={channels}", "/dev/zero",
                )  # fmt: skip
            time.sleep(_SETTLE_S)

    def kill(self) -> None:
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()
        self._processes.clear()

    def pactl(self, *arguments: str) -> str | None:
        done = subprocess.run(
            ["pactl", *arguments], env=self._environment(), capture_output=True, check=False
        )
        return done.stdout.decode() if done.returncode == 0 else None

    def play(self, samples: FloatArray, sink: str) -> "subprocess.Popen[bytes]":
        """Play float32 [S] at 48 kHz into a sink; returns at once."""
        path = self.folder / f"{time.monotonic_ns()}.raw"
        path.write_bytes(samples.astype("<f4").tobytes())
        return subprocess.Popen(
            [
                *_PRIORITY, "pacat", "--playback", f"--device={sink}", "--latency-msec=100",
                "--raw", "--rate=48000", "--channels=1", "--format=float32le", str(path),
            ],
            env=self._environment(),
        )  # fmt: skip

    def _spawn(self, *command: str) -> None:
        self._processes.append(
            subprocess.Popen(
                [*_PRIORITY, *command],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}


def require_pulse() -> None:
    """Skip the test where PulseAudio or its tools are missing."""
    missing = [tool for tool in ("pulseaudio", "pactl", "pacat", "parec") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (apt: pulseaudio pulseaudio-utils)")


@contextlib.contextmanager
def running_pulse(*, keep_in_real_time: bool = True) -> Iterator[PulseAudio]:
    """A server that this process (and PortAudio in it) uses inside the context."""
    require_pulse()
    from rest_bridge.errors import SourceError
    from rest_bridge.sound import portaudio

    # Unix socket paths are limited to 107 bytes: pytest's own folders are too deep.
    with (
        tempfile.TemporaryDirectory(prefix="rb-pulse-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        server = PulseAudio(Path(folder))
        for name, value in server.environment.items():
            patch.setenv(name, value)
        try:
            server.start(keep_in_real_time=keep_in_real_time)
            portaudio.refresh(portaudio.load(SourceError))
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="session")
def pulse() -> Iterator[PulseAudio]:
    """A PulseAudio for the whole session, in real time."""
    with running_pulse() as server:
        yield server


@pytest.fixture
def in_real_time() -> Iterator[None]:
    """Run the test before everything else on the machine, where we may; devices do not wait."""
    if not _PRIORITY:
        yield
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # of this thread and what it starts
    yield
    os.sched_setscheduler(0, *before)


def tone(tone_hz: float, seconds: float, level: float = 0.5) -> FloatArray:
    """Return float32 [S] of a sine at 48 kHz."""
    times = np.arange(round(seconds * VOICE_RATE_HZ)) / VOICE_RATE_HZ
    return (level * np.sin(2 * np.pi * tone_hz * times)).astype(np.float32)


def measure_tone(samples: FloatArray) -> tuple[float, float]:
    """Return frequency in Hz and amplitude of the strongest tone."""
    num_points = 8 * len(samples)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), num_points))
    amplitude = float(np.sqrt(2.0 * np.square(samples, dtype=np.float64).mean()))
    return float(spectrum.argmax() * VOICE_RATE_HZ / num_points), amplitude


def holds_tone(samples: FloatArray, tone_hz: float, level: float) -> bool:
    """Whether half a second of exactly this tone is in there; a busy machine may break the rest."""
    window = VOICE_RATE_HZ // 2
    for start in range(0, len(samples) - window + 1, window // 5):
        frequency_hz, amplitude = measure_tone(samples[start : start + window])
        if abs(frequency_hz - tone_hz) < 0.5 and abs(amplitude - level) < 0.01:
            return True
    return False


class Recording:
    """What was heard: float32 [S] at 48 kHz, and when the last of it arrived."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.arrived_ns: list[int] = []

    @property
    def samples(self) -> FloatArray:
        return np.frombuffer(b"".join(self.blocks), np.float32)

    def heard_ns(self, index: int) -> int:
        """Return when the block with sample `index` arrived."""
        ends = np.cumsum([len(block) // 4 for block in self.blocks])
        return self.arrived_ns[int(np.searchsorted(ends, index, side="right"))]


@contextlib.contextmanager
def record(source: str) -> Iterator[Recording]:
    """Record a source or monitor inside the context; it begins when recording has begun."""
    recording = Recording()
    process = subprocess.Popen(
        [
            *_PRIORITY, "parec", f"--device={source}", "--latency-msec=10", "--raw",
            "--rate=48000", "--channels=1", "--format=float32le",
        ],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    stdout = process.stdout

    def pump() -> None:
        while len(block := stdout.read(1920)) == 1920:
            recording.blocks.append(block)
            recording.arrived_ns.append(time.monotonic_ns())

    thread = threading.Thread(target=pump)
    thread.start()
    for _ in range(100):
        if len(recording.blocks) > 5:
            break
        time.sleep(0.02)
    try:
        yield recording
        time.sleep(0.2)
    finally:
        process.kill()
        process.wait()
        thread.join()
        stdout.close()
