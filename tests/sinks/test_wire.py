"""The wire codec: golden bytes, exact round trips, and refusal of everything else."""

import json
from pathlib import Path
from typing import Any

import cv2
import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_bridge.errors import WireError
from rest_bridge.sinks.messages import FrameMessage, Message
from rest_bridge.sinks.wire import decode, encode
from rest_bridge.wire_fields import PROTOCOL_MAJOR
from tests.support.messages import example_messages

GOLDEN = Path(__file__).parents[1] / "golden" / "wire"
EXAMPLES = example_messages()


def _plain(value: Any) -> Any:
    """Turn a message into comparable plain data."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return bytes(value) if isinstance(value, memoryview) else value


def _reheader(data: bytes, **changes: Any) -> bytes:
    """Return the message with header fields changed; `...` removes one."""
    length = int.from_bytes(data[6:8], "little")
    header = msgpack.unpackb(data[8 : 8 + length]) | changes
    packed = msgpack.packb({key: value for key, value in header.items() if value is not ...})
    return data[:6] + len(packed).to_bytes(2, "little") + packed + data[8 + length :]


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden_bytes_decode_to_the_documented_message(name: str) -> None:
    data = (GOLDEN / f"{name}.bin").read_bytes()
    assert _plain(decode(data)) == _plain(EXAMPLES[name])


@pytest.mark.parametrize("name", EXAMPLES)
def test_encoding_gives_the_golden_bytes(name: str) -> None:
    assert encode(EXAMPLES[name]) == (GOLDEN / f"{name}.bin").read_bytes()


def test_golden_index_describes_every_message() -> None:
    index = json.loads((GOLDEN / "index.json").read_text())
    assert set(index) == set(EXAMPLES) == {path.stem for path in GOLDEN.glob("*.bin")}
    for name, entry in index.items():
        data = (GOLDEN / f"{name}.bin").read_bytes()
        assert entry["topic"] == data[:4].decode()
        assert entry["bytes"] == len(data)
        header_bytes = int.from_bytes(data[6:8], "little")
        assert entry["header"] == msgpack.unpackb(data[8 : 8 + header_bytes])
        assert entry["payload_hex"] == data[8 + header_bytes :].hex()


@pytest.mark.parametrize("name", EXAMPLES)
def test_unknown_keys_and_a_newer_minor_version_are_accepted(name: str) -> None:
    data = bytearray(_reheader(encode(EXAMPLES[name]), future={"a": [1, 2]}, other=b"x"))
    data[5] = 99
    assert _plain(decode(bytes(data))) == _plain(EXAMPLES[name])


@pytest.mark.parametrize("name", EXAMPLES)
def test_another_major_version_is_refused_in_one_sentence(name: str) -> None:
    data = bytearray(encode(EXAMPLES[name]))
    data[4] = PROTOCOL_MAJOR + 1
    with pytest.raises(WireError, match=r"protocol 2\.0, this side speaks 1\.x; update"):
        decode(bytes(data))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_message_cut_anywhere_is_refused(name: str) -> None:
    data = encode(EXAMPLES[name])
    for length in range(len(data)):
        with pytest.raises(WireError):
            decode(data[:length])


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("frame_rgba8", {"w": 0}, '"w" must be an integer in 1..8192, not 0'),
        ("frame_rgba8", {"w": 9000}, '"w" must be'),
        ("frame_rgba8", {"w": True}, '"w" must be an integer'),
        ("frame_rgba8", {"h": 3}, "payload of .* bytes is not stride"),
        ("frame_rgba8", {"stride": 1}, '"stride" must be'),
        ("frame_rgba8", {"fmt": "bgra8"}, "\"fmt\" must be 'rgba8'"),
        ("frame_rgba8", {"pts": -1}, '"pts" must be'),
        ("frame_rgba8", {"pts": 1 << 63}, '"pts" must be'),
        ("frame_rgba8", {"pts": 1.5}, '"pts" must be'),
        ("frame_rgba8", {"seq": ...}, '"seq" is missing'),
        ("frame_rgba8", {"stream": 7}, '"stream" must be a text'),
        ("frame_rgba8", {"stream": "x" * 3000}, None),
        ("frame_rgba8", {"level": float("nan")}, "finite"),
        ("frame_rgba8", {"syn": 1}, "true or false"),
        ("rig", {"n": 57}, '"n" must be'),
        ("rig", {"set": "other"}, '"set" must be'),
        ("voice", {"n": 5}, "is not 5 float32"),
        ("voice", {"rate": 44100}, '"rate" must be 48000'),
        ("voice", {"n": 10**9}, '"n" must be'),
        ("request_mute", {"id": "a"}, '"id" must be'),
        ("reply_ok", {"ok": "yes"}, "true or false"),
    ],
)
def test_a_wrong_field_is_refused_by_name(
    name: str, changes: dict[str, Any], reason: str | None
) -> None:
    data = _reheader(encode(EXAMPLES[name]), **changes)
    if reason is None:
        decode(data)
        return
    with pytest.raises(WireError, match=reason):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"RGBA",
        b"RGBA\x01\x00\xff\xff",
        b"RGBA\x01\x00\x01\x00\xc1",
        b"RGBA\x01\x00\x01\x00\x90",
        b"EVNT\x01\x00\x05\x00\xdf\xff\xff\xff\xff",
        b"EVNT\x01\x00\x05\x00\xdb\xff\xff\xff\xff",
        b"EVNT\x01\x00\x00\x08" + b"\x91" * 2048,
        b"EVNT\x01\x00\x06\x00\xd6\xff\x00\x00\x00\x00",
    ],
)
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        decode(data)


def test_not_finite_rig_or_voice_values_are_refused() -> None:
    for name in ("rig", "voice"):
        data = bytearray(encode(EXAMPLES[name]))
        data[-4:] = np.array([np.inf], "<f4").tobytes()
        with pytest.raises(WireError, match="not finite"):
            decode(bytes(data))


def test_pixels_are_a_view_and_respect_the_stride() -> None:
    message = EXAMPLES["frame_rgba8"]
    assert isinstance(message, FrameMessage)
    rows = np.arange(2 * 16, dtype=np.uint8)
    padded = FrameMessage(message.stamp, "rgba8", 3, 2, 16, rows.tobytes())
    decoded = decode(encode(padded))
    assert isinstance(decoded, FrameMessage)
    np.testing.assert_array_equal(decoded.pixels(), rows.reshape(2, 16)[:, :12].reshape(2, 3, 4))


@pytest.mark.parametrize("name", ["frame_jpeg", "frame_png", "frame_webp"])
def test_compressed_frames_are_picture_files_and_no_pixels(name: str) -> None:
    message = decode((GOLDEN / f"{name}.bin").read_bytes())
    assert isinstance(message, FrameMessage)
    picture = cv2.imdecode(np.frombuffer(message.payload, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape[:2] == (message.height, message.width)
    assert name == "frame_jpeg" or picture.shape[2] == 4
    with pytest.raises(WireError, match="subscribe to RGBA"):
        message.pixels()


def test_too_long_texts_and_bodies_are_refused_when_encoding() -> None:
    from rest_bridge.sinks.messages import EventMessage, RequestMessage

    with pytest.raises(WireError, match="Header"):
        encode(RequestMessage(1, "x" * 5000))
    with pytest.raises(WireError, match="Body of"):
        encode(EventMessage("stats", "s", 0, 0, 0, {"x": b"0" * 70_000}))
    with pytest.raises(WireError, match="cannot be sent"):
        encode(EventMessage("stats", "s", 0, 0, 0, {"x": object()}))


def _decodes_or_refuses(data: bytes) -> Message | None:
    try:
        return decode(data)
    except WireError:
        return None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_fuzz_random_bytes_never_raise_anything_but_wire_error(data: bytes) -> None:
    _decodes_or_refuses(data)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(sorted(EXAMPLES)),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, 4000),
)
def test_fuzz_damaged_messages_never_raise_anything_but_wire_error(
    name: str, damage: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(encode(EXAMPLES[name]))
    for position, value in damage:
        data[position % len(data)] = value
    _decodes_or_refuses(bytes(data[: len(data) - cut % 5]))


_json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_fuzz_any_value_in_any_field_is_decoded_or_refused(name: str, data: st.DataObject) -> None:
    golden = encode(EXAMPLES[name])
    header = msgpack.unpackb(golden[8 : 8 + int.from_bytes(golden[6:8], "little")])
    key = data.draw(st.sampled_from(sorted(header)))
    _decodes_or_refuses(_reheader(golden, **{key: data.draw(_json_like)}))
