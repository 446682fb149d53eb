"""Takes apart what came over a socket: prefix, msgpack map, fields; or one clear sentence.

Every message of the wire protocol and of pushed speech begins the same way (plugins/PROTOCOL.md):
four bytes of topic, two of version, two for the length of a msgpack map, the map, the payload.
"""

import struct
from collections.abc import Container, Mapping
from typing import Any, Final

import msgpack

from rest_bridge.errors import WireError

PROTOCOL_MAJOR: Final = 1
PROTOCOL_MINOR: Final = 0
PREFIX_BYTES: Final = 8
MAX_HEADER_BYTES: Final = 4096
MAX_TEXT_BYTES: Final = 4096
_PREFIX: Final = struct.Struct("<4sBBH")
_MAX_ENTRIES: Final = 1024
_MAX_INTEGER: Final = (1 << 63) - 1


def join_message(topic: bytes, header: Mapping[str, Any], payload: bytes | memoryview) -> bytes:
    """Put a message together.

    Args:
        topic: four bytes.
        header: text keys; msgpack types only.
        payload: follows the header.

    Returns:
        One message part.

    Raises:
        WireError: the header is over the limit.
    """
    packed = pack_map(header)
    if len(packed) > MAX_HEADER_BYTES:
        raise WireError(f"Header of {len(packed)} bytes is over the limit of {MAX_HEADER_BYTES}.")
    prefix = _PREFIX.pack(topic, PROTOCOL_MAJOR, PROTOCOL_MINOR, len(packed))
    return b"".join((prefix, packed, payload))


def split_message(
    data: bytes | memoryview, topics: Container[bytes]
) -> tuple[bytes, "Fields", memoryview]:
    """Take a message apart.

    Args:
        data: one message part.
        topics: those that may come here.

    Returns:
        Topic, header fields, and the payload as a view of `data`.

    Raises:
        WireError: too short, another topic or major version, or a header that is no map.
    """
    view = memoryview(data)
    if len(view) < PREFIX_BYTES:
        raise WireError(f"Message of {len(view)} bytes is shorter than the prefix of 8 bytes.")
    topic, major, minor, header_bytes = _PREFIX.unpack_from(view)
    if topic not in topics:
        raise WireError(f"Message has the unknown topic {topic!r}; is this a rest_bridge socket?")
    if major != PROTOCOL_MAJOR:
        raise WireError(
            f"Message is of protocol {major}.{minor}, this side speaks {PROTOCOL_MAJOR}.x; "
            "update the older of the two."
        )
    end = PREFIX_BYTES + header_bytes
    if header_bytes > MAX_HEADER_BYTES or end > len(view):
        raise WireError(f"Header of {header_bytes} bytes does not fit the message.")
    fields = Fields(topic.decode("ascii"), unpack_map(view[PREFIX_BYTES:end], "header"))
    return topic, fields, view[end:]


def pack_map(value: Mapping[str, Any]) -> bytes:
    """Return the msgpack bytes of a map."""
    packed = msgpack.packb(value)
    assert packed is not None  # the stubs say Optional; only a streaming Packer returns None
    return packed


def unpack_map(data: memoryview, what: str) -> dict[str, Any]:
    """Unpack a msgpack map whose keys are texts; other keys are ignored.

    Args:
        data: exactly one msgpack value.
        what: "header" or "body", for the message.

    Returns:
        The map.

    Raises:
        WireError: the bytes are no map, or hold something over the limits.
    """
    try:
        value = msgpack.unpackb(
            data,
            max_str_len=MAX_TEXT_BYTES,
            max_bin_len=len(data),
            max_array_len=_MAX_ENTRIES,
            max_map_len=_MAX_ENTRIES,
            max_ext_len=0,
        )
    # msgpack raises ValueError for bad data and limits, and others for exotic keys.
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        reason = str(error) or type(error).__name__
        raise WireError(f"The {what} is not a msgpack map within the limits: {reason}.") from error
    if not isinstance(value, dict):
        raise WireError(f"The {what} is a {type(value).__name__}, not a map.")
    return {key: item for key, item in value.items() if isinstance(key, str)}


class Fields:
    """The header of one message; each reader checks type and range.

    Args:
        topic: the message's topic, for errors.
        values: the unpacked map.
    """

    def __init__(self, topic: str, values: Mapping[str, Any]) -> None:
        self._topic = topic
        self._values = values

    def error(self, reason: str) -> WireError:
        """Return the error to raise for this message."""
        return WireError(f"{self._topic} message: {reason}.")

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; `default` where the key is missing, if there is one."""
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self.error(f'"{key}" must be a text, not {_short(value)}')
        return value

    def items(self, key: str, most: int) -> list[Any]:
        """Return an array of at most `most` items of any type; empty where the key is missing."""
        value = self._get(key, [])
        if not isinstance(value, list) or len(value) > most:
            raise self.error(f'"{key}" must be an array of at most {most}, not {_short(value)}')
        return value

    def integer(self, key: str, low: int = 0, high: int = _MAX_INTEGER) -> int:
        """Return an integer within `low`..`high`."""
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.error(f'"{key}" must be an integer in {low}..{high}, not {_short(value)}')
        return value

    def number(self, key: str) -> float:
        """Return a finite number."""
        value = self._get(key)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) < 1e12:
            raise self.error(f'"{key}" must be a finite number, not {_short(value)}')
        return float(value)

    def boolean(self, key: str, default: bool | None = None) -> bool:
        """Return true or false; `default` where the key is missing, if there is one."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.error(f'"{key}" must be true or false, not {_short(value)}')
        return value

    def expect(self, key: str, wanted: str | int) -> None:
        """Refuse the message unless the field has the one value that this version knows."""
        value = self._get(key)
        if type(value) is not type(wanted) or value != wanted:
            raise self.error(f'"{key}" must be {wanted!r}, not {_short(value)}')

    def _get(self, key: str, default: Any = None) -> Any:
        if key in self._values:
            return self._values[key]
        if default is None:
            raise self.error(f'"{key}" is missing')
        return default


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
