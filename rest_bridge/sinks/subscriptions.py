"""Who gets statistics on the control socket, how often, and when somebody is forgotten.

Knows no socket and no clock: the control server tells the time.
"""

from dataclasses import dataclass
from typing import Final

MOST: Final = 32
LEAST_INTERVAL_S: Final = 0.1
MOST_INTERVAL_S: Final = 60.0
LEASE_NS: Final = 60_000_000_000
"""A subscriber that sent nothing for so long is forgotten; any request renews it."""
_NS_PER_S: Final = 1_000_000_000

Envelope = tuple[bytes, ...]


@dataclass(slots=True)
class _Subscription:
    interval_ns: int
    due_ns: int
    heard_ns: int


class Subscriptions:
    """Subscribers by their envelope; used by one thread."""

    def __init__(self) -> None:
        """Begin without any."""
        self._by_envelope: dict[Envelope, _Subscription] = {}

    def __len__(self) -> int:
        return len(self._by_envelope)

    def add(self, envelope: Envelope, interval_s: float, now_ns: int) -> float | None:
        """Subscribe, or change the interval.

        Args:
            envelope: of the client.
            interval_s: wished for.
            now_ns: the time; the first statistics are due at once.

        Returns:
            The interval in seconds, kept within bounds; None if there are too many subscribers.
        """
        if envelope not in self._by_envelope and len(self) >= MOST:
            return None
        if not interval_s >= LEAST_INTERVAL_S:  # not a number too
            interval_s = LEAST_INTERVAL_S
        interval_s = min(interval_s, MOST_INTERVAL_S)
        self._by_envelope[envelope] = _Subscription(int(interval_s * _NS_PER_S), now_ns, now_ns)
        return interval_s

    def heard(self, envelope: Envelope, now_ns: int) -> None:
        """Note that a client sent something."""
        found = self._by_envelope.get(envelope)
        if found is not None:
            found.heard_ns = now_ns

    def remove(self, envelope: Envelope) -> None:
        """Forget a client."""
        self._by_envelope.pop(envelope, None)

    def due(self, now_ns: int) -> list[Envelope]:
        """Return who gets statistics now; forgets who was silent for too long."""
        for envelope, found in list(self._by_envelope.items()):
            if now_ns - found.heard_ns > LEASE_NS:
                del self._by_envelope[envelope]
        due = [e for e, found in self._by_envelope.items() if found.due_ns <= now_ns]
        for envelope in due:
            found = self._by_envelope[envelope]
            found.due_ns = max(found.due_ns + found.interval_ns, now_ns)
        return due

    def wait_ms(self, now_ns: int) -> int | None:
        """Return how long nothing is due, in ms; None for ever."""
        if not self._by_envelope:
            return None
        first_ns = min(found.due_ns for found in self._by_envelope.values())
        return max(0, -(-(first_ns - now_ns) // 1_000_000))
