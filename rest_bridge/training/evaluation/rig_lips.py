"""The generator alone: lips, seams and silence as its rig values say, without drawing a frame.

Five times cheaper than the pictures, hence over more clips: for comparing two generators. What
counts in the end is `lips`, where a ruler from outside reads the finished picture.
Shape letters: F video frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from rest_bridge.training import curves
from rest_bridge.training.evaluation import agreement, conditions, languages
from rest_bridge.training.evaluation.held_out import HeldOut
from rest_bridge.training.evaluation.jobs import Job, Row
from rest_bridge.training.evaluation.lips import judge
from rest_bridge.training.evaluation.sharpness import border_share
from rest_bridge.training.evaluation.workshop import Workshop
from rest_bridge.types import FloatArray

SUBSET: Final = "rig"
_CONDITIONS: Final = (*conditions.QUICK, "pink noise 10 dB", "telephone")
_SILENCE_S: Final = 8.0
CHANNELS: Final = (
    "jawOpen", "mouthPucker", "mouthFunnel", "eyeBlinkLeft", "eyeLookOutLeft", "browInnerUp",
)  # fmt: skip
"""Seams are told for each of them as well."""


def jobs(shop: Workshop) -> list[Job]:
    """Return what is to be done."""
    library, quick = shop.library, shop.quick
    talkers = library.talkers(4 if quick else 12)
    sets: list[Sequence[HeldOut]] = [talkers]
    voices = library.other_voices(8)
    names = conditions.QUICK if quick else _CONDITIONS
    worse = [c for c in conditions.CONDITIONS if c.name in names]
    sets += [
        [conditions.under(clip, condition, voices, seed=shop.seed) for clip in talkers[:6]]
        for condition in worse
    ]
    sets.append(library.real_curves(2 if quick else 3))
    sets.append(library.read_speech(4 if quick else 12))
    for language in languages.SENTENCES:
        sets.append(languages.language_clips(language, 2 if quick else 3))
    sets.append(library.recorded_languages())
    made = [
        Job(f"rig/{clip.group}/{clip.name}", _job(shop, clip, clips, shop.seed + life))
        for clips in sets
        for life, clip in enumerate(clips)
    ]
    sounds = conditions.silences(_SILENCE_S, voices, seed=shop.seed)
    return made + [
        Job(f"rig/silence/{name}", _silence_job(shop, name, sound, talkers[0]))
        for name, sound in sounds.items()
    ]


def _job(
    shop: Workshop, clip: HeldOut, others: Sequence[HeldOut], seed: int
) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        rig = shop.driver.rig_only(clip.voice, seed=seed)
        # A rig's gap has no unit in common with a tracked one, so sizes are not compared.
        values = judge(
            replace(clip, real=False), others, curves.lip_aperture(rig), curves.mouth_width(rig)
        )
        del values["range"]
        scale = np.asarray(shop.driver.package.arrays("motion")["rig_scale"])
        return [Row(SUBSET, clip.group, clip.name, "", values | seams(rig, scale))]

    return work


def seams(rig: FloatArray, scale: FloatArray) -> dict[str, float]:
    """Return the energy of change at latent borders over that inside, for all and for some values.

    Args:
        rig: float32 [F, 58], chunks of one latent frame.
        scale: float32 [58], usual deviations.
    """
    from rest_bridge.rig import RIG_INDEX

    values = {"border": border_share(rig / scale, 1)}
    for name in CHANNELS:
        values[f"border_{name}"] = border_share(rig[:, RIG_INDEX[name], None], 1)
    return values


def _silence_job(
    shop: Workshop, name: str, sound: FloatArray, speaking: HeldOut
) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        gap = curves.lip_aperture(shop.driver.rig_only(np.concatenate([speaking.voice, sound])))
        spoken = np.zeros(len(gap), bool)
        spoken[: len(speaking.sentence)] = speaking.sentence
        rest = np.arange(len(gap)) >= len(speaking.aperture) + int(conditions.SETTLE_S * 25)
        values = {
            "rest_spread": agreement.rest_spread(gap, rest, spoken),
            "open_rig": float(gap[rest].mean()),
            "most_rig": float(gap[rest].max()),
        }
        return [Row(SUBSET, f"silence: {name}", name, "", values)]

    return work
