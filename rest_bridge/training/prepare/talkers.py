"""Turns the tracks of a user's talkers into sessions that `train` reads.

Place in the flow: `clips` (tracks of all clips) -> here -> train-own.npz, held-own.npz. Each talker
is scaled by himself: his own resting gap is shut, his own wide opening is ours. A tenth of them is
held out, by name, so that nobody is on both sides.

Shape letters: F frames at 25 a second; S samples at 16 kHz.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt

from rest_bridge.features.mel import LogMel
from rest_bridge.training import curves, session_shards, speech_sessions, speech_sources
from rest_bridge.training.prepare.clips import read_track
from rest_bridge.training.speech_sources import Utterance
from rest_bridge.training.splits import is_held_out
from rest_bridge.training.synthetic_voices import random_talker
from rest_bridge.training.tracks import FaceTrack
from rest_bridge.types import FRAME_RATE_HZ, MODEL_RATE_HZ, FloatArray

STYLE: Final = "own"
_APERTURE_P95: Final = 0.46
_REST_DB: Final = 18.0
_SHUT: Final = 0.02
_PER_FRAME: Final = MODEL_RATE_HZ // FRAME_RATE_HZ


def utterances_of(tracks: Sequence[tuple[str, FaceTrack, FloatArray]]) -> list[Utterance]:
    """Scale one talker's clips by all of them together.

    Args:
        tracks: (name, curves, float32 [S]) of each clip of one talker.

    Returns:
        Utterances of style "own", with tracked lips, lids, brows and head.
    """
    rests = [rest_frames(samples, len(track.aperture)) for _, track, samples in tracks]
    gaps = np.concatenate([track.aperture for _, track, _ in tracks])
    widths = np.concatenate([track.width for _, track, _ in tracks])
    quiet = np.concatenate([t.aperture[r] for (_, t, _), r in zip(tracks, rests, strict=True)])
    shut = float(np.percentile(gaps, 5))
    if len(quiet) >= FRAME_RATE_HZ:  # lips at rest may stand apart
        shut = max(shut, min(float(np.median(quiet)), float(np.percentile(gaps, 40))))
    opened = max(float(np.percentile(gaps, 95)) - shut, 1e-3)
    spread = max(float(widths.std()), 1e-4)
    return [
        _utterance(
            name, track, samples, rest,
            aperture=(track.aperture - shut) * (_APERTURE_P95 / opened),
            width=(track.width - float(widths.mean())) / spread,
        )
        for (name, track, samples), rest in zip(tracks, rests, strict=True)
    ]  # fmt: skip


def _utterance(
    name: str,
    track: FaceTrack,
    samples: FloatArray,
    rest: npt.NDArray[np.bool_],
    *,
    aperture: FloatArray,
    width: FloatArray,
) -> Utterance:
    count = min(len(aperture), len(samples) // _PER_FRAME)

    def smooth(values: FloatArray, deviation: float) -> FloatArray:
        columns = values[:count].reshape(count, -1)
        return curves.gaussian_smooth(columns, deviation).astype(np.float32)

    gap = smooth(aperture, 0.5)[:, 0]
    brow = np.clip(3 * (track.brow_height - np.median(track.brow_height)), 0, 0.8)
    return Utterance(
        name=name,
        style=STYLE,
        samples=samples[: count * _PER_FRAME],
        mouth=curves.rig_from_lips(gap, smooth(width, 0.8)[:, 0]),
        closure=np.clip(1 - gap / _SHUT, 0, 1) * ~rest[:count],
        rest=rest[:count] & (gap < 0.25),
        pose=smooth(track.pose, 2.0),
        brow=smooth(brow.astype(np.float32), 2.0)[:, 0],
        lids=lid_closure(track.eye_opening)[:count],
    )


def lid_closure(eye_opening: FloatArray) -> FloatArray:
    """Say how far the lids are shut against their own usual opening.

    Args:
        eye_opening: float32 [F], lid gap in any unit.

    Returns:
        float32 [F], 0 open .. 1 shut.
    """
    usual = float(np.percentile(eye_opening, 70))
    if usual <= 0:
        return np.zeros(len(eye_opening), np.float32)
    # A third of the usual gap is what landmarks of shut lids still show; heavy lids are no blink
    # (looked at: 28 events of a man who narrows his eyes as he speaks).
    shut = np.clip((0.65 * usual - eye_opening) / (0.35 * usual), 0, 1)
    return shut.astype(np.float32)


def rest_frames(samples: FloatArray, num_frames: int) -> npt.NDArray[np.bool_]:
    """Return bool [F]: no speech within 120 ms, by loudness against the talker's own."""
    count = min(num_frames, len(samples) // _PER_FRAME)
    rest = np.zeros(num_frames, bool)
    if count == 0:
        return rest
    power = (samples[: count * _PER_FRAME].reshape(count, _PER_FRAME) ** 2).mean(1)
    level_db = 10 * np.log10(power + 1e-10)
    floor_db, loud_db = np.percentile(level_db, 5), np.percentile(level_db, 95)
    quiet = level_db < min(loud_db - _REST_DB, floor_db + 0.35 * (loud_db - floor_db))
    for shift in range(-3, 4):
        shifted = np.roll(quiet, shift)
        if shift > 0:
            shifted[:shift] = True
        elif shift < 0:
            shifted[shift:] = True
        rest[:count] = shifted if shift == -3 else rest[:count] & shifted
    return rest


def write_sessions(tracks: Sequence[Path], out: Path, mel: LogMel, *, seed: int) -> dict[str, int]:
    """Build sessions of all clips and write train-own.npz and held-own.npz.

    Args:
        tracks: files of `clips.write_track`.
        out: folder to write to.
        mel: the features of the package that will be trained on.
        seed: of all chance.

    Returns:
        "train" and "held" -> number of sessions.

    Raises:
        OSError: they cannot be written.
    """
    by_talker: dict[str, list[tuple[str, FaceTrack, FloatArray]]] = {}
    for path in sorted(tracks):
        track, samples, talker = read_track(path)
        by_talker.setdefault(talker, []).append((path.stem, track, samples))
    sides: dict[str, list[Utterance]] = {"train": [], "held": []}
    for talker, clips in sorted(by_talker.items()):
        held_out = len(by_talker) > 1 and is_held_out("own", talker, 0)
        for utterance in utterances_of(clips):
            if held_out:
                sides["held"].append(utterance)
                continue
            factor = random_talker(np.random.default_rng(crc32(utterance.name.encode())))
            still = speech_sources.still_rest(utterance)
            sides["train"] += [still, speech_sources.altered_utterance(still, factor)]
    voices = [u.samples for u in sides["train"]] or [u.samples for u in sides["held"]]
    counts: dict[str, int] = {}
    for side, utterances in sides.items():
        versions = 3 if side == "train" else 1
        sessions = session_shards.build(utterances, mel, voices, num_versions=versions, seed=seed)
        counts[side] = len(sessions)
        path = out / f"{side}-own.npz"
        path.unlink(missing_ok=True)
        if sessions:
            speech_sessions.save_sessions(sessions, path)
    return counts
