"""A microphone through PortAudio (sounddevice)."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from rest_bridge.audio.live_source import LiveSource
from rest_bridge.errors import SourceError
from rest_bridge.sound import portaudio
from rest_bridge.sound.devices import SoundDevice, choose, list_portaudio
from rest_bridge.sound.stream import DeviceStream
from rest_bridge.types import VOICE_RATE_HZ

BLOCK_S: Final = 0.01
"""Fixed, because blocksize 0 gave callbacks of 2 to 7 samples on the ALSA pulse plugin."""
NO_MICROPHONE: Final = (
    "No microphone was found; connect one and see `rest-bridge devices`, or speak through "
    "--audio FILE, --audio system or --audio push"
)


class MicrophoneSource(LiveSource):
    """Records one input device at its native rate, mono.

    PortAudio's callback copies into a ring and returns. A device that disappears is replaced by
    silence and opened again, by name, when it is back.

    Args:
        device: name or part of it; empty for the system's default.
        latency_s: asked of PortAudio.

    Raises:
        SourceError: no library, no such device, or it cannot be opened.
    """

    def __init__(self, device: str = "", *, latency_s: float = 0.04) -> None:
        self._wanted = device
        self._latency_s = latency_s
        self._sounddevice = portaudio.load(SourceError)
        self._rate_hz = VOICE_RATE_HZ
        found = self._find()
        super().__init__(found.name, f"Microphone {found.name!r}", never_silent=True)
        self._stream = DeviceStream(
            "Microphone",
            find=self._find,
            make=self._make,
            attempts=_attempts,
            meanwhile="the face hears silence",
            hint=(
                "is another program using it alone, or is the permission missing? "
                "See `rest-bridge doctor`."
            ),
            error=SourceError,
        )
        self._stream.open()

    @property
    def num_losses(self) -> int:
        """How often the device has disappeared."""
        return self._stream.num_losses

    @property
    def lost(self) -> bool:
        """Whether it is gone at the moment."""
        return self._stream.lost

    def close(self) -> None:
        """Close the device; idempotent."""
        super().close()
        self._stream.close()

    def _find(self) -> SoundDevice:
        devices = list_portaudio("input")
        if self._wanted:
            return choose(devices, self._wanted, SourceError)
        if not devices.devices:
            raise SourceError(f"{NO_MICROPHONE}.")
        defaults = [device for device in devices.devices if device.is_default]
        return (defaults or devices.devices)[0]

    def _make(self, device: SoundDevice, num_channels: int, rate_hz: int) -> Any:
        self._rate_hz = rate_hz
        self.feed.start(rate_hz)
        return self._sounddevice.InputStream(
            device=device.index,
            samplerate=rate_hz,
            channels=num_channels,
            dtype="float32",
            blocksize=round(rate_hz * BLOCK_S),
            latency=self._latency_s,
            callback=self._on_samples,
            extra_settings=portaudio.extra_settings(self._sounddevice, device.host),
        )

    def _on_samples(self, samples: Any, num_frames: int, times: Any, status: Any) -> None:
        """PortAudio's callback, in its thread: copy and return."""
        now_ns = self._stream.touch()
        # The time of the block's first sample, on PortAudio's own clock; some hosts leave it 0.
        age_s = times.currentTime - times.inputBufferAdcTime - num_frames / self._rate_hz
        if times.inputBufferAdcTime and 0.0 < age_s < 0.5:
            now_ns -= int(age_s * 1e9)
        mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
        self.write(mono, now_ns, rate_hz=self._rate_hz, lost=bool(status.input_overflow))


def _attempts(device: SoundDevice) -> Iterator[tuple[int, int]]:
    """Yield channels and rate: most devices mix down themselves, a few refuse one channel."""
    # "pulse", "default" and "pipewire" take any rate and name a wrong one as theirs.
    is_plugin = device.host == "ALSA" and "hw:" not in device.name
    rates = (VOICE_RATE_HZ,) if is_plugin else (device.rate_hz, VOICE_RATE_HZ)
    for num_channels in (1, min(2, device.num_channels)):
        for rate_hz in rates:
            yield num_channels, rate_hz
