"""The listener: opens the voice and puts it into the ring, as it comes.

Place in the flow: AudioSource -> here -> SampleRing. It tells the media clock when samples were
captured and replaces them by silence while the face is muted. `run` is a thread's body.
"""

import threading
from dataclasses import replace
from typing import Final

import numpy as np

from rest_bridge.clock import MediaClock
from rest_bridge.errors import SourceClosed, SourceTimeout
from rest_bridge.graph import Graph
from rest_bridge.handoff import SampleRing
from rest_bridge.types import VOICE_RATE_HZ, AudioSource

_READ_SAMPLES: Final = VOICE_RATE_HZ // 100
_POLL_S: Final = 0.25


class Listener:
    """Reads one source to its end."""

    def __init__(
        self, graph: Graph, ring: SampleRing, media: MediaClock, ready: threading.Event
    ) -> None:
        """Connect; nothing is opened yet.

        Args:
            graph: opens the source.
            ring: takes the voice; it is closed behind the last sample.
            media: learns when samples were captured.
            ready: set once the model is loaded; a voice that must be heard from its start is not
                read before.
        """
        self._graph = graph
        self._ring = ring
        self._media = media
        self._ready = ready
        self._source: AudioSource | None = None
        self.muted = False
        """Whether the face hears silence."""

    def run(self, stop: threading.Event) -> None:
        """Open and read until the voice ends or `stop` is set."""
        graph = self._graph
        if graph.open_when_ready and not self._wait(stop):
            return
        source = self._source = graph.source()
        if graph.from_start and not self._wait(stop):
            return
        while not stop.is_set():
            try:
                chunk = source.read(_READ_SAMPLES, _POLL_S)
            except SourceTimeout:
                graph.metrics.count("source_timeouts")
                continue
            except SourceClosed:
                break
            self._media.observe(chunk.first_index + len(chunk.samples), chunk.captured_ns)
            if self.muted:
                chunk = replace(chunk, samples=np.zeros_like(chunk.samples))
            self._ring.write(chunk)
        self._ring.close()

    def _wait(self, stop: threading.Event) -> bool:
        """Wait for the model; return False if `stop` comes first."""
        while not self._ready.wait(_POLL_S):
            if stop.is_set():
                return False
        return True

    def close(self) -> None:
        """Close the source, which wakes a reader that waits; idempotent."""
        if self._source is not None:
            self._source.close()
