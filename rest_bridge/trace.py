"""Spans: where the time of the worker goes, by stage. Off unless somebody measures.

A stage writes `with span("warp"):` around its work; while nobody measures that costs 0.1 µs. The
time of a span inside another counts for the inner one only, so all of them add up.
"""

import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

_OFF: Final = nullcontext()


class Recorder:
    """Exclusive durations by stage; of one thread or of many."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.durations_ns: dict[str, list[int]] = {}
        """Of each span that ended, by its name, without what lay inside it."""
        self._lock = threading.Lock()
        self._open = threading.local()

    @contextmanager
    def span(self, name: str) -> Generator[None, None, None]:
        """Time the body."""
        inside: list[int] = getattr(self._open, "inside", [])
        self._open.inside = inside
        inside.append(0)
        begin_ns = time.perf_counter_ns()
        try:
            yield
        finally:
            whole_ns = time.perf_counter_ns() - begin_ns
            own_ns = whole_ns - inside.pop()
            if inside:
                inside[-1] += whole_ns
            with self._lock:
                self.durations_ns.setdefault(name, []).append(own_ns)


_recorder: Recorder | None = None


def span(name: str) -> AbstractContextManager[None]:
    """Return what times a stage's work, or nothing where nobody measures.

    Args:
        name: of the stage.
    """
    return _OFF if _recorder is None else _recorder.span(name)


@contextmanager
def recording() -> Generator[Recorder, None, None]:
    """Measure every span of this process while the body runs."""
    global _recorder
    before, _recorder = _recorder, Recorder()
    try:
        yield _recorder
    finally:
        _recorder = before
