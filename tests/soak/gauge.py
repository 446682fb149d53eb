"""What a process holds on to: memory, file descriptors by kind, threads by name."""

import contextlib
import ctypes
import gc
import os
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

_NUMBERS = re.compile(r"[0-9a-f]*[0-9][0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Held:
    """At one moment.

    Attributes:
        rss_mb: resident memory of this process.
        num_fds: open file descriptors.
        num_threads: threads of Python.
        num_children: processes started by this one.
        kinds: how many descriptors of each kind: "socket:[]", "pipe:[]", paths without numbers.
        native: how many threads the system counts, by name; libraries start some of their own.
    """

    rss_mb: float
    num_fds: int
    num_threads: int
    num_children: int
    kinds: dict[str, int] = field(default_factory=dict)
    native: dict[str, int] = field(default_factory=dict)


def held() -> Held:
    """Look at this process."""
    process = psutil.Process(os.getpid())
    return Held(
        round(process.memory_info().rss / 1e6, 1),
        process.num_fds() if hasattr(process, "num_fds") else 0,
        len(ours()),
        len(process.children()),
        descriptors(),
        native_threads(),
    )


def ours() -> list[threading.Thread]:
    """Return the threads that somebody here has started; pyzmq keeps one for the whole process."""
    return [t for t in threading.enumerate() if type(t).__name__ != "GarbageCollectorThread"]


def descriptors(folder: Path = Path("/proc/self/fd")) -> dict[str, int]:
    """Count open descriptors by what they point to; empty where there is no such folder."""
    found: Counter[str] = Counter()
    for link in folder.iterdir() if folder.is_dir() else ():
        try:
            found[_NUMBERS.sub("", str(link.readlink()))] += 1
        except OSError:  # the one that lists them
            continue
    return dict(sorted(found.items()))


def native_threads(folder: Path = Path("/proc/self/task")) -> dict[str, int]:
    """Count threads by their names in the system; empty where there is no such folder."""
    found: Counter[str] = Counter()
    for task in folder.iterdir() if folder.is_dir() else ():
        try:
            found[_NUMBERS.sub("", (task / "comm").read_text().strip())] += 1
        except OSError:
            continue
    return dict(sorted(found.items()))


def trimmed_mb() -> float:
    """Return memory that is really held: what the allocator only keeps for later is given back."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # glibc only
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return round(psutil.Process(os.getpid()).memory_info().rss / 1e6, 1)


def more(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Return by how much each kind has changed, without those that have not."""
    kinds = sorted({*before, *after})
    changes = {kind: after.get(kind, 0) - before.get(kind, 0) for kind in kinds}
    return {kind: change for kind, change in changes.items() if change}


def least(samples: list[tuple[float, Held]], what: str) -> dict[str, int]:
    """Return how many of each kind were there at the quietest moment: what is held for ever."""
    counts = [getattr(held, what) for _, held in samples]
    kinds = sorted({kind for count in counts for kind in count})
    return {kind: min(count.get(kind, 0) for count in counts) for kind in kinds}


def by_minute(samples: list[tuple[float, Held]]) -> list[float]:
    """Return the median memory of each minute, in MB."""
    minutes = sorted({int(at_s // 60) for at_s, _ in samples})
    return [
        round(float(np.median([h.rss_mb for at_s, h in samples if int(at_s // 60) == minute])), 1)
        for minute in minutes
    ]
