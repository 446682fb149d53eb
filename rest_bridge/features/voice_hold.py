"""From what the voice finders say of each 20 ms to how far lips may move in a frame.

Place in the flow: `features.voicing` -> here -> `lip_guard`. A voice frees the lips at once and for
some time after it; what begins after quiet has the benefit of the doubt. Only sound that goes on
without any voice holds them. Shape letters: F steps of 20 ms.
"""

from typing import Final

import numpy as np

from rest_bridge.types import Array, FloatArray, State

FREE_LOGIT: Final = 1.0
"""Mean over 40 ms above which there is a voice, while the lips are held."""
KEEP_LOGIT: Final = 0.0
"""The same while they are free."""
_MEAN_OF: Final = 2
HOLD: Final = 8
"""Loud frames without a voice after which the lips are held: more than is unclear inside words."""
BENEFIT: Final = 6
"""Frames for which a new sound moves lips whatever it is."""
SOFT_DB: Final = 18.0
"""So much below the loudest of the last seconds nothing is held here: breath and room between
words, and what is softer than the nearest talker is `nearness`'s."""
LOUDER_DB: Final = 6.0
"""So much above the loudest of the last seconds begins something new."""
_FORGET_DB: Final = 0.03
"""A frame, 0.75 dB a second."""
_NEW_SOUND: Final = 38
"""Frames of quiet after which the next sound is a new one."""
_FALL: Final = 0.25
_SILENT_DB: Final = -120.0


class VoiceHold:
    """Judges frames of 40 ms; pure, its memory is the state it is given."""

    def initial_state(self) -> dict[str, Array]:
        """Return the state before the first frame: what begins has the benefit of the doubt."""
        return {"hold.numbers": np.array([BENEFIT, 0.0, 1.0, _SILENT_DB])}

    def step(
        self, logits: FloatArray, level_db: float, quiet: bool, state: State
    ) -> tuple[float, dict[str, Array]]:
        """Judge one frame.

        Args:
            logits: float32 [F], of its two steps and of those that follow it, as many as were
                heard.
            level_db: of the frame, dB of full scale.
            quiet: whether nothing at all is heard in it.
            state: from `initial_state` or the previous call.

        Returns:
            share: 0 still .. 1 free.
            state: to pass with the next frame.
        """
        free, silent, share, top_db = (float(number) for number in state["hold.numbers"])
        silent = silent + 1 if quiet else 0
        begins = silent >= _NEW_SOUND or level_db > top_db + LOUDER_DB
        top_db = max(level_db, top_db - _FORGET_DB)
        soft = quiet or level_db < top_db - SOFT_DB
        if likeliest(logits) > (KEEP_LOGIT if free > 0 else FREE_LOGIT):
            free = HOLD
        elif begins:
            free = max(free, BENEFIT)
        elif not soft:
            free = max(0.0, free - 1)
        # A pause between words belongs to who spoke: in it nothing changes.
        share = 1.0 if free > 0 else share if soft else max(0.0, share - _FALL)
        return share, {"hold.numbers": np.array([free, silent, share, top_db])}


def likeliest(logits: FloatArray) -> float:
    """Return the highest mean of 40 ms, of float32 [F]; of all of them if they are fewer."""
    if len(logits) < _MEAN_OF:
        return float(logits.mean()) if len(logits) else 0.0
    sums = np.cumsum(np.concatenate([np.zeros(1), logits]))
    return float((sums[_MEAN_OF:] - sums[:-_MEAN_OF]).max() / _MEAN_OF)
