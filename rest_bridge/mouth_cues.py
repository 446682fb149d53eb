"""Mouth shapes A-H and X with times, as Rhubarb Lip Sync writes them, for tools that take them.

https://github.com/DanielSWolf/rhubarb-lip-sync describes the shapes: A lips pressed (p b m), B
slightly open with clenched teeth (most consonants, ee), C open (eh, ae), D wide open (aa), E
slightly rounded (ao, er), F puckered (uw, ow, w), G upper teeth on the lower lip (f v), H tongue
up behind the teeth (l), X rest. Shape letters: F frames.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from rest_bridge.rig import RIG_INDEX, VISEME_NAMES
from rest_bridge.types import FRAME_RATE_HZ, FloatArray

SHAPES: Final = "ABCDEFGHX"
_SHUT_GAP: Final = 0.07
_SMALL_GAP: Final = 0.24
_WIDE_GAP: Final = 0.42
"""Lip gaps at which A gives way to B, B to C and C to D; running speech opens to 0.5 (95 %)."""
_ROUND: Final = 0.17
"""Sum of funnel and pucker from which on a small mouth is F and an open one E."""
_CERTAIN: Final = 0.45
"""Weight of a viseme that decides alone: PP shuts, FF and TH have shapes of their own."""
_REST_S: Final = 0.25
"""Shut lips for less than this are A, a closure within speech; for longer, X."""
_STEP_S: Final = 0.01
_MUSCLES: Final = (
    "jawOpen", "mouthLowerDownLeft", "mouthUpperUpLeft", "mouthFunnel", "mouthPucker",
)  # fmt: skip
_SHORTEST_S: Final = 0.06
"""No animator draws a mouth for a shorter time."""


@dataclass(frozen=True, slots=True)
class MouthCue:
    """One mouth shape: `start_s` to `end_s`, a letter of `SHAPES`."""

    start_s: float
    end_s: float
    shape: str


def mouth_cues(rig: FloatArray, visemes: FloatArray) -> list[MouthCue]:
    """Choose a mouth shape for every hundredth of a second.

    Args:
        rig: float32 [F, 58] at 25 fps; each value belongs to the middle of its frame.
        visemes: float32 [F, 15].

    Returns:
        Cues without gaps from 0 to the end, none shorter than 0.06 s but where the end cuts one.
    """
    length_s = len(rig) / FRAME_RATE_HZ
    if not len(rig):
        return []
    times = np.arange(round(length_s / _STEP_S)) * _STEP_S
    centres = (np.arange(len(rig)) + 0.5) / FRAME_RATE_HZ

    def at(values: FloatArray) -> FloatArray:
        return np.interp(times, centres, values).astype(np.float32)

    value = {name: at(rig[:, RIG_INDEX[name]]) for name in _MUSCLES}
    weight = {name: at(visemes[:, VISEME_NAMES.index(name)]) for name in ("PP", "FF", "TH")}
    gap = value["jawOpen"] + 0.35 * value["mouthLowerDownLeft"] + 0.2 * value["mouthUpperUpLeft"]
    rounding = value["mouthFunnel"] + value["mouthPucker"]
    # The first that holds counts.
    chosen = np.select(
        [
            (gap < _SHUT_GAP) | (weight["PP"] > _CERTAIN), weight["FF"] > _CERTAIN,
            weight["TH"] > _CERTAIN, (rounding > _ROUND) & (gap < _SMALL_GAP),
            rounding > _ROUND, gap < _SMALL_GAP, gap < _WIDE_GAP,
        ],
        [SHAPES.index(shape) for shape in "AGHFEBC"], SHAPES.index("D"),
    )  # fmt: skip
    runs = _merged(_runs(chosen))
    shut = {SHAPES.index("A"), SHAPES.index("X")}
    cues: list[MouthCue] = []
    for start, end, shape in runs:
        rests = shape in shut and (end - start) * _STEP_S >= _REST_S
        letter = "X" if rests else "A" if shape in shut else SHAPES[shape]
        if cues and cues[-1].shape == letter:
            cues[-1] = MouthCue(cues[-1].start_s, end * _STEP_S, letter)
        else:
            cues.append(MouthCue(start * _STEP_S, end * _STEP_S, letter))
    last = cues[-1]
    return [*cues[:-1], MouthCue(last.start_s, length_s, last.shape)]


def as_tsv(cues: Sequence[MouthCue]) -> str:
    """Return Rhubarb's tab-separated form: start and shape, and a last line with the end and X."""
    lines = [f"{cue.start_s:.2f}\t{cue.shape}" for cue in cues]
    return "\n".join([*lines, f"{cues[-1].end_s if cues else 0:.2f}\tX"]) + "\n"


def as_rhubarb_json(cues: Sequence[MouthCue], sound_file: str) -> str:
    """Return Rhubarb's JSON form; `sound_file` is named in its metadata."""
    return json.dumps(
        {
            "metadata": {
                "soundFile": sound_file,
                "duration": round(cues[-1].end_s if cues else 0.0, 2),
            },
            "mouthCues": [
                {"start": round(c.start_s, 2), "end": round(c.end_s, 2), "value": c.shape}
                for c in cues
            ],
        },
        indent=2,
    )


def _runs(chosen: np.ndarray) -> list[tuple[int, int, int]]:
    """Return (first, end, value) of each stretch of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(chosen)) + 1).tolist(), len(chosen)]
    return [(a, b, int(chosen[a])) for a, b in pairwise(edges)]


def _merged(runs: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Give stretches that are too short to their longer neighbour; a closure grows instead."""
    least = round(_SHORTEST_S / _STEP_S)
    runs = list(runs)
    while len(runs) > 1:
        place = min(range(len(runs)), key=lambda i: runs[i][1] - runs[i][0])
        start, end, value = runs[place]
        if end - start >= least:
            break
        before = runs[place - 1] if place else None
        after = runs[place + 1] if place + 1 < len(runs) else None
        if value == SHAPES.index("A") and before and before[1] - before[0] > 2 * least:
            # A closure that is not drawn is a wrong mouth: it takes the time from its neighbour.
            runs[place] = (end - least, end, value)
            runs[place - 1] = (before[0], end - least, before[2])
            continue
        if after is None or (before and before[1] - before[0] >= after[1] - after[0]):
            assert before is not None
            runs[place - 1 : place + 1] = [(before[0], end, before[2])]
        else:
            runs[place : place + 2] = [(start, after[1], after[2])]
    return runs
