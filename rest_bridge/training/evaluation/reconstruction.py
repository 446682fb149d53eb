"""Frames whose truth is known: rendered people with true flow, and real video that drives itself.

Place in the flow: reference picture -> the product's import -> its decoder, driven by the true rig
-> compared with the true frame. Rendered shards are the test split of `faces_data` (people, parts
and portraits that no training used), at a seed of their own. Real video is driven by the head pose
and lips that the ruler tracked in it, as nobody knows its rig. Shape letters: F frames.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.errors import AvatarError
from rest_bridge.generator.base_flow import FULL_BOX
from rest_bridge.generator.decoder import FaceDecoder
from rest_bridge.generator.fields import grid_points, read_field
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.detect import detect_faces, find_landmarks
from rest_bridge.portrait.importer import assemble
from rest_bridge.portrait.refine import settle_landmarks
from rest_bridge.training import curves
from rest_bridge.training.base_flows import relative_rig
from rest_bridge.training.evaluation import fidelity
from rest_bridge.training.evaluation.driving import on_grey, read_pictures
from rest_bridge.training.evaluation.flow_reading import FlowReader, flow_error_px, painted_share
from rest_bridge.training.evaluation.held_out import HeldOut
from rest_bridge.training.evaluation.jobs import Job, Row
from rest_bridge.training.evaluation.workshop import Workshop
from rest_bridge.training.face_subjects import KINDS
from rest_bridge.training.tracks import measure
from rest_bridge.types import Array, ByteArray, FloatArray

SUBSET: Final = "reconstruction"
SHARD_SEED: Final = 770
"""Of the test split; kept for this table alone."""
_RENDERERS: Final = ("faces_data.py", "face_subjects.py", "states.py")
_SIZE_PX: Final = 128
_CANVAS_PX: Final = 256
_VIDEO_STEP: Final = 3
_FACE_MARGIN: Final = 0.15
_PERSON: Final = 180
"""Coverage, 0..255, from which a cell counts as the person."""
RIGID_POINTS: Final = np.array([27, 28, 29, 30, 31, 33, 35, 36, 39, 42, 45])
"""Nose and corners of the eyes."""
_NEAR_DEG: Final = 12.0
"""Turns that speech and listening make; beyond it a head looks away."""
_POSE_STEPS: Final = (4.0, 4.0, 4.0, 0.1, 0.1, 0.05)
_USUAL_POSE: Final = np.array([6.0, 4.0, 3.0, 0.1, 0.1, 0.05])
_POINT_NOISE: Final = 0.5 / 288
_SMOOTH: Final = 0.01


def jobs(shop: Workshop) -> list[Job]:
    """Return what is to be done."""
    path = shop.shards or held_out_shard(shop.library.folder, 8 if shop.quick else 24)
    with np.load(path) as archive:
        shard = {name: archive[name] for name in archive.files}
    made = [
        Job(f"reconstruction/{path.stem}/{row}", _sample_job(shop, shard, path.stem, row))
        for row in range(len(shard["ref"]))
    ]
    clips = shop.library.talkers(1 if shop.quick else 6)
    return made + [
        Job(f"reconstruction/video/{clip.name}", _video_job(shop, clip)) for clip in clips
    ]


def held_out_shard(folder: Path, num_samples: int) -> Path:
    """Render the shard of people that no training saw, once for each state of the renderers.

    Args:
        folder: where it is kept.
        num_samples: a multiple of 4: two people with two references each.

    Returns:
        The file.
    """
    training = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for file in (
        *(training / name for name in _RENDERERS),
        *sorted((training / "render").glob("*.py")),
    ):
        digest.update(file.read_bytes())
    path = folder / f"shard_{SHARD_SEED}_{num_samples}_{digest.hexdigest()[:8]}.npz"
    if not path.is_file():
        from rest_bridge.training.faces_data import make_vae_shard

        shard = make_vae_shard(SHARD_SEED, num_samples, _SIZE_PX, split="test")
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **shard)  # pyright: ignore[reportArgumentType]
        part.replace(path)
    return path


def square_avatar(
    picture: ByteArray, package: ModelPackage, landmarks: FloatArray | None = None
) -> Avatar:
    """Import a square picture whole, so that frames and picture have the same places.

    Args:
        picture: uint8 [S, S, 3] RGB.
        package: under test.
        landmarks: float32 [66, 2], 0..1, to be used instead of the package's networks.

    Returns:
        The avatar.

    Raises:
        AvatarError: no face was found.
    """
    size = max(_CANVAS_PX, len(picture))
    rgb = cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC)
    canvas = np.concatenate([rgb, np.full((size, size, 1), 255, np.uint8)], -1)
    confidence: Array | None = None
    if landmarks is None:
        faces = detect_faces(rgb, package)
        if not faces:
            raise AvatarError("No face was found in a held-out picture of the evaluation.")
        points, confidence = find_landmarks(rgb, faces[0].box, package, careful=True)
        if package.has("refine.npz"):
            points = settle_landmarks(canvas, points, package.arrays("refine"))
        landmarks = (points / size).astype(np.float32)
    # The style is guessed as for a user's picture: it was "photo" for all, drawn characters too.
    return assemble(canvas, landmarks, confidence, package, None, "held out", lambda *_: None)


def _sample_job(
    shop: Workshop, shard: dict[str, Array], name: str, row: int
) -> Callable[[], list[Row]]:
    """Measure one reference with its frames, by own landmarks and by true ones."""

    def work() -> list[Row]:
        sample = {key: value[row] for key, value in shard.items()}
        kind = KINDS[int(sample["kind"])]
        clip = f"{name}/{row // 4}"  # four move alike: not independent
        rows: list[Row] = []
        for group, points in (
            ("rendered people", None),
            ("rendered people, true landmarks", sample["landmarks_ref"]),
        ):
            try:
                avatar = square_avatar(sample["ref"], shop.driver.package, points)
                values = {"refused": 0.0} | _sample_values(shop, avatar, sample)
            except AvatarError:
                values = {"refused": 1.0}
            rows.append(Row(SUBSET, group, clip, kind, values))
            if points is None:
                rows.append(Row(SUBSET, f"{group}: {kind}", clip, kind, values))
        return rows

    return work


def _sample_values(shop: Workshop, avatar: Avatar, sample: dict[str, Array]) -> dict[str, float]:
    package = shop.driver.package
    decoder = FaceDecoder(package, avatar, _SIZE_PX)
    reader = FlowReader(package, avatar, _SIZE_PX)
    found: dict[str, list[float]] = {}
    drawn = KINDS[int(sample["kind"])] == "drawn"
    absolute = [sample[name].astype(np.float32) for name in ("rig", "rig_ref")]
    rigs = relative_rig(*absolute, drawn=drawn)
    for frame, relative in enumerate(rigs):
        weight = _person(sample, frame, avatar) * sample["vis"][frame].astype(np.float32) / 255
        weight *= _within(sample["flow"][frame])
        face = weight * _hull(sample["landmarks"][frame], len(weight))
        flow = sample["flow"][frame].astype(np.float32)
        places, cover = reader.read(relative)
        error, still = flow_error_px(places, cover, flow, weight)
        in_face, still_face = flow_error_px(places, cover, flow, face)
        made = on_grey(decoder.render(relative))
        values = likeness(sample["frames"][frame], made, _box(sample["landmarks"][frame]))
        resting = likeness(sample["frames"][frame], sample["ref"], _box(sample["landmarks"][frame]))
        values |= {"flow_px": error, "flow_face_px": in_face}
        if np.abs(relative[:3]).max() < _NEAR_DEG:
            values |= {"flow_near_px": error}
        values |= {"painted": painted_share(cover, weight)}
        values |= {"still_flow_px": still, "still_flow_face_px": still_face}
        values |= {f"still_{key}": value for key, value in resting.items()}
        for key, value in values.items():
            found.setdefault(key, []).append(value)
    return {key: float(np.mean(values)) for key, values in found.items()}


def _person(sample: dict[str, Array], frame: int, avatar: Avatar) -> FloatArray:
    """Return float32 [64, 64], 1 on the person: beside, nobody knows a photo's truth.

    A photo's coverage is the importer's, read where the true flow points.
    """
    if KINDS[int(sample["kind"])] != "photo":
        return (sample["alpha"][frame] > _PERSON).astype(np.float32)
    cutout = avatar.backdrop.cutout[..., 3]
    flow = sample["flow"][frame].astype(np.float32)
    if len(cutout) < len(flow):
        return np.ones(flow.shape[:2], np.float32)
    places = grid_points(FULL_BOX, *flow.shape[:2]) + flow / 2
    return (read_field(cutout.astype(np.float32), FULL_BOX, places) > _PERSON).astype(np.float32)


def _within(flow: Array) -> FloatArray:
    """Return float32 [64, 64], 1 where the true flow points into the picture."""
    places = grid_points(FULL_BOX, *flow.shape[:2]) + flow.astype(np.float32) / 2
    return ((places > 0) & (places < 1)).all(-1).astype(np.float32)


def likeness(real: ByteArray, made: ByteArray, box: tuple[slice, slice]) -> dict[str, float]:
    """Compare two pictures of one size, whole and in the face.

    Args:
        real: uint8 [H, W, 3].
        made: uint8 [H, W, 3].
        box: rows and columns of the face.

    Returns:
        psnr_db, psnr_face_db, ssim, ssim_face, vif, vif_face.
    """
    return {
        "psnr_db": fidelity.psnr_db(real, made),
        "psnr_face_db": fidelity.psnr_db(real[box], made[box]),
        "ssim": fidelity.ssim(real, made),
        "ssim_face": fidelity.ssim(real[box], made[box]),
        "vif": fidelity.vif_p(real, made),
        "vif_face": fidelity.vif_p(real[box], made[box]),
    }


def _video_job(shop: Workshop, clip: HeldOut) -> Callable[[], list[Row]]:
    """Let a talker's own tracked pose and lips move his first quiet frame."""

    def work() -> list[Row]:
        assert clip.video is not None, "only talkers with video"
        frames = read_pictures(clip.video)
        reference = reference_frame(clip)
        avatar = square_avatar(frames[reference], shop.driver.package)
        decoder = FaceDecoder(shop.driver.package, avatar, frames.shape[1])
        reader = FlowReader(shop.driver.package, avatar, frames.shape[1])
        points = shop.library.landmarks(clip.video)[..., :2] / frames.shape[1]
        rig = tracked_rig(clip, points, reference, reader)
        box = _box(avatar.landmarks * 1.0, frames.shape[1])
        picks = range(0, len(rig), _VIDEO_STEP)
        made = [on_grey(decoder.render(rig[i])) for i in picks]
        values = _mean([likeness(frames[i], m, box) for i, m in zip(picks, made, strict=True)])
        resting = _mean([likeness(frames[i], frames[reference], box) for i in picks])
        values |= {f"still_{key}": value for key, value in resting.items()}
        track = measure(shop.library.tracker.track(np.stack(made)))
        values["aperture_r"] = float(
            np.corrcoef(track.aperture, clip.aperture[: len(rig)][::_VIDEO_STEP])[0, 1]
        )
        return [Row(SUBSET, "real video, driven by itself", clip.name, clip.group, values)]

    return work


def reference_frame(clip: HeldOut) -> int:
    """Return a frame at rest, as near to the clip's usual pose as there is."""
    assert clip.pose is not None, "only talkers with video"
    candidates = np.flatnonzero(clip.rest[: len(clip.pose)])
    if not len(candidates):
        candidates = np.arange(len(clip.pose))
    away = np.abs(clip.pose[candidates][:, :3]).sum(1) + 20 * clip.aperture[candidates]
    return int(candidates[int(away.argmin())])


def tracked_rig(
    clip: HeldOut, points: FloatArray, reference: int, reader: FlowReader
) -> FloatArray:
    """Return the rig that moves a portrait as its own video moved.

    The head pose is the one that carries the portrait's rigid points where the ruler saw them, by
    the portrait's own response to each of the six pose values: no two heads turn about one point.

    Args:
        clip: with tracked lips.
        points: float32 [F, 66, 2], tracked landmarks, 0..1 of the picture.
        reference: frame that is the portrait.
        reader: reads the portrait's flow.

    Returns:
        float32 [F, 58].
    """
    shut = float(np.percentile(clip.aperture, 10))
    scale = 0.46 / max(float(np.percentile(clip.aperture, 95)) - shut, 1e-3)
    width = (clip.width - clip.width.mean()) / max(float(clip.width.std()), 1e-6)
    rig = curves.rig_from_lips((clip.aperture - shut) * scale, width.astype(np.float32))
    rigid = points[:, RIGID_POINTS]
    response = pose_response(reader, rigid[reference])
    moved = (rigid - rigid[reference]).reshape(len(rigid), -1)
    # Ridge: a pose of usual size explains the ruler's noise of half a pixel no further.
    weights = np.diag((_POINT_NOISE / _USUAL_POSE) ** 2)
    solve = np.linalg.inv(response.T @ response + weights) @ response.T
    pose = (moved @ solve.T).astype(np.float32)
    rig[:, :6] = curves.gaussian_smooth(pose, 0.7)[: len(rig)]
    return rig


def pose_response(reader: FlowReader, places: FloatArray) -> FloatArray:
    """Return how far each pose value moves points of the portrait.

    Args:
        reader: of the portrait.
        places: float32 [P, 2], 0..1.

    Returns:
        float64 [2P, 6], widths for each unit of pose.
    """
    columns = []
    for index, step in enumerate(_POSE_STEPS):
        moved = []
        for sign in (1.0, -1.0):
            rig = np.zeros(58, np.float32)
            rig[index] = sign * step
            source, _ = reader.read(rig)
            size = len(source)
            own = grid_points(FULL_BOX, size, size)
            flow = cv2.GaussianBlur(source - own, (0, 0), size * _SMOOTH)
            moved.append(-read_field(flow, FULL_BOX, places[None].astype(np.float32))[0])
        columns.append(((moved[0] - moved[1]) / (2 * step)).ravel())
    return np.stack(columns, 1)


def _hull(landmarks: FloatArray, cells: int) -> FloatArray:
    """Return float32 [cells, cells], 1 inside the landmarks' hull."""
    mask = np.zeros((cells, cells), np.float32)
    points = cv2.convexHull((landmarks * cells).astype(np.int32))
    cv2.fillConvexPoly(mask, points, 1.0)
    return mask


def _box(landmarks: FloatArray, size_px: int = _SIZE_PX) -> tuple[slice, slice]:
    """Return rows and columns around the landmarks (0..1), at least 48 pixels each."""
    low, high = landmarks.min(0), landmarks.max(0)
    margin = _FACE_MARGIN * (high - low)
    least = 24 / size_px
    middle, half = (low + high) / 2, np.maximum((high - low) / 2 + margin, least)
    first = np.clip((middle - half) * size_px, 0, size_px - 48).astype(int)
    last = np.clip((middle + half) * size_px, first + 48, size_px).astype(int)
    return slice(int(first[1]), int(last[1])), slice(int(first[0]), int(last[0]))


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
