"""What the lips are asked for in stored sessions: the labels of the phone network.

Place in the flow: `speech_sessions` (and phones.json, for tracked talkers) -> here -> `phones`.
Sessions made from phones hold the co-articulated mouth that follows from them, so each label can be
read off it; tracked lips of GRID cannot say f, and get the curves of their aligned phones instead.
FACEGOOD has no phones and is left out. Shape letters: F video frames, C articulations.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

from rest_bridge.rig import ARTICULATIONS, RIG_INDEX
from rest_bridge.training import curves
from rest_bridge.training.phonemes import Phone
from rest_bridge.training.speech_sessions import Session
from rest_bridge.training.speech_sources import rest_frames
from rest_bridge.training.synthetic_voices import random_talker
from rest_bridge.training.visemes import to_visemes
from rest_bridge.types import FRAME_RATE_HZ, FloatArray

Phones = Mapping[str, Sequence[Phone]]
_ROUND_FULL, _SPREAD_FULL, _OPEN_FULL = 0.8, 0.3, 0.4
"""Of pucker + funnel / 2, of stretch and of jaw: what counts as 1."""
_ROLL_PER_CHANNEL = 0.85
_TEETH_FROM, _TEETH_FULL = 0.25, 0.75
"""Of the lower lip's roll: neighbours of f reach the first, f itself the second."""


def read_phones(folder: Path) -> dict[str, list[Phone]]:
    """Read the phones that `speech-data` found; an empty mapping where it left none."""
    path = folder / "phones.json"
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {n: [Phone(str(s), float(a), float(b)) for s, a, b in p] for n, p in found.items()}


def labels(session: Session, phones: Phones) -> FloatArray | None:
    """Return what the lips of a session are asked for.

    Args:
        session: of any source.
        phones: clip -> its phones, for tracked talkers.

    Returns:
        float32 [F, C], 0..1; None where nobody knows.
    """
    if session.style in ("read", "synthetic", "foreign", "negative"):
        mouth = session.mouth.astype(np.float32)
        return from_mouth(mouth, session.closure.astype(np.float32), session.rest)
    if session.style == "grid":
        return _tracked(session, phones)
    return None


def from_mouth(mouth: FloatArray, closure: FloatArray, rest: np.ndarray) -> FloatArray:
    """Read labels off a mouth that `curves` made.

    Args:
        mouth: float32 [F, 58].
        closure: float32 [F], 1 where p, b or m shut the lips.
        rest: bool [F].

    Returns:
        float32 [F, C].
    """
    roll = mouth[:, RIG_INDEX["mouthRollLower"]] / _ROLL_PER_CHANNEL
    teeth = (roll - _TEETH_FROM) / (_TEETH_FULL - _TEETH_FROM) * (closure < 0.5)
    rounded = mouth[:, RIG_INDEX["mouthPucker"]] + 0.5 * mouth[:, RIG_INDEX["mouthFunnel"]]
    values = {
        "shut": closure,
        "teeth": teeth,
        "round": rounded / _ROUND_FULL,
        "spread": mouth[:, RIG_INDEX["mouthStretchLeft"]] / _SPREAD_FULL,
        "open": mouth[:, RIG_INDEX["jawOpen"]] / _OPEN_FULL,
        "silent": rest.astype(np.float32),
    }
    table = np.stack([values[name] for name in ARTICULATIONS], 1)
    return np.clip(table, 0, 1).astype(np.float32)


def _tracked(session: Session, phones: Phones) -> FloatArray | None:
    clip = session.name.removesuffix("~")
    if clip not in phones:
        return None
    factor = 1.0
    if clip != session.name:  # the talker that `speech_prepare` made of him
        factor = random_talker(np.random.default_rng(crc32(clip.encode())))
    moved = [Phone(p.symbol, p.start_s / factor, p.end_s / factor) for p in phones[clip]]
    spans = to_visemes(moved, "arpabet")
    times_s = (np.arange(len(session.mouth)) + 0.5) / FRAME_RATE_HZ
    channels, closure = curves.viseme_curves(spans, times_s)
    mouth = curves.rig_from_channels(channels, closure)
    return from_mouth(mouth, closure, rest_frames(spans, times_s))
