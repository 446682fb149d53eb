"""What the computer plays, on each system by its own means."""

import sys
from typing import Final

from rest_bridge.audio.loopback import LoopbackSource
from rest_bridge.audio.microphone import MicrophoneSource
from rest_bridge.audio.pulse_recorder import PulseSource
from rest_bridge.errors import SourceError
from rest_bridge.sound.devices import list_portaudio
from rest_bridge.types import AudioSource

NO_LOOPBACK_ON_MACOS: Final = (
    "macOS lets no program hear what it plays without a driver: install BlackHole "
    "(https://existential.audio/blackhole), play to it (or to a Multi-Output Device with it), and "
    "try again"
)


def open_system() -> AudioSource:
    """Open what the computer plays, following the default output.

    Returns:
        The source.

    Raises:
        SourceError: this computer cannot be heard; the message says what to install.
    """
    if sys.platform == "win32":
        return LoopbackSource()
    if sys.platform == "darwin":
        return MicrophoneSource(_blackhole())
    return PulseSource()


def _blackhole() -> str:
    for device in list_portaudio("input").devices:
        if "blackhole" in device.name.casefold():
            return device.name
    raise SourceError(f"{NO_LOOPBACK_ON_MACOS}.")
