"""One line of pushed speech: its samples at the media rate, its marks, how far it has been spoken.

Place in the flow: `speech_queue` keeps those that wait and speaks them in order. Knows no clock.
Shape letters: S samples.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from rest_bridge.audio.pcm import PcmMessage
from rest_bridge.audio.resample import Resampler, make_resampler
from rest_bridge.clock import NS_PER_S
from rest_bridge.types import VOICE_RATE_HZ, FloatArray, StreamEvent


@dataclass(slots=True)
class Utterance:
    """One utterance; positions count samples at the media rate from its first one."""

    name: str
    waiting_since_ns: int | None = None
    pieces: deque[FloatArray] = field(default_factory=deque[FloatArray])
    marks: deque[tuple[int, str]] = field(default_factory=deque[tuple[int, str]])
    num_queued: int = 0
    num_received: int = 0
    num_spoken: int = 0
    ended: bool = False
    started: bool = False
    dry_since_ns: int | None = None
    rate_hz: int = 0
    resampler: Resampler | None = None
    resampled_from: int = 0
    """Position of the first sample that came at this rate."""
    num_at_rate: int = 0
    """Samples that came at this rate; the resampler holds some of them back between messages."""

    def append(self, message: PcmMessage) -> None:
        """Take a message's samples and marks."""
        if self.resampler is None or message.rate_hz != self.rate_hz:
            if self.resampler is not None:
                self._queue(self.resampler.flush())
            self.rate_hz, self.resampled_from = message.rate_hz, self.num_received
            self.num_at_rate = 0
            self.resampler = make_resampler(message.rate_hz, low_delay=True)
        for offset, name in message.marks:
            place = (self.num_at_rate + offset) * VOICE_RATE_HZ // self.rate_hz
            self.marks.append((self.resampled_from + place, name))
        self.num_at_rate += len(message.samples)
        self._queue(self.resampler.process(message.samples.mean(axis=1, dtype=np.float32)))
        if message.last:
            self._queue(self.resampler.flush())
            self.resampler, self.ended = None, True

    def _queue(self, samples: FloatArray) -> None:
        if len(samples):
            self.pieces.append(samples)
            self.num_queued += len(samples)
            self.num_received += len(samples)

    def take_into(self, out: FloatArray) -> int:
        """Fill `out` from its start as far as the pieces go; return how many samples."""
        position = 0
        while self.pieces and position < len(out):
            piece = self.pieces.popleft()
            taken = piece[: len(out) - position]
            out[position : position + len(taken)] = taken
            position += len(taken)
            if len(taken) < len(piece):
                self.pieces.appendleft(piece[len(taken) :])
        self.num_queued -= position
        self.num_spoken += position
        return position


def pass_marks(utterance: Utterance, first: int, offset: int, events: list[StreamEvent]) -> None:
    """Report the marks among the samples from position `first` on, just spoken at `offset`."""
    is_end = utterance.ended and not utterance.pieces
    while utterance.marks and (utterance.marks[0][0] < utterance.num_spoken or is_end):
        place, name = utterance.marks.popleft()
        place = min(max(place, first), utterance.num_spoken)
        body = {
            "event": "mark",
            "utt": utterance.name,
            "position": place * NS_PER_S // VOICE_RATE_HZ,
            "mark": name,
        }
        events.append(StreamEvent("speech", offset + place - first, body))
