"""Opens the voice that a person asked for by one word, a device name or a file."""

import difflib
from pathlib import Path
from typing import Final

from rest_bridge.audio.file import FileSource
from rest_bridge.audio.gain import GainSource
from rest_bridge.audio.microphone import MicrophoneSource
from rest_bridge.audio.pulse_recorder import DEFAULT_MICROPHONE, PulseSource, can_record
from rest_bridge.audio.push import DEFAULT_ENDPOINT, PushSource
from rest_bridge.audio.system import open_system
from rest_bridge.endpoint import Security
from rest_bridge.errors import SourceError
from rest_bridge.sound import pulse
from rest_bridge.sound.devices import (
    PULSE,
    DeviceList,
    choose,
    list_inputs,
    list_monitors,
)
from rest_bridge.types import AudioSource

WORDS: Final = ("mic", "system", "push")
_FILE_ENDINGS: Final = frozenset(
    {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".wma"}
    | {".mp4", ".webm", ".mkv", ".mov"}
)
_PATH_BEGINNINGS: Final = ("/", "\\", "./", ".\\", "../", "..\\", "~")


def open_source(
    spec: str,
    *,
    paced: bool = True,
    loop: bool = False,
    latency_s: float = 0.04,
    gain_db: float = 0.0,
    push_endpoint: str = DEFAULT_ENDPOINT,
    security: Security | None = None,
) -> AudioSource:
    """Open a voice.

    Args:
        spec: "mic" (the default microphone), "system" (what the computer plays), "push" (speech
            sent by another program), the path of a file, or the name of a device or part of it.
        paced: a file comes in real time; else as fast as it decodes.
        loop: a file starts again at its end.
        latency_s: asked of sound devices.
        gain_db: applied to the samples.
        push_endpoint: where "push" binds.
        security: what protects the socket of "push"; None for this computer only.

    Returns:
        The source, open and running; close it.

    Raises:
        SourceError: it cannot be opened; the message says why and what to do.
    """
    source = _open(spec.strip(), paced, loop, latency_s, push_endpoint, security)
    return GainSource(source, gain_db) if gain_db else source


def _open(
    spec: str,
    paced: bool,
    loop: bool,
    latency_s: float,
    push_endpoint: str,
    security: Security | None,
) -> AudioSource:
    match spec:
        case "":
            raise SourceError(f"No voice was named; give {_allowed()}.")
        case "mic":
            return _open_microphone(latency_s)
        case "system":
            return open_system()
        case "push":
            return PushSource(push_endpoint, security=security)
        case _:
            path = Path(spec).expanduser()
            if path.exists() or _looks_like_a_file(spec):
                return FileSource(path, paced=paced, loop=loop)
            return _open_device(spec, latency_s)


def _open_microphone(latency_s: float) -> AudioSource:
    """Open the default microphone: the sound server's, where there is one.

    Its way through ALSA's plug-in is 8 ms longer, and the plug-in has to be installed.
    """
    server = pulse.query()
    if isinstance(server, pulse.PulseServer) and server.default_microphone and can_record():
        return PulseSource(DEFAULT_MICROPHONE, latency_s=min(latency_s, 0.01))
    return MicrophoneSource(latency_s=latency_s)


def _open_device(name: str, latency_s: float) -> AudioSource:
    inputs, monitors = list_inputs(), list_monitors()
    devices = DeviceList(inputs.devices + monitors.devices, inputs.reason)
    try:
        device = choose(devices, name, SourceError)
    except SourceError as error:
        word = difflib.get_close_matches(name.casefold(), WORDS, n=1)
        hint = f" Did you mean {word[0]!r}?" if word else ""
        raise SourceError(f"{error}{hint} The voice can be {_allowed()}.") from None
    if device.host == PULSE:
        return PulseSource(device.name, latency_s=min(latency_s, 0.01))
    return MicrophoneSource(device.name, latency_s=latency_s)


def _looks_like_a_file(spec: str) -> bool:
    # Device names may hold slashes ("Line In 1/2") and dots.
    return Path(spec).suffix.lower() in _FILE_ENDINGS or spec.startswith(_PATH_BEGINNINGS)


def _allowed() -> str:
    return "mic, system, push, the name of a device (see `rest-bridge devices`) or a file"
