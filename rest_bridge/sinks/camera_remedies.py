"""What the messages of virtual camera drivers mean, and what to do about each cause."""

from typing import Final

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
        "program sends to it or died doing so: close that, then sudo modprobe -r v4l2loopback && "
        "sudo modprobe v4l2loopback exclusive_caps=1",
    ),
    ("already in use", "another program is sending to this camera: stop it or choose another"),
    ("busy", "another program is sending to this camera: stop it or choose another"),
)
"""Part of a message of pyvirtualcam, lower case -> what to do about its real cause."""


def camera_remedy(message: str) -> str:
    """Return what to do about an error of pyvirtualcam; several if every back end failed."""
    text = message.lower()
    remedies = [remedy for part, remedy in REMEDIES if part in text]
    return "; or ".join(dict.fromkeys(remedies)) or "see the troubleshooting table in README.md"
