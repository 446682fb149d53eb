"""Sends UDP datagrams to one receiver, which may come and go."""

import socket

from rest_bridge.errors import SinkError, SinkUnavailable


class DatagramSender:
    """A connected UDP socket.

    Args:
        name: of the output, for messages.
        host: of the receiver.
        port: its UDP port.
        key: configuration key of the host, for the remedy.
    """

    def __init__(self, name: str, host: str, port: int, *, key: str) -> None:
        self._name = name
        self._host, self._port = host, port
        self._key = key
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Make the socket.

        Raises:
            SinkUnavailable: the receiver's name is unknown.
        """
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_DGRAM
            )[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.connect(address)
        except OSError as error:
            raise SinkUnavailable(
                f'the {self._name} receiver "{self._host}" port {self._port} cannot be reached '
                f"({error.strerror}); check {self._key}"
            ) from error

    def send(self, data: bytes) -> bool:
        """Send one datagram; a receiver that is not there yet is no error.

        Args:
            data: below the MTU.

        Returns:
            False where nobody listened yet.

        Raises:
            SinkError: it was not opened, or the network refuses for good.
        """
        if self._socket is None:
            raise SinkError(f"the {self._name} output is not open")
        try:
            self._socket.send(data)
        except ConnectionRefusedError:
            return False  # as the loopback tells; the next one tries again
        except OSError as error:
            raise SinkError(f"{self._name}: {error.strerror}") from error
        return True

    def close(self) -> None:
        """Close the socket; idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
