"""A real daemon in a process of its own, on free ports, for tests of clients."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from rest_bridge.client import BridgeClient
from rest_bridge.errors import SinkError

_ROOT = Path(__file__).parents[2]
_START_S = 120.0


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@dataclass(frozen=True)
class Daemon:
    """Addresses of a running daemon, and its process."""

    frames: str
    events: str
    control: str
    speech: str
    process: subprocess.Popen[bytes]

    @property
    def addresses(self) -> dict[str, str]:
        """The four addresses by name."""
        return {
            "frames": self.frames,
            "events": self.events,
            "control": self.control,
            "speech": self.speech,
        }


@contextlib.contextmanager
def running_daemon(
    folder: Path,
    *,
    avatar: str = "",
    speech: bool = True,
    size: int = 0,
    addresses: dict[str, str] | None = None,
) -> Generator[Daemon]:
    """Run `rest-bridge run`, and end it.

    Args:
        folder: for its configuration and log.
        avatar: built-in face; empty for the default one.
        speech: it takes pushed speech.
        size: width and height of the picture, pixels; 0 for the default.
        addresses: of a daemon that ran before, for one that comes back at the same place.

    Yields:
        the daemon, answering requests.
    """
    names = ("frames", "events", "control", "speech")
    if addresses is None:
        ports = free_ports(len(names))
        addresses = {n: f"tcp://127.0.0.1:{p}" for n, p in zip(names, ports, strict=True)}
    lines = [f'{name} = "{addresses[name]}"' for name in names[:3]]
    lines += [f'audio_in = "{addresses["speech"]}"', "[preview]", "enabled = false"]
    lines += ["[audio]", 'source = "push"'] if speech else []
    (folder / "c.toml").write_text("[endpoints]\n" + "\n".join(lines) + "\n")
    command = [sys.executable, "-m", "rest_bridge", "run", "--config", str(folder / "c.toml")]
    command += ["--avatar", avatar] if avatar else []
    command += ["--size", str(size)] if size else []
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=_ROOT, stdout=log, stderr=log)
    try:
        _await_answer(process, addresses["control"], folder / "log")
        yield Daemon(**addresses, process=process)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _await_answer(process: "subprocess.Popen[bytes]", control: str, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    with BridgeClient(frames="", events="", control=control) as client:
        while True:
            try:
                client.request("speech", timeout_s=2.0)
                return
            except SinkError as error:
                text = str(error)
                starting = "not open yet" in text or "answer" in text
                if "push" in text and not starting:
                    return  # it answers, and says that it takes no speech
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
