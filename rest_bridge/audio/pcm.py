"""Bytes of pushed speech (plugins/PROTOCOL-speech.md is the contract).

The same frame as everywhere on the wire: an 8-byte prefix (topic, version, header length), a
msgpack map, the payload. This module knows bytes only: no sockets, no clocks.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgpack
import numpy as np

from rest_bridge.errors import WireError
from rest_bridge.types import FloatArray

TOPIC: Final = b"PCM_"
MAJOR: Final = 1
MINOR: Final = 0
MIN_RATE_HZ: Final = 8_000
MAX_RATE_HZ: Final = 192_000
MAX_PAYLOAD_BYTES: Final = 1 << 22
"""4 MiB: 21 s of stereo float32 at 24 kHz. Longer speech goes in several messages."""
MAX_HEADER_BYTES: Final = 4096
MAX_MESSAGE_BYTES: Final = 8 + MAX_HEADER_BYTES + MAX_PAYLOAD_BYTES
_MAX_UTTERANCE_CHARS: Final = 128
_PREFIX: Final = struct.Struct("<4sBBH")

SampleFormat = Literal["s16le", "f32le"]
_DTYPES: Final[dict[str, str]] = {"s16le": "<i2", "f32le": "<f4"}


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
    """

    samples: FloatArray
    rate_hz: int
    sample_format: SampleFormat = "s16le"
    utterance: str = ""
    last: bool = False
    flush: bool = False


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
    if message.sample_format == "s16le":
        scaled = np.rint(np.clip(samples, -1.0, 1.0) * 32767.0)
    else:
        scaled = samples
    payload = np.ascontiguousarray(scaled, _DTYPES[message.sample_format]).tobytes()
    packed = bytes(msgpack.packb(header) or b"")
    data = _PREFIX.pack(TOPIC, MAJOR, MINOR, len(packed)) + packed + payload
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
    view = memoryview(data)
    if len(view) < _PREFIX.size:
        raise WireError(f"Pushed speech of {len(view)} bytes is shorter than the 8-byte prefix.")
    topic, major, minor, header_bytes = _PREFIX.unpack_from(view)
    if topic != TOPIC:
        raise WireError(f"Pushed speech must begin with {TOPIC!r}, not {topic!r}.")
    if major != MAJOR:
        raise WireError(
            f"Pushed speech is of protocol {major}.{minor}, this side speaks {MAJOR}.x; update "
            "the older of the two."
        )
    end = _PREFIX.size + header_bytes
    if header_bytes > MAX_HEADER_BYTES or end > len(view):
        raise WireError(f"Pushed speech: a header of {header_bytes} bytes does not fit.")
    header = _unpack_header(view[_PREFIX.size : end])
    return _decode_body(header, view[end:])


def _decode_body(header: dict[str, Any], payload: memoryview) -> PcmMessage:
    sample_format = header.get("fmt")
    if sample_format not in ("s16le", "f32le"):
        raise WireError(
            f'Pushed speech: "fmt" must be s16le or f32le, not {repr(sample_format)[:40]}.'
        )
    rate_hz = _integer(header, "rate", MIN_RATE_HZ, MAX_RATE_HZ)
    num_channels = _integer(header, "ch", 1, 2)
    num_samples = _integer(header, "n", 0, MAX_PAYLOAD_BYTES)
    utterance = header.get("utt", "")
    if not isinstance(utterance, str) or len(utterance) > _MAX_UTTERANCE_CHARS:
        raise WireError(
            f'Pushed speech: "utt" must be a text of at most {_MAX_UTTERANCE_CHARS} characters.'
        )
    dtype = np.dtype(_DTYPES[sample_format])
    wanted = num_samples * num_channels * dtype.itemsize
    if len(payload) != wanted or wanted > MAX_PAYLOAD_BYTES:
        raise WireError(
            f"Pushed speech: a payload of {len(payload)} bytes is not {num_samples} samples of "
            f"{num_channels} channels in {sample_format} (at most {MAX_PAYLOAD_BYTES} bytes)."
        )
    samples = np.frombuffer(payload, dtype).reshape(num_samples, num_channels).astype(np.float32)
    if sample_format == "s16le":
        samples /= 32767.0
    elif not np.isfinite(samples).all():
        raise WireError("Pushed speech: the payload holds numbers that are not finite.")
    return PcmMessage(
        samples=np.clip(samples, -1.0, 1.0),
        rate_hz=rate_hz,
        sample_format=sample_format,
        utterance=utterance,
        last=_flag(header, "last"),
        flush=_flag(header, "flush"),
    )


def _unpack_header(data: memoryview) -> dict[str, Any]:
    try:
        header = msgpack.unpackb(
            data, max_str_len=1024, max_bin_len=1024, max_array_len=64, max_map_len=64,
            max_ext_len=0,
        )  # fmt: skip
    # msgpack raises ValueError for bad data and limits, and others for exotic keys.
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        reason = str(error) or type(error).__name__
        raise WireError(f"Pushed speech: the header is no msgpack map: {reason}.") from error
    if not isinstance(header, dict):
        raise WireError(f"Pushed speech: the header is a {type(header).__name__}, not a map.")
    return header


def _integer(header: dict[str, Any], key: str, low: int, high: int) -> int:
    value = header.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise WireError(
            f'Pushed speech: "{key}" must be an integer in {low}..{high}, not {repr(value)[:40]}.'
        )
    return value


def _flag(header: dict[str, Any], key: str) -> bool:
    value = header.get(key, False)
    if not isinstance(value, bool):
        raise WireError(f'Pushed speech: "{key}" must be true or false, not {repr(value)[:40]}.')
    return value
