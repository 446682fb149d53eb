"""A clock that stands still until somebody waits."""

import heapq
import threading
from collections.abc import Callable


class FakeClock:
    """Waiting jumps ahead in time and runs what was scheduled on the way."""

    def __init__(self, start_ns: int = 5_000_000_000) -> None:
        self._now_ns = start_ns
        self._events: list[tuple[int, int, Callable[[], None]]] = []

    def now_ns(self) -> int:
        return self._now_ns

    def jump_to(self, when_ns: int) -> None:
        self._now_ns = max(self._now_ns, when_ns)

    def schedule(self, when_ns: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when_ns, len(self._events), action))

    def wait_until(self, when_ns: int, stop: threading.Event) -> bool:
        while self._events and self._events[0][0] <= when_ns:
            event_ns, _, action = heapq.heappop(self._events)
            self._now_ns = max(self._now_ns, event_ns)
            action()
            if stop.is_set():
                return False
        self._now_ns = max(self._now_ns, when_ns)
        return not stop.is_set()
