"""A microphone that delivers nothing but zeros: muted somewhere, and what to do about it.

A real microphone always has some noise. Exact zeros come from a mute in the system's sound
settings, a switch on the device or the keyboard, a privacy setting (macOS and Windows hand out
zeros instead of an error), or a noise suppression while nobody speaks.
"""

import sys
from typing import Final

from rest_bridge.types import VOICE_RATE_HZ, FloatArray

_NEVER_HEARD_S: Final = 5.0
_HEARD_BEFORE_S: Final = 60.0
"""Noise suppressions deliver zeros while a person thinks."""
_DEFAULTS: Final = ("", "default", "pulse", "pipewire")
"""What PortAudio calls the server's default source."""
_REMEDIES: Final = {
    "win32": "unmute it in Settings, System, Sound, and allow desktop apps the microphone in "
    "Settings, Privacy & security, Microphone",
    "darwin": "raise its input level in System Settings, Sound, and allow your terminal the "
    "microphone in System Settings, Privacy & Security, Microphone; then start again",
}


def mute_remedy(device: str, platform: str = sys.platform) -> str:
    """Return what to do, a clause.

    Args:
        device: its name.
        platform: as `sys.platform`.
    """
    own = "press its own mute switch or key"
    if device in _DEFAULTS:
        device = "@DEFAULT_SOURCE@"
    system = _REMEDIES.get(platform, f"unmute it: pactl set-source-mute {device} 0")
    return f"{system}, or {own}"


class ZeroWatch:
    """Counts how long a device has delivered exact zeros."""

    def __init__(self) -> None:
        self._zeros = 0
        self._heard = False

    def note(self, samples: FloatArray, rate_hz: int) -> None:
        """Look at float32 [S] that the device delivered; called from its thread."""
        if samples.any():
            self._zeros, self._heard = 0, True
        else:
            self._zeros += len(samples) * VOICE_RATE_HZ // rate_hz

    @property
    def silent_s(self) -> float:
        """For how long there were zeros only."""
        return self._zeros / VOICE_RATE_HZ

    @property
    def muted(self) -> bool:
        """Whether that is longer than a microphone does it by itself."""
        return self.silent_s >= (_HEARD_BEFORE_S if self._heard else _NEVER_HEARD_S)

    def note_for(self, device: str, title: str) -> str:
        """Return what a person should know, one sentence; empty while all is well."""
        if not self.muted:
            return ""
        perhaps = " (or its noise suppression hears nobody)" if self._heard else ""
        return (
            f"{title} delivers nothing but zeros{perhaps}: it is muted, or kept from us; "
            f"{mute_remedy(device)}."
        )
