"""PulseAudio, or PipeWire's stand-in for it, through its own command line tools.

PortAudio lists neither monitors nor the server's named devices on Linux, so they are asked for
with `pactl`. Knows names and formats; `audio.pulse_recorder` records.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Final

_TIMEOUT_S: Final = 3.0
MISSING_TOOLS: Final = (
    "the PulseAudio tools are missing; install them: sudo apt install pulseaudio-utils"
)
NONE_RUNS: Final = "no PulseAudio or PipeWire server is running"
START_ONE: Final = "start one: systemctl --user start pipewire-pulse, or pulseaudio --start"
NO_SERVER: Final = f"{NONE_RUNS} ({START_ONE})"
_SPECIFICATION: Final = re.compile(r"(\d+)ch (\d+)Hz")


@dataclass(frozen=True, slots=True)
class PulseDevice:
    """A source or sink of the server.

    Attributes:
        name: stable, like "alsa_input.usb-Blue_Yeti-00.analog-stereo".
        description: what desktop settings show.
        monitor_of: name of the sink that this source hears; empty for others.
        rate_hz: native rate.
        num_channels: native channels.
        is_default: it is what "default" means.
    """

    name: str
    description: str
    monitor_of: str
    rate_hz: int
    num_channels: int
    is_default: bool


@dataclass(frozen=True, slots=True)
class PulseServer:
    """What a server has, at one moment."""

    sources: tuple[PulseDevice, ...]
    sinks: tuple[PulseDevice, ...]
    default_sink: str

    @property
    def default_monitor(self) -> str:
        """Name of the source that hears the default sink; empty if there is none."""
        monitors = [source for source in self.sources if source.monitor_of == self.default_sink]
        return monitors[0].name if monitors else ""

    @property
    def default_microphone(self) -> str:
        """Name of the default source; empty where that only hears what the computer plays."""
        found = (s.name for s in self.sources if s.is_default and not s.monitor_of)
        return next(found, "")


def query() -> PulseServer | str:
    """Ask the server what it has.

    Returns:
        The server, or the reason why there is none, without a full stop.
    """
    if sys.platform != "linux":
        return "PulseAudio is for Linux"
    if shutil.which("pactl") is None:
        return MISSING_TOOLS
    info = run_pactl("info")
    if info is None:
        return NO_SERVER
    defaults = dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)
    sink, source = defaults.get("Default Sink", ""), defaults.get("Default Source", "")
    sinks = tuple(_device(item, sink) for item in _list("sinks"))
    # PipeWire gives monitors no "monitor_source"; the name tells.
    sources = tuple(_device(item, source) for item in _list("sources"))
    return PulseServer(sources, sinks, sink)


def run_pactl(*arguments: str) -> str | None:
    """Run `pactl` in English; return what it prints, None if it fails or hangs."""
    try:
        done = subprocess.run(
            ["pactl", *arguments],
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
            env=english(),
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def english() -> dict[str, str]:
    """Return this process's environment with messages in English, for parsing."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def _list(kind: str) -> list[dict[str, Any]]:
    text = run_pactl("--format=json", "list", kind)
    if text:
        try:
            # Some versions mix invalid escapes or log lines in; they end in the fallback.
            items = json.loads(text)
        except json.JSONDecodeError:
            items = None
        if isinstance(items, list):
            return [item for item in items if isinstance(item, dict) and item.get("name")]
    # Before version 16 there is no JSON: index, name, driver, specification, state.
    rows = [line.split("\t") for line in (run_pactl("list", "short", kind) or "").splitlines()]
    return [{"name": row[1], "sample_specification": row[3]} for row in rows if len(row) > 3]


def _device(item: dict[str, Any], default: str) -> PulseDevice:
    name = str(item["name"])
    match = _SPECIFICATION.search(str(item.get("sample_specification", "")))
    monitor_of = name.removesuffix(".monitor") if name.endswith(".monitor") else ""
    return PulseDevice(
        name=name,
        description=str(item.get("description") or name),
        monitor_of=monitor_of,
        rate_hz=int(match[2]) if match else 48_000,
        num_channels=int(match[1]) if match else 2,
        is_default=name == default,
    )
