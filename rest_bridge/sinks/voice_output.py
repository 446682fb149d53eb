"""Plays the voice that belongs to the pictures: loudspeaker, headphones, or a virtual cable.

Other programs take the delayed voice from a virtual cable (on Linux a null sink of PulseAudio or
PipeWire, see `sound.cable`; on Windows VB-Cable, on macOS BlackHole) and so get picture and sound
together. The voice comes ahead of its frames (`hear`), so that a card's queue does not delay it.
"""

import contextlib
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np

from rest_bridge.errors import SinkUnavailable
from rest_bridge.sinks.playout import Playout
from rest_bridge.sound import cable, portaudio, pulse_player
from rest_bridge.sound.devices import (
    PULSE,
    DeviceList,
    SoundDevice,
    choose,
    list_outputs,
    list_portaudio,
)
from rest_bridge.sound.feedback import feedback_reason
from rest_bridge.sound.health import DeviceHealth
from rest_bridge.sound.stream import DEFAULT_NAME, DeviceStream
from rest_bridge.types import VOICE_RATE_HZ, FloatArray, Frame, FrameFormat, VoiceChunk

DELAY_S: Final = 0.020
"""A sample sounds so long after it is due: in the middle of when a camera of 30 fps shows a
picture, 5 to 32 ms after its turn (`camera_pace`), and a little more, as those who listen to a
cable hear up to 5 ms early. A screen shows it at its next refresh."""
_UNTIMED_DELAY_NS: Final = 60_000_000
"""For frames that come without voice ahead and without a due time."""
_BLOCK_S: Final = 0.01
_LONGEST_LATENCY_S: Final = 2.0
_LATE_S: Final = 0.005
_NO_PLUGIN: Final = (
    "PortAudio cannot reach PulseAudio; install its plugin: sudo apt install libasound2-plugins"
)


class VoiceOutput:
    """Plays each sample when its picture is shown; a device that disappears is opened again.

    Args:
        device: name or part of it; "default" or empty for the system's default; "cable" for the
            virtual cable, which is made if need be.
        gain_db: in decibels.
        offset_s: plays so much later, against outputs that show late; negative for earlier.
        heard: what the voice comes from, as the person named it; an output that it hears is
            refused.
        latency_s: asked of the sound device; the voice comes earlier than that, so it costs no
            delay, and a server that stands still for less is not heard.
        playout: gives the samples; a measurement puts its own here.
    """

    policy: Literal["latest", "every"] = "every"

    def __init__(
        self,
        device: str = "",
        *,
        gain_db: float = 0.0,
        offset_s: float = 0.0,
        heard: str = "",
        latency_s: float = 0.06,
        playout: Playout | None = None,
    ) -> None:
        self.name = "voice output"
        self._wanted = "" if device.strip().lower() == DEFAULT_NAME else device
        self._factor = np.float32(10 ** (gain_db / 20))
        self._heard = heard
        self._latency_s = latency_s
        self._playout = playout or Playout(DELAY_S + offset_s)
        self._hears_ahead = False
        self._last_due_ns = 0
        self._sounddevice: Any = None
        self._stream = DeviceStream(
            "Output device",
            find=self._find,
            make=self._make,
            attempts=_attempts,
            meanwhile="the voice is not heard there",
            hint="is another program using it alone? See `rest-bridge devices`.",
            error=SinkUnavailable,
        )

    @property
    def device(self) -> str:
        """Name of the device that was opened."""
        return self._stream.name

    @property
    def delay_s(self) -> float:
        """From the moment a sample is handed over to hearing it, about."""
        return self._playout.fill_s + self._stream.latency_s

    @property
    def num_underruns(self) -> int:
        """How often the device wanted voice that was not there."""
        return self._playout.num_underruns

    @property
    def num_losses(self) -> int:
        """How often the device has disappeared."""
        return self._stream.num_losses

    def health(self) -> DeviceHealth:
        """Return how the device and its clock do."""
        playout = self._playout
        note = ""
        if playout.late_s > _LATE_S:
            note = (
                f"This device needs the voice so early that it is heard {playout.late_s * 1000:.0f}"
                " ms after the pictures; choose one with less delay (no Bluetooth)."
            )
        return DeviceHealth(
            "voice out",
            self._stream.name or self._wanted or "default",
            lost=self._stream.lost,
            losses=self._stream.num_losses,
            ppm=round(playout.ppm, 1),
            locked=playout.locked,
            correction_ppm=round(playout.correction_ppm, 1),
            error_ms=round((playout.error_s + playout.late_s) * 1000, 2),
            fill_ms=round(playout.fill_s * 1000, 1),
            filled_ms=round(playout.num_missing * 1000 / VOICE_RATE_HZ, 1),
            skipped_ms=round(playout.num_skipped * 1000 / VOICE_RATE_HZ, 1),
            underruns=playout.num_underruns,
            jumps=playout.num_jumps,
            note=note,
        )

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
        self._stream.open()
        self.name = f"voice output {self._stream.name!r}"

    def hear(self, voice: VoiceChunk, due_ns: int) -> None:
        """Take voice ahead of its frame; never blocks.

        Args:
            voice: coming next.
            due_ns: monotonic time at which its first sample is due.
        """
        self._hears_ahead = True
        self._playout.push(self._amplified(voice.samples), voice.first_index, due_ns)

    def send(self, frame: Frame) -> None:
        """Play the frame's voice, unless it came ahead; never blocks."""
        if self._hears_ahead:
            return
        due_ns = frame.due_ns
        if not due_ns:  # whoever sends does not pace exactly: go on evenly as long as that fits
            now_ns = time.monotonic_ns() + _UNTIMED_DELAY_NS
            due_ns = self._last_due_ns if abs(self._last_due_ns - now_ns) < 30_000_000 else now_ns
            self._last_due_ns = due_ns + len(frame.voice.samples) * 1_000_000_000 // VOICE_RATE_HZ
        samples = self._amplified(frame.voice.samples)
        self._playout.push(samples, frame.voice.first_index, due_ns)

    def skip(self, frame: Frame) -> None:
        """Play the voice of a frame whose picture was dropped on the way."""
        self.send(frame)

    def close(self) -> None:
        """Close the device; idempotent."""
        self._stream.close()

    def _amplified(self, samples: FloatArray) -> FloatArray:
        if self._factor == 1.0:
            return samples
        return np.clip(samples * self._factor, -1.0, 1.0)

    def _find(self) -> SoundDevice:
        if self._wanted.strip().lower() == cable.WORD:
            made = cable.create(SinkUnavailable)
            return choose(list_outputs(), made.output, SinkUnavailable)
        if self._wanted:
            return choose(list_outputs(), self._wanted, SinkUnavailable)
        if (pulse := self._default_of_pulse()) is not None:
            return pulse
        devices = list_portaudio("output")
        if not devices.devices:
            reason = f" ({devices.reason})" if devices.reason else ""
            raise SinkUnavailable(
                f"No sound output was found{reason}; connect one and see `rest-bridge devices`."
            )
        return next((d for d in devices.devices if d.is_default), devices.devices[0])

    def _default_of_pulse(self) -> SoundDevice | None:
        """Return the sound server's default, whichever that is from now on; None without one."""
        if pulse_player.load() is None:
            return None
        for device in list_outputs().devices:
            if device.host == PULSE and device.is_default:
                return replace(device, name=DEFAULT_NAME)
        return None

    def _make(self, device: SoundDevice, num_channels: int, rate_hz: int) -> Any:
        index = device.index
        library = pulse_player.load() if device.host == PULSE else None
        self._playout.restart(rate_hz, sure=library is not None)
        if library is not None:
            return pulse_player.PulsePlayer(
                library,
                "" if device.name == DEFAULT_NAME else device.name,
                rate_hz=rate_hz,
                channels=num_channels,
                blocksize=round(rate_hz * _BLOCK_S),
                latency_s=self._latency_s,
                callback=self._on_request,
                error=self._sounddevice.PortAudioError,
                ready=self._playout.knows,
            )
        if device.host == PULSE:
            plugins: DeviceList = list_portaudio("output")
            index = next((d.index for d in plugins.devices if d.name == "pulse"), -1)
            if index < 0:
                raise SinkUnavailable(f"{_NO_PLUGIN}.")
        with _pulse_sink(device.name if device.host == PULSE else ""):
            return self._sounddevice.OutputStream(
                device=index,
                samplerate=rate_hz,
                channels=num_channels,
                dtype="float32",
                blocksize=round(rate_hz * _BLOCK_S),
                latency=self._latency_s,
                callback=self._on_request,
                extra_settings=portaudio.extra_settings(self._sounddevice, device.host),
            )

    def _on_request(self, out: Any, num_frames: int, times: Any, status: Any) -> None:
        """PortAudio's callback, in its thread: copy and return."""
        now_ns = self._stream.touch()
        if getattr(status, "stepped", False):  # PortAudio's hosts are not that sure
            self._playout.resume()
        # Some hosts leave the times 0, some report nonsense for the first blocks.
        ahead_s = times.outputBufferDacTime - times.currentTime
        if not 0.0 < ahead_s < _LONGEST_LATENCY_S:
            ahead_s = self._latency_s
        out[:] = self._playout.pull(num_frames, now_ns + int(ahead_s * 1e9))[:, None]


def _attempts(device: SoundDevice) -> Iterator[tuple[int, int]]:
    """Yield channels and rate; mono is not to every card's liking, we fill all channels."""
    for rate_hz in (VOICE_RATE_HZ, device.rate_hz):
        for num_channels in (min(2, device.num_channels), 1):
            yield num_channels, rate_hz


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
