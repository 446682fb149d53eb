"""Says when a device goes or comes back, and keeps the numbers of all of them for the status.

Place in the flow: beside the daemon, which lets it look a few times a second at source and outputs.
Losing a device never ends the stream; this is how a person and the subscribers learn of it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, runtime_checkable

from rest_bridge.sound.health import DeviceHealth

_MEANWHILE: Final = {
    "voice in": "the face hears silence until it is back",
    "voice out": "the voice is not heard there until it is back",
    "camera": "nothing is seen there until it is back",
}
_SLEPT: Final = "Time jumped: the computer slept or we were stopped; the stream goes on from now."


@runtime_checkable
class HealthyPart(Protocol):
    """A source or an output that knows how its device does."""

    def health(self) -> DeviceHealth:
        """Return it."""
        ...


class DeviceWatch:
    """Compares what devices say of themselves with what they said before.

    Args:
        tell: takes a sentence for a person.
        post: takes an event for subscribers: its kind and body.
    """

    def __init__(
        self, tell: Callable[[str], None], post: Callable[[str, Mapping[str, Any]], None]
    ) -> None:
        self._tell = tell
        self._post = post
        self._known: dict[tuple[str, str], DeviceHealth] = {}
        self._num_jumps = 0
        self.devices: tuple[DeviceHealth, ...] = ()

    def look(self, parts: Iterable[object], num_jumps: int = 0) -> None:
        """Look at everything once.

        Args:
            parts: sources and outputs; those without devices are passed over.
            num_jumps: how often time jumped so far.
        """
        found = [_open_part(part) for part in parts]
        self.devices = tuple(part.health() for part in found if isinstance(part, HealthyPart))
        for health in self.devices:
            key = (health.role, health.name)
            self._compare(self._known.get(key), health)
            self._known[key] = health
        if num_jumps > self._num_jumps:
            self._tell(_SLEPT)
            self._post("jump", {"jumps": num_jumps})
        self._num_jumps = num_jumps

    def _compare(self, before: DeviceHealth | None, now: DeviceHealth) -> None:
        was_lost = before is not None and before.lost
        losses = before.losses if before is not None else 0
        missed = now.losses > losses and not now.lost  # gone and back between two looks
        if now.lost and not was_lost:
            self._tell(f"{now.name} is gone; {_MEANWHILE[now.role]}.")
        elif was_lost and not now.lost:
            self._tell(f"{now.name} is back.")
        elif missed:
            self._tell(f"{now.name} was gone for a moment and is back.")
        if now.lost != was_lost or missed:
            body = {"role": now.role, "device": now.name, "lost": now.lost, "losses": now.losses}
            self._post("device", body)
        if now.note and (before is None or before.note != now.note):
            self._tell(now.note)


def _open_part(part: object) -> object:
    """Return what is inside a part that only changes what passes through it."""
    while not isinstance(part, HealthyPart) and hasattr(part, "source"):
        part = getattr(part, "source")  # noqa: B009 - a protocol for one attribute says no more
    return part
