"""Gives back what the C library only keeps for later: hours stay as small as minutes.

glibc keeps what was freed between things still in use: a recording that fell behind for a second,
a face that was changed, a tier that was left. Measured in 30 minutes of losses and recordings: 110
MB. It is given back when that has become much. Other C libraries do this by themselves.

It also gives each thread a heap of its own, up to eight for each core, and what one thread freed no
other can use: with the face, recordings and overload 227 MB lay free in them after two minutes, and
most of that stayed when trimmed. All threads share one heap here: 37 MB free, and flat. A picture
takes about as long to draw (10.3 to 11.5 ms at 512 pixels; with many heaps 10.0 to 10.7); a fixed
limit for blocks that are mapped by themselves would also do, but costs 3 ms of page faults.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

_SPARE_BYTES: Final = 32_000_000
"""Giving back takes 0.06 ms a megabyte, in which others who ask for memory wait: 2 ms."""
_SIZES: Final = Path("/proc/self/statm")
_M_ARENA_MAX: Final = -8
"""Of glibc's malloc.h."""


def share_one_heap() -> bool:
    """Let all threads of this process take memory from one heap; before they are started.

    Returns:
        Whether this C library has such a setting. Who chose one in the environment keeps it.
    """
    if sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ:
        return False
    if "glibc.malloc.arena_max" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1))
    except (OSError, AttributeError):  # musl
        return False


class MemoryKeeper:
    """Watches how large this process is.

    Args:
        size: returns its resident bytes, 0 where that is not known.
        give_back: returns free memory to the system.
    """

    def __init__(
        self, size: Callable[[], int] | None = None, give_back: Callable[[], object] | None = None
    ) -> None:
        self._size = size or resident_bytes
        self._give_back = give_back or _trimmer()
        self._least = 0
        self.num_given_back = 0
        """How often memory was given back."""

    def look(self) -> None:
        """Give back what is free if the process has grown by 32 MB since it was least."""
        size = self._size()
        if not self._least or size < self._least:
            self._least = size
        if size - self._least > _SPARE_BYTES:
            self._give_back()
            self._least = self._size()
            self.num_given_back += 1


def resident_bytes() -> int:
    """Return the memory of this process that is in RAM; 0 where the system does not tell."""
    try:
        return int(_SIZES.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0


def _trimmer() -> Callable[[], object]:
    """Return glibc's `malloc_trim`, or something that does nothing."""
    if sys.platform == "linux":
        try:
            trim = ctypes.CDLL(None).malloc_trim
        except (OSError, AttributeError):  # musl
            return lambda: None
        return lambda: trim(0)
    return lambda: None
