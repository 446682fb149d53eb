"""The generator alone: lips, seams and silence as its rig values say, without drawing a frame.

Five times cheaper than the pictures, hence over more clips: for comparing two generators. What
counts in the end is `lips`, where a ruler from outside reads the finished picture.
Shape letters: F video frames.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from rest_bridge.rig import RIG_INDEX
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
_SHAPES: Final = {
    name: [RIG_INDEX[arkit] for arkit in names]
    for name, names in {
        "press": ("mouthPressLeft", "mouthPressRight"),
        "upper": ("mouthUpperUpLeft", "mouthUpperUpRight"),
        "roll": ("mouthRollLower",),
    }.items()
}


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
        values |= consonants(rig, clip) | seams(rig, scale)
        return [Row(SUBSET, clip.group, clip.name, "", values)]

    return work


def consonants(rig: FloatArray, clip: HeldOut) -> dict[str, float]:
    """Return what tells p, b, m from f, v: lips pressed, upper lip up, lower lip rolled in each.

    Args:
        rig: float32 [F, 58].
        clip: whose phones are known.

    Returns:
        "press_p", "upper_f" and so on: means over phones of the frame in the middle; and
        "told_apart": the share of f and v whose lips are pressed by less than 0.1 while the upper
        one is up by more than 0.15, which shows teeth. NaN without such phones.
    """
    values: dict[str, float] = {}
    for kind, viseme in (("p", "PP"), ("f", "FF")):
        places = [int(12.5 * (a + b)) for a, b in clip.spans(viseme)]
        middle = rig[[place for place in places if place < len(rig)]]
        for name, columns in _SHAPES.items():
            values[f"{name}_{kind}"] = float(middle[:, columns].mean()) if len(middle) else math.nan
        if kind == "f" and len(middle):
            press, upper = (middle[:, _SHAPES[n]].mean(1) for n in ("press", "upper"))
            values["told_apart"] = float(((press < 0.1) & (upper > 0.15)).mean())
    return values


def seams(rig: FloatArray, scale: FloatArray) -> dict[str, float]:
    """Return the energy of change at latent borders over that inside, for all and for some values.

    Args:
        rig: float32 [F, 58], chunks of one latent frame.
        scale: float32 [58], usual deviations.
    """
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
