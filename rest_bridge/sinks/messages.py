"""The messages of the wire protocol as dataclasses, their topics and limits.

`wire.py` turns them into bytes and back; plugins/PROTOCOL.md says what each field means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from rest_bridge.errors import WireError
from rest_bridge.types import VOICE_RATE_HZ, ByteArray, FloatArray

MAX_SIDE_PX: Final = 8192
MAX_PAYLOAD_BYTES: Final = 1 << 26
MAX_BODY_BYTES: Final = 1 << 16
"""Payload of events, requests and replies."""
MAX_VOICE_SAMPLES: Final = VOICE_RATE_HZ
RIG_SET: Final = "pose6-arkit52-viseme15"
"""Names and order of the rig values of this version; clients may compare it once."""

PixelFormat = Literal["rgba8", "bgra8", "jpeg", "png", "webp"]
RAW_FORMATS: Final[tuple[PixelFormat, ...]] = ("rgba8", "bgra8")
"""The others are compressed picture files."""
TOPICS: Final[dict[PixelFormat, bytes]] = {
    "rgba8": b"RGBA",
    "bgra8": b"BGRA",
    "jpeg": b"JPEG",
    "png": b"PNG_",
    "webp": b"WEBP",
}
RIG_TOPIC: Final = b"RIG_"
VOICE_TOPIC: Final = b"VOIC"
EVENT_TOPIC: Final = b"EVNT"
REQUEST_TOPIC: Final = b"RQST"
REPLY_TOPIC: Final = b"RPLY"


@dataclass(frozen=True, slots=True)
class Stamp:
    """Whose instant a message belongs to; the same in the frame, rig and voice of one instant.

    Attributes:
        stream_id: random name of the stream; another one after a restart.
        epoch: grows when the stream is flushed.
        sequence: frame index; a gap means that messages were lost.
        pts_ns: presentation time on the media clock (0 = first sample of the stream).
        duration_ns: nominal duration.
        captured_ns: sender's monotonic clock when the newest sample of this span was captured.
        published_ns: sender's monotonic clock when the message was made.
        activity: "idle", "speaking", "muted", "paused" or a later version's word.
        level: root mean square of the voice, 0..1.
    """

    stream_id: str
    epoch: int
    sequence: int
    pts_ns: int
    duration_ns: int
    captured_ns: int
    published_ns: int
    activity: str = "idle"
    level: float = 0.0


@dataclass(frozen=True, slots=True)
class FrameMessage:
    """One picture.

    Attributes:
        stamp: whose instant.
        pixel_format: "rgba8", "bgra8", "png", "webp" (straight alpha) or "jpeg" (opaque, on a
            background).
        width: in pixels.
        height: in pixels, top row first.
        stride: bytes from row to row; 0 where compressed.
        payload: the pixels.
        sample_index: media time of the frame's start in samples at VOICE_RATE_HZ.
        dropped: pictures the sender dropped on its way to the socket since it started.
        repeated: the picture repeats the previous one.
        tier: which size or quality the generator runs in.
        model_id: model package.
        avatar_id: avatar.
        synthetic: always true from us: the picture was generated.
    """

    stamp: Stamp
    pixel_format: PixelFormat
    width: int
    height: int
    stride: int
    payload: bytes | memoryview
    sample_index: int = 0
    dropped: int = 0
    repeated: bool = False
    tier: str = ""
    model_id: str = ""
    avatar_id: str = ""
    synthetic: bool = True

    def pixels(self) -> ByteArray:
        """View the payload as a picture.

        Returns:
            uint8 [H, W, 4], a view of the payload, in the order that `pixel_format` says.

        Raises:
            WireError: the picture is compressed; use your own decoder on `payload`.
        """
        if self.pixel_format not in RAW_FORMATS:
            raise WireError(
                f"This frame is a {self.pixel_format.upper()} file; decode its payload or "
                "subscribe to RGBA."
            )
        rows = np.frombuffer(self.payload, np.uint8).reshape(self.height, self.stride)
        return rows[:, : self.width * 4].reshape(self.height, self.width, 4)


@dataclass(frozen=True, slots=True)
class RigMessage:
    """Face parameters: float32 [58] in `rig.RIG_NAMES` order, float32 [15] visemes."""

    stamp: Stamp
    values: FloatArray
    visemes: FloatArray


@dataclass(frozen=True, slots=True)
class VoiceMessage:
    """The voice of one frame's span: float32 [S] mono at VOICE_RATE_HZ, first at `sample_index`."""

    stamp: Stamp
    sample_index: int
    samples: FloatArray


@dataclass(frozen=True, slots=True)
class EventMessage:
    """Something that happened: `kind` "hello", "state", "stats", ...; PROTOCOL.md lists bodies."""

    kind: str
    stream_id: str
    epoch: int
    sequence: int
    published_ns: int
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class RequestMessage:
    """A command to the daemon; `request_id` comes back in the reply."""

    request_id: int
    operation: str
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ReplyMessage:
    """The answer to a request: `ok`, or an error `code` and one sentence in `error`."""

    request_id: int
    operation: str
    ok: bool
    code: str = ""
    error: str = ""
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])


Message = FrameMessage | RigMessage | VoiceMessage | EventMessage | RequestMessage | ReplyMessage
