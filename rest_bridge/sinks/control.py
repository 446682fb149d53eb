"""Answers commands over ZeroMQ: one reply to every request, whatever comes in.

A ROUTER socket in a thread of its own. What the commands do is not known here: the daemon gives a
mapping of operations (`rest_bridge.operations`). Quick ones are answered at once; slow ones run in
a thread each, may report their progress, and are answered when they are done, while others are
answered meanwhile. A client may also subscribe to statistics, which are pushed to it until it says
otherwise, or is gone, or has not been heard of for a minute.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import zmq

from rest_bridge.endpoint import Security, bind
from rest_bridge.errors import RestBridgeError, SinkUnavailable, WireError
from rest_bridge.sinks.messages import (
    MAX_BODY_BYTES,
    EventMessage,
    Message,
    ReplyMessage,
    RequestMessage,
)
from rest_bridge.sinks.subscriptions import Subscriptions
from rest_bridge.sinks.wire import MAX_HEADER_BYTES, PREFIX_BYTES, decode, encode

MOST_SLOW: Final = 8
"""Slow operations that may run at the same time; more are refused."""
_MAX_INCOMING_BYTES: Final = PREFIX_BYTES + MAX_HEADER_BYTES + MAX_BODY_BYTES
_QUEUE: Final = 100
_WAKE_ADDRESS: Final = "inproc://wake"
_STOP, _ANSWER = b"stop", b"answer"

Progress = Callable[[float, str], None]
"""Told the fraction done, 0..1, and what is being done."""
Envelope = tuple[bytes, ...]

_log = logging.getLogger(__name__)


class BadRequest(Exception):
    """The request lacks something; the text goes into the error reply."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a command does.

    Attributes:
        run: called with the request's body and `Progress`; returns the reply's body. Raises
            `BadRequest` for wrong arguments, `RestBridgeError` where it cannot be done.
        slow: runs in a thread of its own; else it must return at once.
    """

    run: Callable[[Mapping[str, Any], Progress], Mapping[str, Any]]
    slow: bool = False


class ControlServer:
    """Serves operations; a context manager.

    Args:
        operations: what clients may ask for, by name. "ping" and "statistics.subscribe" are added.
        statistics: what subscribers get, msgpack types.
        endpoint: bound by the ROUTER socket.
        security: who may connect; None for programs on this computer.
    """

    def __init__(
        self,
        operations: Mapping[str, Operation],
        *,
        statistics: Callable[[], Mapping[str, Any]] | None = None,
        endpoint: str = "tcp://127.0.0.1:5572",
        security: Security | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._security = security
        self._operations = dict(operations) | {
            "ping": Operation(self._ping),
            "statistics.subscribe": Operation(self._subscribe),
        }
        self._statistics = statistics
        self._subscriptions = Subscriptions()
        self._received_ns = 0
        self._sender: Envelope = ()
        self._running: set[tuple[Envelope, int]] = set()
        self._outgoing: queue.SimpleQueue[tuple[Envelope, Message]] = queue.SimpleQueue()
        self._wake_lock = threading.Lock()
        self._wake: zmq.Socket[bytes] | None = None  # guarded by _wake_lock
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._thread: threading.Thread | None = None
        self._events_sent = 0

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
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # so that we learn when a client is gone
        try:
            self.endpoint = bind(
                socket, self.endpoint, key="endpoints.control", security=self._security
            )
        except SinkUnavailable:
            socket.close(0)
            self._context.term()
            self._context = None
            raise
        listen = self._context.socket(zmq.PULL)
        listen.bind(_WAKE_ADDRESS)
        wake = self._context.socket(zmq.PUSH)
        wake.setsockopt(zmq.LINGER, 0)
        wake.connect(_WAKE_ADDRESS)
        self._wake = wake
        # Both sockets move to the thread once; thread start is the barrier that ZeroMQ asks for.
        self._thread = threading.Thread(
            target=self._serve, args=(socket, listen), name="control", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port; idempotent. Not from the control thread itself."""
        if self._context is None or self._thread is None:
            return
        with self._wake_lock:
            wake, self._wake = self._wake, None
            if wake is not None:
                wake.send(_STOP)
                self._thread.join(2.0)
                wake.close()
        self._context.term()
        self._context = None

    def answer(self, data: bytes) -> ReplyMessage:
        """Return the reply to one request, however long that takes.

        Args:
            data: the request's bytes, from anywhere.

        Returns:
            The reply; an error reply for what cannot be understood or done.
        """
        request = self._read(data)
        if isinstance(request, ReplyMessage):
            return request
        return self._perform(request, _no_progress)

    def _read(self, data: bytes) -> RequestMessage | ReplyMessage:
        """Return the request, or the reply to what is none or names no operation."""
        try:
            request = decode(data)
        except WireError as error:
            return ReplyMessage(0, "", False, "bad_message", str(error))
        if not isinstance(request, RequestMessage):
            return ReplyMessage(0, "", False, "bad_message", "Only requests (RQST) come here.")
        if request.operation not in self._operations:
            known = ", ".join(sorted(self._operations))
            return _refusal(
                request,
                "unknown_operation",
                f"There is no operation {request.operation[:64]!r}; try {known}.",
            )
        return request

    def _perform(self, request: RequestMessage, progress: Progress) -> ReplyMessage:
        try:
            body = self._operations[request.operation].run(request.body, progress)
        except BadRequest as error:
            return _refusal(request, "bad_request", str(error))
        except RestBridgeError as error:
            return _refusal(request, "failed", str(error))
        except Exception as error:  # noqa: BLE001 - a client must get its reply whatever happens
            _log.exception("control operation %s failed", request.operation)
            text = f"{request.operation} failed inside: {type(error).__name__}."
            return _refusal(request, "internal", text)
        return ReplyMessage(request.request_id, request.operation, True, body=dict(body))

    def _serve(self, socket: "zmq.Socket[bytes]", listen: "zmq.Socket[bytes]") -> None:
        """Thread body: answer until the wake socket says stop."""
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(listen, zmq.POLLIN)
        try:
            while True:
                ready = dict(poller.poll(self._subscriptions.wait_ms(time.monotonic_ns())))
                if listen in ready and listen.recv() == _STOP:
                    return
                if socket in ready:
                    self._serve_one(socket)
                self._send_answers(socket)
                self._send_statistics(socket)
        finally:
            self._send_answers(socket)
            socket.close()
            listen.close(0)

    def _serve_one(self, socket: "zmq.Socket[bytes]") -> None:
        # A DEALER sends one part, a REQ an empty one first; the envelope goes back as it came.
        *parts, data = socket.recv_multipart()
        envelope = tuple(parts)
        self._received_ns, self._sender = time.monotonic_ns(), envelope
        self._subscriptions.heard(envelope, self._received_ns)
        request = self._read(data)
        if isinstance(request, ReplyMessage):
            self._send(socket, envelope, request)
        elif not self._operations[request.operation].slow:
            self._send(socket, envelope, self._perform(request, _no_progress))
        elif (envelope, request.request_id) not in self._running:  # else it is being done
            self._begin(socket, envelope, request)

    def _begin(
        self, socket: "zmq.Socket[bytes]", envelope: Envelope, request: RequestMessage
    ) -> None:
        if len(self._running) >= MOST_SLOW:
            text = f"{MOST_SLOW} requests are being worked on; wait for one of them."
            self._send(socket, envelope, _refusal(request, "busy", text))
            return
        key = (envelope, request.request_id)
        self._running.add(key)

        def progress(done: float, text: str) -> None:
            body = {
                "id": request.request_id,
                "op": request.operation,
                "done": round(min(max(done, 0.0), 1.0), 3),
                "text": text[:200],
            }
            self._post(envelope, self._event("progress", body))

        def work() -> None:
            try:
                reply = self._perform(request, progress)
            finally:
                self._running.discard(key)
            self._post(envelope, reply)

        threading.Thread(target=work, name=f"control-{request.operation}", daemon=True).start()

    def _post(self, envelope: Envelope, message: Message) -> None:
        """Let the control thread send something; from any thread."""
        self._outgoing.put((envelope, message))
        with self._wake_lock:
            if self._wake is not None:
                self._wake.send(_ANSWER)

    def _send_answers(self, socket: "zmq.Socket[bytes]") -> None:
        while not self._outgoing.empty():
            self._send(socket, *self._outgoing.get())

    def _send_statistics(self, socket: "zmq.Socket[bytes]") -> None:
        due = self._subscriptions.due(time.monotonic_ns())
        if not due or self._statistics is None:
            return
        message = self._event("statistics", self._statistics())
        for envelope in due:
            if not self._send(socket, envelope, message):
                self._subscriptions.remove(envelope)

    def _send(self, socket: "zmq.Socket[bytes]", envelope: Envelope, message: Message) -> bool:
        """Send if the client is there and reads; return whether it was sent."""
        try:
            packed = encode(message)
        except WireError as error:
            if not isinstance(message, ReplyMessage):
                _log.warning("A message to a control client is not possible: %s", error)
                return False
            packed = encode(
                ReplyMessage(message.request_id, message.operation, False, "internal", str(error))
            )
        try:
            socket.send_multipart([*envelope, packed], zmq.NOBLOCK)
        except zmq.ZMQError as error:  # the client is gone or does not read its replies
            _log.debug("control message not sent: %s", error)
            return False
        return True

    def _event(self, kind: str, body: Mapping[str, Any]) -> EventMessage:
        self._events_sent += 1
        return EventMessage(kind, "", 0, self._events_sent, time.monotonic_ns(), body)

    def _ping(self, body: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Clock exchange: offset = ((t1 - t0) + (t2 - t3)) / 2 with the client's t0 and t3."""
        del progress
        t0 = body.get("t0", 0)
        if not isinstance(t0, int):
            raise BadRequest('ping: "t0" must be an integer, your clock in ns.')
        return {"t0": t0, "t1": self._received_ns, "t2": time.monotonic_ns()}

    def _subscribe(self, body: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        del progress
        on, interval_s = body.get("on", True), body.get("interval_s", 1.0)
        if not isinstance(on, bool):
            raise BadRequest('statistics.subscribe: "on" must be true or false.')
        if isinstance(interval_s, bool) or not isinstance(interval_s, (int, float)):
            raise BadRequest('statistics.subscribe: "interval_s" must be a number of seconds.')
        if self._statistics is None:
            raise BadRequest("statistics.subscribe: there are no statistics here.")
        if not on:
            self._subscriptions.remove(self._sender)
            return {"subscribed": False}
        taken_s = self._subscriptions.add(self._sender, float(interval_s), time.monotonic_ns())
        if taken_s is None:
            raise BadRequest("statistics.subscribe: too many programs have subscribed.")
        return {"subscribed": True, "interval_s": taken_s}


def _refusal(request: RequestMessage, code: str, text: str) -> ReplyMessage:
    return ReplyMessage(request.request_id, request.operation[:64], False, code, text[:500])


def _no_progress(_done: float, _text: str) -> None:
    """Report nothing: the operation is over before anybody could read it."""
