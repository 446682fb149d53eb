"""A virtual cable: what we play into one end, other programs record at the other as a microphone.

On Linux it is made on request: a null sink of the sound server (PulseAudio, or PipeWire in its
place) and a source that hears it, by names that Zoom and OBS show. Windows and macOS need a driver
that a person installs once; it is found by its name. A cable lasts until it is removed, or until
the sound server restarts; a voice output that plays into it makes it anew then.
"""

import sys
from dataclasses import dataclass
from typing import Final

from rest_bridge.errors import RestBridgeError
from rest_bridge.sound import pulse
from rest_bridge.sound.devices import SoundDevice, list_outputs

WORD: Final = "cable"
"""What a person gives as the output device."""
SINK: Final = "rest_bridge_voice"
MICROPHONE: Final = "rest_bridge_microphone"
_KNOWN: Final = ("cable input", "vb-audio", "blackhole", "vb-cable")
_DRIVERS: Final = {
    "win32": "install VB-Cable (https://vb-audio.com/Cable) and choose its output by name",
    "darwin": "install BlackHole (https://existential.audio/blackhole), or another virtual device",
}


@dataclass(frozen=True, slots=True)
class Cable:
    """A virtual cable.

    Attributes:
        output: what we play into, for `voice_out.device`.
        microphone: what other programs choose.
    """

    output: str
    microphone: str


def find(error: type[RestBridgeError] = RestBridgeError) -> Cable | None:
    """Return the cable that is there, None if there is none.

    Raises:
        RestBridgeError: `error`, where there is no sound server to ask.
    """
    if sys.platform != "linux":
        for device in list_outputs().devices:
            if any(name in device.name.casefold() for name in _KNOWN):
                return Cable(device.name, _other_end(device))
        return None
    server = _server(error)
    sinks = {device.name for device in server.sinks}
    sources = {device.name for device in server.sources}
    return Cable(SINK, MICROPHONE) if SINK in sinks and MICROPHONE in sources else None


def create(error: type[RestBridgeError] = RestBridgeError) -> Cable:
    """Return the cable, made if need be.

    Args:
        error: what to raise.

    Returns:
        The cable.

    Raises:
        RestBridgeError: `error`: no server, it refuses, or this system needs a driver.
    """
    found = find(error)
    if found is not None:
        return found
    if sys.platform != "linux":
        remedy = _DRIVERS.get(sys.platform, "this system has none")
        raise error(f"There is no virtual cable here; {remedy}.")
    remove(error)  # half a cable
    _load(
        error,
        "module-null-sink",
        f"sink_name={SINK}",
        "rate=48000",
        "channels=2",
        f"sink_properties=device.description={SINK}",
    )
    _load(
        error,
        "module-remap-source",
        f"master={SINK}.monitor",
        f"source_name={MICROPHONE}",
        f"source_properties=device.description={MICROPHONE}",
    )
    return Cable(SINK, MICROPHONE)


def remove(error: type[RestBridgeError] = RestBridgeError) -> bool:
    """Take the cable away.

    Args:
        error: what to raise.

    Returns:
        True if there was one that we had made.

    Raises:
        RestBridgeError: `error`, where there is no server.
    """
    if sys.platform != "linux":
        return False
    _server(error)
    lines = (pulse.run_pactl("list", "short", "modules") or "").splitlines()
    ours = [
        line.split("\t")[0]
        for line in lines
        if f"sink_name={SINK}" in line or f"source_name={MICROPHONE}" in line
    ]
    for number in reversed(ours):
        pulse.run_pactl("unload-module", number)
    return bool(ours)


def _server(error: type[RestBridgeError]) -> pulse.PulseServer:
    server = pulse.query()
    if isinstance(server, str):
        raise error(f"A virtual cable cannot be made: {server}.")
    return server


def _load(error: type[RestBridgeError], *module: str) -> None:
    if pulse.run_pactl("load-module", *module) is None:
        remove(error)
        raise error(
            f"The sound server refuses to load {module[0]}; make a null sink in its own settings "
            "and give its name as voice_out.device."
        )


def _other_end(device: SoundDevice) -> str:
    return device.name.replace("Input", "Output").replace("input", "output")
