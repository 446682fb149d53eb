"""Binds ZeroMQ sockets safely: loopback unless told otherwise, one clear sentence when it fails.

A socket on another address than this computer's own needs keys (CURVE, see `rest-bridge keys`) or
the person's word that everybody may connect (`endpoints.insecure`). Every bound socket notices dead
peers by ZeroMQ's heartbeat.
"""

from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

import zmq

from rest_bridge.errors import RestBridgeError, SinkUnavailable

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
HEARTBEAT_MS: Final = 2000
HEARTBEAT_TIMEOUT_MS: Final = 6000
HANDSHAKE_MS: Final = 3000
"""A peer that connects and says nothing is dropped after so long."""


class Keys(Protocol):
    """What makes a socket speak CURVE only."""

    def protect(self, socket: "zmq.Socket[bytes]") -> None:
        """Set the socket's keys, and let its context know who may connect."""
        ...


@dataclass(frozen=True, slots=True)
class Security:
    """What protects the bound sockets.

    Attributes:
        insecure: addresses that other computers can reach are allowed without keys.
        keys: encrypt, and let in only those who were allowed; None for neither.
    """

    insecure: bool = False
    keys: Keys | None = None


def bind(
    socket: "zmq.Socket[bytes]",
    endpoint: str,
    *,
    key: str,
    security: Security | None = None,
    error: type[RestBridgeError] = SinkUnavailable,
) -> str:
    """Bind a socket.

    Args:
        socket: with its options already set.
        endpoint: like "tcp://127.0.0.1:5570"; port "*" takes any free one.
        key: the configuration key that holds the endpoint, for the error.
        security: see Security; None for this computer only.
        error: what to raise.

    Returns:
        The endpoint with its real port.

    Raises:
        RestBridgeError: (as `error`) the address is not this computer's own, is in use, or cannot
            be bound.
    """
    security = security or Security()
    parts = urlsplit(endpoint)
    is_open = parts.scheme == "tcp" and parts.hostname not in LOOPBACK_HOSTS
    if is_open and not security.insecure and security.keys is None:
        raise error(
            f"{endpoint} can be reached from other computers; use 127.0.0.1 in {key}, or make keys "
            "with `rest-bridge keys new` and set endpoints.keys, or set endpoints.insecure = true "
            "if everybody may connect."
        )
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    if security.keys is not None:
        security.keys.protect(socket)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as failure:
        if failure.errno == zmq.EADDRINUSE:
            raise error(
                f"{endpoint} is already in use, perhaps by another rest_bridge: stop that program "
                f"or choose another port with {key}."
            ) from failure
        raise error(f"{endpoint} cannot be bound ({failure.strerror}); correct {key}.") from failure
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)
