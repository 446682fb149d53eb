"""Publishes frames, rig values, voice and events over ZeroMQ (plugins/PROTOCOL.md).

Frames leave through a lossy socket with a tiny high-water mark, so that a slow viewer loses frames
instead of gathering delay; rig, voice and events leave through a second one that holds seconds.
A pixel format is made only while somebody subscribes to its topic. All sockets belong to the
thread that calls `open`, `send`, `skip` and `close` (the sink runner's).
"""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import cv2
import numpy as np
import zmq

from rest_bridge.errors import SinkError
from rest_bridge.rig import RIG_NAMES, VISEME_NAMES
from rest_bridge.sinks.convert import composite, make_background, to_bgra
from rest_bridge.sinks.endpoint import bind
from rest_bridge.sinks.messages import (
    EVENT_TOPIC,
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
from rest_bridge.types import VOICE_RATE_HZ, ByteArray, Frame, FrameFormat
from rest_bridge.wire_fields import PROTOCOL_MAJOR, PROTOCOL_MINOR

FRAMES_HWM: Final = 3
"""Frames that may wait for one subscriber; more would only be older."""
EVENTS_HWM: Final = 1000
"""Messages that may wait for one subscriber of the events socket: about 13 s."""
_MAX_INCOMING_BYTES: Final = 256  # subscriptions are topics of four bytes
_HELLO_INTERVAL_NS: Final = 1_000_000_000


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
        insecure: allow addresses that other computers can reach.
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
        insecure: bool = False,
        stats: Callable[[], Mapping[str, Any]] | None = None,
        jpeg_quality: int = 85,
        jpeg_background: str = "black",
    ) -> None:
        self.frames_endpoint = frames_endpoint
        self.events_endpoint = events_endpoint
        self._provenance = provenance or Provenance()
        self._insecure = insecure
        self._stats = stats
        self._jpeg_quality = jpeg_quality
        self._jpeg_background = jpeg_background
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._fmt = FrameFormat(0, 0, 25.0)
        self._duration_ns = 0
        self._frame_topics: set[bytes] = set()
        self._event_topics: set[bytes] = set()
        self._background: ByteArray | None = None
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
                self._frames, self.frames_endpoint, key="endpoints.frames", insecure=self._insecure
            )
            self.events_endpoint = bind(
                self._events, self.events_endpoint, key="endpoints.events", insecure=self._insecure
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
            if _wanted(topic, self._frame_topics):
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

    def close(self) -> None:
        """Say goodbye and free the ports; idempotent."""
        if self._context is None:
            return
        self._context.destroy(linger=0)
        self._context = None

    def _publish_events(self, frame: Frame) -> Stamp:
        now_ns = time.monotonic_ns()
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
            "avatar": self._provenance.avatar_id,
            "tier": self._provenance.tier,
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
            stride=0 if pixel_format == "jpeg" else width * 4,
            payload=self._payload(frame.rgba, pixel_format),
            sample_index=int(frame.voice.first_index),
            dropped=self._dropped,
            repeated=frame.repeated,
            tier=self._provenance.tier,
            model_id=self._provenance.model_id,
            avatar_id=self._provenance.avatar_id,
        )

    def _payload(self, rgba: ByteArray, pixel_format: PixelFormat) -> memoryview:
        match pixel_format:
            case "rgba8":
                return np.ascontiguousarray(rgba).data.cast("B")
            case "bgra8":
                return to_bgra(rgba).data.cast("B")
            case "jpeg":
                height, width = rgba.shape[:2]
                if self._background is None or self._background.shape[:2] != (height, width):
                    self._background = make_background(self._jpeg_background, width, height)
                bgr = cv2.cvtColor(composite(rgba, self._background), cv2.COLOR_RGB2BGR)
                ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self._jpeg_quality])
                if not ok:
                    raise SinkError(f"zeromq: a {width} x {height} frame cannot be a JPEG.")
                return data.data.cast("B")

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
                topics.add(data[1:])
                someone_new = True
            elif data[:1] == b"\x00":
                topics.discard(data[1:])
        return someone_new


def _wanted(topic: bytes, subscriptions: set[bytes]) -> bool:
    """Whether a subscription asks for this topic; the empty one asks for RGBA among the frames."""
    if b"" in subscriptions and topic not in (TOPICS["bgra8"], TOPICS["jpeg"]):
        return True
    return any(
        subscription and topic.startswith(subscription[:4]) for subscription in subscriptions
    )
