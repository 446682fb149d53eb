"""A sounddevice module without PortAudio: devices as told, streams that a test feeds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np


class PortAudioError(Exception):
    pass


class FakeStream:
    def __init__(self, module: "FakeSounddevice", **options: Any) -> None:
        self.options = options
        self._module = module
        self.active = False
        self.closed = False
        if (refusal := module.refuse(options)) is not None:
            raise PortAudioError(refusal)
        module.streams.append(self)

    latency = 0.02

    def start(self) -> None:
        self.active = True

    def abort(self, ignore_errors: bool = True) -> None:
        self.active = False

    def close(self, ignore_errors: bool = True) -> None:
        self.active, self.closed = False, True

    def deliver(
        self, samples: Any, *, adc_s: float = 0.0, now_s: float = 0.0, overflow: bool = False
    ) -> None:
        """Call back as PortAudio does with float32 [S, C]."""
        times = SimpleNamespace(inputBufferAdcTime=adc_s, currentTime=now_s)
        status = SimpleNamespace(input_overflow=overflow)
        self.options["callback"](samples, len(samples), times, status)

    def request(self, num_frames: int, now_s: float = 1.0) -> Any:
        """Ask for sound as PortAudio does; return float32 [S, C]."""
        out = np.full((num_frames, self.options["channels"]), np.nan, np.float32)
        times = SimpleNamespace(outputBufferDacTime=now_s + 0.02, currentTime=now_s)
        status = SimpleNamespace(output_underflow=False)
        self.options["callback"](out, num_frames, times, status)
        return out


@dataclass
class FakeSounddevice:
    """What of sounddevice we use."""

    devices: list[dict[str, Any]]
    hosts: list[dict[str, Any]]
    default_indices: tuple[int, int] = (0, 0)
    refuse: Callable[[dict[str, Any]], str | None] = lambda _: None
    streams: list[FakeStream] = field(default_factory=list)
    num_refreshes: int = 0
    PortAudioError = PortAudioError

    @property
    def default(self) -> Any:
        indices = dict(zip(("input", "output"), self.default_indices, strict=True))
        return SimpleNamespace(device=indices)

    def query_devices(self) -> list[dict[str, Any]]:
        return self.devices

    def query_hostapis(self) -> list[dict[str, Any]]:
        return self.hosts

    def InputStream(self, **options: Any) -> FakeStream:  # noqa: N802 - sounddevice's name
        return FakeStream(self, **options)

    def OutputStream(self, **options: Any) -> FakeStream:  # noqa: N802 - sounddevice's name
        return FakeStream(self, **options)

    def WasapiSettings(self, **options: Any) -> dict[str, Any]:  # noqa: N802 - sounddevice's name
        return options

    def _initialize(self) -> None:
        self.num_refreshes += 1

    def _terminate(self) -> None:
        pass


def device(
    name: str, host: int = 0, inputs: int = 1, outputs: int = 0, rate_hz: float = 48000.0
) -> dict[str, Any]:
    return {
        "name": name,
        "hostapi": host,
        "max_input_channels": inputs,
        "max_output_channels": outputs,
        "default_samplerate": rate_hz,
    }


def alsa(*devices: dict[str, Any], **options: Any) -> FakeSounddevice:
    """A Linux computer whose first device is the default."""
    return FakeSounddevice(list(devices), [{"name": "ALSA", "devices": [0]}], **options)


def windows(*names: str) -> FakeSounddevice:
    """A Windows computer: every microphone once under MME (cut at 31 letters) and under WASAPI."""
    short = [device(name[:31], 0) for name in names]
    whole = [device(name, 1) for name in names]
    hosts = [
        {"name": "MME", "devices": [0], "default_input_device": 0},
        {"name": "Windows WASAPI", "devices": [1], "default_input_device": len(names)},
    ]
    return FakeSounddevice(short + whole, hosts)
