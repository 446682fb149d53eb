"""A microphone through PortAudio (sounddevice)."""

import time
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from rest_bridge.audio.live import LiveFeed
from rest_bridge.errors import SourceError
from rest_bridge.sound import portaudio
from rest_bridge.sound.devices import SoundDevice, choose, list_portaudio
from rest_bridge.sound.keeper import DeviceKeeper
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk

BLOCK_S: Final = 0.01
"""Fixed, because blocksize 0 gave callbacks of 2 to 7 samples on the ALSA pulse plugin."""
_STALLED_NS: Final = 2_000_000_000
NO_MICROPHONE: Final = (
    "No microphone was found; connect one and see `rest-bridge devices`, or speak through "
    "--audio FILE, --audio system or --audio push"
)


class MicrophoneSource:
    """Records one input device at its native rate, mono.

    PortAudio's callback copies into a ring and returns. A device that disappears is replaced by
    silence and opened again, by name, when it is back.

    Args:
        device: name or part of it; empty for the system's default.
        latency_s: asked of PortAudio.

    Raises:
        SourceError: no library, no such device, or it cannot be opened.
    """

    sample_rate_hz = VOICE_RATE_HZ
    live = True

    def __init__(self, device: str = "", *, latency_s: float = 0.04) -> None:
        self._wanted = device
        self._latency_s = latency_s
        self._sounddevice = portaudio.load(SourceError)
        self._stream: Any = None
        self._rate_hz = VOICE_RATE_HZ
        self._last_ns = 0
        found = self._find()
        self.name = found.name
        self._feed = LiveFeed(f"Microphone {self.name!r}")
        self._open(found)
        self._keeper = DeviceKeeper(
            f"Microphone {self.name!r}",
            reopen=self._reopen,
            is_alive=self._is_alive,
            meanwhile="the face hears silence",
        )
        self._keeper.start()

    @property
    def num_dropped(self) -> int:
        """Samples lost to overflows since the source was opened."""
        return self._feed.num_dropped

    @property
    def num_losses(self) -> int:
        """How often the device has disappeared."""
        return self._keeper.num_losses

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        """Return the next samples (see `AudioSource.read`)."""
        return self._feed.read(num_samples, timeout_s)

    def close(self) -> None:
        """Close the device; idempotent."""
        self._keeper.stop()
        self._feed.close()
        portaudio.close_stream(self._stream)

    def __enter__(self) -> Self:
        """Return the source."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the device."""
        self.close()

    def _find(self) -> SoundDevice:
        devices = list_portaudio("input")
        if self._wanted:
            return choose(devices, self._wanted, SourceError)
        if not devices.devices:
            raise SourceError(f"{NO_MICROPHONE}.")
        defaults = [device for device in devices.devices if device.is_default]
        return (defaults or devices.devices)[0]

    def _open(self, device: SoundDevice) -> None:
        error: Exception | None = None
        # Most devices mix down themselves; a few interfaces refuse one channel.
        for num_channels in (1, min(2, device.num_channels)):
            for rate_hz in dict.fromkeys((device.rate_hz, VOICE_RATE_HZ)):
                try:
                    self._start(device, num_channels, rate_hz)
                except self._sounddevice.PortAudioError as refused:
                    error = error or refused
                else:
                    return
        reason = str(error).splitlines()[0].rstrip(".")
        raise SourceError(
            f"Microphone {device.name!r} cannot be opened ({reason}); is another program using it "
            "alone, or is the permission missing? See `rest-bridge doctor`."
        ) from error

    def _start(self, device: SoundDevice, num_channels: int, rate_hz: int) -> None:
        # "pulse", "default" and "pipewire" take any rate and name a wrong one as theirs.
        if device.host == "ALSA" and "hw:" not in device.name:
            rate_hz = VOICE_RATE_HZ
        self._rate_hz = rate_hz
        self._feed.start(rate_hz)
        self._last_ns = time.monotonic_ns()
        self._stream = portaudio.open_stream(
            lambda: self._sounddevice.InputStream(
                device=device.index,
                samplerate=rate_hz,
                channels=num_channels,
                dtype="float32",
                blocksize=round(rate_hz * BLOCK_S),
                latency=self._latency_s,
                callback=self._on_samples,
                extra_settings=portaudio.extra_settings(self._sounddevice, device.host),
            )
        )

    def _on_samples(self, samples: Any, num_frames: int, times: Any, status: Any) -> None:
        """PortAudio's callback, in its thread: copy and return."""
        now_ns = self._last_ns = time.monotonic_ns()
        # The time of the block's first sample, on PortAudio's own clock; some hosts leave it 0.
        age_s = times.currentTime - times.inputBufferAdcTime - num_frames / self._rate_hz
        if times.inputBufferAdcTime and 0.0 < age_s < 0.5:
            now_ns -= int(age_s * 1e9)
        mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
        self._feed.write(mono, now_ns, lost=bool(status.input_overflow))

    def _is_alive(self) -> bool:
        stalled = time.monotonic_ns() - self._last_ns > _STALLED_NS
        return portaudio.is_running(self._stream) and not stalled

    def _reopen(self, refresh: bool) -> None:
        portaudio.close_stream(self._stream)
        if refresh:
            portaudio.refresh(self._sounddevice)
        self._open(self._find())
