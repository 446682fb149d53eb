"""Binds ZeroMQ sockets safely: loopback unless told otherwise, one clear sentence when it fails."""

from typing import Final
from urllib.parse import urlsplit

import zmq

from rest_bridge.errors import SinkUnavailable

_LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def bind(socket: "zmq.Socket[bytes]", endpoint: str, *, key: str, insecure: bool = False) -> str:
    """Bind a socket.

    Args:
        socket: with its options already set.
        endpoint: like "tcp://127.0.0.1:5570"; port "*" takes any free one.
        key: the configuration key that holds the endpoint, for the error.
        insecure: allow addresses that other computers can reach.

    Returns:
        The endpoint with its real port.

    Raises:
        SinkUnavailable: the address is not this computer's own, is in use, or cannot be bound.
    """
    parts = urlsplit(endpoint)
    if not insecure and parts.scheme == "tcp" and parts.hostname not in _LOOPBACK_HOSTS:
        raise SinkUnavailable(
            f"{endpoint} can be reached from other computers; use 127.0.0.1 in {key}, or set "
            "endpoints.insecure = true if that is what you want."
        )
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        if error.errno == zmq.EADDRINUSE:
            raise SinkUnavailable(
                f"{endpoint} is already in use, perhaps by another rest_bridge: stop that program "
                f"or choose another port with {key}."
            ) from error
        raise SinkUnavailable(
            f"{endpoint} cannot be bound ({error.strerror}); correct {key}."
        ) from error
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)
