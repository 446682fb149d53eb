"""Publishes frames, rig values, voice and events over ZeroMQ (plugins/PROTOCOL.md).

Frames leave through a lossy socket with a tiny high-water mark, so that a slow viewer loses frames
instead of gathering delay; rig, voice and events leave through a second one that holds seconds.
A pixel format is made only while somebody subscribes to its topic. All sockets belong to the
thread that calls `open`, `send`, `skip` and `close` (the sink runner's); `post` may be called from
any thread.
"""

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import zmq

from rest_bridge.clock import NS_PER_S
from rest_bridge.endpoint import Security, bind
from rest_bridge.rig import RIG_NAMES, VISEME_NAMES
from rest_bridge.sinks.encoder import SLOW_FORMATS, HelperThread, PixelEncoder
from rest_bridge.sinks.messages import (
    EVENT_TOPIC,
    RAW_FORMATS,
    RIG_SET,
    RIG_TOPIC,
    TOPICS,
    VOICE_TOPIC,
    EventMessage,
    FrameMessage,
    PixelFormat,
    RigMessage,
    Stamp,
    VoiceMessage,
)
from rest_bridge.sinks.wire import encode
from rest_bridge.types import VOICE_RATE_HZ, Frame, FrameFormat
from rest_bridge.wire_fields import PROTOCOL_MAJOR, PROTOCOL_MINOR

FRAMES_HWM: Final = 3
"""Frames that may wait for one subscriber; more would only be older."""
EVENTS_HWM: Final = 1000
"""Messages that may wait for one subscriber of the events socket: about 13 s."""
_MAX_INCOMING_BYTES: Final = 2048
"""Subscriptions have four bytes; the handshake of CURVE has some hundred."""
_HELLO_INTERVAL_NS: Final = 1_000_000_000
_MAX_POSTED: Final = 100
_MAX_TOPICS: Final = 64
"""Different subscriptions that are kept in mind of those that are longer than a topic."""
_BY_NAME_ONLY: Final = frozenset(topic for name, topic in TOPICS.items() if name != "rgba8")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the pictures come from; travels in every frame.

    Attributes:
        model_id: model package and version.
        avatar_id: the avatar (a hash, no file name).
        tier: size or quality the generator runs in.
        server: program and version.
    """

    model_id: str = ""
    avatar_id: str = ""
    tier: str = ""
    server: str = "rest_bridge"


def stamp_of(frame: Frame, *, duration_ns: int, published_ns: int) -> Stamp:
    """Return the stamp that frame, rig and voice messages of this instant share."""
    level = float(frame.rig.speech_level)  # numpy's scalars are no msgpack types
    return Stamp(
        stream_id=frame.stream_id,
        epoch=int(frame.epoch),
        sequence=int(frame.index),
        pts_ns=int(frame.pts_ns),
        duration_ns=duration_ns,
        captured_ns=int(frame.captured_ns),
        published_ns=published_ns,
        activity=frame.rig.activity,
        level=level if math.isfinite(level) else 0.0,
    )


def voice_message(frame: Frame, stamp: Stamp) -> VoiceMessage:
    """Return the voice of a frame; what is no number becomes silence."""
    return VoiceMessage(stamp, int(frame.voice.first_index), np.nan_to_num(frame.voice.samples))


def rig_message(frame: Frame, stamp: Stamp) -> RigMessage:
    """Return the rig of a frame; what is no number becomes 0, for no reader expects it."""
    return RigMessage(stamp, np.nan_to_num(frame.rig.values), np.nan_to_num(frame.rig.visemes))


class ZeroMqPublisher:
    """A `FrameSink` that publishes everything of a frame.

    Args:
        frames_endpoint: bound by an XPUB socket, lossy.
        events_endpoint: bound by an XPUB socket with a deep queue.
        provenance: what travels in every frame.
        security: who may connect; None for programs on this computer.
        stats: called once a second; numbers and texts to add to the "stats" event.
        jpeg_quality: 1..100, for subscribers of JPEG.
        jpeg_background: colour behind the face in JPEG, which has no transparency.
    """

    name = "zeromq"
    policy: Literal["latest", "every"] = "latest"

    def __init__(
        self,
        *,
        frames_endpoint: str = "tcp://127.0.0.1:5570",
        events_endpoint: str = "tcp://127.0.0.1:5571",
        provenance: Provenance | None = None,
        security: Security | None = None,
        stats: Callable[[], Mapping[str, Any]] | None = None,
        jpeg_quality: int = 85,
        jpeg_background: str = "black",
    ) -> None:
        self.frames_endpoint = frames_endpoint
        self.events_endpoint = events_endpoint
        self._provenance = provenance or Provenance()
        self._security = security
        self._stats = stats
        self._encoder = PixelEncoder(jpeg_quality=jpeg_quality, jpeg_background=jpeg_background)
        self._helpers: dict[PixelFormat, HelperThread[tuple[Frame, Stamp]]] = {}
        self._posted: deque[tuple[str, Mapping[str, Any]]] = deque(maxlen=_MAX_POSTED)
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._fmt = FrameFormat(0, 0, 25.0)
        self._duration_ns = 0
        self._frame_topics: set[bytes] = set()
        self._event_topics: set[bytes] = set()
        self._newest = ("", "")  # tier and avatar of the newest frame
        self._event_sequence = 0
        self._last_hello_ns = 0
        self._last_activity: tuple[str, int, str] | None = None
        self._sent = 0
        self._sent_at_hello = 0
        self._dropped = 0
        self._repeated = 0

    def open(self, fmt: FrameFormat) -> None:
        """Bind both sockets.

        Args:
            fmt: announced to subscribers.

        Raises:
            SinkUnavailable: a port is in use or an address is not allowed.
        """
        self._fmt = fmt
        self._duration_ns = round(1e9 / fmt.fps)
        self._context = zmq.Context()
        self._frames = self._context.socket(zmq.XPUB)
        self._events = self._context.socket(zmq.XPUB)
        for socket, high_water in ((self._frames, FRAMES_HWM), (self._events, EVENTS_HWM)):
            socket.setsockopt(zmq.SNDHWM, high_water)
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.MAXMSGSIZE, _MAX_INCOMING_BYTES)
        # Every subscription is reported, so that each late joiner is greeted at once.
        self._events.setsockopt(zmq.XPUB_VERBOSE, 1)
        try:
            self.frames_endpoint = bind(
                self._frames, self.frames_endpoint, key="endpoints.frames", security=self._security
            )
            self.events_endpoint = bind(
                self._events, self.events_endpoint, key="endpoints.events", security=self._security
            )
        except Exception:
            self.close()
            raise

    def send(self, frame: Frame) -> None:
        """Publish picture, rig and voice of one instant.

        Args:
            frame: the instant.
        """
        self._sent += 1
        self._repeated += frame.repeated
        stamp = self._publish_events(frame)
        self._read_subscriptions(self._frames, self._frame_topics)
        for pixel_format, topic in TOPICS.items():
            if not _wanted(topic, self._frame_topics):
                self._dismiss(pixel_format)
            elif pixel_format in SLOW_FORMATS:
                self._publish_slow(frame, stamp, pixel_format)
            else:
                message = self._frame_message(frame, stamp, pixel_format)
                # The bytes are ours alone and never change: ZeroMQ may keep them uncopied.
                self._publish(self._frames, encode(message), copy=False)

    def skip(self, frame: Frame) -> None:
        """Publish rig and voice of a frame whose picture was dropped.

        Args:
            frame: without a picture.
        """
        self._dropped += 1
        self._publish_events(frame)

    def post(self, kind: str, body: Mapping[str, Any]) -> None:
        """Publish an event with the next frame; from any thread.

        Args:
            kind: what the wire calls it.
            body: msgpack types; must not change afterwards.
        """
        self._posted.append((kind, body))

    def close(self) -> None:
        """Free the ports; idempotent."""
        for pixel_format in SLOW_FORMATS:
            self._dismiss(pixel_format)
        if self._context is None:
            return
        self._context.destroy(linger=0)
        self._context = None

    def _publish_events(self, frame: Frame) -> Stamp:
        now_ns = time.monotonic_ns()
        self._newest = (frame.tier, frame.avatar_id)
        stamp = stamp_of(frame, duration_ns=self._duration_ns, published_ns=now_ns)
        someone_new = self._read_subscriptions(self._events, self._event_topics)
        is_due = now_ns - self._last_hello_ns >= _HELLO_INTERVAL_NS
        if someone_new or is_due:
            body = self.description() | {"state": frame.rig.activity}
            self._event(frame, now_ns, "hello", body)
        if is_due:
            self._publish_stats(frame, now_ns)
        activity = (frame.stream_id, frame.epoch, frame.rig.activity)
        if activity != self._last_activity:
            self._last_activity = activity
            self._event(frame, now_ns, "state", {"state": activity[2], "pts": frame.pts_ns})
        for event in frame.events:
            pts_ns = frame.pts_ns + event.offset * NS_PER_S // VOICE_RATE_HZ
            self._event(frame, now_ns, event.kind, {**event.body, "pts": pts_ns})
        while self._posted:
            self._event(frame, now_ns, *self._posted.popleft())
        if _wanted(VOICE_TOPIC, self._event_topics):
            self._publish(self._events, encode(voice_message(frame, stamp)))
        if _wanted(RIG_TOPIC, self._event_topics):
            self._publish(self._events, encode(rig_message(frame, stamp)))
        return stamp

    def _publish_stats(self, frame: Frame, now_ns: int) -> None:
        elapsed_ns = now_ns - self._last_hello_ns
        fps = (self._sent - self._sent_at_hello) * 1e9 / elapsed_ns if self._last_hello_ns else 0.0
        stats: dict[str, Any] = {
            "fps": round(fps, 2),
            "frames": self._sent,
            "dropped": self._dropped,
            "repeated": self._repeated,
            "latency_ms": round((now_ns - frame.captured_ns) / 1e6, 1) if frame.captured_ns else 0,
            "topics": sorted(t.decode("ascii", "replace") for t in self._frame_topics),
        }
        if self._stats is not None:
            stats |= dict(self._stats())
        self._event(frame, now_ns, "stats", stats)
        self._last_hello_ns = now_ns
        self._sent_at_hello = self._sent

    def description(self) -> dict[str, Any]:
        """Return the body of the "hello" event: what a client needs to know once."""
        return {
            "server": self._provenance.server,
            "protocol": [PROTOCOL_MAJOR, PROTOCOL_MINOR],
            "width": self._fmt.width,
            "height": self._fmt.height,
            "fps": self._fmt.fps,
            "rate": VOICE_RATE_HZ,
            "formats": {name: topic.decode() for name, topic in TOPICS.items()},
            "frames": self.frames_endpoint,
            "events": self.events_endpoint,
            "set": RIG_SET,
            "rig": list(RIG_NAMES),
            "visemes": list(VISEME_NAMES),
            "model": self._provenance.model_id,
            "avatar": self._newest[1] or self._provenance.avatar_id,
            "tier": self._newest[0] or self._provenance.tier,
            "syn": True,
        }

    def _event(self, frame: Frame, now_ns: int, kind: str, body: Mapping[str, Any]) -> None:
        if not _wanted(EVENT_TOPIC, self._event_topics):
            return
        message = EventMessage(
            kind, frame.stream_id, frame.epoch, self._event_sequence, now_ns, body
        )
        self._event_sequence += 1
        self._publish(self._events, encode(message))

    def _frame_message(self, frame: Frame, stamp: Stamp, pixel_format: PixelFormat) -> FrameMessage:
        height, width = frame.rgba.shape[:2]
        return FrameMessage(
            stamp=stamp,
            pixel_format=pixel_format,
            width=width,
            height=height,
            stride=width * 4 if pixel_format in RAW_FORMATS else 0,
            payload=self._encoder.encode(frame.rgba, pixel_format),
            sample_index=int(frame.voice.first_index),
            dropped=self._dropped,
            repeated=frame.repeated,
            tier=frame.tier or self._provenance.tier,
            model_id=self._provenance.model_id,
            avatar_id=frame.avatar_id or self._provenance.avatar_id,
        )

    def _publish_slow(self, frame: Frame, stamp: Stamp, pixel_format: PixelFormat) -> None:
        """Publish what the helper has made by now, and give it this frame."""
        helper = self._helpers.get(pixel_format)
        if helper is None:

            def make(item: tuple[Frame, Stamp]) -> bytes:
                return encode(self._frame_message(*item, pixel_format))

            helper = self._helpers[pixel_format] = HelperThread(make, f"encode-{pixel_format}")
        for data in helper.take():
            self._publish(self._frames, data, copy=False)
        helper.offer((frame, stamp))

    def _dismiss(self, pixel_format: PixelFormat) -> None:
        if (helper := self._helpers.pop(pixel_format, None)) is not None:
            helper.close()

    def _publish(self, socket: "zmq.Socket[bytes]", data: bytes, *, copy: bool = True) -> None:
        with contextlib.suppress(zmq.Again):  # XPUB drops by itself; Again means the same
            socket.send(data, zmq.NOBLOCK, copy=copy)

    @staticmethod
    def _read_subscriptions(socket: "zmq.Socket[bytes]", topics: set[bytes]) -> bool:
        """Bring `topics` up to date; return True if somebody subscribed."""
        someone_new = False
        while socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:  # type: ignore[operator]
            try:
                data = socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            if data[:1] == b"\x01":
                someone_new = True
                if _concerns_us(data[1:]) and (len(data) <= 5 or len(topics) < _MAX_TOPICS):
                    topics.add(data[1:])
            elif data[:1] == b"\x00":
                topics.discard(data[1:])
        return someone_new


def _concerns_us(subscription: bytes) -> bool:
    """Whether a subscription asks for anything that there is."""
    topics = (*TOPICS.values(), EVENT_TOPIC, VOICE_TOPIC, RIG_TOPIC)
    return any(topic.startswith(subscription[:4]) for topic in topics)


def _wanted(topic: bytes, subscriptions: set[bytes]) -> bool:
    """Whether a subscription asks for this topic; the empty one asks for RGBA among the frames."""
    if b"" in subscriptions and topic not in _BY_NAME_ONLY:
        return True
    return any(
        subscription and topic.startswith(subscription[:4]) for subscription in subscriptions
    )
