"""Tiers of effort: what is left out when the computer is short of time, and when.

Place in the flow: the worker tells the `Governor` how each chunk went and generates the next one in
the tier that it answers. Pure and without a clock of its own, so that a test drives it with any
time. It never builds a queue: a lower tier makes less, it does not make things later.

Measured with the nano package (one denoising step), 512 pixels, one core beside others, for 80 ms
of stream: full 30 ms, lean 26, sparse 18, still 10. A longer chunk would save 1 ms of that and cost
80 ms of latency, so no tier of a live voice takes one.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from rest_bridge.clock import NS_PER_S


@dataclass(frozen=True, slots=True)
class Tier:
    """How much is made of a stream.

    Attributes:
        name: what frames, status and events call it.
        steps: denoising steps; 0 for the configured ones.
        scale: the picture is drawn at this share of its width and height, and enlarged.
        every: every so-manyth frame gets a picture of its own; the others repeat it.
        cost: compute time, as a share of the full tier's (measured, see the module).
    """

    name: str
    steps: int
    scale: float
    every: int
    cost: float


TIERS: Final = (
    Tier("full", steps=0, scale=1.0, every=1, cost=1.0),
    Tier("lean", steps=1, scale=0.75, every=1, cost=0.85),
    Tier("sparse", steps=1, scale=0.5, every=2, cost=0.6),
    Tier("still", steps=1, scale=0.5, every=6, cost=0.35),
)
"""From everything to the least: voice, rig and four pictures a second."""
TIER_NAMES: Final = tuple(tier.name for tier in TIERS)

_WINDOW: Final = 12
"""Chunks that are judged together: a second of the shortest ones."""
_MOST_MISSED: Final = 3
_MISSED_SPAN_NS: Final = 240_000_000
"""So many of them too late, over so long a time, and less is made. After one long hiccup of the
computer many chunks are late, but all within the same few milliseconds."""
_STARVING: Final = 5
"""So many chunks without a picture, and only a longer delay helps."""
_FULL_LOAD: Final = 0.92
"""Compute time a chunk may take of its own length before less is made, as a mean of the window."""
_LIGHT_LOAD: Final = 0.6
"""Up to here it is not for want of compute that pictures are late: samples come later than they
did, or others disturb for moments. A longer delay helps then, less of a picture does not."""
_EASY_LOAD: Final = 0.7
"""What the tier above may be expected to take before it is tried."""
_SPARE_NS: Final = 4_000_000
"""What must be left until a frame's turn in the tier above."""
_PATIENCE_NS: Final = 3 * NS_PER_S
_MOST_PATIENCE_NS: Final = 48 * NS_PER_S
_RELAPSE_NS: Final = 10 * NS_PER_S
"""A fall so soon after a rise: it came too early, and the next one waits twice as long."""


@dataclass(frozen=True, slots=True)
class ChunkReport:
    """How a chunk went.

    Attributes:
        at_ns: when it was done.
        length_ns: of its media.
        compute_ns: time that its generation took; counts only where it was drawn.
        spare_ns: from its last picture being ready to that frame's turn; negative if it was late.
        drawn: False where it was too late to draw it.
    """

    at_ns: int
    length_ns: int
    compute_ns: int
    spare_ns: int
    drawn: bool


class Governor:
    """Chooses the tier of the next chunk."""

    def __init__(self, *, highest: int = 0, lowest: int = len(TIERS) - 1) -> None:
        """Begin in the highest tier allowed.

        Args:
            highest: index in `TIERS` of the most that is made.
            lowest: index of the least.
        """
        self._highest, self._lowest = highest, max(highest, lowest)
        self._level = highest
        self._chunks: deque[ChunkReport] = deque(maxlen=_WINDOW)
        self._patience_ns = _PATIENCE_NS
        self._since_ns: int | None = None
        self._rose_ns: int | None = None
        self._asked = False
        self.wants_delay = False
        """Whether one frame more of delay is asked for in place of the next tier, after the last
        chunk; once until the highest tier is on again and its delay as it was."""

    @property
    def tier(self) -> Tier:
        """The tier of the next chunk."""
        return TIERS[self._level]

    @property
    def at_best(self) -> bool:
        """Whether as much is made as may be."""
        return self._level == self._highest

    @property
    def starves(self) -> bool:
        """Whether nothing was drawn for a while: not even the least is in time."""
        last = list(self._chunks)[-_STARVING:]
        return len(last) == _STARVING and not any(chunk.drawn for chunk in last)

    def done(self, chunk: ChunkReport) -> Tier:
        """Take note of a chunk that was generated.

        Args:
            chunk: how it went.

        Returns:
            The tier of the next one.
        """
        if self._since_ns is None:
            self._since_ns = chunk.at_ns
        self._chunks.append(chunk)
        self.wants_delay = False
        if self._is_too_much():
            if self._delay_helps():
                self._asked = self.wants_delay = True
                self._settle(chunk.at_ns)
            else:
                self._fall(chunk.at_ns)
        elif self._is_easy(chunk.at_ns - self._since_ns):
            self._rise(chunk.at_ns)
        return self.tier

    def _is_too_much(self) -> bool:
        missed = [c.at_ns for c in self._chunks if not c.drawn or c.spare_ns < 0]
        if len(missed) >= _MOST_MISSED and missed[-1] - missed[0] >= _MISSED_SPAN_NS:
            return True
        return len(self._chunks) == _WINDOW and self._load() > _FULL_LOAD

    def calm(self) -> None:
        """Say that the delay is what it was before more of it was asked for."""
        self._asked = False

    def _delay_helps(self) -> bool:
        """Whether a frame more of delay may do instead of a lower tier, tried once.

        That is so where compute is not short, and before the least that is made: `still` shows
        four pictures a second.
        """
        if self._asked or self._level == self._lowest:
            return False
        most_drawn = 2 * sum(chunk.drawn for chunk in self._chunks) > len(self._chunks)
        light = most_drawn and self._load() < _LIGHT_LOAD
        return light or self._level + 1 == len(TIERS) - 1

    def _is_easy(self, lasted_ns: int) -> bool:
        if self._level == self._highest or lasted_ns < self._patience_ns:
            return False
        if not all(chunk.drawn for chunk in self._chunks):
            return False
        dearer = TIERS[self._level - 1].cost / self.tier.cost
        if self._load() * dearer > _EASY_LOAD:
            return False
        spare_ns = sorted(c.spare_ns - int(c.compute_ns * (dearer - 1)) for c in self._chunks)
        return spare_ns[1] > _SPARE_NS  # one hiccup of the computer in a second may be

    def _load(self) -> float:
        """Return compute time over media time; the slowest chunk does not count."""
        drawn = [chunk for chunk in self._chunks if chunk.drawn]
        loads = sorted(chunk.compute_ns / chunk.length_ns for chunk in drawn)[:-1]
        return sum(loads) / max(1, len(loads))

    def _fall(self, now_ns: int) -> None:
        if self._level == self._lowest:
            return
        if self._rose_ns is not None and now_ns - self._rose_ns < _RELAPSE_NS:
            self._patience_ns = min(2 * self._patience_ns, _MOST_PATIENCE_NS)
        self._level += 1
        self._settle(now_ns)

    def _rise(self, now_ns: int) -> None:
        if self._rose_ns is not None and now_ns - self._rose_ns > 2 * _RELAPSE_NS:
            self._patience_ns = _PATIENCE_NS
        self._level -= 1
        self._rose_ns = now_ns
        self._settle(now_ns)

    def _settle(self, now_ns: int) -> None:
        """Judge the new tier by its own chunks."""
        self._chunks.clear()
        self._since_ns = now_ns
