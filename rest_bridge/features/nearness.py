"""Is it the nearest person who speaks, or somebody across the room? Says how far lips may move.

Place in the flow: voice -> here -> `generator.lip_rest`. The motion model keeps the mouth shut to
music, typing and noise by itself, but a voice across the room is a voice to it. What tells them
apart is loudness: the level of the nearest talker is learned from voice that opens the mouth, and
a voice that stays much softer moves no lips. Judged with the look-ahead that the model needs
anyway: the beginning of a word is judged by what follows it, and nothing is delayed.
Not told apart: somebody far away before anybody near has spoken, and a whisper.
Shape letters: S samples, F frames; a block is 10 ms.
"""

from typing import Final

import numpy as np

from rest_bridge.types import Array, FloatArray, State

BLOCKS_PER_FRAME: Final = 4
SOFTER_DB: Final = 9.0
"""A voice so much softer than the nearest talker's is somebody else's. Over 29 held-out talkers,
frames in which their own mouth is open and would be held: 0.05 % with 13 dB, 0.15 with 10, 0.2 with
9, 1 with 6; a voice across the room is 15 to 30 dB softer."""
_SOFT_DB: Final = 3.0
"""Over so much the lips go from free to still."""
_QUIET_DB: Final = -62.0
_SILENT_DB: Final = -90.0
_NOBODY_DB: Final = -120.0
_ABOVE_FLOOR_DB: Final = 8.0
_FLOOR_RISE_DB: Final = 0.06
"""A frame, 1.5 dB a second."""
_OPEN: Final = 0.12
"""Of `jawOpen`: a voice, not music."""
_LEARN: Final = 0.2
_LEARN_SOFTER: Final = 0.004
_FORGET_DB: Final = 0.004
"""A frame, 0.1 dB a second, while only softer voices are heard: who moved back is found again."""
_LEAST_HEARD: Final = 12
"""Frames of voice after which the nearest talker is known."""
_BENEFIT: Final = 5
"""Frames for which a new sound is taken for the nearest talker's, however soft it begins."""
_FORGET_SOUND: Final = 38
"""Frames of quiet after which the next sound is a new one."""
_HOLD: Final = 12
"""Frames for which the loudest block counts: longer than a syllable."""
_FALL: Final = 0.25


class Nearness:
    """Judges frames of 40 ms; pure, its memory is the state it is given.

    Args:
        softer_db: how much softer a voice must be; 0 lets every voice through.
    """

    def __init__(self, softer_db: float = SOFTER_DB) -> None:
        self.softer_db = softer_db

    def initial_state(self) -> dict[str, Array]:
        """Return the state before the first frame: nobody is known, every voice counts."""
        return {
            "near.levels": np.full(_HOLD, _NOBODY_DB, np.float32),
            "near.numbers": np.array([_NOBODY_DB, _QUIET_DB + 20.0, 0.0, 0.0, 0.0, 1.0]),
        }

    def step(
        self, levels: FloatArray, opening: float, state: State
    ) -> tuple[float, bool, dict[str, Array]]:
        """Judge one frame.

        Args:
            levels: float32 [4 or more], dB of full scale of its blocks and of those that follow it,
                as many as were heard.
            opening: how far the model opens the mouth in it, 0..1.
            state: from `initial_state` or the previous call.

        Returns:
            share: 0 still .. 1 free.
            quiet: nothing at all is heard.
            state: to pass with the next frame.
        """
        numbers = state["near.numbers"]
        near_db, floor_db, heard, sounding, silent, share = (float(number) for number in numbers)
        own_db = float(levels[:BLOCKS_PER_FRAME].max())
        ahead_db = float(levels.max())
        held = np.concatenate([state["near.levels"][1:], [own_db]]).astype(np.float32)
        loudest_db = max(float(held.max()), ahead_db)
        floor_db = min(max(own_db, _SILENT_DB), floor_db + _FLOOR_RISE_DB)
        quiet = ahead_db < max(_QUIET_DB, floor_db + _ABOVE_FLOOR_DB)
        silent = silent + 1 if quiet else 0
        sounding = 0 if silent >= _FORGET_SOUND else sounding + (not quiet)
        if opening > _OPEN and not quiet:
            heard += 1
            near_db = _follow(near_db, own_db, share)
        known = self.softer_db > 0 and heard >= _LEAST_HEARD
        wanted = 1.0
        if known and sounding > _BENEFIT:
            below_db = near_db - self.softer_db - loudest_db
            wanted = min(1.0, max(0.0, 1.0 - below_db / _SOFT_DB))
            if quiet:  # a pause between words belongs to who spoke
                wanted = share
            elif wanted < 0.5:
                near_db -= _FORGET_DB
        share = max(wanted, share - _FALL)
        numbers = np.array([near_db, floor_db, heard, sounding, silent, share])
        return share, quiet, {"near.levels": held, "near.numbers": numbers}


def _follow(near_db: float, level_db: float, share: float) -> float:
    """Return what is known of the nearest talker's level after another frame of voice."""
    if level_db > near_db:
        return level_db if near_db <= _NOBODY_DB else near_db + _LEARN * (level_db - near_db)
    return near_db + _LEARN_SOFTER * (level_db - near_db) if share > 0.5 else near_db


def block_level_db(samples: FloatArray) -> float:
    """Return the level of a block, float32 [S], in dB of full scale; -120 for silence."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return 10.0 * float(np.log10(power + 1e-12))
