"""An hour of speech: does the face drift from itself, in its motion, its identity or its colours?

The generator runs the whole hour without drawing (that is where memory is); a few frames of each
minute are drawn from the rig and judged: shape of the face by the ruler, colour of the skin, and a
likeness to the portrait by our own features. Everything is compared with its own first minutes.
Shape letters: F frames, M minutes.
"""

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from rest_bridge.rig import RIG_INDEX
from rest_bridge.training import curves
from rest_bridge.training.evaluation.bootstrap import slope_per_hour
from rest_bridge.training.evaluation.driving import on_grey
from rest_bridge.training.evaluation.jobs import Job, Row
from rest_bridge.training.evaluation.liveliness import blink_rate, looped_speech
from rest_bridge.training.evaluation.own_features import FrameFeatures
from rest_bridge.training.evaluation.workshop import Workshop
from rest_bridge.types import FRAME_RATE_HZ, VOICE_RATE_HZ, AudioChunk, ByteArray, FloatArray

SUBSET: Final = "hour"
_MINUTE: Final = 60 * FRAME_RATE_HZ
_LOOP_S: Final = 120.0
"""Each minute hears the same speech: what differs is what the generator remembers."""
_SHOTS: Final = 6
_STRETCH_OF: Final = ((36, 45), (27, 33), (36, 33), (45, 33))
_SMILE: Final = [RIG_INDEX["mouthSmileLeft"], RIG_INDEX["mouthSmileRight"]]


def jobs(shop: Workshop) -> list[Job]:
    """Return what is to be done: an hour, or four minutes when quick."""
    minutes = 4 if shop.quick else 60
    portraits = ("t2i_302",) if shop.quick else ("t2i_302", "raphael")
    return [Job(f"hour/{minutes}", _job(shop, minutes, portraits))]


def _job(shop: Workshop, minutes: int, portraits: tuple[str, ...]) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        rig = streamed_rig(shop, minutes)
        rows = [
            Row(SUBSET, "motion", f"minute {m}", "", minute_motion(rig[m * _MINUTE :][:_MINUTE]))
            for m in range(len(rig) // _MINUTE)
        ]
        for name in portraits:
            rows += _shown(shop, name, rig)
        return rows + drift_rows(rows)

    return work


def streamed_rig(shop: Workshop, minutes: int) -> FloatArray:
    """Run one stream for minutes of looped speech; float32 [F, 58]."""
    loop = looped_speech(shop, _LOOP_S)
    pipeline = shop.driver.pipeline(None)
    parts: list[FloatArray] = []
    piece = VOICE_RATE_HZ * 2
    for first in range(0, minutes * 60 * VOICE_RATE_HZ, piece):
        start = first % len(loop)
        part = np.take(loop, np.arange(start, start + piece), mode="wrap")
        frames = pipeline.push(AudioChunk(part, VOICE_RATE_HZ, first, 0))
        if frames:
            parts.append(np.stack([frame.rig.values for frame in frames]))
    frames = pipeline.finish()
    return np.concatenate([*parts, np.stack([f.rig.values for f in frames])])


def minute_motion(rig: FloatArray) -> dict[str, float]:
    """Describe one minute of rig; float32 [F, 58]."""
    gap = curves.lip_aperture(rig)
    values = {
        f"mean_{n}_deg": float(rig[:, i].mean()) for i, n in enumerate(("yaw", "pitch", "roll"))
    }
    return values | {
        "opening": float(np.percentile(gap, 95)),
        "smile": float(rig[:, _SMILE].mean()),
        "blinks_a_minute": blink_rate(rig),
    }


def _shown(shop: Workshop, name: str, rig: FloatArray) -> list[Row]:
    """Draw some frames of each minute with eyes open and judge them."""
    avatar = shop.shelf.avatar(name)
    decoder = shop.driver.decoder(avatar, name)
    features = FrameFeatures()
    face = skin_box(avatar.landmarks * shop.driver.size_px)
    rows: list[Row] = []
    first: FloatArray | None = None
    for minute in range(len(rig) // _MINUTE):
        part = rig[minute * _MINUTE : (minute + 1) * _MINUTE]
        frames = [on_grey(decoder.render(part[i])) for i in _telling(part)]
        points = shop.library.tracker.track(np.stack(frames))[..., :2]
        codes = features.of(frames)
        first = codes.mean(0) if first is None else first
        colour = np.stack([skin_colour(frame, face) for frame in frames]).mean(0)
        values = {
            "identity": float(_cosine(codes.mean(0), first)),
            **{f"proportion_{k}": float(v) for k, v in enumerate(_proportions(points))},
            **{f"colour_{n}": float(v) for n, v in zip("Lab", colour, strict=True)},
        }
        rows.append(Row(SUBSET, f"pictures, {name}", f"minute {minute}", name, values))
    return rows


def _telling(rig: FloatArray) -> list[int]:
    """Choose frames of a minute that look alike in every minute: open eyes, shut mouth, centred."""
    lids = rig[:, [RIG_INDEX["eyeBlinkLeft"], RIG_INDEX["eyeBlinkRight"]]].max(1)
    away = np.abs(rig[:, :3]).sum(1) + 40 * curves.lip_aperture(rig) + 40 * lids
    return [int(i) for i in np.argsort(away)[:_SHOTS]]


def drift_rows(rows: list[Row]) -> list[Row]:
    """Turn minutes into slopes over the hour, each with its interval and the minutes' spread.

    Args:
        rows: one a minute for each group.

    Returns:
        A row for each measure and group: slope an hour, its interval, whether it excludes zero.
    """
    out: list[Row] = []
    for group in dict.fromkeys(row.group for row in rows):
        own = [row for row in rows if row.group == group]
        if len(own) < 3:
            continue
        times_s = np.arange(len(own)) * 60.0
        for measure in own[0].values:
            curve = np.array([row.values[measure] for row in own])
            slope = slope_per_hour(times_s, curve)
            spread = float(curve.std()) or 1e-9
            values = {
                "slope": slope.mean, "slope_low": slope.low, "slope_high": slope.high,
                "in_spreads": slope.mean * times_s[-1] / 3600 / spread,
                "drifts": float(slope.low > 0 or slope.high < 0),
                "first": float(curve[: max(1, len(own) // 10)].mean()),
                "last": float(curve[-max(1, len(own) // 10) :].mean()),
            }  # fmt: skip
            name = f"drift of {measure.replace('_', ' ')}, {group}"
            out.append(Row(SUBSET, name, measure, own[0].portrait, values))
    return out


def skin_box(landmarks: FloatArray) -> tuple[slice, slice]:
    """Return rows and columns between eyes and mouth: cheeks and nose; landmarks in pixels."""
    eyes, mouth = landmarks[36:48].mean(0), landmarks[48:66].mean(0)
    unit = float(np.linalg.norm(landmarks[42:48].mean(0) - landmarks[36:42].mean(0)))
    top, bottom = int(eyes[1] + 0.25 * unit), int(mouth[1] - 0.2 * unit)
    middle = (eyes[0] + mouth[0]) / 2
    left, right = int(middle - 0.5 * unit), int(middle + 0.5 * unit)
    return slice(top, max(bottom, top + 4)), slice(left, right)


def skin_colour(frame: ByteArray, box: tuple[slice, slice]) -> FloatArray:
    """Return the mean CIE Lab colour of a box, float32 [3]; uint8 [H, W, 3] in."""
    lab = cv2.cvtColor(frame[box].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return lab.reshape(-1, 3).mean(0)


def _proportions(points: FloatArray) -> list[float]:
    """Ratios of distances between rigid points, relative to the eyes' outer corners."""
    mean = points.mean(0)
    spans = [float(np.linalg.norm(mean[a] - mean[b])) for a, b in _STRETCH_OF]
    return [span / spans[0] for span in spans[1:]]


def _cosine(a: FloatArray, b: FloatArray) -> float:
    return float((a * b).sum() / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))
