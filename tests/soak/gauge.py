"""What a process holds on to: memory, file descriptors, threads."""

import os
import threading
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Held:
    """At one moment.

    Attributes:
        rss_mb: resident memory of this process.
        num_fds: open file descriptors.
        num_threads: threads of Python.
        num_children: processes started by this one.
    """

    rss_mb: float
    num_fds: int
    num_threads: int
    num_children: int


def held() -> Held:
    """Look at this process."""
    process = psutil.Process(os.getpid())
    return Held(
        round(process.memory_info().rss / 1e6, 1),
        process.num_fds() if hasattr(process, "num_fds") else 0,
        len(ours()),
        len(process.children()),
    )


def ours() -> list[threading.Thread]:
    """Return the threads that somebody here has started; pyzmq keeps one for the whole process."""
    return [t for t in threading.enumerate() if type(t).__name__ != "GarbageCollectorThread"]
