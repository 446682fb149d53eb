"""Sessions in which nobody speaks to us: the mouth stays shut, the face lives on.

Place in the flow: here -> `speech_sessions.build_session` -> training. Sounds of
`background_sounds` and babbles, alone or two at once, gated, louder and softer, at times from one
moment on. Shape letters: S samples at 16 kHz; F video frames.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.training.background_sounds import SOUNDS, babble, quiet_room
from rest_bridge.training.speech_sources import Utterance, silent_utterance
from rest_bridge.types import FRAME_RATE_HZ, MODEL_RATE_HZ

FloatArray = npt.NDArray[np.float32]

KINDS: Final = (
    "noise", "babble", "song", "gated", "music", "song", "keyboard", "babble", "song", "noise",
    "gated", "plucked", "babble", "song", "hum", "knocks", "song", "breath",
)  # fmt: skip
"""What the sessions are made of, in turn; what fools a mouth most comes most often."""


def negative_utterance(
    index: int, rng: np.random.Generator, voices: Sequence[FloatArray], *, seconds: float = 12.0
) -> Utterance:
    """Make sound without a voice that speaks to us.

    Args:
        index: chooses the kind, in turn.
        rng: source of chance.
        voices: for babbles of three to nine; without any, noise takes their place.
        seconds: length.

    Returns:
        An utterance of style "negative" named after its kind, at -46 to -18 dBFS.
    """
    num_frames = int(seconds * FRAME_RATE_HZ)
    num_samples = num_frames * MODEL_RATE_HZ // FRAME_RATE_HZ
    kind = KINDS[index % len(KINDS)]
    sound = _sound(kind, num_samples, rng, voices)
    if rng.random() < 0.25:
        other = str(rng.choice(sorted(SOUNDS)))
        share = np.float32(rng.uniform(0.1, 0.7))
        sound = _unit(sound) + share * _unit(_sound(other, num_samples, rng, voices))
    if rng.random() < 0.25:  # it begins, or ends, somewhere
        border = int(rng.uniform(0.2, 0.8) * num_samples)
        part = slice(0, border) if rng.random() < 0.5 else slice(border, None)
        sound[part] *= np.float32(0.01)
    level = np.float32(10 ** (float(rng.uniform(-46, -18)) / 20))
    samples = np.clip(_unit(sound) * level, -1, 1) + quiet_room(num_samples, rng)
    utterance = silent_utterance(f"negative-{kind}-{index}", "negative", num_frames)
    utterance.samples = samples.astype(np.float32)
    return utterance


def _sound(
    kind: str, num_samples: int, rng: np.random.Generator, voices: Sequence[FloatArray]
) -> FloatArray:
    if kind != "babble":
        return SOUNDS[kind](num_samples, rng)
    if not voices:
        return SOUNDS["noise"](num_samples, rng)
    return babble(num_samples, voices, rng, least=3, most=9)


def _unit(sound: FloatArray) -> FloatArray:
    return (sound / (np.sqrt(np.mean(sound**2)) + 1e-9)).astype(np.float32)
