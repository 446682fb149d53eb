"""Sends the face as Epic's Live Link Face app does: UDP 11111, 61 values, for Unreal's MetaHumans.

A packet: version 6 (uint32, little-endian), device id ("$" and a UUID, 37 bytes), length of the
subject's name (int32, big-endian from here on) and the name, frame number (int32), sub-frame
(float32), frame rate as numerator and denominator (2 x int32), number of values (uint8), values
(float32). Frame numbers count from midnight, as a timecode does.
"""

import datetime as dt
import struct
import uuid
from collections.abc import Callable
from typing import Final

from rest_bridge.errors import ConfigError
from rest_bridge.sinks.datagrams import DatagramSender
from rest_bridge.sinks.rig_values import LIVE_LINK_NAMES, RigInstant, live_link_values
from rest_bridge.types import FloatArray

DEFAULT_PORT: Final = 11111
_VERSION: Final = 6
_MAX_NAME_BYTES: Final = 63


def packet(
    values: FloatArray, *, subject: str, device_id: uuid.UUID, seconds: float, rate_hz: int
) -> bytes:
    """Return one Live Link Face packet.

    Args:
        values: float32 [61] in `LIVE_LINK_NAMES` order.
        subject: name that Unreal lists.
        device_id: of the sender, the same for all packets.
        seconds: since midnight, of this instant.
        rate_hz: of the packets, which frame numbers count at.
    """
    name = subject.encode()
    frame = seconds * rate_hz
    return b"".join((
        struct.pack("<I", _VERSION),
        f"${device_id}".encode("ascii"),
        struct.pack("!i", len(name)), name,
        struct.pack("!if2i", int(frame), frame - int(frame), rate_hz, 1),
        struct.pack(f"!B{len(LIVE_LINK_NAMES)}f", len(LIVE_LINK_NAMES), *map(float, values)),
    ))  # fmt: skip


class LiveLinkOutput:
    """Sends instants to one Unreal editor or game.

    Args:
        host: where Unreal runs.
        port: UDP port of its Live Link Face source.
        subject: name that Unreal lists; up to 63 bytes.
        rate_hz: of the calls to `emit`.
        now: local time of day.

    Raises:
        ConfigError: the subject is empty or too long.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        subject: str = "rest_bridge",
        rate_hz: int = 60,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now().astimezone(),
    ) -> None:
        if not 0 < len(subject.encode()) <= _MAX_NAME_BYTES:
            raise ConfigError(
                f'the Live Link subject "{subject}" must have 1 to {_MAX_NAME_BYTES} bytes; '
                "set live_link.subject"
            )
        self._sender = DatagramSender("Live Link", host, port, key="live_link.host")
        self._subject = subject
        self._rate_hz = rate_hz
        self._now = now
        # The same on every start, so that Unreal takes a restarted daemon for the same device.
        self._device_id = uuid.uuid5(uuid.NAMESPACE_DNS, f"{subject}.{uuid.getnode()}.rest_bridge")

    def open(self) -> None:
        """Make the socket.

        Raises:
            SinkUnavailable: the receiver's name is unknown.
        """
        self._sender.open()

    def emit(self, instant: RigInstant) -> None:
        """Send one instant.

        Args:
            instant: the face.

        Raises:
            SinkError: it was not opened, or the network refuses for good.
        """
        now = self._now()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        data = packet(
            live_link_values(instant),
            subject=self._subject,
            device_id=self._device_id,
            seconds=(now - midnight).total_seconds(),
            rate_hz=self._rate_hz,
        )
        self._sender.send(data)

    def close(self) -> None:
        """Close the socket; idempotent."""
        self._sender.close()
