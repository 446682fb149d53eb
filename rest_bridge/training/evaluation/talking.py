"""The talkers' own pictures made to speak: sound against lips (Sync) and realism (FID, FVD).

Place in the flow: a quiet frame of a held-out talker becomes the portrait, his voice drives it, and
what comes out is judged beside his real video, same crop, same codec (none), same judge. Without
published weights the judges are our own and are named so. Rows of the real video, of its still
frame and of the voice of another sentence show what the numbers can tell apart.
Shape letters: F frames, D features.
"""

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.training.evaluation import frechet
from rest_bridge.training.evaluation.driving import on_grey, read_pictures
from rest_bridge.training.evaluation.held_out import HeldOut
from rest_bridge.training.evaluation.jobs import Job, Row
from rest_bridge.training.evaluation.own_features import FrameFeatures, motion_features
from rest_bridge.training.evaluation.published import I3d, Inception, sha256
from rest_bridge.training.evaluation.reconstruction import reference_frame, square_avatar
from rest_bridge.training.evaluation.sync_expert import WEIGHTS, embed, load_expert
from rest_bridge.training.evaluation.sync_inputs import (
    crop_places,
    log_mels,
    mouth_crops,
    standardised,
)
from rest_bridge.training.evaluation.sync_protocol import SyncScore, sync_score
from rest_bridge.training.evaluation.syncnet import PublishedSyncNet
from rest_bridge.training.evaluation.workshop import Workshop
from rest_bridge.types import ByteArray, FloatArray

SUBSET: Final = "sync"
REALISM: Final = "realism"
MADE, REAL, STILL, OTHER = "made", "(real video)", "(still frame)", "(another sentence's voice)"


class Judges:
    """Networks that judge pictures, each loaded when it is first needed."""

    def __init__(self, shop: Workshop) -> None:
        """Remember which published networks were supplied.

        Args:
            shop: the evaluation's tools.
        """
        self._weights = shop.weights

    @cached_property
    def frames(self) -> dict[str, Callable[[Sequence[ByteArray]], FloatArray]]:
        """Name of the distance -> features of frames."""
        found: dict[str, Callable[[Sequence[ByteArray]], FloatArray]] = {
            "fid_own": FrameFeatures().of
        }
        if self._weights.inception:
            found["fid"] = Inception(self._weights.inception).of
        return found

    @cached_property
    def motion(self) -> dict[str, Callable[[Sequence[ByteArray]], FloatArray]]:
        """Name of the distance -> features of windows of 16 frames."""
        own = FrameFeatures()
        found: dict[str, Callable[[Sequence[ByteArray]], FloatArray]] = {
            "fvd_own": lambda frames: motion_features(own.of(frames))
        }
        if self._weights.i3d:
            found["fvd"] = I3d(self._weights.i3d).of
        return found

    @cached_property
    def own_expert(self) -> Any:
        """Our own sync expert."""
        return load_expert()

    @cached_property
    def syncnet(self) -> PublishedSyncNet | None:
        """The published SyncNet, where it was supplied."""
        return PublishedSyncNet(self._weights.syncnet) if self._weights.syncnet else None

    def sync(
        self, frames: Sequence[ByteArray], landmarks: FloatArray, voice: FloatArray
    ) -> dict[str, float]:
        """Score sound against lips; see `sync_protocol`.

        Args:
            frames: uint8 [H, W, 3] each.
            landmarks: float32 [F, 66, 2 or 3], pixels.
            voice: float32 [S], 48 kHz.

        Returns:
            sync_c_own, sync_d_own, offset_own_ms; the same without "own" by the published network.
        """
        centres, side = crop_places(landmarks)
        mouths = standardised(mouth_crops(frames, centres, side))
        values = _named(sync_score(*embed(self.own_expert, mouths, log_mels(voice))), "_own")
        if self.syncnet:
            values |= _named(self.syncnet.score(frames, landmarks, voice), "")
        return values

    def identity(self) -> dict[str, str]:
        """Return checksums of the supplied networks, for the table."""
        files = {"inception": self._weights.inception, "i3d": self._weights.i3d,
                 "syncnet": self._weights.syncnet}  # fmt: skip
        return {name: sha256(path) for name, path in files.items() if path}


def _named(score: SyncScore, suffix: str) -> dict[str, float]:
    return {
        f"sync_c{suffix}": score.confidence,
        f"sync_d{suffix}": score.distance,
        f"offset{suffix}_ms": score.offset_ms,
    }


def sync_jobs(shop: Workshop) -> list[Job]:
    """Return what is to be done for Sync-C and Sync-D."""
    judges, clips = Judges(shop), shop.library.talkers(2 if shop.quick else 12)
    # Another expert is another ruler: what it judged must not be taken for this one's word.
    ruler = sha256(WEIGHTS)
    made = [
        Job(
            f"sync/{ruler}/{clip.name}",
            _sync_job(shop, judges, clip, clips[(row + 1) % len(clips)]),
        )
        for row, clip in enumerate(clips)
    ]
    names = ("t2i_302",) if shop.quick else ("t2i_302", "raphael", "luna")
    return made + [
        Job(f"sync/{ruler}/{clip.name}/{name}", _portrait_job(shop, judges, clip, name))
        for name in names
        for clip in clips[:4]
    ]


def _sync_job(
    shop: Workshop, judges: Judges, clip: HeldOut, other: HeldOut
) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        assert clip.video is not None, "only talkers with video"
        real = list(read_pictures(clip.video))
        made = own_face_frames(shop, clip)
        points = shop.library.tracker.track(np.stack(made))
        tracked = shop.library.landmarks(clip.video)
        kinds = {
            MADE: judges.sync(made, points, clip.voice),
            REAL: judges.sync(real, tracked, clip.voice),
            OTHER: judges.sync(made, points, other.voice),
        }
        return [
            Row(SUBSET, f"{clip.group} {kind}", clip.name, kind, values)
            for kind, values in kinds.items()
        ]

    return work


def _portrait_job(
    shop: Workshop, judges: Judges, clip: HeldOut, name: str
) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        avatar = shop.shelf.avatar(name)
        frames = [on_grey(f.rgba) for f in shop.driver.pictures(avatar, name, clip.voice)]
        points = shop.library.tracker.track(np.stack(frames))
        values = judges.sync(frames, points, clip.voice)
        return [Row(SUBSET, f"portrait {name}", clip.name, name, values)]

    return work


def own_face_frames(shop: Workshop, clip: HeldOut) -> list[ByteArray]:
    """Let a talker's quiet frame speak with his voice; uint8 [H, W, 3] at his video's size."""
    assert clip.video is not None, "only talkers with video"
    real = read_pictures(clip.video)
    avatar = square_avatar(real[reference_frame(clip)], shop.driver.package)
    return _sized(shop, avatar, clip, real.shape[1])[: len(real)]


def _sized(shop: Workshop, avatar: Avatar, clip: HeldOut, size_px: int) -> list[ByteArray]:
    from rest_bridge.training.evaluation.driving import Driver

    driver = Driver(shop.driver.package, size_px=size_px, seed=shop.driver.seed)
    return [on_grey(frame.rgba) for frame in driver.pictures(avatar, clip.name, clip.voice)]


def realism_jobs(shop: Workshop) -> list[Job]:
    """Return what is to be done for FID and FVD: features of each clip, then the distances."""
    judges, clips = Judges(shop), shop.library.talkers(4 if shop.quick else 12)
    folder = shop.features
    made = [
        Job(f"realism/features/{clip.name}", _feature_job(shop, judges, clip, folder))
        for clip in clips
    ]
    return [*made, Job(f"realism/distances/{len(clips)}", lambda: _distance_rows(clips, folder))]


def _feature_job(
    shop: Workshop, judges: Judges, clip: HeldOut, folder: Path
) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        assert clip.video is not None, "only talkers with video"
        real = list(read_pictures(clip.video))
        sets = {
            MADE: own_face_frames(shop, clip),
            REAL: real,
            STILL: [real[reference_frame(clip)]] * len(real),
        }
        arrays = {
            f"{distance}|{kind}": extract(frames)
            for kind, frames in sets.items()
            for distance, extract in (judges.frames | judges.motion).items()
        }
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / f"{clip.name}.npz", **arrays)  # pyright: ignore[reportArgumentType]
        return []

    return work


def _distance_rows(clips: Sequence[HeldOut], folder: Path) -> list[Row]:
    found: list[dict[str, FloatArray]] = []
    for clip in clips:
        with np.load(folder / f"{clip.name}.npz") as archive:
            found.append({name: archive[name] for name in archive.files})
    rows: list[Row] = []
    for distance in dict.fromkeys(name.partition("|")[0] for name in found[0]):
        by_kind = {k: [f[f"{distance}|{k}"] for f in found] for k in (MADE, REAL, STILL)}
        pairs = {
            MADE: (by_kind[REAL], by_kind[MADE]),
            STILL: (by_kind[REAL], by_kind[STILL]),
            f"{REAL}, one half against the other": (by_kind[REAL][::2], by_kind[REAL][1::2]),
        }
        for kind, (real, made) in pairs.items():
            count = min(len(real), len(made))
            result = frechet.frechet_by_clip(real[:count], made[:count])
            low_high = {f"{distance}_low": result.low, f"{distance}_high": result.high}
            items = sum(len(part) for part in made)
            values = {distance: result.mean, f"{distance}_items": float(items)} | low_high
            rows.append(Row(REALISM, kind, f"{len(clips)} clips", kind, values))
    return [row for row in rows if not math.isnan(next(iter(row.values.values())))]
