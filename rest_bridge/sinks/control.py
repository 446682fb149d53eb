"""Answers commands over ZeroMQ: status, mute, avatars, stop, clock exchange.

A ROUTER socket in a thread of its own. Every request gets exactly one reply with its id, an error
reply where it cannot be done; a message that is no request gets an error reply with id 0. Commands
are idempotent, so a client may repeat one whose reply it missed.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import zmq

from rest_bridge.errors import RestBridgeError, SinkUnavailable, WireError
from rest_bridge.sinks.endpoint import bind
from rest_bridge.sinks.messages import MAX_BODY_BYTES, ReplyMessage, RequestMessage
from rest_bridge.sinks.wire import MAX_HEADER_BYTES, PREFIX_BYTES, decode, encode

_MAX_INCOMING_BYTES: Final = PREFIX_BYTES + MAX_HEADER_BYTES + MAX_BODY_BYTES
_QUEUE: Final = 100
_WAKE_ADDRESS: Final = "inproc://stop"

_log = logging.getLogger(__name__)


class ControlTarget(Protocol):
    """What the daemon lets a client do. Called from the control thread; must return at once."""

    def status(self) -> Mapping[str, Any]:
        """Return numbers and texts that describe the daemon now (msgpack types only)."""
        ...

    def set_muted(self, muted: bool) -> None:
        """Let the face hear silence, or the source again."""
        ...

    def avatars(self) -> Sequence[Mapping[str, Any]]:
        """Return the avatars at hand: `id`, `name`, and `active`."""
        ...

    def stop(self) -> None:
        """End the daemon soon, as Ctrl-C does."""
        ...


class _BadRequest(Exception):
    """The request lacks something; the text goes into the error reply."""


class ControlServer:
    """Serves one `ControlTarget`; a context manager.

    Args:
        target: the daemon.
        endpoint: bound by the ROUTER socket.
        insecure: allow addresses that other computers can reach.
    """

    def __init__(
        self,
        target: ControlTarget,
        *,
        endpoint: str = "tcp://127.0.0.1:5572",
        insecure: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self._insecure = insecure
        self._target = target
        self._operations: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "ping": self._ping,
            "status": lambda _: dict(target.status()),
            "mute": self._mute,
            "avatars": lambda _: {"avatars": [dict(avatar) for avatar in target.avatars()]},
            "stop": self._stop,
        }
        self._received_ns = 0
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "ControlServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Bind and begin to answer.

        Raises:
            SinkUnavailable: the port is in use or the address is not allowed.
        """
        self._context = zmq.Context()
        socket = self._context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, 200)
        socket.setsockopt(zmq.MAXMSGSIZE, _MAX_INCOMING_BYTES)
        socket.setsockopt(zmq.RCVHWM, _QUEUE)
        socket.setsockopt(zmq.SNDHWM, _QUEUE)
        try:
            self.endpoint = bind(
                socket, self.endpoint, key="endpoints.control", insecure=self._insecure
            )
        except SinkUnavailable:
            socket.close(0)
            self._context.term()
            self._context = None
            raise
        wake = self._context.socket(zmq.PAIR)
        wake.bind(_WAKE_ADDRESS)
        # Both sockets move to the thread once; thread start is the barrier that ZeroMQ asks for.
        self._thread = threading.Thread(
            target=self._serve, args=(socket, wake), name="control", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port; idempotent. Not from the control thread itself."""
        if self._context is None or self._thread is None:
            return
        with self._context.socket(zmq.PAIR) as wake:
            wake.connect(_WAKE_ADDRESS)
            wake.send(b"")
            self._thread.join(2.0)
        self._context.term()
        self._context = None

    def answer(self, data: bytes) -> ReplyMessage:
        """Return the reply to one request.

        Args:
            data: the request's bytes, from anywhere.

        Returns:
            The reply; an error reply for what cannot be understood or done.
        """
        try:
            request = decode(data)
        except WireError as error:
            return ReplyMessage(0, "", False, "bad_message", str(error))
        if not isinstance(request, RequestMessage):
            return ReplyMessage(0, "", False, "bad_message", "Only requests (RQST) come here.")
        return self._answer(request)

    def _answer(self, request: RequestMessage) -> ReplyMessage:
        def refuse(code: str, text: str) -> ReplyMessage:
            return ReplyMessage(request.request_id, request.operation[:64], False, code, text[:500])

        operation = self._operations.get(request.operation)
        if operation is None:
            known = ", ".join(sorted(self._operations))
            return refuse(
                "unknown_operation",
                f"There is no operation {request.operation[:64]!r}; try {known}.",
            )
        try:
            body = operation(request.body)
        except _BadRequest as error:
            return refuse("bad_request", str(error))
        except RestBridgeError as error:
            return refuse("failed", str(error))
        except Exception as error:  # noqa: BLE001 - a client must get its reply whatever happens
            _log.exception("control operation %s failed", request.operation)
            return refuse("internal", f"{request.operation} failed inside: {type(error).__name__}.")
        return ReplyMessage(request.request_id, request.operation, True, body=body)

    def _serve(self, socket: "zmq.Socket[bytes]", wake: "zmq.Socket[bytes]") -> None:
        """Thread body: answer until the wake socket speaks."""
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(wake, zmq.POLLIN)
        try:
            while wake not in (ready := dict(poller.poll())):
                if socket in ready:
                    self._serve_one(socket)
        finally:
            socket.close()
            wake.close(0)

    def _serve_one(self, socket: "zmq.Socket[bytes]") -> None:
        # A DEALER sends one part, a REQ an empty one first; the envelope goes back as it came.
        *envelope, data = socket.recv_multipart()
        self._received_ns = time.monotonic_ns()
        reply = self.answer(data)
        try:
            packed = encode(reply)
        except WireError as error:
            packed = encode(
                ReplyMessage(reply.request_id, reply.operation, False, "internal", str(error))
            )
        try:
            socket.send_multipart([*envelope, packed], zmq.NOBLOCK)
        except zmq.ZMQError as error:  # the client is gone or does not read its replies
            _log.debug("control reply not sent: %s", error)

    def _ping(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Clock exchange: offset = ((t1 - t0) + (t2 - t3)) / 2 with the client's t0 and t3."""
        t0 = body.get("t0", 0)
        if not isinstance(t0, int):
            raise _BadRequest('ping: "t0" must be an integer, your clock in ns.')
        return {"t0": t0, "t1": self._received_ns, "t2": time.monotonic_ns()}

    def _mute(self, body: Mapping[str, Any]) -> dict[str, Any]:
        muted = body.get("on")
        if not isinstance(muted, bool):
            raise _BadRequest('mute: "on" must be true or false.')
        self._target.set_muted(muted)
        return {"muted": muted}

    def _stop(self, body: Mapping[str, Any]) -> dict[str, Any]:
        del body
        self._target.stop()
        return {"stopping": True}
