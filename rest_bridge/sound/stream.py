"""One PortAudio stream that stays: opened by name, watched, opened again when its device is back.

What microphone and voice output share. Tries what a device may refuse (channels, rates), notices
that callbacks have stopped, and says in one sentence why a device cannot be opened.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from rest_bridge.errors import RestBridgeError
from rest_bridge.sound import portaudio
from rest_bridge.sound.devices import PULSE, SoundDevice
from rest_bridge.sound.keeper import DeviceKeeper
from rest_bridge.sound.pulse import PulseServer
from rest_bridge.sound.pulse_watch import PulseWatch

DEFAULT_NAME: Final = "default"
"""A device of this name is whatever the system uses: where it goes, the server takes another."""
STALLED_NS: Final = 2_000_000_000
"""A device that has not called back for so long is gone, whatever PortAudio says."""


class DeviceStream:
    """Keeps a stream on one device.

    Args:
        title: what kind of device, for messages: "Microphone".
        find: returns the device by its name, from a list read anew; raises RestBridgeError.
        make: returns an unstarted stream on a device, with so many channels and at that rate.
        attempts: channels and rates to try, best first.
        meanwhile: what the stream gets until the device is back, for the log.
        hint: what to do where it cannot be opened, a clause.
        error: what to raise.
    """

    def __init__(
        self,
        title: str,
        *,
        find: Callable[[], SoundDevice],
        make: Callable[[SoundDevice, int, int], Any],
        attempts: Callable[[SoundDevice], Iterable[tuple[int, int]]],
        meanwhile: str,
        hint: str,
        error: type[RestBridgeError],
    ) -> None:
        self._title = title
        self._find = find
        self._make = make
        self._attempts = attempts
        self._meanwhile = meanwhile
        self._hint = hint
        self._error = error
        self._sounddevice: Any = None
        self._stream: Any = None
        self._keeper: DeviceKeeper | None = None
        self._watch: PulseWatch | None = None
        self._last_ns = 0
        self.name = ""

    @property
    def num_losses(self) -> int:
        """How often the device has disappeared."""
        return self._keeper.num_losses if self._keeper is not None else 0

    @property
    def lost(self) -> bool:
        """Whether it is gone now."""
        return self._keeper is not None and self._keeper.lost

    @property
    def latency_s(self) -> float:
        """What PortAudio says of the stream's delay; 0 while there is none."""
        stream = self._stream
        return float(stream.latency) if portaudio.is_running(stream) else 0.0

    def open(self) -> None:
        """Open the device and watch it from now on.

        Raises:
            RestBridgeError: of the type given, with the remedy: no library, no such device, or it
                refuses.
        """
        self._sounddevice = portaudio.load(self._error)
        device = self._find()
        self.name = device.name
        self._start(device)
        self._keeper = DeviceKeeper(
            f"{self._title} {device.name!r}",
            reopen=self._reopen,
            is_alive=self._is_alive,
            meanwhile=self._meanwhile,
        )
        self._keeper.start()
        if device.host == PULSE:
            self._watch = PulseWatch(self._follow)
            self._watch.start()

    def touch(self) -> int:
        """Note from the callback that the device lives; returns the monotonic time."""
        self._last_ns = time.monotonic_ns()
        return self._last_ns

    def close(self) -> None:
        """Close the device; idempotent."""
        if self._watch is not None:
            self._watch.stop()
        if self._keeper is not None:
            self._keeper.stop()
        portaudio.close_stream(self._stream)

    def _start(self, device: SoundDevice) -> None:
        self.touch()
        first: Exception | None = None
        for num_channels, rate_hz in dict.fromkeys(self._attempts(device)):
            try:
                self._stream = portaudio.open_stream(
                    lambda c=num_channels, r=rate_hz: self._make(device, c, r)
                )
            except self._sounddevice.PortAudioError as refused:
                first = first or refused
            else:
                return
        reason = str(first).splitlines()[0].rstrip(".")
        raise self._error(
            f"{self._title} {device.name!r} cannot be opened ({reason}); {self._hint}"
        ) from first

    def _follow(self, server: PulseServer) -> None:
        """Give a stream up whose device has gone, before the server moves it to another one."""
        names = {device.name for device in (*server.sinks, *server.sources)}
        there = self.name in names or (self.name == DEFAULT_NAME and names)
        if not there:
            portaudio.close_stream(self._stream)

    def _is_alive(self) -> bool:
        stalled = time.monotonic_ns() - self._last_ns > STALLED_NS
        return portaudio.is_running(self._stream) and not stalled

    def _reopen(self, refresh: bool) -> None:
        portaudio.close_stream(self._stream)
        if refresh:
            portaudio.refresh(self._sounddevice)
        self._start(self._find())
