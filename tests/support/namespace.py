"""A network of its own for a test: nothing outside is reached, and every port is free."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator

_CLONE_NEWNET = 0x40000000
_SELF = "/proc/thread-self/ns/net"


def can_separate() -> bool:
    """Whether this process may have a network of its own (root on Linux)."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and os.path.exists(_SELF)  # noqa: PTH110


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Give the calling thread, and what it starts, a network that has only 127.0.0.1."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open(_SELF, os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        libc.setns(before, _CLONE_NEWNET)
        os.close(before)
