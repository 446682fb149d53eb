"""Whether the face would hear its own voice: listening to an output that also plays the voice."""

import sys

from rest_bridge.errors import RestBridgeError, SourceError
from rest_bridge.sound import cable, pulse
from rest_bridge.sound.devices import (
    DeviceList,
    choose,
    list_inputs,
    list_monitors,
    list_outputs,
)


def feedback_reason(source: str, output: str) -> str:
    """Say why a voice output must not be used with a voice source.

    Args:
        source: what the voice comes from, as given by a person ("system", a monitor's name, ...).
        output: the output device, as given by a person ("default" or a name).

    Returns:
        One sentence with the remedy, empty where there is no loop.
    """
    try:
        heard, played = _heard(source), _played(output)
    except RestBridgeError:
        return ""  # an unknown device is reported by whoever opens it
    if not heard or heard != played:
        return ""
    return (
        f"The face would hear its own voice: it listens to what {played!r} plays, and the voice "
        "would be played there too; choose another voice_out.device, a virtual cable for instance."
    )


def _heard(source: str) -> str:
    """Name of the output that the source hears; empty for microphones and files."""
    if source == "system":
        return _played("default")
    server = pulse.query()
    if isinstance(server, str):
        return ""
    devices = DeviceList(list_inputs().devices + list_monitors().devices)
    chosen = choose(devices, source, SourceError)
    return next((s.monitor_of for s in server.sources if s.name == chosen.name), "")


def _played(output: str) -> str:
    if output.strip().lower() == cable.WORD:
        return cable.SINK
    if output.strip().lower() not in ("", "default"):
        return choose(list_outputs(), output, SourceError).name
    server = pulse.query()
    if isinstance(server, pulse.PulseServer):
        return server.default_sink
    if sys.platform == "darwin":
        return ""  # "system" hears BlackHole there, never the default output
    return next((d.name for d in list_outputs().devices if d.is_default), "")
