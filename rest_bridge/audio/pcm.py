"""Bytes of pushed speech (plugins/PROTOCOL.md is the contract).

The same frame as everywhere on the wire: an 8-byte prefix (topic, version, header length), a
msgpack map, the payload. This module knows bytes only: no sockets, no clocks.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from rest_bridge.types import FloatArray
from rest_bridge.wire_fields import (
    MAX_HEADER_BYTES,
    PREFIX_BYTES,
    Fields,
    join_message,
    split_message,
)

TOPIC: Final = b"PCM_"
MIN_RATE_HZ: Final = 8_000
MAX_RATE_HZ: Final = 192_000
MAX_PAYLOAD_BYTES: Final = 1 << 22
"""4 MiB: 21 s of stereo float32 at 24 kHz. Longer speech goes in several messages."""
MAX_MESSAGE_BYTES: Final = PREFIX_BYTES + MAX_HEADER_BYTES + MAX_PAYLOAD_BYTES
MAX_NAME_CHARS: Final = 128
"""Of an utterance or a mark."""
MAX_MARKS: Final = 32

SampleFormat = Literal["s16le", "f32le"]
_DTYPES: Final[dict[SampleFormat, str]] = {"s16le": "<i2", "f32le": "<f4"}


@dataclass(frozen=True, slots=True)
class PcmMessage:
    """Some speech, pushed by another program.

    Attributes:
        samples: float32 [S, C], C 1 or 2, in [-1, 1].
        rate_hz: 8,000 to 192,000.
        sample_format: how the samples travel.
        utterance: the sender's name for the sentence they belong to; may be empty.
        last: the utterance ends with these samples.
        flush: forget everything pushed earlier and not yet spoken (barge-in), then take these.
        begin: a new utterance begins, even if one of this name was spoken or flushed before.
        marks: places in these samples that the sender wants to hear of: (offset in samples, name).
    """

    samples: FloatArray
    rate_hz: int
    sample_format: SampleFormat = "s16le"
    utterance: str = ""
    last: bool = False
    flush: bool = False
    begin: bool = False
    marks: tuple[tuple[int, str], ...] = ()


def encode_pcm(message: PcmMessage) -> bytes:
    """Return the message's bytes; equal messages give equal bytes.

    Args:
        message: to send.

    Returns:
        One ZeroMQ message part.

    Raises:
        WireError: a field is out of range.
    """
    samples = np.atleast_2d(message.samples.T).T
    header: dict[str, Any] = {
        "fmt": message.sample_format,
        "rate": message.rate_hz,
        "ch": samples.shape[1],
        "n": samples.shape[0],
        "utt": message.utterance,
        "last": message.last,
        "flush": message.flush,
    }
    if message.begin:
        header["begin"] = True
    if message.marks:
        header["marks"] = [list(mark) for mark in message.marks]
    if message.sample_format == "s16le":
        scaled = np.rint(np.clip(samples, -1.0, 1.0) * 32767.0)
    else:
        scaled = samples
    payload = np.ascontiguousarray(scaled, _DTYPES[message.sample_format]).tobytes()
    data = join_message(TOPIC, header, payload)
    decode_pcm(data)  # whoever sends finds out, not whoever receives
    return data


def decode_pcm(data: bytes | memoryview) -> PcmMessage:
    """Read one message; every field is checked, unknown ones are ignored.

    Args:
        data: the whole message part.

    Returns:
        The message.

    Raises:
        WireError: not pushed speech of this protocol; the text says what is wrong.
    """
    _, fields, payload = split_message(data, (TOPIC,))
    sample_format = _sample_format(fields)
    rate_hz = fields.integer("rate", MIN_RATE_HZ, MAX_RATE_HZ)
    num_channels = fields.integer("ch", 1, 2)
    num_samples = fields.integer("n", 0, MAX_PAYLOAD_BYTES)
    return PcmMessage(
        samples=_samples(fields, payload, sample_format, num_samples, num_channels),
        rate_hz=rate_hz,
        sample_format=sample_format,
        utterance=_name(fields, fields.text("utt", ""), '"utt"'),
        last=fields.boolean("last", default=False),
        flush=fields.boolean("flush", default=False),
        begin=fields.boolean("begin", default=False),
        marks=tuple(_mark(fields, item, num_samples) for item in fields.items("marks", MAX_MARKS)),
    )


def _sample_format(fields: Fields) -> SampleFormat:
    name = fields.text("fmt")
    for known in _DTYPES:
        if name == known:
            return known
    raise fields.error(f'"fmt" must be s16le or f32le, not {name[:40]!r}')


def _samples(
    fields: Fields,
    payload: memoryview,
    sample_format: SampleFormat,
    num_samples: int,
    num_channels: int,
) -> FloatArray:
    dtype = np.dtype(_DTYPES[sample_format])
    wanted = num_samples * num_channels * dtype.itemsize
    if len(payload) != wanted or wanted > MAX_PAYLOAD_BYTES:
        raise fields.error(
            f"a payload of {len(payload)} bytes is not {num_samples} samples of "
            f"{num_channels} channels in {sample_format} (at most {MAX_PAYLOAD_BYTES} bytes)"
        )
    samples = np.frombuffer(payload, dtype).reshape(num_samples, num_channels).astype(np.float32)
    if sample_format == "s16le":
        samples /= 32767.0
    elif not np.isfinite(samples).all():
        raise fields.error("the payload holds numbers that are not finite")
    return np.clip(samples, -1.0, 1.0)


def _mark(fields: Fields, item: Any, num_samples: int) -> tuple[int, str]:
    match item:
        case [int(offset), str(name)] if not isinstance(offset, bool) and (
            0 <= offset <= num_samples
        ):
            return offset, _name(fields, name, "a mark")
        case _:
            raise fields.error(
                f"a mark must be [offset in 0..{num_samples}, name], not {repr(item)[:40]}"
            )


def _name(fields: Fields, name: str, what: str) -> str:
    if len(name) > MAX_NAME_CHARS:
        raise fields.error(f"{what} must have at most {MAX_NAME_CHARS} characters")
    return name
