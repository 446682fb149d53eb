"""The listener: opens the voice and puts it into the ring, as it comes.

Place in the flow: AudioSource -> here -> SampleRing. It tells the media clock when samples were
captured and replaces them by silence while the face is muted. Another source may take over at any
time: it goes on in the same count of samples, so that nobody behind it sees a seam. `run` is a
thread's body.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from rest_bridge.arrival import Arrival
from rest_bridge.clock import NS_PER_S, MediaClock
from rest_bridge.errors import SourceClosed, SourceTimeout
from rest_bridge.graph import Graph
from rest_bridge.handoff import SampleRing
from rest_bridge.speech_track import SpeechTrack
from rest_bridge.types import (
    VOICE_RATE_HZ,
    AdvancingSource,
    AudioChunk,
    AudioSource,
    LastWordSource,
    StreamEvent,
)

_READ_SAMPLES: Final = VOICE_RATE_HZ // 100
_POLL_S: Final = 0.25
_FIRST_CHUNK_S: Final = 3.0
"""How long a source that is to take over may need for its first samples."""


class Listener:
    """Reads one source after the other into one ring."""

    def __init__(
        self,
        graph: Graph,
        ring: SampleRing,
        media: MediaClock,
        ready: threading.Event,
        *,
        track: SpeechTrack | None = None,
        jump: Callable[[AudioChunk], None] | None = None,
        advance_samples: Callable[[], int] = int,
    ) -> None:
        """Connect; nothing is opened yet.

        Args:
            graph: opens the source.
            ring: takes the voice; it is closed behind the last sample.
            media: learns when samples were captured.
            ready: set once the model is loaded; a voice that must be heard from its start is not
                read before.
            track: takes what happens in the voice.
            jump: called before a chunk that says `advance` or `cut` is written; it takes the
                chunk's events, too.
            advance_samples: how far ahead the generator looks; for an `AdvancingSource`.
        """
        self._graph = graph
        self._ring = ring
        self._media = media
        self._ready = ready
        self._track = track or SpeechTrack()
        self._jump = jump
        self._advance_samples = advance_samples
        self._lock = threading.Lock()
        self._switching = threading.Lock()
        self._source: AudioSource | None = None  # guarded by _lock, as the next two
        self._waiting: tuple[AudioSource, AudioChunk] | None = None
        self._closed = False
        self._offset = 0  # of the source's sample index against the ring's
        self._endless = False
        self.num_switches = 0
        self.muted = False
        """Whether the face hears silence."""
        self.arrival = Arrival()
        """How long samples take from their capture to here."""

    @property
    def source(self) -> AudioSource | None:
        """What is being heard; None before it is open."""
        return self._source

    def run(self, stop: threading.Event) -> None:
        """Open and read until the voice ends or `stop` is set."""
        graph = self._graph
        if graph.open_when_ready and not self._wait(stop):
            return
        self._source = graph.source()
        if graph.from_start and not self._wait(stop):
            return
        while not stop.is_set():
            self._take_over()
            source = self._source
            if isinstance(source, AdvancingSource) and self._jump is not None:
                source.advance_samples = self._advance_samples()
            try:
                chunk = source.read(_READ_SAMPLES, _POLL_S)
            except SourceTimeout:
                graph.metrics.count("source_timeouts")
                continue
            except SourceClosed:
                if self._closed or not self._goes_on():
                    break
                continue
            self._write(chunk)
        self._ring.close()

    def switch(self, open_source: Callable[[], AudioSource]) -> str:
        """Let another source take over; the present one goes on until the other one delivers.

        What is heard then lasts as long as the daemon: where the new source ends, silence follows.

        Args:
            open_source: opens it; called here, in the caller's thread.

        Returns:
            Its name.

        Raises:
            SourceError: it cannot be opened, or delivers nothing; the present source stays.
        """
        with self._switching:
            source = open_source()
            try:
                first = source.read(_READ_SAMPLES, _FIRST_CHUNK_S)
            except BaseException:
                source.close()
                raise
            with self._lock:
                if self._closed:
                    source.close()
                    raise SourceClosed("The daemon is ending; the voice was not changed.")
                before, overtaken = self._source, self._waiting
                self._waiting = (source, first)
            if before is not None:
                before.close()  # wakes its reader, who finds the next one
            if overtaken is not None:
                overtaken[0].close()
            self.num_switches += 1
            return source.name

    def close(self) -> None:
        """Close the source, which wakes a reader that waits; idempotent."""
        with self._lock:
            self._closed = True
            sources = [self._source, self._waiting[0] if self._waiting else None]
        for source in sources:
            if source is not None:
                source.close()

    def _take_over(self) -> None:
        """Go on with the source that waits, if there is one, in the ring's count of samples."""
        with self._lock:
            if self._waiting is None:
                return
            before = self._source
            (self._source, first), self._waiting = self._waiting, None
        self._endless = True
        self.arrival.forget()
        self._join(first)
        if events := _last_events(before):
            self._track.add(first.first_index + self._offset, events)
        self._write(first)

    def _join(self, first: AudioChunk) -> None:
        """Place a new source's samples at the media time at which they were captured."""
        end = first.first_index + len(first.samples)
        self._offset = 0
        if self._media.started:
            heard_ns = first.captured_ns - self._media.at(0)
            self._offset = round(heard_ns * VOICE_RATE_HZ / NS_PER_S) - end

    def _goes_on(self) -> bool:
        """Say whether something is heard after a source's end; silence follows one taken over."""
        from rest_bridge.audio.silence import SilenceSource

        with self._lock:
            if self._waiting is not None:
                return True
            if not self._endless:
                return False
            silence = self._source = SilenceSource(self._graph.clock)
        self._join(silence.read(_READ_SAMPLES, _POLL_S))
        return True

    def _write(self, chunk: AudioChunk) -> None:
        if self._offset:
            chunk = replace(chunk, first_index=chunk.first_index + self._offset)
        if self._jump is not None and (chunk.advance or chunk.cut):
            self._jump(chunk)
        elif chunk.events:
            self._track.add(chunk.first_index, chunk.events)
        self.arrival.note(self._graph.clock.now_ns() - chunk.captured_ns)
        self._media.observe(chunk.first_index + len(chunk.samples), chunk.captured_ns)
        if self.muted:
            chunk = replace(chunk, samples=np.zeros_like(chunk.samples))
        self._ring.write(chunk)

    def _wait(self, stop: threading.Event) -> bool:
        """Wait for the model; return False if `stop` comes first."""
        while not self._ready.wait(_POLL_S):
            if stop.is_set():
                return False
        return True


def _last_events(source: AudioSource | None) -> tuple[StreamEvent, ...]:
    """Return what a source, or one that it wraps, has to tell when it is left."""
    while source is not None and not isinstance(source, LastWordSource):
        source = getattr(source, "source", None)
    return () if source is None else source.last_events()
