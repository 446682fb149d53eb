"""A client of the daemon for Python programs and tests: newest frame, whole voice, commands.

    with BridgeClient() as bridge:
        while frame := bridge.frame(timeout_s=5.0):
            show(frame.pixels(), frame.stamp.pts_ns)

One thread receives. Frames go through a mailbox of one, so that a slow reader always sees the
newest picture (a small ZeroMQ high-water mark at the receiver would keep the oldest instead);
voice, rig and events go through bounded queues that keep everything for some seconds.
"""

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import zmq

from rest_bridge.clock import NS_PER_S
from rest_bridge.endpoint import Keys
from rest_bridge.errors import SinkError, WireError
from rest_bridge.handoff import Latest
from rest_bridge.sinks.messages import (
    EVENT_TOPIC,
    MAX_PAYLOAD_BYTES,
    RIG_TOPIC,
    TOPICS,
    VOICE_TOPIC,
    EventMessage,
    FrameMessage,
    Message,
    PixelFormat,
    ReplyMessage,
    RequestMessage,
    RigMessage,
    VoiceMessage,
)
from rest_bridge.sinks.wire import MAX_HEADER_BYTES, PREFIX_BYTES, decode, encode

_QUEUE_MESSAGES: Final = 500
"""Voice, rig and events that wait for the reader: 20 s."""
_OLD_NS: Final = 80_000_000
_GAP_NS: Final = 250_000_000
"""Without a frame for so long, this process slept, or the network: what comes first is the past."""
_CATCH_UP_NS: Final = 300_000_000
"""For so long after a gap old frames are held back; a live stream has a new one every 40 ms."""
_MOST_AT_ONCE: Final = 64
_WAKE_ADDRESS: Final = "inproc://stop"

_log = logging.getLogger(__name__)


class Refused(SinkError):
    """The daemon answered that it will not, or cannot."""

    def __init__(self, text: str, code: str) -> None:
        """Note why.

        Args:
            text: the daemon's sentence.
            code: of PROTOCOL.md, section Control.
        """
        super().__init__(text)
        self.code = code


class BridgeClient:
    """Receives one daemon's stream; a context manager.

    Args:
        frames: the daemon's `endpoints.frames`; empty for no pictures.
        events: its `endpoints.events`; empty for none.
        control: its `endpoints.control`; empty for no commands.
        pixel_format: "rgba8", "bgra8", "jpeg", "png" or "webp".
        voice: receive the voice.
        rig: receive rig values.
        keys: this client's keys, where the daemon wants some.
    """

    def __init__(
        self,
        *,
        frames: str = "tcp://127.0.0.1:5570",
        events: str = "tcp://127.0.0.1:5571",
        control: str = "tcp://127.0.0.1:5572",
        pixel_format: PixelFormat = "rgba8",
        voice: bool = True,
        rig: bool = True,
        keys: Keys | None = None,
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._control_endpoint = control
        self._control_lock = threading.Lock()
        self._control = self._context.socket(zmq.DEALER)
        self._control.setsockopt(zmq.LINGER, 0)
        self._keys = keys
        if keys is not None:
            keys.protect(self._control)
        if control:
            self._control.connect(control)
        self._request_ids = itertools.count(1)
        self._frame: Latest[tuple[FrameMessage, int]] = Latest()  # and when it was put there
        self._held: FrameMessage | None = None  # the receive thread's, as the next two
        self._heard_ns = 0
        self._caught_up_ns = 0
        self._voice: queue.Queue[VoiceMessage] = queue.Queue(_QUEUE_MESSAGES)
        self._rig: queue.Queue[RigMessage] = queue.Queue(_QUEUE_MESSAGES)
        self._events: queue.Queue[EventMessage] = queue.Queue(_QUEUE_MESSAGES)
        self._last_sequence: tuple[str, int, int] | None = None
        self._clock_stream = ""
        self._least_age_ns = 0
        self.num_frames = 0
        self.num_lost = 0
        """Frames that the daemon made and that never arrived (gaps in the sequence)."""
        self.num_overflowed = 0
        """Voice, rig or event messages that nobody fetched in time."""
        self.num_refused = 0
        """Messages that were not of this protocol."""
        sockets: list[zmq.Socket[bytes]] = []
        if frames:
            sockets.append(self._subscribe(frames, [TOPICS[pixel_format]]))
        if events:
            topics = [EVENT_TOPIC] + [VOICE_TOPIC] * voice + [RIG_TOPIC] * rig
            sockets.append(self._subscribe(events, topics))
        wake = self._context.socket(zmq.PAIR)
        wake.bind(_WAKE_ADDRESS)
        self._thread = threading.Thread(
            target=self._receive, args=(sockets, wake), name="bridge-client", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> "BridgeClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def frame(self, timeout_s: float = 1.0) -> FrameMessage | None:
        """Return the newest frame not yet seen, or None if none came in time.

        After a sleep of the program (or of the network) old frames are passed over where newer ones
        are on their way; for at most 0.3 s, and no longer than the timeout.
        """
        deadline_s = time.monotonic() + timeout_s
        found = self._frame.get(timeout_s)
        if found is None:
            return None
        frame, put_ns = found
        if time.monotonic_ns() - put_ns > _GAP_NS:  # it lay there while this program slept
            left_s = min(deadline_s - time.monotonic(), _CATCH_UP_NS / NS_PER_S)
            newer = self._frame.get(max(0.0, left_s))
            return frame if newer is None else newer[0]
        return frame

    def voice(self, timeout_s: float = 1.0) -> VoiceMessage | None:
        """Return the next piece of voice, or None; none is skipped while you keep up."""
        return _next(self._voice, timeout_s)

    def rig(self, timeout_s: float = 1.0) -> RigMessage | None:
        """Return the next rig values, or None."""
        return _next(self._rig, timeout_s)

    def event(self, timeout_s: float = 1.0) -> EventMessage | None:
        """Return the next event, or None."""
        return _next(self._events, timeout_s)

    def request(self, operation: str, *, timeout_s: float = 2.0, **body: Any) -> dict[str, Any]:
        """Send a command and return the body of its reply. May be called from any thread.

        Args:
            operation: "ping", "status", "mute", "avatars", "stop", ...; see PROTOCOL.md.
            timeout_s: how long to wait for the reply.
            **body: the command's arguments.

        Returns:
            The reply's body.

        Raises:
            SinkError: the daemon refused (`Refused`), or did not answer in time.
            WireError: its reply cannot be read.
        """
        return self.call(operation, body, timeout_s=timeout_s)

    def call(
        self,
        operation: str,
        body: Mapping[str, Any],
        *,
        timeout_s: float = 2.0,
        on_event: Callable[[EventMessage], None] | None = None,
    ) -> dict[str, Any]:
        """Send a command like `request`, with any arguments, and hear what comes meanwhile.

        Args:
            operation: its name.
            body: its arguments, msgpack types.
            timeout_s: how long to wait for the reply; begins anew with each event.
            on_event: called with "progress" and "statistics" events of the control socket.

        Returns:
            The reply's body.

        Raises:
            SinkError: the daemon refused (`Refused`), or did not answer in time.
            WireError: its reply cannot be read.
        """
        request_id = next(self._request_ids)
        with self._control_lock:
            self._control.send(encode(RequestMessage(request_id, operation, body)))
            deadline = time.monotonic() + timeout_s
            while (left_s := deadline - time.monotonic()) > 0:
                if not self._control.poll(max(1, int(left_s * 1000))):
                    break
                message = _receive_one(self._control)  # late replies to older requests pass by
                if isinstance(message, EventMessage):
                    deadline = time.monotonic() + timeout_s
                    if on_event is not None:
                        on_event(message)
                elif isinstance(message, ReplyMessage) and message.request_id == request_id:
                    if message.ok:
                        return dict(message.body)
                    raise Refused(message.error, message.code)
        raise SinkError(
            f"The daemon did not answer {operation!r} at {self._control_endpoint} within "
            f"{timeout_s:.1f} s; is it running?"
        )

    def control_event(self, timeout_s: float) -> EventMessage | None:
        """Return the next event of the control socket (statistics), or None if none came."""
        with self._control_lock:
            while self._control.poll(max(0, int(timeout_s * 1000))):
                message = _receive_one(self._control)
                if isinstance(message, EventMessage):
                    return message
        return None

    def clock_offset_ns(self, exchanges: int = 8) -> int:
        """Return the daemon's monotonic clock minus ours, from the quickest of some exchanges.

        Args:
            exchanges: pings to send.

        Returns:
            Nanoseconds to add to our `time.monotonic_ns()`; near 0 on the same computer.
        """
        best: tuple[int, int] | None = None
        for _ in range(exchanges):
            t0 = time.monotonic_ns()
            reply = self.request("ping", t0=t0)
            t3 = time.monotonic_ns()
            offset = ((reply["t1"] - t0) + (reply["t2"] - t3)) // 2
            candidate = (t3 - t0, offset)
            best = candidate if best is None else min(best, candidate)
        return best[1] if best is not None else 0

    def close(self) -> None:
        """Stop receiving; idempotent."""
        if self._context.closed:
            return
        with self._context.socket(zmq.PAIR) as wake:
            wake.connect(_WAKE_ADDRESS)
            wake.send(b"")
            self._thread.join(2.0)
        with self._control_lock:
            self._control.close()
        self._frame.close(discard=True)
        self._context.term()

    def _subscribe(self, endpoint: str, topics: list[bytes]) -> "zmq.Socket[bytes]":
        socket = self._context.socket(zmq.SUB)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, PREFIX_BYTES + MAX_HEADER_BYTES + MAX_PAYLOAD_BYTES)
        if self._keys is not None:
            self._keys.protect(socket)
        for topic in topics:
            socket.setsockopt(zmq.SUBSCRIBE, topic)
        socket.connect(endpoint)
        return socket

    def _receive(self, sockets: "list[zmq.Socket[bytes]]", wake: "zmq.Socket[bytes]") -> None:
        """Thread body: sort messages into mailbox and queues until the wake socket speaks."""
        poller = zmq.Poller()
        for socket in (*sockets, wake):
            poller.register(socket, zmq.POLLIN)
        while wake not in (ready := dict(poller.poll(self._patience_ms()))):
            for socket in ready:
                self._drain(socket)
            if self._held is not None and time.monotonic_ns() >= self._caught_up_ns:
                self._show(self._held)  # nothing newer came: this is how the stream is
        for socket in (*sockets, wake):
            socket.close(0)

    def _patience_ms(self) -> int | None:
        """Return how long to wait for something newer than what is held; None for ever."""
        if self._held is None:
            return None
        return max(0, -(-(self._caught_up_ns - time.monotonic_ns()) // 1_000_000))

    def _drain(self, socket: "zmq.Socket[bytes]") -> None:
        """Take all that is there; of several frames the newest one is enough."""
        newest: FrameMessage | None = None
        for _ in range(_MOST_AT_ONCE):
            try:
                message = _receive_one(socket, zmq.NOBLOCK)
                if isinstance(message, FrameMessage):
                    self._count(message)
                    newest = message
                else:
                    self._sort(message)
            except zmq.Again:
                break
            except WireError as error:
                self.num_refused += 1
                if self.num_refused == 1:
                    _log.warning("%s", error)
        if newest is not None:
            self._offer(newest)

    def _offer(self, frame: FrameMessage) -> None:
        """Show a frame, or hold it back.

        Where this process slept, ZeroMQ and the kernel kept frames for it, and newer ones are on
        their way behind them: nobody is shown the past.
        """
        now_ns = time.monotonic_ns()
        if now_ns - self._heard_ns > _GAP_NS:
            self._caught_up_ns = now_ns + _CATCH_UP_NS
        self._heard_ns = now_ns
        if self._is_old(frame) and now_ns < self._caught_up_ns:
            self._held = frame
        else:
            self._show(frame)

    def _show(self, frame: FrameMessage) -> None:
        self._held = None
        self._frame.put((frame, time.monotonic_ns()))

    def _is_old(self, frame: FrameMessage) -> bool:
        """Say whether a frame was long on its way; the quickest one so far sets the clocks."""
        age_ns = time.monotonic_ns() - frame.stamp.published_ns
        if frame.stamp.stream_id != self._clock_stream:
            self._clock_stream, self._least_age_ns = frame.stamp.stream_id, age_ns
        self._least_age_ns = min(self._least_age_ns, age_ns)
        return age_ns - self._least_age_ns > _OLD_NS

    def _sort(self, message: Message) -> None:
        match message:
            case VoiceMessage():
                self._put(self._voice, message)
            case RigMessage():
                self._put(self._rig, message)
            case EventMessage():
                self._put(self._events, message)
            case _:
                raise WireError(f"A {type(message).__name__} does not belong on this socket.")

    def _count(self, message: FrameMessage) -> None:
        stamp = message.stamp
        last = self._last_sequence
        if last is not None and last[:2] == (stamp.stream_id, stamp.epoch):
            self.num_lost += max(0, stamp.sequence - last[2] - 1)
        self._last_sequence = (stamp.stream_id, stamp.epoch, stamp.sequence)
        self.num_frames += 1

    def _put(self, where: "queue.Queue[Any]", message: object) -> None:
        if where.full():  # only this thread puts, so the place stays free after the get
            where.get_nowait()
            self.num_overflowed += 1
        where.put_nowait(message)


def _receive_one(socket: "zmq.Socket[bytes]", flags: int = 0) -> Message:
    """Take the next message whole.

    Args:
        socket: to take it from.
        flags: of ZeroMQ, such as `zmq.NOBLOCK`.

    Returns:
        What it says.

    Raises:
        WireError: it cannot be read, or has several parts, none of which counts.
        zmq.Again: nothing is there, with `zmq.NOBLOCK`.
    """
    first, *more = socket.recv_multipart(flags)
    if more:
        raise WireError("The message has several parts.")
    return decode(first)


def _next(where: "queue.Queue[Any]", timeout_s: float) -> Any:
    try:
        return where.get(timeout=timeout_s)
    except queue.Empty:
        return None
