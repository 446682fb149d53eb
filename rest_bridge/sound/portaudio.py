"""The PortAudio library: loaded when first needed, missing in one sentence, refreshed with care.

PortAudio's device list is a snapshot from its initialisation, and initialising it again kills
every open stream (sounddevice #125, #382, #493). So streams are registered here: `refresh` closes
them all first, and their owners, who watch their streams anyway, open them again by name.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final

from rest_bridge.errors import RestBridgeError

MISSING_LIBRARY: Final = (
    "The PortAudio library is missing; install it: sudo apt install libportaudio2 "
    "(Debian, Ubuntu), sudo dnf install portaudio (Fedora), sudo pacman -S portaudio (Arch)."
)
MISSING_MODULE: Final = "The module sounddevice is missing; install it: pip install sounddevice"

_lock = threading.RLock()
_streams: set[Any] = set()


def load(error: type[RestBridgeError]) -> Any:
    """Import sounddevice.

    Args:
        error: what to raise.

    Returns:
        The module.

    Raises:
        RestBridgeError: `error`, where the module or the PortAudio library is missing.
    """
    try:
        import sounddevice
    except ImportError:
        raise error(MISSING_MODULE) from None
    except OSError:  # "PortAudio library not found"
        raise error(MISSING_LIBRARY) from None
    return sounddevice


def open_stream(make: Callable[[], Any]) -> Any:
    """Make, start and register a stream.

    Args:
        make: returns an unstarted `sounddevice` stream.

    Returns:
        The running stream; close it with `close_stream`.
    """
    with _lock:
        stream = make()
        try:
            stream.start()
        except BaseException:
            stream.close(ignore_errors=True)
            raise
        _streams.add(stream)
        return stream


def close_stream(stream: Any) -> None:
    """Stop a stream at once; idempotent, and quiet about a device that is gone."""
    with _lock:
        if stream not in _streams:
            return
        _streams.discard(stream)
        _close_quietly(stream)


def is_running(stream: Any) -> bool:
    """Whether the stream is open here and its device still calls back."""
    with _lock:
        return stream in _streams and bool(stream.active)


def refresh(sounddevice: Any) -> None:
    """Read the device list anew; closes every registered stream.

    Args:
        sounddevice: the module.
    """
    with _lock:
        while _streams:
            _close_quietly(_streams.pop())
        # There is no public way to read the device list anew (sounddevice #125).
        with contextlib.suppress(sounddevice.PortAudioError):
            sounddevice._terminate()  # noqa: SLF001
        sounddevice._initialize()  # noqa: SLF001


def _close_quietly(stream: Any) -> None:
    # A stream whose device is gone may fail to abort; it must still be closed.
    for action in (stream.abort, stream.close):
        with contextlib.suppress(Exception):
            action(ignore_errors=True)


def extra_settings(sounddevice: Any, host: str) -> Any:
    """Return the host API's settings for a shared device, None where there are none to make.

    Args:
        sounddevice: the module.
        host: name of the host API.

    Returns:
        For WASAPI, settings that let Windows convert rate and channels.
    """
    return sounddevice.WasapiSettings(auto_convert=True) if host == "Windows WASAPI" else None
