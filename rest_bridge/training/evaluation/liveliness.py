"""A living face: blinks, head motion, rig that means what it says, wishes that come true in time.

Place in the flow: long speech without pictures -> rates and spreads; single rig values -> pictures
-> the ruler -> slopes; a wish in the middle of a stream -> how soon and how smoothly it shows.
Shape letters: F frames.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from rest_bridge.rig import RIG_INDEX
from rest_bridge.training.evaluation import agreement
from rest_bridge.training.evaluation.driving import on_grey
from rest_bridge.training.evaluation.held_out import HeldOut
from rest_bridge.training.evaluation.jobs import Job, Row
from rest_bridge.training.evaluation.workshop import Workshop
from rest_bridge.training.tracks import FaceTrack, measure
from rest_bridge.types import FRAME_RATE_HZ, VOICE_RATE_HZ, AudioChunk, FloatArray

SUBSET: Final = "life"
BLINK: Final = 0.5
"""A blink is counted when both lids pass this closure."""
_WISH_AT_S: Final = 4.0
_WISH_FOR_S: Final = 4.0
_BEGIN: Final = int(_WISH_AT_S * FRAME_RATE_HZ)
_SHARE: Final = 0.8
"""A wish shows when the rig has gone this share of its way."""
_LIDS: Final = [RIG_INDEX["eyeBlinkLeft"], RIG_INDEX["eyeBlinkRight"]]


def jobs(shop: Workshop) -> list[Job]:
    """Return what is to be done."""
    minutes = 1 if shop.quick else 3
    made = [
        Job(f"life/motion/{seed}", _motion_job(shop, minutes * 60.0, seed))
        for seed in range(1 if shop.quick else 4)
    ]
    made += [
        Job(f"life/real/{clip.name}", _real_job(clip))
        for clip in shop.library.talkers(3 if shop.quick else 12)
    ]
    portraits = ("t2i_302",) if shop.quick else ("t2i_302", "t2i_311", "raphael", "pencil")
    made += [Job(f"life/rig/{name}", _rig_job(shop, name)) for name in portraits]
    return [*made, Job("life/wishes", lambda: _wish_rows(shop))]


def looped_speech(shop: Workshop, seconds: float) -> FloatArray:
    """Return held-out talkers one after the other with pauses, again and again; 48 kHz."""
    parts: list[FloatArray] = []
    total, room = 0, np.random.default_rng(shop.seed)
    clips = shop.library.read_speech(2 if shop.quick else 8)
    while total < seconds * VOICE_RATE_HZ:
        clip = clips[len(parts) // 2 % len(clips)]
        pause = room.normal(0, 3e-4, int(room.uniform(0.6, 2.0) * VOICE_RATE_HZ))
        parts += [clip.voice, pause.astype(np.float32)]
        total += len(clip.voice) + len(pause)
    return np.concatenate(parts)[: int(seconds * VOICE_RATE_HZ)]


def _motion_job(shop: Workshop, seconds: float, seed: int) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        rig = shop.driver.rig_only(looped_speech(shop, seconds), seed=shop.seed + seed)
        values = head_motion(rig[:, :6]) | {"blinks_a_minute": blink_rate(rig)}
        return [Row(SUBSET, "motion", f"seed {seed}", "", values)]

    return work


def _real_job(clip: HeldOut) -> Callable[[], list[Row]]:
    """The same of real talkers; the ruler sees no blinks (training/LOG.md)."""

    def work() -> list[Row]:
        assert clip.pose is not None, "only talkers with video"
        values = head_motion(clip.pose)
        return [Row(SUBSET, "motion (real video)", clip.name, clip.group, values)]

    return work


def blink_rate(rig: FloatArray) -> float:
    """Return blinks a minute; float32 [F, 58] at 25 frames a second."""
    return agreement.count_events(rig[:, _LIDS].min(1), BLINK) / (len(rig) / FRAME_RATE_HZ / 60)


def head_motion(pose: FloatArray) -> dict[str, float]:
    """Describe how a head moves.

    Args:
        pose: float32 [F, 6], degrees, eye distances and sizes; 25 frames a second.

    Returns:
        Standard deviation of yaw, pitch, roll (degrees), median speed of the three together
        (degrees a second), and the trembling: median second difference (degrees a frame squared).
    """
    values = {
        f"{name}_sd_deg": float(pose[:, index].std())
        for index, name in enumerate(("yaw", "pitch", "roll"))
    }
    speed = np.linalg.norm(np.diff(pose[:, :3], axis=0), axis=1) * FRAME_RATE_HZ
    values["speed_deg_s"] = float(np.median(speed))
    values["tremble_deg"] = float(np.median(np.abs(np.diff(pose[:, :3], n=2, axis=0))))
    return values


SWEEPS: Final[dict[str, tuple[tuple[str, ...], float, float]]] = {
    "yaw": (("headYaw",), -15, 15),
    "pitch": (("headPitch",), -10, 10),
    "roll": (("headRoll",), -12, 12),
    "jaw": (("jawOpen",), 0, 0.7),
    "width": (("mouthStretchLeft", "mouthStretchRight"), 0, 0.8),
    "pucker": (("mouthPucker",), 0, 0.8),
    "brows": (("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), 0, 0.8),
    "lids": (("eyeBlinkLeft", "eyeBlinkRight"), 0, 1.0),
}
"""What is swept, over which rig values, from where to where."""
_NUM_STEPS: Final = 13


def _rig_job(shop: Workshop, portrait: str) -> Callable[[], list[Row]]:
    """Sweep one rig value at a time and let the ruler read the pictures."""

    def work() -> list[Row]:
        decoder = shop.driver.decoder(shop.shelf.avatar(portrait), portrait)
        frames, values = [], {}
        for names, low, high in SWEEPS.values():
            for value in np.linspace(low, high, _NUM_STEPS):
                rig = np.zeros(58, np.float32)
                rig[[RIG_INDEX[name] for name in names]] = value
                frames.append(on_grey(decoder.render(rig)))
        track = measure(shop.library.tracker.track(np.stack(frames)))
        for number, (name, (_, low, high)) in enumerate(SWEEPS.items()):
            part = slice(number * _NUM_STEPS, (number + 1) * _NUM_STEPS)
            asked = np.linspace(low, high, _NUM_STEPS).astype(np.float32)
            seen = _reading(track, name)[part]
            values[f"{name}_r"] = agreement.pearson(asked, seen)
            if name in ("yaw", "pitch", "roll"):
                values[f"{name}_slope"] = float(np.polyfit(asked, seen, 1)[0])
        return [Row(SUBSET, "rig in the picture", portrait, portrait, values)]

    return work


def _reading(track: FaceTrack, name: str) -> FloatArray:
    readings = {
        "yaw": track.pose[:, 0],
        "pitch": track.pose[:, 1],
        "roll": track.pose[:, 2],
        "jaw": track.aperture,
        "width": track.width,
        "pucker": -track.width,
        "brows": track.brow_height,
        "lids": -track.eye_opening,
    }
    return readings[name]


WISHES: Final[dict[str, tuple[dict[str, Any], tuple[str, ...]]]] = {
    "smile": ({"expression": {"smile": 0.8}}, ("mouthSmileLeft", "mouthSmileRight")),
    "happy": ({"expression": {"happy": 0.8}}, ("mouthSmileLeft", "mouthSmileRight")),
    "surprised": ({"expression": {"surprised": 0.8}}, ("browInnerUp", "browOuterUpLeft")),
    "angry": ({"expression": {"angry": 0.8}}, ("browDownLeft", "browDownRight")),
    "sad": ({"expression": {"sad": 0.8}}, ("browInnerUp", "mouthFrownLeft")),
    "gaze": ({"gaze": (0.5, 0.0)}, ("eyeLookOutLeft", "eyeLookInRight")),
}
"""What is wished for, and the rig values in which it must show."""


def _wish_rows(shop: Workshop) -> list[Row]:
    """Make each wish in speech and in silence, and judge it against the stream without it."""
    speech = looped_speech(shop, _WISH_AT_S + _WISH_FOR_S)
    rows: list[Row] = []
    for where, voice in (("speech", speech), ("silence", np.zeros_like(speech))):
        plain = wished_rig(shop, voice, None)
        for name, (wish, watched) in WISHES.items():
            columns = [RIG_INDEX[value] for value in watched]
            steered = wished_rig(shop, voice, wish)[:, columns].mean(1)
            # Eyes that wander by themselves are no measure of eyes that were told where to look.
            resting = np.full_like(steered, steered[_BEGIN - 1])
            against = resting if "gaze" in wish else plain[:, columns].mean(1)
            values = response(steered, against, _WISH_AT_S)
            rows.append(Row(SUBSET, f"wish: {name}", f"{name} in {where}", "", values))
    return rows


def wished_rig(shop: Workshop, voice: FloatArray, wish: dict[str, Any] | None) -> FloatArray:
    """Return the rig of a stream in which a wish is made after four seconds; None makes none.

    Args:
        shop: the evaluation's tools.
        voice: float32 [S], 48 kHz mono.
        wish: arguments of `Steering`.

    Returns:
        float32 [F, 58].
    """
    from rest_bridge.generator.steering import Steering

    pipeline = shop.driver.pipeline(None)
    turn = int(_WISH_AT_S * VOICE_RATE_HZ)
    frames = pipeline.push(AudioChunk(voice[:turn], VOICE_RATE_HZ, 0, 0))
    if wish is not None:
        pipeline.steer(Steering(**wish))
    frames += pipeline.push(AudioChunk(voice[turn:], VOICE_RATE_HZ, turn, 0))
    frames += pipeline.finish()
    return np.stack([frame.rig.values for frame in frames])


def response(steered: FloatArray, plain: FloatArray, wish_at_s: float) -> dict[str, float]:
    """Judge how a wish shows against the same stream without it.

    Args:
        steered: float32 [F], the watched rig value.
        plain: float32 [F], the same without the wish.
        wish_at_s: when it was made, on the stream's clock.

    Returns:
        change: where it ends (mean of the last second); seconds: until 80 % of that is reached
        (NaN if it never shows); jump: largest step of a frame as a share of the change.
    """
    difference = (steered - plain).astype(np.float64)
    begin = int(wish_at_s * FRAME_RATE_HZ)
    change = float(difference[-FRAME_RATE_HZ:].mean())
    if abs(change) < 0.02:
        return {"change": change, "seconds": math.nan, "jump": math.nan}
    reached = np.flatnonzero(difference[begin:] / change >= _SHARE)
    first = float(reached[0] + 1) / FRAME_RATE_HZ if len(reached) else math.nan
    steps = np.abs(np.diff(difference[begin - 1 :])) / abs(change)
    return {"change": change, "seconds": first, "jump": float(steps.max())}
