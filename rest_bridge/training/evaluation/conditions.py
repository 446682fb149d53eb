"""The same speech in worse circumstances: noise, other voices, a room, a telephone, wrong gain.

Place in the flow: `held_out` clips -> here -> `lips`. Each degraded clip begins with seconds of the
same noise, as a microphone that was open before somebody speaks; there the mouth must keep still.
Where only other voices are heard so far, nobody can know that a louder one will come, hence a
condition in which the talker has spoken before ("warm"), as in most of a stream.
Shape letters: S samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import soxr

from rest_bridge.training.augment_audio import add_noise, reverberate, telephone
from rest_bridge.training.background_sounds import babble, coloured_noise, speech_rms
from rest_bridge.training.evaluation.held_out import HeldOut
from rest_bridge.training.sound_codecs import through_codec
from rest_bridge.training.visemes import VisemeSpan
from rest_bridge.types import (
    FRAME_RATE_HZ,
    MODEL_RATE_HZ,
    SAMPLES_PER_FRAME,
    VOICE_RATE_HZ,
    FloatArray,
)

LEAD_S: Final = 4.0
"""Noise before the speech."""
SETTLE_S: Final = 1.5
"""Of it, the first part that only warms the stream up and is not judged."""
PAUSE_S: Final = 1.5
"""Noise between what a warm talker said before, his own sentence backwards, and the speech."""
ROOM_DB: Final = -62.0
"""Level of the room under the clean lead-in, so that it is no digital silence."""
Degrade = Callable[[FloatArray, np.random.Generator, Sequence[FloatArray]], FloatArray]


@dataclass(frozen=True, slots=True)
class Condition:
    """How speech is made worse.

    Attributes:
        name: as in the tables.
        degrade: samples at 16 kHz, chance, other voices -> samples.
        noisy: it fills the pauses with sound.
        warm: the talker has spoken before.
    """

    name: str
    degrade: Degrade
    noisy: bool
    warm: bool = False


def _white(snr_db: float) -> Degrade:
    return lambda x, rng, _: _with_noise(x, coloured_noise(len(x), rng), snr_db)


def _pink(snr_db: float) -> Degrade:
    return lambda x, rng, _: _with_noise(
        x, coloured_noise(len(x), rng, slope_db_per_octave=-3.0), snr_db
    )


def _babble(snr_db: float) -> Degrade:
    return lambda x, rng, voices: _with_noise(x, babble(len(x), voices, rng), snr_db)


def _with_noise(samples: FloatArray, noise: FloatArray, snr_db: float) -> FloatArray:
    return np.clip(add_noise(samples, noise, snr_db), -1, 1)


def _gain(db: float) -> Degrade:
    return lambda x, _, __: np.clip(x * np.float32(10 ** (db / 20)), -1, 1)


def _room(samples: FloatArray, rng: np.random.Generator, _: Sequence[FloatArray]) -> FloatArray:
    return reverberate(samples, rng, rt60_s=0.6, direct_to_reverberant_db=3.0)


CONDITIONS: Final = (
    Condition("quiet room", lambda x, _, __: x, noisy=False),
    Condition("white noise 20 dB", _white(20), noisy=True),
    Condition("white noise 10 dB", _white(10), noisy=True),
    Condition("white noise 6 dB", _white(6), noisy=True),
    Condition("pink noise 10 dB", _pink(10), noisy=True),
    Condition("pink noise 6 dB", _pink(6), noisy=True),
    Condition("babble 20 dB", _babble(20), noisy=True),
    Condition("babble 10 dB", _babble(10), noisy=True),
    Condition("babble 10 dB, talker spoke before", _babble(10), noisy=True, warm=True),
    Condition("babble 6 dB", _babble(6), noisy=True),
    Condition("reverberation 0.6 s", _room, noisy=False),
    Condition("telephone", lambda x, _, __: through_codec(telephone(x), "g711"), noisy=False),
    Condition("gain +20 dB, clipped", _gain(20), noisy=False),
    Condition("gain -20 dB", _gain(-20), noisy=False),
)
QUICK: Final = ("white noise 10 dB", "babble 10 dB", "babble 10 dB, talker spoke before")


def under(
    clip: HeldOut, condition: Condition, voices: Sequence[FloatArray], *, seed: int
) -> HeldOut:
    """Return a clip in worse circumstances, with a lead-in of the same.

    Args:
        clip: clean.
        condition: what to do to it.
        voices: other talkers, float32 [S] at 16 kHz.
        seed: of the noise; the clip's name enters as well.

    Returns:
        The clip with `first_frame` at the end of what only warms up; the lead-in counts as rest.
    """
    rng = np.random.default_rng([seed, *clip.name.encode(), *condition.name.encode()])
    low = soxr.resample(clip.voice, VOICE_RATE_HZ, MODEL_RATE_HZ)
    lead = np.zeros(int(LEAD_S * MODEL_RATE_HZ), np.float32)
    if condition.warm:
        before = len(lead) - int(PAUSE_S * MODEL_RATE_HZ)
        lead[:before] = np.resize(low[::-1], before)
    room = coloured_noise(len(lead) + len(low), rng, slope_db_per_octave=-3.0)
    room *= np.float32(10 ** (ROOM_DB / 20) / max(float(room.std()), 1e-9))
    samples = np.concatenate([lead, low.astype(np.float32)]) + room
    voice = soxr.resample(
        condition.degrade(samples, rng, voices), MODEL_RATE_HZ, VOICE_RATE_HZ
    ).astype(np.float32)
    settle_s = LEAD_S - PAUSE_S if condition.warm else SETTLE_S
    return delayed(clip, voice, f"{clip.group}, {condition.name}", settle_s=settle_s)


def delayed(clip: HeldOut, voice: FloatArray, group: str, *, settle_s: float = SETTLE_S) -> HeldOut:
    """Return a clip whose curves begin after the lead-in of its new voice.

    Args:
        clip: clean.
        voice: float32 [S], 48 kHz, with the lead-in.
        group: of the result.
        settle_s: the first part of the lead-in, which is not judged.
    """
    frames = int(LEAD_S * FRAME_RATE_HZ)
    pad = (frames, 0)
    count = len(clip.aperture)
    voice = voice[: (frames + count) * SAMPLES_PER_FRAME]
    rest = np.concatenate([np.ones(frames, bool), clip.rest])
    rest[frames - 3 : frames] = False
    return replace(
        clip,
        group=group,
        voice=voice,
        aperture=np.pad(clip.aperture, pad, "edge"),
        width=np.pad(clip.width, pad, "edge"),
        sentence=np.pad(clip.sentence, pad),
        rest=rest,
        visemes=tuple(
            VisemeSpan(v.name, v.start_s + LEAD_S, v.end_s + LEAD_S) for v in clip.visemes
        ),
        first_frame=int(settle_s * FRAME_RATE_HZ),
        pose=None,
    )


def silences(seconds: float, voices: Sequence[FloatArray], *, seed: int) -> dict[str, FloatArray]:
    """Return sounds at which a mouth must keep still, float32 [S] at 48 kHz each.

    Args:
        seconds: of each.
        voices: to take the level of speech from.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    count = int(seconds * MODEL_RATE_HZ)
    level = np.float32(np.mean([speech_rms(voice) for voice in voices]))
    time = np.arange(count) / MODEL_RATE_HZ
    hum = np.sin(2 * np.pi * 50 * time) + 0.5 * np.sin(2 * np.pi * 150 * time)
    clicks = np.zeros(count, np.float32)
    clicks[rng.integers(0, count, int(4 * seconds))] = 0.5

    def noise(db: float, slope: float) -> FloatArray:
        made = coloured_noise(count, rng, slope_db_per_octave=slope)
        return made * np.float32(level * 10 ** (db / 20) / made.std())

    sounds = {
        "digital silence": np.zeros(count, np.float32),
        "quiet room": noise(-40, -3),
        "white noise 10 dB": noise(-10, 0),
        "pink noise 10 dB": noise(-10, -3),
        "hum": (0.02 * hum).astype(np.float32),
        "keyboard": clicks + noise(-40, -3),
    }
    return {
        name: soxr.resample(sound, MODEL_RATE_HZ, VOICE_RATE_HZ).astype(np.float32)
        for name, sound in sounds.items()
    }
