"""Who may move the lips: a voice, and not music, typing or noise; somebody near, not far away.

Place in the flow: voice at 16 kHz -> here; rig of each frame -> here -> decoder. `features.voicing`
says whether there is a voice and no mere crowd, `features.nearness` whether it is as loud as the
nearest talker's, and `generator.lip_rest` holds lips that these do not let move. All are judged
with the sound that the model looks ahead anyway: nothing is delayed.
Shape letters: S samples, F frames; a block is 10 ms.
"""

import numpy as np

from rest_bridge.features.nearness import BLOCKS_PER_FRAME, Nearness, block_level_db
from rest_bridge.features.voice_hold import VoiceHold
from rest_bridge.features.voicing import (
    NEAR_WEIGHTS,
    STEP_SAMPLES,
    VoiceFinder,
    shipped_weights,
)
from rest_bridge.generator.lip_rest import LipRest
from rest_bridge.rig import RIG_INDEX
from rest_bridge.types import FloatArray, State

_JAW_OPEN = RIG_INDEX["jawOpen"]


class LipGuard:
    """Hears blocks, holds frames."""

    def __init__(self, nearest_db: float = 0.0, *, voices_only: bool = False) -> None:
        """Begin a stream.

        Args:
            nearest_db: voices so much softer than the nearest talker's move no lips; 0: all do.
            voices_only: whether sounds without any voice in them, and crowds, move no lips.
        """
        self._nearness, self._lips, self._hold = Nearness(nearest_db), LipRest(), VoiceHold()
        self._finders = _finders() if voices_only else {}
        self._levels: list[float] = []  # of blocks, from the next frame on
        self._logits: list[float] = []  # of 20 ms each, likewise
        self._half: list[FloatArray] = []  # what was heard of the next 20 ms
        self._states: dict[str, State] = {
            "near": self._nearness.initial_state(),
            "hold": self._hold.initial_state(),
            "lips": self._lips.initial_state(),
        }
        for name, finder in self._finders.items():
            self._states[name] = finder.initial_state()

    def hear(self, block: FloatArray) -> None:
        """Hear the next 10 ms, float32 [160] at 16 kHz."""
        self._levels.append(block_level_db(block))
        if not self._finders:
            return
        self._half.append(block)
        if len(self._half) * len(block) == STEP_SAMPLES:
            heard = np.concatenate(self._half)
            self._half = []
            found: list[float] = []
            for name, finder in self._finders.items():
                logit, self._states[name] = finder.step(heard, self._states[name])
                found.append(logit)
            self._logits.append(min(found))

    def hold(self, rig: FloatArray) -> tuple[FloatArray, int]:
        """Hold the lips of the next frames where nobody moves them.

        Args:
            rig: float32 [F, 58].

        Returns:
            rig: float32 [F, 58]; the same array where nothing is held.
            num_held: frames that are held, wholly or in part.
        """
        shares: list[float] = []
        quiet: list[bool] = []
        for values in rig:
            share, is_quiet = self.judge(float(values[_JAW_OPEN]))
            shares.append(share)
            quiet.append(is_quiet)
        held, self._states["lips"] = self._lips.step(rig, shares, quiet, self._states["lips"])
        return held, sum(share < 1 for share in shares)

    def judge(self, opening: float) -> tuple[float, bool]:
        """Judge the next frame, whose four blocks and some that follow were heard.

        Args:
            opening: how far the model opens the mouth in it, 0..1.

        Returns:
            share: how far its lips may move, 0 still .. 1 free.
            quiet: whether nothing at all is heard.
        """
        levels = np.array(self._levels, np.float32)
        share, quiet, self._states["near"] = self._nearness.step(
            levels, opening, self._states["near"]
        )
        del self._levels[:BLOCKS_PER_FRAME]
        if self._finders:
            voice, self._states["hold"] = self._hold.step(
                np.array(self._logits, np.float32),
                float(levels[:BLOCKS_PER_FRAME].max()),
                quiet,
                self._states["hold"],
            )
            del self._logits[: BLOCKS_PER_FRAME // 2]
            share = min(share, voice)
        return share, quiet

    def forget_talker(self) -> None:
        """Take whoever speaks next for the nearest talker."""
        self._states["near"] = self._nearness.initial_state()


def _finders() -> dict[str, VoiceFinder]:
    """Return who says whether lips may move: a voice must be one, and near."""
    return {"voice": VoiceFinder(), "near voice": VoiceFinder(shipped_weights(NEAR_WEIGHTS))}
