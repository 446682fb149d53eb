"""What happens to pushed speech, on its way from the source to the frame in which it is seen.

Place in the flow: the listener adds the events of each chunk by media index, the presenter takes
those of each frame. Between the two lies the generator's delay: when speech is cut, what lies
between has been delivered and was never seen, so the ends of utterances are told anew, with the
position that was really reached. Knows nothing of sources, frames or sockets.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rest_bridge.types import VOICE_RATE_HZ, StreamEvent

_NS_PER_S: Final = 1_000_000_000
_MAX_WAITING: Final = 4096


@dataclass(slots=True)
class _Shown:
    """An utterance whose start was seen: where it was at a media index, and whether it went on."""

    index: int
    position_ns: int
    running: bool

    def position_at(self, index: int) -> int:
        """Return how much of it was spoken up to a media index, in nanoseconds."""
        if not self.running:
            return self.position_ns
        return self.position_ns + max(0, index - self.index) * _NS_PER_S // VOICE_RATE_HZ


class SpeechTrack:
    """Events by media index; safe from several threads."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, StreamEvent]] = []
        self._shown: dict[str, _Shown] = {}
        self.num_dropped = 0

    def add(self, first_index: int, events: Sequence[StreamEvent]) -> None:
        """Take the events of a chunk.

        Args:
            first_index: media index of the chunk's first sample.
            events: in order.
        """
        with self._lock:
            for event in events:
                self._waiting.append((first_index + event.offset, event))
            surplus = max(0, len(self._waiting) - _MAX_WAITING)
            self.num_dropped += surplus
            del self._waiting[:surplus]

    def take(self, first_index: int, end_index: int) -> tuple[StreamEvent, ...]:
        """Return what happens before `end_index` and was not taken yet.

        Args:
            first_index: media index of the frame's first sample.
            end_index: of the sample behind its last one.

        Returns:
            Events with their offset in the frame.
        """
        with self._lock:
            count = 0
            while count < len(self._waiting) and self._waiting[count][0] < end_index:
                count += 1
            taken, self._waiting = self._waiting[:count], self._waiting[count:]
            for index, event in taken:
                self._note(index, event.body)
        return tuple(
            StreamEvent(event.kind, max(0, index - first_index), event.body)
            for index, event in taken
        )

    def cut(self, seen_index: int, index: int, ends: Sequence[StreamEvent]) -> None:
        """Forget what was delivered and not seen, and tell the ends of utterances as they are.

        Args:
            seen_index: media index up to which frames were shown.
            index: where the new ends go: the first sample that is shown next.
            ends: the events that came with the cut; "finished" ones get their true position.
        """
        with self._lock:
            unseen = [event.body for at, event in self._waiting if at >= seen_index]
            names = list(dict.fromkeys([*self._shown, *(body["utt"] for body in unseen)]))
            self._waiting = [item for item in self._waiting if item[0] < seen_index]
            for event in ends:
                name = event.body.get("utt")
                if event.body.get("event") != "finished" or name not in names:
                    self._waiting.append((index, event))
            for name in names:
                shown = self._shown.get(name)
                body = {
                    "event": "finished",
                    "utt": name,
                    "position": 0 if shown is None else shown.position_at(seen_index),
                    "interrupted": True,
                }
                self._waiting.append((index, StreamEvent("speech", 0, body)))

    def _note(self, index: int, body: Mapping[str, Any]) -> None:
        """Remember where an utterance is once its event was seen."""
        name, position_ns = body.get("utt", ""), int(body.get("position", 0))
        match body.get("event"):
            case "started" | "resumed":
                self._shown[name] = _Shown(index, position_ns, running=True)
            case "underrun":
                self._shown[name] = _Shown(index, position_ns, running=False)
            case "finished":
                self._shown.pop(name, None)
            case _:
                pass
