"""Bytes of the wire protocol (plugins/PROTOCOL.md is the contract).

Every message is one part: an 8-byte prefix (topic, version, header length), a msgpack map, and a
payload. This module knows bytes only: no sockets, no clocks, no threads. What arrives is refused
with a `WireError` unless every field has its type and range and the payload its exact size.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from rest_bridge.errors import WireError
from rest_bridge.rig import RIG_NAMES, VISEME_NAMES
from rest_bridge.sinks.messages import (
    EVENT_TOPIC,
    MAX_BODY_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_SIDE_PX,
    MAX_VOICE_SAMPLES,
    RAW_FORMATS,
    REPLY_TOPIC,
    REQUEST_TOPIC,
    RIG_SET,
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
    Stamp,
    VoiceMessage,
)
from rest_bridge.types import VOICE_RATE_HZ, FloatArray
from rest_bridge.wire_fields import (
    MAX_HEADER_BYTES,
    PREFIX_BYTES,
    Fields,
    join_message,
    pack_map,
    split_message,
    unpack_map,
)

__all__ = ["MAX_HEADER_BYTES", "PREFIX_BYTES", "decode", "encode"]

_FORMATS: Final[dict[bytes, PixelFormat]] = {topic: name for name, topic in TOPICS.items()}


def encode(message: Message) -> bytes:
    """Turn a message into bytes; equal messages give equal bytes.

    Args:
        message: what to send.

    Returns:
        One message part: prefix, header, payload.

    Raises:
        WireError: a text or body is too long for the wire.
    """
    match message:
        case FrameMessage():
            header = _stamp_header(message.stamp) | {
                "w": message.width,
                "h": message.height,
                "stride": message.stride,
                "size": len(message.payload),
                "fmt": message.pixel_format,
                "alpha": "none" if message.pixel_format == "jpeg" else "straight",
                "color": "srgb",
                "index": message.sample_index,
                "rate": VOICE_RATE_HZ,
                "drop": message.dropped,
                "rep": message.repeated,
                "tier": message.tier,
                "model": message.model_id,
                "avatar": message.avatar_id,
                "syn": message.synthetic,
            }
            return join_message(TOPICS[message.pixel_format], header, message.payload)
        case RigMessage():
            header = _stamp_header(message.stamp) | {
                "set": RIG_SET,
                "n": len(message.values),
                "v": len(message.visemes),
            }
            payload = np.concatenate((message.values, message.visemes)).astype("<f4").tobytes()
            return join_message(RIG_TOPIC, header, payload)
        case VoiceMessage():
            header = _stamp_header(message.stamp) | {
                "index": message.sample_index,
                "rate": VOICE_RATE_HZ,
                "ch": 1,
                "fmt": "f32le",
                "n": len(message.samples),
            }
            return join_message(VOICE_TOPIC, header, message.samples.astype("<f4").tobytes())
        case EventMessage():
            header = {
                "kind": message.kind,
                "stream": message.stream_id,
                "epoch": message.epoch,
                "seq": message.sequence,
                "pub": message.published_ns,
            }
            return join_message(EVENT_TOPIC, header, _pack_body(message.body))
        case RequestMessage():
            header = {"id": message.request_id, "op": message.operation}
            return join_message(REQUEST_TOPIC, header, _pack_body(message.body))
        case ReplyMessage():
            header = {
                "id": message.request_id,
                "op": message.operation,
                "ok": message.ok,
                "code": message.code,
                "error": message.error,
            }
            return join_message(REPLY_TOPIC, header, _pack_body(message.body))


def decode(data: bytes | memoryview) -> Message:
    """Read one message; arrays in it are views of `data` where its alignment allows.

    Args:
        data: the whole message part.

    Returns:
        The message; unknown header keys are ignored.

    Raises:
        WireError: not a message of this protocol, another major version, or a field or size that
            is wrong; the text says which.
    """
    topic, fields, payload = split_message(data, _KNOWN)
    if topic in _FORMATS:
        return _decode_frame(_FORMATS[topic], fields, payload)
    return _DECODERS[topic](fields, payload)


def _stamp_header(stamp: Stamp) -> dict[str, Any]:
    return {
        "stream": stamp.stream_id,
        "epoch": stamp.epoch,
        "seq": stamp.sequence,
        "pts": stamp.pts_ns,
        "dur": stamp.duration_ns,
        "cap": stamp.captured_ns,
        "pub": stamp.published_ns,
        "state": stamp.activity,
        "level": stamp.level,
    }


def _pack_body(body: Mapping[str, Any]) -> bytes:
    try:
        packed = pack_map(dict(body))
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"Body cannot be sent: {error}") from error
    if len(packed) > MAX_BODY_BYTES:
        raise WireError(f"Body of {len(packed)} bytes is over the limit of {MAX_BODY_BYTES}.")
    return packed


def _decode_stamp(fields: Fields) -> Stamp:
    return Stamp(
        stream_id=fields.text("stream"),
        epoch=fields.integer("epoch"),
        sequence=fields.integer("seq"),
        pts_ns=fields.integer("pts"),
        duration_ns=fields.integer("dur"),
        captured_ns=fields.integer("cap"),
        published_ns=fields.integer("pub"),
        activity=fields.text("state"),
        level=fields.number("level"),
    )


def _decode_frame(pixel_format: PixelFormat, fields: Fields, payload: memoryview) -> FrameMessage:
    fields.expect("fmt", pixel_format)
    width = fields.integer("w", 1, MAX_SIDE_PX)
    height = fields.integer("h", 1, MAX_SIDE_PX)
    is_raw = pixel_format in RAW_FORMATS
    stride = fields.integer("stride", width * 4 if is_raw else 0, MAX_SIDE_PX * 4 if is_raw else 0)
    if is_raw and len(payload) != stride * height:
        raise fields.error(
            f"payload of {len(payload)} bytes is not stride {stride} x height {height}"
        )
    if len(payload) != fields.integer("size", 1, MAX_PAYLOAD_BYTES):
        raise fields.error(f'payload of {len(payload)} bytes is not what "size" says')
    return FrameMessage(
        stamp=_decode_stamp(fields),
        pixel_format=pixel_format,
        width=width,
        height=height,
        stride=stride,
        payload=payload,
        sample_index=fields.integer("index"),
        dropped=fields.integer("drop"),
        repeated=fields.boolean("rep"),
        tier=fields.text("tier"),
        model_id=fields.text("model"),
        avatar_id=fields.text("avatar"),
        synthetic=fields.boolean("syn"),
    )


def _decode_rig(fields: Fields, payload: memoryview) -> RigMessage:
    fields.expect("set", RIG_SET)
    num_values = fields.integer("n", len(RIG_NAMES), len(RIG_NAMES))
    num_visemes = fields.integer("v", len(VISEME_NAMES), len(VISEME_NAMES))
    numbers = _floats(fields, payload, num_values + num_visemes)
    return RigMessage(_decode_stamp(fields), numbers[:num_values], numbers[num_values:])


def _decode_voice(fields: Fields, payload: memoryview) -> VoiceMessage:
    fields.expect("fmt", "f32le")
    fields.expect("rate", VOICE_RATE_HZ)
    fields.expect("ch", 1)
    num_samples = fields.integer("n", 0, MAX_VOICE_SAMPLES)
    samples = _floats(fields, payload, num_samples)
    return VoiceMessage(_decode_stamp(fields), fields.integer("index"), samples)


def _decode_event(fields: Fields, payload: memoryview) -> EventMessage:
    return EventMessage(
        kind=fields.text("kind"),
        stream_id=fields.text("stream"),
        epoch=fields.integer("epoch"),
        sequence=fields.integer("seq"),
        published_ns=fields.integer("pub"),
        body=_unpack_body(fields, payload),
    )


def _decode_request(fields: Fields, payload: memoryview) -> RequestMessage:
    return RequestMessage(
        fields.integer("id"), fields.text("op"), body=_unpack_body(fields, payload)
    )


def _decode_reply(fields: Fields, payload: memoryview) -> ReplyMessage:
    return ReplyMessage(
        request_id=fields.integer("id"),
        operation=fields.text("op"),
        ok=fields.boolean("ok"),
        code=fields.text("code"),
        error=fields.text("error"),
        body=_unpack_body(fields, payload),
    )


_DECODERS: Final = {
    RIG_TOPIC: _decode_rig,
    VOICE_TOPIC: _decode_voice,
    EVENT_TOPIC: _decode_event,
    REQUEST_TOPIC: _decode_request,
    REPLY_TOPIC: _decode_reply,
}
_KNOWN: Final = frozenset(_FORMATS) | frozenset(_DECODERS)


def _unpack_body(fields: Fields, payload: memoryview) -> dict[str, Any]:
    if len(payload) > MAX_BODY_BYTES:
        raise fields.error(f"body of {len(payload)} bytes is over the limit of {MAX_BODY_BYTES}")
    return unpack_map(payload, "body")


def _floats(fields: Fields, payload: memoryview, count: int) -> FloatArray:
    if len(payload) != count * 4:
        raise fields.error(f"payload of {len(payload)} bytes is not {count} float32")
    numbers = np.frombuffer(payload, "<f4").astype(np.float32)
    if not np.isfinite(numbers).all():
        raise fields.error("payload holds numbers that are not finite")
    return numbers
