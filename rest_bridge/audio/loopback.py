"""What a Windows computer plays, through WASAPI loopback (PyAudioWPatch, extra `loopback`).

The official sounddevice wheels carry no loopback (sounddevice #281). A loopback delivers nothing
while nothing plays; the feed fills that with silence.
"""

import time
from typing import Any

import numpy as np

from rest_bridge.audio.live_source import LiveSource
from rest_bridge.errors import SourceError
from rest_bridge.sound.devices import choose, list_monitors
from rest_bridge.sound.keeper import DeviceKeeper


class LoopbackSource(LiveSource):
    """Hears one output device of Windows.

    Args:
        device: name of a loopback or part of it; empty for the default output's.

    Raises:
        SourceError: the extra is missing, or there is no such device.
    """

    def __init__(self, device: str = "") -> None:
        super().__init__(device or "what the computer plays")
        self._wanted = device
        self._audio: Any = None
        self._stream: Any = None
        self._open()
        self._keeper = DeviceKeeper(
            self.name,
            reopen=self._reopen,
            is_alive=lambda: self._stream is not None and bool(self._stream.is_active()),
            meanwhile="the face hears silence",
        )
        self._keeper.start()

    @property
    def num_losses(self) -> int:
        """How often the device has disappeared."""
        return self._keeper.num_losses

    @property
    def lost(self) -> bool:
        """Whether it is gone at the moment."""
        return self._keeper.lost

    def close(self) -> None:
        """Close the device; idempotent."""
        self._keeper.stop()
        super().close()
        self._release()

    def _open(self) -> None:
        devices = list_monitors()
        found = next((device for device in devices.devices if device.is_default), None)
        if self._wanted or found is None:
            found = choose(devices, self._wanted or "loopback", SourceError)
        import pyaudiowpatch  # pyright: ignore[reportMissingImports]

        self._audio = pyaudiowpatch.PyAudio()
        self.feed.start(found.rate_hz)

        def on_samples(data: bytes, _frames: int, _times: Any, status: int) -> tuple[None, int]:
            samples = np.frombuffer(data, np.float32).reshape(-1, found.num_channels)
            lost = bool(status & pyaudiowpatch.paInputOverflow)
            mono = samples.mean(axis=1, dtype=np.float32)
            self.write(mono, time.monotonic_ns(), rate_hz=found.rate_hz, lost=lost)
            return None, pyaudiowpatch.paContinue

        try:
            self._stream = self._audio.open(
                format=pyaudiowpatch.paFloat32,
                channels=found.num_channels,
                rate=found.rate_hz,
                input=True,
                input_device_index=found.index,
                frames_per_buffer=found.rate_hz // 100,
                stream_callback=on_samples,
            )
        except (OSError, ValueError) as error:
            self._release()
            raise SourceError(
                f"The loopback of {found.name!r} cannot be opened ({error}); check that the output "
                "plays sound, and see `rest-bridge devices`."
            ) from error

    def _reopen(self, refresh: bool) -> None:
        del refresh  # a new PyAudio reads the device list anew by itself
        self._release()
        self._open()

    def _release(self) -> None:
        stream, audio = self._stream, self._audio
        self._stream = self._audio = None
        if stream is not None:
            stream.close()
        if audio is not None:
            audio.terminate()
