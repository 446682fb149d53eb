"""One example of every wire message: what tests/golden/wire holds as bytes.

`python -m tests.support.messages` writes the golden files anew; do so only when the protocol
changes, with its version.
"""

import json
from pathlib import Path

import msgpack
import numpy as np

from rest_bridge.rig import RIG_NAMES, VISEME_NAMES
from rest_bridge.sinks.messages import (
    EventMessage,
    FrameMessage,
    Message,
    ReplyMessage,
    RequestMessage,
    RigMessage,
    Stamp,
    VoiceMessage,
)
from rest_bridge.sinks.wire import encode

_GOLDEN = Path(__file__).parents[1] / "golden" / "wire"


def example_messages() -> dict[str, Message]:
    """Return the messages by the name of their golden file."""
    stamp = Stamp(
        stream_id="3f9c1a7e5b2d4c60",
        epoch=2,
        sequence=12345,
        pts_ns=493_800_000_000,
        duration_ns=40_000_000,
        captured_ns=86_400_123_456_789,
        published_ns=86_400_234_567_890,
        activity="speaking",
        level=0.125,
    )
    common = {
        "sample_index": 23_702_400,
        "dropped": 1,
        "repeated": False,
        "tier": "nano",
        "model_id": "nano-0.1",
        "avatar_id": "a1b2c3d4",
    }
    rgba = np.arange(4 * 2 * 4, dtype=np.uint8).reshape(2, 4, 4)
    return {
        "frame_rgba8": FrameMessage(stamp, "rgba8", 4, 2, 16, rgba.tobytes(), **common),  # type: ignore[arg-type]
        "frame_bgra8": FrameMessage(
            stamp,
            "bgra8",
            4,
            2,
            16,
            rgba[..., [2, 1, 0, 3]].tobytes(),
            **common,  # type: ignore[arg-type]
        ),
        "frame_jpeg": FrameMessage(stamp, "jpeg", 8, 8, 0, _TINY_JPEG, **common),  # type: ignore[arg-type]
        "frame_png": FrameMessage(stamp, "png", 2, 2, 0, _TINY_PNG, **common),  # type: ignore[arg-type]
        "frame_webp": FrameMessage(stamp, "webp", 2, 2, 0, _TINY_WEBP, **common),  # type: ignore[arg-type]
        "rig": RigMessage(
            stamp,
            (np.arange(len(RIG_NAMES)) / 64).astype(np.float32),
            np.eye(len(VISEME_NAMES), dtype=np.float32)[10],
        ),
        "voice": VoiceMessage(
            stamp, 23_702_400, np.array([0.0, 0.5, -0.5, 1.0, -1.0, 0.25], np.float32)
        ),
        "event_hello": EventMessage(
            "hello",
            stamp.stream_id,
            2,
            7,
            stamp.published_ns,
            {"server": "rest_bridge 0.1.0", "width": 512, "height": 512, "fps": 25.0},
        ),
        "event_state": EventMessage(
            "state", stamp.stream_id, 2, 8, stamp.published_ns, {"state": "speaking", "pts": 0}
        ),
        "event_stats": EventMessage(
            "stats", stamp.stream_id, 2, 9, stamp.published_ns, {"fps": 25.0, "dropped": 1}
        ),
        **_speech_events(stamp),
        "request_ping": RequestMessage(1, "ping", {"t0": 1000}),
        "request_mute": RequestMessage(2, "mute", {"on": True}),
        "request_flush": RequestMessage(4, "flush", {"utterances": ["line-7", "Grüße"]}),
        "reply_flush": ReplyMessage(
            4, "flush", True, body={"flushed": ["line-7"], "queued_s": 0.0}
        ),
        "reply_ok": ReplyMessage(2, "mute", True, body={"muted": True}),
        "reply_error": ReplyMessage(3, "fly", False, "unknown_operation", 'There is no "fly".'),
    }


def _speech_events(stamp: Stamp) -> dict[str, Message]:
    """Return one event of each kind that happens to an utterance."""
    bodies: dict[str, dict[str, object]] = {
        "started": {},
        "mark": {"mark": "bow"},
        "underrun": {},
        "finished": {"interrupted": True},
        "refused": {"reason": "Message of 3 bytes is shorter than the prefix of 8 bytes."},
    }
    return {
        f"event_speech_{event}": EventMessage(
            "speech",
            stamp.stream_id,
            2,
            10 + number,
            stamp.published_ns,
            {"event": event, "utt": "line-7", "pts": stamp.pts_ns, "position": 1_250_000_000}
            | more,
        )
        for number, (event, more) in enumerate(bodies.items())
    }


# Pictures of 2 x 2 pixels: red, half green, quarter blue, clear white; made once, lossless.
_TINY_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000200000002080600000072b60d240000001749444154081d63"
    "f8cfc0f01f081b1880b4c3ffffff1900401807bab8655e8f0000000049454e44ae426082"
)
_TINY_WEBP = bytes.fromhex(
    "5249464630000000574542505650384c230000002f014000101f30ff028222ff47131014f93f9a408090c67f"
    "9400b6aec4051a22fa1f0100"
)
# A JPEG of 8 x 8 grey pixels, fixed here so that another JPEG encoder does not change it.
_TINY_JPEG = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300100b0c0e0c0a100e0d0e1211101318281a181616"
    "183123251d283a333d3c3933383740485c4e404457453738506d51575f626768673e4d71797064785c656763ff"
    "c0000b080008000801011100ffc40014000100000000000000000000000000000000ffc4001410010000000000"
    "0000000000000000000000ffda0008010100003f003fffd9"
)


def _write() -> None:
    index: dict[str, object] = {}
    for name, message in example_messages().items():
        data = encode(message)
        (_GOLDEN / f"{name}.bin").write_bytes(data)
        end = 8 + int.from_bytes(data[6:8], "little")
        index[name] = {
            "topic": data[:4].decode(),
            "bytes": len(data),
            "header": msgpack.unpackb(data[8:end]),
            "payload_hex": data[end:].hex(),
        }
    (_GOLDEN / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    _write()
