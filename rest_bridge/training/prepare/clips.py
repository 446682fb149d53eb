"""Cuts one stretch of a video as the paper does: one static square box, 25 fps, 16 kHz mono.

Place in the flow: `faces` (points of the stretch) -> here -> a clip (.mkv, H.264 and FLAC) and its
track (.npz). The box comes from the extrema of the landmarks over the whole stretch, with a margin,
and does not move: the head's motion stays in the picture.

Shape letters: F frames at 25 a second; S samples at 16 kHz.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np

from rest_bridge.training.tracks import FaceTrack
from rest_bridge.types import FRAME_RATE_HZ, MODEL_RATE_HZ, ByteArray, FloatArray

MARGIN: Final = 1.55
"""Side of the box over the larger extent of the landmarks: hair, ears and chin fit in."""
_RAISED: Final = 0.12
"""The landmarks end at the brows: the box goes up by this share of its side."""
_CRF: Final = "16"


@dataclass(frozen=True, slots=True)
class Box:
    """A square in the file's own pixels; it may reach beyond the picture.

    Attributes:
        left, top: of its corner.
        side: of the square.
    """

    left: float
    top: float
    side: float


def static_box(points: FloatArray, width: int, height: int) -> Box:
    """Return the square that holds the face in every frame of a stretch.

    Args:
        points: float32 [F, 66, 3], pixels.
        width: of the pictures.
        height: of the pictures.

    Returns:
        Moved into the picture where that is possible, and never larger than its longer side.
    """
    low, high = points[..., :2].min((0, 1)), points[..., :2].max((0, 1))
    side = float(min(MARGIN * (high - low).max(), max(width, height)))
    middle = (low + high) / 2 - [0, _RAISED * side]
    corner = middle - side / 2
    for axis, size in enumerate((width, height)):
        if side <= size:
            corner[axis] = np.clip(corner[axis], 0, size - side)
    return Box(float(corner[0]), float(corner[1]), side)


def in_box(points: FloatArray, box: Box, size_px: int) -> FloatArray:
    """Return float32 [F, 66, 3]: the points in the clip's pixels."""
    out = points.copy()
    out[..., :2] = (points[..., :2] - [box.left, box.top]) * (size_px / box.side)
    return out.astype(np.float32)


def cut_out(picture: ByteArray, box: Box, size_px: int) -> ByteArray:
    """Return uint8 [size, size, 3]: the box of a picture; beyond its border the border repeats."""
    scale = size_px / box.side
    source = picture
    if scale < 0.5:  # else thin lines flicker
        source = cv2.GaussianBlur(picture, (0, 0), 0.3 / scale)
    shift = -np.array([box.left, box.top]) * scale + 0.5 * scale - 0.5
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return np.asarray(
        cv2.warpAffine(
            source, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )  # fmt: skip


def write_clip(path: Path, pictures: Iterable[ByteArray], samples: FloatArray) -> None:
    """Write a clip; a file of this name appears only when it is whole.

    Args:
        path: to end in .mkv.
        pictures: uint8 [size, size, 3] each, 25 a second.
        samples: float32 [S], 16 kHz.

    Raises:
        OSError: it cannot be written; what was begun is removed.
    """
    part = path.with_suffix(".part")
    try:
        with av.open(str(part), "w", format="matroska") as container:
            sound: Any = container.add_stream("flac", rate=MODEL_RATE_HZ)
            sound.codec_context.layout = "mono"
            sound.codec_context.format = "s16"
            video: Any = None
            for picture in pictures:
                if video is None:
                    video = _video_stream(container, picture.shape[0])
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(video.encode(frame))
            if video is not None:
                container.mux(video.encode(None))
            pcm = np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)
            for first in range(0, len(pcm), 4096):
                piece = av.AudioFrame.from_ndarray(
                    pcm[None, first : first + 4096], format="s16", layout="mono"
                )
                piece.sample_rate, piece.pts = MODEL_RATE_HZ, first
                container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _video_stream(container: Any, size_px: int) -> Any:
    video = container.add_stream("libx264", rate=Fraction(FRAME_RATE_HZ))
    video.width = video.height = size_px
    video.pix_fmt = "yuv420p"
    video.options = {"crf": _CRF, "preset": "veryfast", "threads": "1"}
    return video


def write_track(
    path: Path, track: FaceTrack, points: FloatArray, box: Box, samples: FloatArray, talker: str
) -> None:
    """Write what was measured in a clip as .npz; whole or not at all.

    Args:
        path: to end in .npz.
        track: curves at 25 fps.
        points: float32 [F, 66, 3] in the clip's pixels.
        box: of the clip in its file.
        samples: float32 [S], 16 kHz.
        talker: whose face it is.

    Raises:
        OSError: it cannot be written; what was begun is removed.
    """
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            np.savez(
                file, points=points, aperture=track.aperture, width=track.width,
                eye_opening=track.eye_opening, brow_height=track.brow_height, pose=track.pose,
                confidence=track.confidence, samples=np.round(samples * 32767).astype(np.int16),
                box=np.array([box.left, box.top, box.side]),
                talker=np.frombuffer(talker.encode(), np.uint8),
            )  # fmt: skip
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_track(path: Path) -> tuple[FaceTrack, FloatArray, str]:
    """Read what `write_track` wrote: the curves, the samples (float32 [S]) and the talker."""
    with np.load(path, allow_pickle=False) as archive:
        names = ("aperture", "width", "eye_opening", "brow_height", "pose", "confidence")
        track = FaceTrack(*(archive[name] for name in names))
        samples = (archive["samples"].astype(np.float32) / 32767).astype(np.float32)
        return track, samples, archive["talker"].tobytes().decode()
