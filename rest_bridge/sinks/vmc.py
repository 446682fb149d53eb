"""Sends the face to VMC receivers (VSeeFace, Warudo, Unity with EVMC4U, Godot ...): OSC over UDP.

The protocol is https://protocol.vmc.info (MIT), marionette side: per frame `/VMC/Ext/OK`,
`/VMC/Ext/T`, the head's and eyes' bones, one `/VMC/Ext/Blend/Val` for each expression and one
`/VMC/Ext/Blend/Apply`. OSC packets are made by python-osc (extra `osc`).
"""

import importlib
import time
from collections.abc import Iterator
from typing import Any, Final

from rest_bridge.errors import SinkUnavailable
from rest_bridge.sinks.datagrams import DatagramSender
from rest_bridge.sinks.rig_values import Naming, RigInstant, expressions, gaze_deg, unity_rotation

DEFAULT_PORT: Final = 39539
MAX_PACKET_BYTES: Final = 1400
"""Below the MTU of an Ethernet with all its headers: a larger datagram would be fragmented."""
_NECK_SHARE: Final = 0.4
"""Share of the head's turn that the neck takes, as a person's does."""


def messages(
    instant: RigInstant, naming: Naming, time_s: float
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the OSC messages of one instant, address and arguments, in the protocol's order.

    Args:
        instant: the face.
        naming: of the expressions.
        time_s: seconds since the output was opened.
    """
    yield "/VMC/Ext/OK", (1,)
    yield "/VMC/Ext/T", (float(time_s),)
    head = [instant.value(name) for name in ("headYaw", "headPitch", "headRoll")]
    for bone, share in (("Neck", _NECK_SHARE), ("Head", 1 - _NECK_SHARE)):
        yield "/VMC/Ext/Bone/Pos", _bone(bone, *(share * angle for angle in head))
    for side in ("Left", "Right"):
        to_the_left, up = gaze_deg(instant, side)
        yield "/VMC/Ext/Bone/Pos", _bone(f"{side}Eye", to_the_left, -up, 0.0)
    for name, value in expressions(instant, naming).items():
        yield "/VMC/Ext/Blend/Val", (name, float(value))
    yield "/VMC/Ext/Blend/Apply", ()


class VmcOutput:
    """Sends instants to one receiver.

    Args:
        host: of the receiver; the loopback address for this computer.
        port: its UDP port.
        naming: of the expressions, as the receiver's avatar wants them.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = DEFAULT_PORT, naming: Naming = "vrm1"
    ) -> None:
        self._sender = DatagramSender("VMC", host, port, key="vmc.host")
        self._naming: Naming = naming
        self._begun_s = 0.0

    def open(self) -> None:
        """Make the socket.

        Raises:
            SinkUnavailable: python-osc is missing, or the receiver's name is unknown.
        """
        try:
            importlib.import_module("pythonosc.osc_bundle_builder")
        except ImportError as error:
            raise SinkUnavailable('VMC needs python-osc: pip install "rest-bridge[osc]"') from error
        self._sender.open()
        self._begun_s = time.monotonic()

    def emit(self, instant: RigInstant) -> None:
        """Send one instant, in packets below the MTU.

        Args:
            instant: the face.

        Raises:
            SinkError: it was not opened, or the network refuses for good.
        """
        for packet in packets(instant, self._naming, time.monotonic() - self._begun_s):
            if not self._sender.send(packet):
                return  # half a face would be worse than none

    def close(self) -> None:
        """Close the socket; idempotent."""
        self._sender.close()


def packets(instant: RigInstant, naming: Naming, time_s: float) -> list[bytes]:
    """Return the OSC bundles of one instant, each at most `MAX_PACKET_BYTES` long.

    Args:
        instant: the face.
        naming: of the expressions.
        time_s: seconds since the output was opened.
    """
    from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
    from pythonosc.osc_message_builder import OscMessageBuilder

    done: list[bytes] = []
    header_bytes, size = 16, 16
    bundle = OscBundleBuilder(IMMEDIATELY)
    for address, arguments in messages(instant, naming, time_s):
        builder = OscMessageBuilder(address)
        for argument in arguments:
            builder.add_arg(argument)
        message = builder.build()
        if size + 4 + message.size > MAX_PACKET_BYTES:
            done.append(bundle.build().dgram)
            bundle, size = OscBundleBuilder(IMMEDIATELY), header_bytes
        bundle.add_content(message)
        size += 4 + message.size
    return [*done, bundle.build().dgram]


def _bone(name: str, yaw_deg: float, pitch_deg: float, roll_deg: float) -> tuple[Any, ...]:
    """Arguments of a bone's message: name, position (left as it is), rotation."""
    return name, 0.0, 0.0, 0.0, *map(float, unity_rotation(yaw_deg, pitch_deg, roll_deg))
