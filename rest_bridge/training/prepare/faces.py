"""Follows the one face of a video and says frame by frame whether it can serve.

Place in the flow: `footage.pictures` -> here -> `job`. It uses the package's own detector and
landmark nets, so what it calls a face is what the product calls one. Knows nothing of sound.

Shape letters: F frames at 25 a second; H/W pixels.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.session import Session
from rest_bridge.portrait.detect import DetectedFace, FaceBox, detect_faces, find_landmarks
from rest_bridge.portrait.fit import fit_head
from rest_bridge.portrait.refine import settle_landmarks
from rest_bridge.training.prepare.footage import BROKEN
from rest_bridge.types import Array, ByteArray, FloatArray

NO_FACE: Final = "no face"
SEVERAL_FACES: Final = "several faces"
TOO_SMALL: Final = "face too small"
TURNED_AWAY: Final = "head turned away"
CUT: Final = "cut or scene change"

LONGEST_PX: Final = 720
"""Pictures are tracked at this size."""
_LOOK_EVERY: Final = 6
"""The detector looks at each sixth picture; between, the points find themselves again."""
_LEAST_CONFIDENCE: Final = 0.45
_CUT_LEVEL, _CUT_FACTOR = 14.0, 5.0
_JUMP: Final = 0.7


@dataclass(frozen=True, slots=True)
class Limits:
    """What a face must be like.

    Attributes:
        least_eye_distance_px: between the eyes' middles, in the file's own pixels.
        most_yaw_deg: to either side.
        most_pitch_deg: up or down.
    """

    least_eye_distance_px: float = 24.0
    most_yaw_deg: float = 35.0
    most_pitch_deg: float = 30.0


@dataclass(frozen=True, slots=True)
class Tracked:
    """The face of a whole video.

    Attributes:
        points: float32 [F, 66, 3]: x, y in the file's own pixels, confidence; 0 where none.
        verdicts: F texts: "" where the frame can serve, else the reason why not.
        cuts: bool [F], a new scene begins here.
    """

    points: FloatArray
    verdicts: tuple[str, ...]
    cuts: npt.NDArray[np.bool_]


class _Loaded(ModelPackage):
    """A package that loads each net once: thousands of pictures ask for the same two."""

    def __init__(self, package: ModelPackage) -> None:
        super().__init__(package.path, package.manifest)
        self._sessions: dict[str, Session] = {}

    def session(self, name: str, *, threads: int = 1, provider: str = "cpu") -> Session:
        if name not in self._sessions:
            self._sessions[name] = super().session(name, threads=threads, provider=provider)
        return self._sessions[name]


class FaceFollower:
    """Looks at one picture after the other."""

    def __init__(self, package: ModelPackage, scale: float, limits: Limits) -> None:
        """Prepare.

        Args:
            package: holds the nets.
            scale: of the pictures that come, relative to the file's own.
            limits: what a face must be like.
        """
        self._package, self._scale, self._limits = _Loaded(package), scale, limits
        self._head: Mapping[str, Array] = package.arrays("head")
        self._refine = package.arrays("refine") if package.has("refine.npz") else None
        self._last: FloatArray | None = None
        self._verdict = NO_FACE
        self._since = _LOOK_EVERY

    def look(self, picture: ByteArray) -> tuple[FloatArray, str]:
        """Find the face in the next picture.

        Args:
            picture: uint8 [H, W, 3].

        Returns:
            points: float32 [66, 3] in the file's own pixels, zeros without a face.
            verdict: "" or the reason why this frame cannot serve.
        """
        self._since += 1
        points = None if self._last is None else self._find(picture, _framing(self._last))
        moved = points is not None and self._last is not None and _jump(points, self._last) > _JUMP
        if points is None or moved or self._since >= _LOOK_EVERY:
            self._since = 0
            faces = _worth_it(detect_faces(picture, self._package))
            self._verdict = NO_FACE if not faces else SEVERAL_FACES if len(faces) > 1 else ""
            if faces and (points is None or moved):
                points = self._find(picture, faces[0].box)
            if not faces:
                points = None
            if points is not None and not self._verdict:
                self._verdict = self._state(points)
        self._last = points
        if points is None:
            return np.zeros((66, 3), np.float32), self._verdict or NO_FACE
        out = points.copy()
        out[:, :2] /= self._scale
        return out, self._verdict

    def _find(self, picture: ByteArray, box: FaceBox) -> FloatArray | None:
        points, confidence = find_landmarks(picture, box, self._package)
        if float(confidence.mean()) < _LEAST_CONFIDENCE:
            return None
        if self._refine is not None:  # halfway, as the importer does: their errors differ
            opaque = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
            points = settle_landmarks(opaque, points, self._refine)
        return np.concatenate([points, confidence[:, None]], 1).astype(np.float32)

    def _state(self, points: FloatArray) -> str:
        apart = _eye_distance(points) / self._scale
        if apart < self._limits.least_eye_distance_px:
            return TOO_SMALL
        yaw, pitch, _ = fit_head(points[:, :2], self._head, points[:, 2]).pose_degrees()
        if abs(yaw) > self._limits.most_yaw_deg or abs(pitch) > self._limits.most_pitch_deg:
            return TURNED_AWAY
        return ""


def follow(
    pictures: Iterable[tuple[ByteArray, bool]],
    package: ModelPackage,
    *,
    scale: float,
    limits: Limits,
) -> Tracked:
    """Follow the face through all pictures of a video.

    Args:
        pictures: from `footage.pictures`.
        package: holds the nets.
        scale: of these pictures, relative to the file's own.
        limits: what a face must be like.

    Returns:
        Points and verdicts of every picture, and where scenes change.
    """
    follower = FaceFollower(package, scale, limits)
    points: list[FloatArray] = []
    verdicts: list[str] = []
    small: list[FloatArray] = []
    for picture, damaged in pictures:
        found, verdict = follower.look(picture)
        points.append(found)
        verdicts.append(BROKEN if damaged else verdict)
        small.append(_thumbnail(picture))
    if not points:
        return Tracked(np.zeros((0, 66, 3), np.float32), (), np.zeros(0, bool))
    return Tracked(np.stack(points), tuple(verdicts), find_cuts(np.stack(small)))


def find_cuts(thumbnails: FloatArray) -> npt.NDArray[np.bool_]:
    """Say where a picture has little to do with the one before.

    Args:
        thumbnails: float32 [F, h, w], 0..255.

    Returns:
        bool [F]: the change stands out of the half second around it, and is large.
    """
    change = np.zeros(len(thumbnails))
    change[1:] = np.abs(np.diff(thumbnails, axis=0)).mean((1, 2))
    cuts = np.zeros(len(change), bool)
    for k in np.flatnonzero(change > _CUT_LEVEL):
        around = np.delete(change[max(1, k - 6) : k + 7], min(6, k - 1))
        cuts[k] = change[k] > _CUT_FACTOR * (np.median(around) if len(around) else 0.0)
    return cuts


def segments(
    tracked: Tracked, *, least_frames: int, most_frames: int
) -> tuple[list[tuple[int, int]], dict[str, int]]:
    """Cut a video into stretches that can serve from their first to their last frame.

    One or two bad frames inside are bridged (`bridge`).

    Args:
        tracked: the whole video.
        least_frames: shorter ones are refused.
        most_frames: longer ones are cut into equal parts.

    Returns:
        spans: (first, stop) of each stretch.
        lost: reason -> number of frames that are in no stretch.
    """
    good = np.array([not verdict for verdict in tracked.verdicts], bool)
    bridged = _closed(good) if len(good) else good
    spans: list[tuple[int, int]] = []
    lost: dict[str, int] = {}

    def lose(reason: str, count: int) -> None:
        lost[reason] = lost.get(reason, 0) + count

    for k in np.flatnonzero(~bridged):
        lose(tracked.verdicts[k], 1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], bridged.astype(np.int8), [0]])))
    for first, stop in edges.reshape(-1, 2):
        inner = [int(k) for k in np.flatnonzero(tracked.cuts) if first < k < stop]
        for begin, end in zip([int(first), *inner], [*inner, int(stop)], strict=True):
            if end - begin < least_frames:
                lose(CUT if inner else "too short", end - begin)
                continue
            parts = -(-(end - begin) // most_frames)
            borders = np.linspace(begin, end, parts + 1).astype(int)
            spans += [(int(a), int(b)) for a, b in pairwise(borders)]
    return spans, lost


def bridge(points: FloatArray, usable: npt.NDArray[np.bool_]) -> FloatArray:
    """Fill frames without a face from their neighbours: float32 [F, 66, 3], usable bool [F]."""
    if usable.all() or not usable.any():
        return points
    frames = np.arange(len(points))
    flat = points.reshape(len(points), -1)
    filled = [np.interp(frames, frames[usable], column[usable]) for column in flat.T]
    return np.stack(filled, 1).reshape(points.shape).astype(np.float32)


def _closed(good: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return `good` with gaps of one or two frames filled; the ends stay as they are."""
    out = good.copy()
    for gap in (1, 2):
        for k in range(1, len(good) - gap):
            if good[k - 1] and good[k + gap] and not good[k : k + gap].any():
                out[k : k + gap] = True
    return out


def _worth_it(faces: list[DetectedFace]) -> list[DetectedFace]:
    """Leave out doubtful finds and passers-by, as the importer of portraits does."""
    if not faces:
        return faces
    surest, largest = max(f.score for f in faces), max(f.box.side for f in faces)
    kept = [f for f in faces if f.score > 0.66 * surest and f.box.side > 0.4 * largest]
    return sorted(kept or faces[:1], key=lambda face: -face.box.side)


def _framing(points: FloatArray) -> FaceBox:
    middle = (points[36:48, :2].mean(0) + points[48:66, :2].mean(0)) / 2
    return FaceBox(float(middle[0]), float(middle[1]), 2.6 * max(_eye_distance(points), 1.0))


def _eye_distance(points: FloatArray) -> float:
    return float(np.linalg.norm(points[42:48, :2].mean(0) - points[36:42, :2].mean(0)))


def _jump(points: FloatArray, last: FloatArray) -> float:
    moved = np.linalg.norm(points[27:48, :2].mean(0) - last[27:48, :2].mean(0))
    return float(moved / max(_eye_distance(last), 1.0))


def _thumbnail(picture: ByteArray) -> FloatArray:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (48, 27), interpolation=cv2.INTER_AREA).astype(np.float32)
