"""How well articulations are read: precision, recall and F1 of frames and of whole phones.

Place in the flow: labels and what `phones` tells -> here -> LOG.md. Groups are sources, languages
of the held-out voices, and talkers. Shape letters: F video frames, C articulations.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.rig import ARTICULATIONS
from rest_bridge.training.speech_sessions import Session
from rest_bridge.types import FloatArray

TOLD: Final = ("shut", "teeth")
_SLACK: Final = 1
"""Frames by which a phone may be found early or late."""
Reading = tuple[Session, FloatArray, FloatArray]
"""A session, its labels and what was told, both float32 [F, C]."""


@dataclass(slots=True)
class Score:
    """Counts of one articulation in one group.

    Attributes:
        frames: true, told and both, in frames.
        phones: how many there are, and found within a frame.
        false_alarms: stretches told where there is none within a frame.
    """

    frames: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))
    phones: int = 0
    found: int = 0
    false_alarms: int = 0

    def add(self, wanted: npt.NDArray[np.bool_], told: npt.NDArray[np.bool_]) -> None:
        """Count one session; bool [F] each."""
        self.frames += [int(wanted.sum()), int(told.sum()), int((wanted & told).sum())]
        near_told, near_wanted = _widened(told), _widened(wanted)
        spans = _stretches(wanted)
        self.phones += len(spans)
        self.found += sum(bool(near_told[a:b].any()) for a, b in spans)
        self.false_alarms += sum(not near_wanted[a:b].any() for a, b in _stretches(told))

    def values(self) -> tuple[float, float, float, float]:
        """Return frames' precision, recall and F1, and the share of phones found."""
        wanted, told, both = (float(n) for n in self.frames)
        f1 = 2 * both / max(wanted + told, 1.0)
        return both / max(told, 1.0), both / max(wanted, 1.0), f1, self.found / max(self.phones, 1)


def judged(readings: Iterable[Reading], *, threshold: float = 0.5) -> dict[str, dict[str, Score]]:
    """Count by group: group -> articulation -> counts.

    Args:
        readings: of held-out sessions.
        threshold: above it something counts as told (labels: above a half).
    """
    table: dict[str, dict[str, Score]] = {}
    for session, wanted, told in readings:
        count = min(len(wanted), len(told))
        for group in groups_of(session):
            row = table.setdefault(group, {name: Score() for name in TOLD})
            for name in TOLD:
                place = ARTICULATIONS.index(name)
                row[name].add(wanted[:count, place] > 0.5, told[:count, place] > threshold)
    return table


def groups_of(session: Session) -> list[str]:
    """Return the groups that a held-out session belongs to."""
    name = session.name
    if session.style == "negative":
        return ["no voice"]
    if session.style == "grid":
        return ["GRID s1"] if name.startswith("s1_") else ["GRID strangers"]
    if name.startswith("test-"):
        return [f"espeak-ng {name.removeprefix('test-').partition('+')[0]}"]
    return ["read speech", f"reader {name.partition('-')[0]}"]


def markdown(table: dict[str, dict[str, Score]]) -> str:
    """Return a table: a row a group, frames' precision / recall / F1 and phones found."""
    lines = [
        "| group | p b m: precision / recall / F1 | found | f v: precision / recall / F1 | found |",
        "| --- | --- | --- | --- | --- |",
    ]
    for group, row in sorted(table.items()):
        cells = [group]
        for name in TOLD:
            score = row[name]
            precision, recall, f1, found = score.values()
            cells.append(f"{precision:.2f} / {recall:.2f} / {f1:.2f}")
            cells.append(f"{found:.2f} of {score.phones}, {score.false_alarms} false")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _widened(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    wide = mask.copy()
    for shift in range(1, _SLACK + 1):
        wide[shift:] |= mask[:-shift]
        wide[:-shift] |= mask[shift:]
    return wide


def _stretches(mask: npt.NDArray[np.bool_]) -> Sequence[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
