"""A talker among others, over music or in loud noise: mixed on samples, not on features.

Place in the flow: `speech_sessions.build_session` -> here -> further versions of a session. The
background has been there for seconds before the session begins: with the talker in it ("warm"), or
alone, so that the normaliser took it for the voice and must be corrected ("cold"). The motion
stays what the talker's lips do. Shape letters: S samples at 16 kHz, M mel frames.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from rest_bridge.training import augment_audio
from rest_bridge.training.background_sounds import SOUNDS, babble, quiet_room, steady_noise
from rest_bridge.types import MODEL_RATE_HZ, FloatArray

_COLD_SHARE: Final = 0.45
_LEAST_LEAD_S, _MOST_LEAD_S = 1.0, 6.0


def in_a_crowd(
    samples: FloatArray,
    history: FloatArray,
    voices: Sequence[FloatArray],
    rng: np.random.Generator,
    *,
    least_lead: int,
    tail: int,
) -> FloatArray:
    """Put a session's sound into a background that began before it.

    Args:
        samples: float32 [S], of the session.
        history: the same talker before, of any length.
        voices: other talkers.
        rng: source of chance.
        least_lead: samples before the session that are needed at least.
        tail: samples of background after it.

    Returns:
        float32 [lead + S + tail]; the session begins S + tail before the end.
    """
    lead = max(least_lead, int(float(rng.uniform(_LEAST_LEAD_S, _MOST_LEAD_S)) * MODEL_RATE_HZ))
    before = np.zeros(lead, np.float32)
    if rng.random() >= _COLD_SHARE and len(history):
        pause = int(float(rng.uniform(0.1, 0.6)) * lead)
        before[: lead - pause] = np.resize(history[::-1], lead - pause)[::-1]
    sound = np.concatenate([before, samples, np.zeros(tail, np.float32)])
    if rng.random() < 0.2:
        sound = augment_audio.reverberate(
            sound, rng, rt60_s=float(rng.uniform(0.2, 0.6)),
            direct_to_reverberant_db=float(rng.uniform(0, 10)),
        )  # fmt: skip
    background, ratio_db = _background(len(sound), voices, rng)
    sound = _above(sound, samples, background, ratio_db)
    if rng.random() < 0.25:
        sound = augment_audio.microphone(sound, rng)
    sound = sound + quiet_room(len(sound), rng)
    return augment_audio.random_gain(sound.astype(np.float32), rng)


def _background(
    count: int, voices: Sequence[FloatArray], rng: np.random.Generator
) -> tuple[FloatArray, float]:
    """Return what else is heard, and how far below the talker, in dB."""
    kind = float(rng.random())
    if kind < 0.6 and voices:
        ratio_db = float(rng.uniform(4, 20))
        # Two voices nearly as loud as the talker cannot be told from him.
        return babble(count, voices, rng, least=3 if ratio_db < 9 else 2, most=8), ratio_db
    if kind < 0.8:
        return SOUNDS[str(rng.choice(["song", "song", "music"]))](count, rng), float(
            rng.uniform(4, 20)
        )
    return steady_noise(count, rng), float(rng.uniform(0, 20))


def _above(
    sound: FloatArray, samples: FloatArray, background: FloatArray, ratio_db: float
) -> FloatArray:
    """Add the background this far below the loud parts of the session's speech."""
    loud = augment_audio.speech_rms(samples)
    rms = float(np.sqrt(np.mean(background**2) + 1e-12))
    return sound + background * np.float32(loud / rms * 10 ** (-ratio_db / 20))
