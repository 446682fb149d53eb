"""Plays the voice that belongs to the pictures: loudspeaker, headphones, or a virtual cable.

Other programs take the delayed voice from a virtual cable (on Linux a null sink of PulseAudio or
PipeWire, on Windows VB-Cable, on macOS BlackHole) and so get picture and sound together.
"""

import contextlib
import os
import time
from collections.abc import Generator
from typing import Any, Final, Literal

import numpy as np

from rest_bridge.errors import SinkUnavailable
from rest_bridge.sinks.playout import Playout
from rest_bridge.sound import portaudio
from rest_bridge.sound.devices import (
    PULSE,
    DeviceList,
    SoundDevice,
    choose,
    list_outputs,
    list_portaudio,
)
from rest_bridge.sound.feedback import feedback_reason
from rest_bridge.sound.keeper import DeviceKeeper
from rest_bridge.types import VOICE_RATE_HZ, Frame, FrameFormat

RESERVE_S: Final = 0.015
"""Voice left when the next frame comes: one block of the card and the jitter of the pacer."""
_BLOCK_S: Final = 0.01
_STALLED_NS: Final = 2_000_000_000
_NO_PLUGIN: Final = (
    "PortAudio cannot reach PulseAudio; install its plugin: sudo apt install libasound2-plugins"
)


class VoiceOutput:
    """Plays each frame's voice when the frame is shown.

    What is played comes `delay_s` after the frame is handed to the other outputs, which is less
    than what shows it takes. A device that disappears is opened again by name.

    Args:
        device: name or part of it; "default" or empty for the system's default.
        gain_db: in decibels.
        offset_s: plays so much later, against outputs that show late.
        heard: what the voice comes from, as the person named it; an output that it hears is
            refused.
        latency_s: asked of the sound device.
    """

    policy: Literal["latest", "every"] = "every"

    def __init__(
        self,
        device: str = "",
        *,
        gain_db: float = 0.0,
        offset_s: float = 0.0,
        heard: str = "",
        latency_s: float = 0.02,
    ) -> None:
        self.name = "voice output"
        self._wanted = "" if device.strip().lower() == "default" else device
        self._factor = np.float32(10 ** (gain_db / 20))
        self._heard = heard
        self._latency_s = latency_s
        self._playout = Playout(max(RESERVE_S / 3, RESERVE_S + offset_s))
        self._sounddevice: Any = None
        self._stream: Any = None
        self._keeper: DeviceKeeper | None = None
        self._last_ns = 0

    @property
    def delay_s(self) -> float:
        """From handing over a frame to hearing its first sample, as the device reports it."""
        latency_s = float(self._stream.latency) if self._stream is not None else 0.0
        return self._playout.fill_s + latency_s

    @property
    def num_underruns(self) -> int:
        """How often the device wanted voice that was not there."""
        return self._playout.num_underruns

    @property
    def num_losses(self) -> int:
        """How often the device has disappeared."""
        return self._keeper.num_losses if self._keeper is not None else 0

    def open(self, fmt: FrameFormat) -> None:
        """Open the device.

        Args:
            fmt: of the frames; the voice does not depend on it.

        Raises:
            SinkUnavailable: no library, no such device, it cannot be opened, or the face would
                hear itself.
        """
        del fmt
        loop = feedback_reason(self._heard, self._wanted) if self._heard else ""
        if loop:
            raise SinkUnavailable(loop)
        self._sounddevice = portaudio.load(SinkUnavailable)
        device = self._find()
        self.name = f"voice output {device.name!r}"
        self._start(device)
        self._keeper = DeviceKeeper(
            f"Output device {device.name!r}",
            reopen=self._reopen,
            is_alive=self._is_alive,
            meanwhile="the voice is not heard there",
        )
        self._keeper.start()

    def send(self, frame: Frame) -> None:
        """Play the frame's voice next; never blocks."""
        samples = frame.voice.samples
        if self._factor != 1.0:
            samples = np.clip(samples * self._factor, -1.0, 1.0)
        self._playout.push(samples)

    def skip(self, frame: Frame) -> None:
        """Play the voice of a frame whose picture was dropped on the way."""
        self.send(frame)

    def close(self) -> None:
        """Close the device; idempotent."""
        if self._keeper is not None:
            self._keeper.stop()
        portaudio.close_stream(self._stream)

    def _find(self) -> SoundDevice:
        if self._wanted:
            return choose(list_outputs(), self._wanted, SinkUnavailable)
        devices = list_portaudio("output")
        if not devices.devices:
            reason = f" ({devices.reason})" if devices.reason else ""
            raise SinkUnavailable(
                f"No sound output was found{reason}; connect one and see `rest-bridge devices`."
            )
        return next((d for d in devices.devices if d.is_default), devices.devices[0])

    def _start(self, device: SoundDevice) -> None:
        self._last_ns = time.monotonic_ns()
        errors: list[Exception] = []
        # Mono is not to every card's liking; the callback fills all channels.
        for num_channels in dict.fromkeys((min(2, device.num_channels), 1)):
            try:
                self._stream = self._open_stream(device, num_channels)
            except self._sounddevice.PortAudioError as error:
                errors.append(error)
            else:
                return
        reason = str(errors[0]).splitlines()[0].rstrip(".")
        raise SinkUnavailable(
            f"Output device {device.name!r} cannot be opened ({reason}); is another program using "
            "it alone? See `rest-bridge devices`."
        ) from errors[0]

    def _open_stream(self, device: SoundDevice, num_channels: int) -> Any:
        index = device.index
        if device.host == PULSE:
            plugins: DeviceList = list_portaudio("output")
            index = next((d.index for d in plugins.devices if d.name == "pulse"), -1)
            if index < 0:
                raise SinkUnavailable(f"{_NO_PLUGIN}.")
        with _pulse_sink(device.name if device.host == PULSE else ""):
            return portaudio.open_stream(
                lambda: self._sounddevice.OutputStream(
                    device=index,
                    samplerate=VOICE_RATE_HZ,
                    channels=num_channels,
                    dtype="float32",
                    blocksize=round(VOICE_RATE_HZ * _BLOCK_S),
                    latency=self._latency_s,
                    callback=self._on_request,
                    extra_settings=portaudio.extra_settings(self._sounddevice, device.host),
                )
            )

    def _on_request(self, out: Any, num_frames: int, times: Any, status: Any) -> None:
        """PortAudio's callback, in its thread: copy and return."""
        del times, status
        self._last_ns = time.monotonic_ns()
        out[:] = self._playout.pull(num_frames)[:, None]

    def _is_alive(self) -> bool:
        stalled = time.monotonic_ns() - self._last_ns > _STALLED_NS
        return portaudio.is_running(self._stream) and not stalled

    def _reopen(self, refresh: bool) -> None:
        portaudio.close_stream(self._stream)
        if refresh:
            portaudio.refresh(self._sounddevice)
        self._start(self._find())


@contextlib.contextmanager
def _pulse_sink(name: str) -> Generator[None]:
    """Let the ALSA plugin play to a sink of the server; it reads its name from the environment."""
    before = os.environ.get("PULSE_SINK")
    if name:
        os.environ["PULSE_SINK"] = name
    try:
        yield
    finally:
        if before is not None:
            os.environ["PULSE_SINK"] = before
        elif name:
            del os.environ["PULSE_SINK"]
