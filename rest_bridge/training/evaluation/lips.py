"""Lips in the rendered pictures against real lips, measured curves and phonemes.

Place in the flow: `held_out`, `conditions`, `languages` -> `driving` -> OpenSeeFace -> rows.
Group "strangers" holds talkers of whom nothing was trained on; "known talker" unseen sentences of
one who was. Portrait "(real video)" is the talker himself, judged by the same ruler.
Shape letters: F video frames.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np

from rest_bridge.training import curves
from rest_bridge.training.evaluation import agreement, conditions, languages
from rest_bridge.training.evaluation.driving import on_grey
from rest_bridge.training.evaluation.held_out import ROUNDED, SPREAD, HeldOut
from rest_bridge.training.evaluation.jobs import Job, Row
from rest_bridge.training.evaluation.workshop import Workshop
from rest_bridge.training.tracks import FaceTrack, measure
from rest_bridge.types import FloatArray

SUBSET: Final = "lips"
REAL: Final = "(real video)"
SILENCE_GROUP: Final = "silence: "
_SILENCE_S: Final = 10.0
_MAIN: Final = ("t2i_302", "t2i_311", "raphael", "pencil")
_OTHERS: Final = ("vera", "luna")
_ONE: Final = "t2i_302"


def jobs(shop: Workshop) -> list[Job]:
    """Return what is to be done, most telling first."""
    library, quick = shop.library, shop.quick
    talkers = library.talkers(3 if quick else 12)
    made = [
        _job(shop, clip, talkers, p) for clip in talkers for p in (_MAIN[:2] if quick else _MAIN)
    ]
    made += [
        Job(f"lips/{clip.name}/real", partial(_real_rows, clip, talkers))
        for clip in talkers
        if clip.real
    ]
    if not quick:
        made += [_job(shop, clip, talkers, p, f"{clip.group}, {p}")
                 for clip in talkers[:5] for p in _OTHERS]  # fmt: skip
    babblers = library.other_voices(8)
    chosen = talkers[:3] if quick else talkers[:6]
    names = conditions.QUICK if quick else [c.name for c in conditions.CONDITIONS]
    for condition in conditions.CONDITIONS:
        if condition.name in names:
            for clip in chosen:
                worse = conditions.under(clip, condition, babblers, seed=shop.seed)
                made.append(_job(shop, worse, [], _ONE))
    pieces = library.real_curves(1 if quick else 3)
    made += [_job(shop, clip, pieces, _ONE) for clip in pieces]
    read = library.read_speech(5 if quick else 8)
    made += [_job(shop, clip, read, _ONE) for clip in read]
    for language in languages.SENTENCES:
        count = 1 if quick and language != languages.ENGLISH else 3
        clips = languages.language_clips(language, count)
        made += [_job(shop, clip, clips, _ONE) for clip in clips]
    if not quick:
        recorded = library.recorded_languages()
        made += [_job(shop, clip, recorded, _ONE) for clip in recorded]
    return made + _silence_jobs(shop, babblers, talkers)


def _job(
    shop: Workshop, clip: HeldOut, others: Sequence[HeldOut], portrait: str, group: str = ""
) -> Job:
    where = group or clip.group
    key = f"lips/{where}/{clip.name}/{portrait}"
    return Job(key, lambda: [_row(shop, clip, others, portrait, where)])


def _row(
    shop: Workshop, clip: HeldOut, others: Sequence[HeldOut], portrait: str, group: str
) -> Row:
    track, rig = tracked(shop, clip.voice, portrait)
    values = judge(clip, others, track.aperture, track.width)
    count = min(len(rig), len(clip.aperture))
    spoken = clip.sentence[:count]
    values["r_rig"] = agreement.pearson(
        curves.lip_aperture(rig[:count])[spoken], clip.aperture[:count][spoken]
    )
    values["confidence"] = float(track.confidence.mean())
    return Row(SUBSET, group, clip.name, portrait, values)


def tracked(shop: Workshop, voice: FloatArray, portrait: str) -> tuple[FaceTrack, FloatArray]:
    """Let a portrait speak and measure its face in the pictures.

    Args:
        shop: the evaluation's tools.
        voice: float32 [S], 48 kHz mono.
        portrait: its name.

    Returns:
        The ruler's curves and the rig, float32 [F, 58].
    """
    frames, rig = [], []
    for frame in shop.driver.pictures(shop.shelf.avatar(portrait), portrait, voice):
        frames.append(on_grey(frame.rgba))
        rig.append(frame.rig.values)
    return measure(shop.library.tracker.track(np.stack(frames))), np.stack(rig)


def judge(
    clip: HeldOut, others: Sequence[HeldOut], aperture: FloatArray, width: FloatArray
) -> dict[str, float]:
    """Compare a made mouth with what it should have done.

    Args:
        clip: the reference.
        others: clips to be mismatched with; the clip itself is left out.
        aperture: float32 [F], made.
        width: float32 [F], made.

    Returns:
        Measures; see the table's legend in docs/evaluation.md.
    """
    first, count = clip.first_frame, min(len(aperture), len(clip.aperture))
    part = slice(first, count)
    made, real = aperture[part], clip.aperture[part]
    spoken, rest = clip.sentence[part], clip.rest[part]
    shift_s = first / 25
    closures, bitten, rounded, spread = (
        [(a - shift_s, b - shift_s) for a, b in clip.spans(*names)]
        for names in (("PP",), ("FF",), ROUNDED, SPREAD)
    )
    values = {
        "r": agreement.pearson(made, real),
        "sentence": agreement.pearson(made[spoken], real[spoken]),
        "lag_ms": agreement.best_lag_ms(real, made),
        "closed": agreement.closed_share(made, closures),
        "rest_spread": agreement.rest_spread(made, rest, spoken),
        "width": agreement.pearson(width[part][spoken], clip.width[part][spoken]),
        "rounding": agreement.contrast(width[part], spread, rounded, spoken),
        "f_apart": agreement.contrast(made, bitten, closures, spoken),
        "range": math.nan,
    }
    if clip.real:
        values["range"] = agreement.opening_range(made) / max(agreement.opening_range(real), 1e-6)
    mismatched = [
        agreement.other_sentence(made, spoken, other.aperture, other.sentence)
        for other in others
        if other.name != clip.name
    ]
    if mismatched:
        values["other"] = float(np.nanmean(mismatched))
        values["gain"] = values["sentence"] - values["other"]
    return values


def _real_rows(clip: HeldOut, others: Sequence[HeldOut]) -> list[Row]:
    """How the real talker fares by the same ruler; correlation with himself says nothing."""
    values = judge(clip, others, clip.aperture, clip.width)
    names = ("closed", "rest_spread", "rounding", "f_apart", "other")
    kept = {k: values[k] for k in names if k in values}
    return [Row(SUBSET, f"{clip.group}, {REAL[1:-1]}", clip.name, REAL, kept)]


def _silence_jobs(
    shop: Workshop, voices: Sequence[FloatArray], talkers: Sequence[HeldOut]
) -> list[Job]:
    """A talker's sentence gives the speaking spread; then sounds at which to keep still."""
    seconds = _SILENCE_S * (0.6 if shop.quick else 1.0)
    sounds = conditions.silences(seconds, voices, seed=shop.seed)
    names = ("digital silence", "white noise 10 dB", "keyboard") if shop.quick else tuple(sounds)

    def run(name: str, portrait: str) -> Callable[[], list[Row]]:
        def work() -> list[Row]:
            speaking = talkers[0]
            voice = np.concatenate([speaking.voice, sounds[name]])
            track, rig = tracked(shop, voice, portrait)
            start = len(speaking.aperture) + int(conditions.SETTLE_S * 25)
            spoken = np.zeros(len(track.aperture), bool)
            spoken[: len(speaking.sentence)] = speaking.sentence
            rest = np.arange(len(spoken)) >= start
            gap = curves.lip_aperture(rig)
            values = {
                "rest_spread": agreement.rest_spread(track.aperture, rest, spoken),
                "rest_spread_rig": agreement.rest_spread(gap, rest, spoken),
                "open_rig": float(gap[rest].mean()),
                "most_rig": float(gap[rest].max()),
            }
            return [Row(SUBSET, SILENCE_GROUP + name, f"{name}/{portrait}", portrait, values)]

        return work

    portraits = (_ONE,) if shop.quick else (_ONE, "raphael")
    return [Job(f"lips/silence/{n}/{p}", run(n, p)) for n in names for p in portraits]
