"""A real PipeWire with its stand-in for PulseAudio, and the virtual devices of `pulse`.

Its own session bus, configuration and folder; nothing of the person's session is touched.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pulse import PulseAudio

_TOOLS = ("dbus-daemon", "pipewire", "wireplumber", "pipewire-pulse", "pactl", "pacat", "parec")
_SETTLE_S = 1.0
_SINKS = {"rb_speakers": 2, "rb_micfeed": 1, "rb_cable": 2}


class PipeWire(PulseAudio):
    """One server in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        bus = f"unix:path={folder}/run/bus"
        self.environment |= {
            "DBUS_SESSION_BUS_ADDRESS": bus,
            "PIPEWIRE_RUNTIME_DIR": str(folder / "run"),
            "XDG_CONFIG_HOME": str(folder / "home" / ".config"),
            "XDG_STATE_HOME": str(folder / "home" / ".state"),
        }

    def start(self, *, keep_in_real_time: bool = False) -> None:
        del keep_in_real_time  # its null sinks are in real time by themselves
        bus = self.environment["DBUS_SESSION_BUS_ADDRESS"]
        for stale in (self.folder / "run").glob("*"):  # of a server that was killed
            if stale.is_socket() or stale.suffix == ".lock":
                stale.unlink()
        self._spawn("dbus-daemon", "--session", "--nofork", f"--address={bus}")
        self._wait_for(self.folder / "run" / "bus")
        self._spawn("pipewire")
        self._wait_for(self.folder / "run" / "pipewire-0")
        self._spawn("wireplumber")
        self._spawn("pipewire-pulse")
        for _ in range(200):
            if self.pactl("info") is not None:
                break
            time.sleep(0.05)
        else:
            raise RuntimeError("PipeWire did not start")
        for name, channels in _SINKS.items():
            self.pactl(
                "load-module", "module-null-sink", f"sink_name={name}", "rate=48000",
                f"channels={channels}",
            )  # fmt: skip
        self.pactl(
            "load-module", "module-remap-source", "master=rb_micfeed.monitor", "source_name=rb_mic"
        )
        self.pactl("set-default-sink", "rb_speakers")
        self.pactl("set-default-source", "rb_mic")
        time.sleep(_SETTLE_S)

    def _wait_for(self, path: Path) -> None:
        for _ in range(200):
            if path.exists():
                return
            time.sleep(0.02)
        raise RuntimeError(f"{path.name} did not appear")


@contextlib.contextmanager
def running_pipewire() -> Iterator[PipeWire]:
    """A server that this process (and PortAudio in it) uses inside the context."""
    from rest_bridge.errors import SourceError
    from rest_bridge.sound import portaudio

    missing = [tool for tool in _TOOLS if not shutil.which(tool)]
    if missing:
        pytest.skip(
            f"not installed: {', '.join(missing)} (apt: pipewire pipewire-pulse wireplumber "
            "dbus-daemon pulseaudio-utils)"
        )
    with (
        tempfile.TemporaryDirectory(prefix="rb-pipewire-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        server = PipeWire(Path(folder))
        for name, value in server.environment.items():
            patch.setenv(name, value)
        try:
            server.start()
            portaudio.refresh(portaudio.load(SourceError))
            yield server
        finally:
            server.kill()
