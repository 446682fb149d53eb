"""Reads fields of a msgpack map that came from outside: type and range, or one clear sentence."""

from collections.abc import Mapping
from typing import Any, Final

import msgpack

from rest_bridge.errors import WireError

MAX_TEXT_BYTES: Final = 4096
_MAX_ENTRIES: Final = 1024
_MAX_INTEGER: Final = (1 << 63) - 1


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

    def text(self, key: str) -> str:
        """Return a text."""
        value = self._get(key)
        if not isinstance(value, str):
            raise self.error(f'"{key}" must be a text, not {_short(value)}')
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

    def boolean(self, key: str) -> bool:
        """Return true or false."""
        value = self._get(key)
        if not isinstance(value, bool):
            raise self.error(f'"{key}" must be true or false, not {_short(value)}')
        return value

    def expect(self, key: str, wanted: str | int) -> None:
        """Refuse the message unless the field has the one value that this version knows."""
        value = self._get(key)
        if type(value) is not type(wanted) or value != wanted:
            raise self.error(f'"{key}" must be {wanted!r}, not {_short(value)}')

    def _get(self, key: str) -> Any:
        if key not in self._values:
            raise self.error(f'"{key}" is missing')
        return self._values[key]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
