"""Turns: so many streams draw at a time as there are cores, and each gets its share of them.

Without it, N threads that all want to draw slow each other down, and one large face takes what
many small ones need. Who waits and has had the least time so far is next; a stream that was idle
does not save up time for later.
"""

import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from rest_bridge.picture_stages import PictureStage, WrappedPictures
from rest_bridge.types import ByteArray

_CREDIT_S: Final = 0.25
"""By how much a stream may be behind the one that has had most."""


class Turns:
    """Hands out a few places among many streams."""

    def __init__(self, places: int) -> None:
        """Open.

        Args:
            places: streams that may work at the same time.
        """
        self._free = places
        self._changed = threading.Condition()
        self._used_s: dict[str, float] = {}
        self._waiting: list[str] = []

    @contextmanager
    def turn(self, stream: str) -> Generator[None, None, None]:
        """Wait for a place; the body's time counts for the stream.

        Args:
            stream: its name; one turn of a stream at a time.
        """
        with self._changed:
            self._join(stream)
            self._waiting.append(stream)
            while not self._free or self._next() != stream:
                self._changed.wait()
            self._waiting.remove(stream)
            self._free -= 1
            self._changed.notify_all()
        begin_s = time.perf_counter()
        try:
            yield
        finally:
            with self._changed:
                self._used_s[stream] += time.perf_counter() - begin_s
                self._free += 1
                self._changed.notify_all()

    def used_s(self) -> dict[str, float]:
        """Return how many seconds each stream has had; newcomers begin near the others."""
        with self._changed:
            return dict(self._used_s)

    def leave(self, stream: str) -> None:
        """Forget a stream that has ended."""
        with self._changed:
            self._used_s.pop(stream, None)
            self._changed.notify_all()

    def _next(self) -> str:
        return min(self._waiting, key=lambda one: self._used_s[one])

    def _join(self, stream: str) -> None:
        """Take a stream in; one that was idle, or is new, is ahead by a moment at most."""
        least = max(self._used_s.values(), default=0.0) - _CREDIT_S
        self._used_s[stream] = max(self._used_s.get(stream, 0.0), least, 0.0)


class TakingTurns(WrappedPictures):
    """A decoder that draws each picture in a turn of its stream."""

    def __init__(self, decoder: PictureStage, turns: Turns, stream: str) -> None:
        """Wrap a decoder.

        Args:
            decoder: draws.
            turns: of all streams.
            stream: name of this one.
        """
        super().__init__(decoder)
        self._turns = turns
        self._stream = stream

    def _each(self, pictures: Iterable[ByteArray | None]) -> Iterator[ByteArray | None]:
        drawn = iter(pictures)
        while True:
            with self._turns.turn(self._stream):
                try:
                    picture = next(drawn)
                except StopIteration:
                    return
            yield picture
