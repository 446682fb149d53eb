"""Which sound devices there are, and which one a person means by a name.

Works without any audio server: the lists are then empty and say why. Names are stable and can be
pasted into the configuration; an index never leaves this package, because it changes with every
device that is plugged in.
"""

import difflib
import sys
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from rest_bridge.errors import RestBridgeError, SourceError
from rest_bridge.sound import portaudio, pulse

DeviceKind = Literal["input", "monitor", "output"]
"""`monitor`: hears what the computer plays."""
KIND_WORDS: Final[dict[DeviceKind, str]] = {
    "input": "microphone",
    "monitor": "monitor",
    "output": "output device",
}
PULSE: Final = "PulseAudio"
_LIMIT: Final = 12


@dataclass(frozen=True, slots=True)
class SoundDevice:
    """A device that can be chosen by name.

    Attributes:
        kind: what it is for.
        name: to paste into the configuration.
        description: what desktop settings call it.
        host: "PulseAudio" or the host API that PortAudio opens it with.
        rate_hz: native rate.
        num_channels: native channels.
        is_default: what the system uses unless told otherwise.
        index: PortAudio's, valid until the next refresh; -1 for PulseAudio.
    """

    kind: DeviceKind
    name: str
    description: str
    host: str
    rate_hz: int
    num_channels: int
    is_default: bool
    index: int = field(default=-1, repr=False)


@dataclass(frozen=True, slots=True)
class DeviceList:
    """Devices of one kind; `reason` says why there are none."""

    devices: tuple[SoundDevice, ...]
    reason: str = ""


def list_inputs() -> DeviceList:
    """List microphones and other recording devices."""
    return _list("input")


def list_monitors() -> DeviceList:
    """List what can hear what the computer plays."""
    if sys.platform == "darwin":
        return DeviceList((), "macOS has none of its own; BlackHole (existential.audio) is one")
    return _list("monitor")


def list_outputs() -> DeviceList:
    """List loudspeakers and virtual cables."""
    return _list("output")


def list_portaudio(kind: DeviceKind) -> DeviceList:
    """List what PortAudio itself can open ("input" or "output")."""
    try:
        devices = _portaudio_devices(portaudio.load(SourceError), kind)
    except SourceError as error:
        return DeviceList((), str(error).rstrip("."))
    return DeviceList(tuple(devices), "" if devices else "none is connected")


def choose(devices: DeviceList, name: str, error: type[RestBridgeError]) -> SoundDevice:
    """Find the one device that a name means.

    The whole name or description wins over a part of it; letter case does not matter.

    Args:
        devices: to choose from.
        name: what the person gave.
        error: what to raise.

    Returns:
        The device.

    Raises:
        RestBridgeError: `error`, for an unknown or ambiguous name, with the names there are.
    """
    wanted = name.strip().casefold()
    found = devices.devices
    exact = [d for d in found if wanted in (d.name.casefold(), d.description.casefold())]
    if exact:
        return exact[0]
    parts = [d for d in found if wanted in d.name.casefold() or wanted in d.description.casefold()]
    if wanted and len({d.name for d in parts}) == 1:
        return parts[0]
    if wanted and parts:
        raise error(f"Device {name!r} could be {_names(parts)}; give more of its name.")
    if not found:
        reason = devices.reason or "none is connected"
        raise error(f"There is no device {name!r}, nor any other of its kind: {reason}.")
    raise error(f"There is no device {name!r}{_nearest(wanted, found)}; there is {_names(found)}.")


def _list(kind: DeviceKind) -> DeviceList:
    server = pulse.query()
    devices = _pulse_devices(server, kind) if isinstance(server, pulse.PulseServer) else []
    reasons = [server] if isinstance(server, str) and sys.platform == "linux" else []
    if kind == "monitor":
        if sys.platform == "win32":
            return _windows_loopbacks()
    else:
        others = list_portaudio(kind)
        known = any(device.is_default for device in devices)
        # "default" of ALSA leads to the server's: one default is enough.
        devices += [replace(d, is_default=d.is_default and not known) for d in others.devices]
        reasons += [others.reason] if others.reason else []
    if devices:
        return DeviceList(tuple(devices))
    return DeviceList((), "; ".join(reasons) or "none is connected")


def _pulse_devices(server: pulse.PulseServer, kind: DeviceKind) -> list[SoundDevice]:
    if kind == "output":
        chosen = list(server.sinks)
    else:
        chosen = [d for d in server.sources if bool(d.monitor_of) == (kind == "monitor")]
    return [
        SoundDevice(
            kind=kind,
            name=device.name,
            description=device.description,
            host=PULSE,
            rate_hz=device.rate_hz,
            num_channels=device.num_channels,
            is_default=(
                device.name == server.default_monitor if kind == "monitor" else device.is_default
            ),
        )
        for device in chosen
    ]


def _portaudio_devices(sounddevice: Any, kind: DeviceKind) -> list[SoundDevice]:
    hosts = sounddevice.query_hostapis()
    side = "input" if kind == "input" else "output"
    default = sounddevice.default.device[side]
    # Windows shows every device once per host API; WASAPI has whole names and low latency.
    wasapi = any(host["name"] == "Windows WASAPI" and host["devices"] for host in hosts)
    result: list[SoundDevice] = []
    for index, device in enumerate(sounddevice.query_devices()):
        host = hosts[device["hostapi"]]
        num_channels = int(device[f"max_{side}_channels"])
        if num_channels == 0 or (wasapi and host["name"] != "Windows WASAPI"):
            continue
        is_default = index == (host[f"default_{side}_device"] if wasapi else default)
        result.append(
            SoundDevice(
                kind=kind,
                name=str(device["name"]).strip(),
                description=str(device["name"]).strip(),
                host=str(host["name"]),
                rate_hz=round(device["default_samplerate"]),
                num_channels=num_channels,
                is_default=is_default,
                index=index,
            )
        )
    return result


def _windows_loopbacks() -> DeviceList:
    try:
        import pyaudiowpatch  # pyright: ignore[reportMissingImports]
    except ImportError:
        return DeviceList((), 'install the extra: pip install "rest-bridge[loopback]"')
    audio = pyaudiowpatch.PyAudio()
    try:
        try:
            default = str(audio.get_default_wasapi_loopback()["name"])
        except (OSError, LookupError):
            default = ""
        found = [
            SoundDevice(
                kind="monitor",
                name=str(device["name"]),
                description=str(device["name"]),
                host="Windows WASAPI",
                rate_hz=round(device["defaultSampleRate"]),
                num_channels=int(device["maxInputChannels"]),
                is_default=str(device["name"]) == default,
                index=int(device["index"]),
            )
            for device in audio.get_loopback_device_info_generator()
        ]
    finally:
        audio.terminate()
    return DeviceList(tuple(found), "" if found else "Windows has no output device")


def _names(devices: Any) -> str:
    names = list(dict.fromkeys(device.name for device in devices))
    more = f" and {len(names) - _LIMIT} more" if len(names) > _LIMIT else ""
    return ", ".join(f"{name!r}" for name in names[:_LIMIT]) + more


def _nearest(wanted: str, devices: tuple[SoundDevice, ...]) -> str:
    names = {name.casefold(): d.name for d in devices for name in (d.name, d.description)}
    close = difflib.get_close_matches(wanted, names, n=1)
    return f"; did you mean {names[close[0]]!r}" if close else ""
