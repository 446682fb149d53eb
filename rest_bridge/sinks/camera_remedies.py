"""What the messages of virtual camera drivers mean, and what to do about each cause."""

import re
from pathlib import Path
from typing import Final

_RELOAD: Final = "sudo modprobe -r v4l2loopback && sudo modprobe v4l2loopback exclusive_caps=1"
MISSING_EXTRA: Final = 'the extra is not installed: pip install "rest-bridge[cam]"'

REMEDIES: Final = (
    (
        "obs virtual camera device not found",
        "install OBS Studio and press Start Virtual Camera in it once",
    ),
    (
        "obs virtual camera is not installed",
        "install OBS 30 or newer, press Start Virtual Camera once, allow its extension in System "
        "Settings, and restart the computer if it still is not found",
    ),
    (
        "virtual camera output could not be started",
        "another program (perhaps OBS itself) is sending to the OBS camera: stop it there",
    ),
    (
        "no v4l2 loopback device",
        "sudo apt-get install v4l2loopback-dkms && sudo modprobe v4l2loopback exclusive_caps=1 "
        'card_label="rest_bridge"',
    ),
    (
        "does not exist",
        "choose a device from `rest-bridge devices`, or leave camera.device empty for the first",
    ),
    ("no back end", "leave camera.backend empty for the one that works here"),
    (
        "operation not permitted",
        "Secure Boot refuses the unsigned v4l2loopback module: sign it (mokutil) or switch Secure "
        "Boot off",
    ),
    ("permission", "sudo usermod -aG video $USER, then log out and in again"),
    (
        "not a v4l2 device",
        "camera.device is no virtual camera; choose one from `rest-bridge devices`",
    ),
    (
        "not a video output device",
        "camera.device names a real webcam (choose one from `rest-bridge devices`), or another "
        "program sends to it or died doing so: close that, then " + _RELOAD,
    ),
    ("already in use", "another program is sending to this camera: stop it or choose another"),
    ("busy", "another program is sending to this camera: stop it or choose another"),
)
"""Part of a message of pyvirtualcam, lower case -> what to do about its real cause."""


_NO_OUTPUT: Final = re.compile(r"device (/\S+) is not a video output device", re.IGNORECASE)


def taken(
    message: str,
    *,
    proc: Path = Path("/proc"),
    virtual: Path = Path("/sys/devices/virtual/video4linux"),
) -> str:
    """Say that another program sends to a virtual camera; "" where that is not what failed.

    With `exclusive_caps` a device that somebody sends to is none that can be sent to, and neither
    is a real webcam, which is on a bus.

    Args:
        message: of pyvirtualcam.
        proc: the system's processes.
        virtual: where the system names its virtual video devices.

    Returns:
        A sentence with the remedy.
    """
    found = _NO_OUTPUT.search(message)
    if found is None or not (virtual / Path(found[1]).name).exists():
        return ""
    device, programs = found[1], _programs_with(Path(found[1]), proc)
    text = (
        f"Another program sends pictures to the virtual camera {device} already: end that there, "
        "or choose another camera (camera.device, see `rest-bridge devices`)."
    )
    if programs:
        return f"{text} It is open in {', '.join(programs)}."
    return f"{text} If there is none, one died while it sent; then: {_RELOAD}"


def _programs_with(device: Path, proc: Path) -> list[str]:
    """Return the programs that have a device open, as far as the system tells us."""
    programs: list[str] = []
    for process in sorted(proc.glob("[0-9]*")):
        try:
            if any(file.readlink() == device for file in (process / "fd").iterdir()):
                name = (process / "comm").read_text(encoding="utf-8").strip()
                programs.append(f"{name} (process {process.name})")
        except OSError:  # it has ended, or is somebody else's
            continue
    return programs


def camera_remedy(message: str) -> str:
    """Return what to do about an error of pyvirtualcam; several if every back end failed."""
    text = message.lower()
    remedies = [remedy for part, remedy in REMEDIES if part in text]
    return "; or ".join(dict.fromkeys(remedies)) or "see the troubleshooting table in README.md"
