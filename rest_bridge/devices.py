"""What this computer has: microphones, what it plays, outputs and virtual cameras.

Collects the lists of `sound.devices` and the cameras under names that can be pasted into the
configuration, and turns them into the doctor's checks of sound. Only `check_hearing` opens a
device: the microphone, for half a second.
"""

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from rest_bridge.doctor import Check
from rest_bridge.errors import SourceError, SourceTimeout
from rest_bridge.sinks.camera_remedies import camera_remedy
from rest_bridge.sound import pulse
from rest_bridge.sound.devices import DeviceList, list_inputs, list_monitors, list_outputs
from rest_bridge.sound.muted import mute_remedy
from rest_bridge.types import VOICE_RATE_HZ, AudioSource

Kind = Literal["input", "monitor", "output", "camera"]
KEYS: Final[dict[Kind, str]] = {
    "input": "audio.source",
    "monitor": "audio.source",
    "output": "voice_out.device",
    "camera": "camera.device",
}
_V4L2_PATH: Final = Path("/sys/class/video4linux")
_LOOPBACK_DRIVER: Final = "v4l2loopback"
_LISTEN_BLOCKS: Final = 60
_LISTEN_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Device:
    """One choice for a configuration key.

    Attributes:
        kind: what it is for.
        name: stable; to paste into the configuration.
        description: what desktop settings call it.
        is_default: what the system takes unless told otherwise.
        detail: host, rate and channels, in words.
    """

    kind: Kind
    name: str
    description: str
    is_default: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Devices of one kind, and why there are none."""

    kind: Kind
    devices: tuple[Device, ...]
    reason: str


def list_all() -> list[Listing]:
    """List everything that can be chosen, sound first."""
    return [
        _sound("input", list_inputs()),
        _sound("monitor", list_monitors()),
        _sound("output", list_outputs()),
        list_cameras(),
    ]


def list_cameras(folder: Path = _V4L2_PATH) -> Listing:
    """List the virtual cameras that can be written to, without opening them.

    Args:
        folder: where Linux lists its video devices.
    """
    if not sys.platform.startswith("linux"):
        return Listing("camera", (), "found when opened: OBS Virtual Camera, or UnityCapture")
    names = {device.name: _read(device / "name") for device in sorted(folder.glob("video*"))}
    # A real webcam is on a bus; v4l2loopback's devices are virtual ones.
    virtual = [n for n in names if "virtual" in (folder / n).resolve().parts]
    cameras = tuple(
        Device("camera", f"/dev/{name}", names[name], is_default=i == 0, detail=_LOOPBACK_DRIVER)
        for i, name in enumerate(virtual)
    )
    reason = f"the v4l2loopback module is not loaded ({camera_remedy('no v4l2 loopback device')})"
    return Listing("camera", cameras, "" if cameras else reason)


def check_inputs() -> Check:
    """Check that there is a microphone; optional, as a voice may come from elsewhere."""
    return _check(
        "microphone", list_inputs(), "connect a microphone; files, push and demo need none"
    )


def check_hearing(spec: str = "mic") -> Check:
    """Check that the microphone delivers sound, by listening to it for half a second.

    Args:
        spec: as `audio.source`; what is no microphone is not listened to.
    """
    from rest_bridge.audio.source import open_source

    name = "microphone's sound"
    known = {"mic", *(device.name for device in list_inputs().devices)}
    if spec not in known or not list_inputs().devices:
        return Check(name, "ok", "not listened to: the voice comes from elsewhere")
    try:
        source = open_source(spec)
    except SourceError as error:
        return Check(name, "warn", str(error), "see what it says, or choose another one by name")
    with contextlib.closing(source):
        loudest = _loudest(source)
    if loudest is None:
        detail = f"{source.name} is open, but delivers no samples"
        remedy = "plug it in again, or restart the sound server: systemctl --user restart pipewire"
        return Check(name, "warn", detail, remedy)
    if loudest == 0.0:
        detail = f"{source.name} delivers nothing but zeros: it is muted, or kept from us"
        return Check(name, "warn", detail, mute_remedy(source.name))
    level_db = 20 * np.log10(loudest)
    return Check(name, "ok", f"{source.name}, {level_db:.0f} dB at most in half a second")


def _loudest(source: AudioSource) -> float | None:
    """Return the largest sample of half a second, 0..1; None where nothing came."""
    loudest: float | None = None
    for _ in range(_LISTEN_BLOCKS):
        try:
            chunk = source.read(VOICE_RATE_HZ // 100, _LISTEN_TIMEOUT_S)
        except SourceTimeout:
            break
        if not chunk.discontinuity:  # else the clock filled it, not the device
            loudest = max(loudest or 0.0, float(np.abs(chunk.samples).max(initial=0.0)))
    return loudest


def check_monitors() -> Check:
    """Check that what the computer plays can be heard."""
    remedies = {
        "win32": 'pip install "rest-bridge[loopback]"',
        "darwin": "install BlackHole (existential.audio) and choose it by name",
    }
    remedy = remedies.get(sys.platform, "start PulseAudio or PipeWire, and install pactl")
    return _check("system audio", list_monitors(), remedy)


def check_outputs() -> Check:
    """Check that there is a device for the delayed voice."""
    return _check("sound output", list_outputs(), "connect one; only voice_out.device needs it")


def _check(name: str, found: DeviceList, remedy: str) -> Check:
    if not found.devices and pulse.NO_SERVER in found.reason:
        return Check(name, "warn", f"none: {pulse.NONE_RUNS}", pulse.START_ONE)
    if not found.devices:
        return Check(name, "warn", f"none: {found.reason}", remedy)
    default = next((d for d in found.devices if d.is_default), found.devices[0])
    more = f" and {len(found.devices) - 1} more" if len(found.devices) > 1 else ""
    return Check(name, "ok", f"{default.description}{more}")


def _sound(kind: Literal["input", "monitor", "output"], found: DeviceList) -> Listing:
    devices = tuple(
        Device(
            kind,
            device.name,
            device.description,
            device.is_default,
            f"{device.host}, {device.rate_hz} Hz, {device.num_channels} ch",
        )
        for device in found.devices
    )
    return Listing(kind, devices, found.reason)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
