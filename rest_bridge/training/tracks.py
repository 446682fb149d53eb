"""Rig curves of real talking-head video: landmarks by OpenSeeFace -> aperture, width, pose, blink.

Place in the flow: `speech_data` calls it once for the GRID clips; the result teaches the DiT how a
real mouth, a real blink and a real head move. OpenSeeFace serves for measuring only and is no part
of the product. It knows nothing about audio.

Shape letters: F video frames. Landmarks are float32 [F, 66, 3]: x and y in pixels, confidence.
Order of the 66 points: multi-PIE 0..47, 49..53, 55..59, 60..67 (the outer mouth corners are left
out), so 58 and 62 are the inner mouth corners and (59, 65), (60, 64), (61, 63) face each other.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

_NET_SIZE = 224
_MAP_SIZE = 28
_OFFSET_FACTOR = 16.0
_IMAGE_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_IMAGE_STD = np.array([0.229, 0.224, 0.225], np.float32)
_INNER_PAIRS = ((59, 65), (60, 64), (61, 63))
_EYE_PAIRS = ((37, 41), (38, 40), (43, 47), (44, 46))
_RIGID_POINTS = np.array([27, 28, 29, 30, 31, 33, 35, 36, 39, 42, 45])


@dataclass(frozen=True, slots=True)
class FaceTrack:
    """What one clip's landmarks say, at the clip's own frame rate.

    Attributes:
        aperture: float32 [F], inner lip gap in inter-ocular distances.
        width: float32 [F], inner mouth width in inter-ocular distances.
        eye_opening: float32 [F], lid gap in inter-ocular distances.
        brow_height: float32 [F], brow above the eye line in inter-ocular distances.
        pose: float32 [F, 6], see `rig.POSE_NAMES`, relative to the clip's median frame.
        confidence: float32 [F], mean landmark confidence.
    """

    aperture: FloatArray
    width: FloatArray
    eye_opening: FloatArray
    brow_height: FloatArray
    pose: FloatArray
    confidence: FloatArray


class LandmarkTracker:
    """OpenSeeFace's landmark network on clips with one, roughly centred face."""

    def __init__(self, model_path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            str(model_path), options, providers=["CPUExecutionProvider"]
        )

    def track(self, frames: npt.NDArray[np.uint8]) -> FloatArray:
        """Find the 66 points in every frame of one clip.

        Args:
            frames: uint8 [F, H, W, 3] RGB; the face fills roughly the middle.

        Returns:
            float32 [F, 66, 3]: x, y (pixels), confidence.
        """
        height, width = frames.shape[1:3]
        side = 0.7 * min(height, width)
        box = np.array([width / 2, height / 2, side], np.float32)
        # The box is found on three frames and then kept: a box that follows the face would add
        # its own jitter to the pose.
        for _ in range(3):
            picks = frames[[0, len(frames) // 2, len(frames) - 1]]
            box = _face_box(np.median(self._run(picks, box), axis=0))
        return np.concatenate(
            [self._run(frames[i : i + 16], box) for i in range(0, len(frames), 16)]
        )

    def _run(self, frames: npt.NDArray[np.uint8], box: FloatArray) -> FloatArray:
        import cv2

        centre_x, centre_y, side = (float(v) for v in box)
        scale = side / _NET_SIZE
        matrix = np.array(
            [[scale, 0, centre_x - side / 2], [0, scale, centre_y - side / 2]], np.float32
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (_NET_SIZE, _NET_SIZE)
        crops = np.stack([cv2.warpAffine(frame, matrix, size, flags=flags) for frame in frames])
        images = (crops.astype(np.float32) / 255 - _IMAGE_MEAN) / _IMAGE_STD
        maps = self._session.run(None, {"input": images.transpose(0, 3, 1, 2)})[0]
        points = decode_heatmaps(maps)
        points[..., 0] = points[..., 0] * scale + centre_x - side / 2
        points[..., 1] = points[..., 1] * scale + centre_y - side / 2
        return points


def decode_heatmaps(maps: FloatArray) -> FloatArray:
    """Turn the network's maps into points.

    Args:
        maps: float32 [F, 198, 28, 28]: 66 heat maps, 66 row offsets, 66 column offsets.

    Returns:
        float32 [F, 66, 3]: x, y in the network's 224-pixel crop, confidence.
    """
    count = maps.shape[0]
    flat = maps.reshape(count, 3, 66, _MAP_SIZE * _MAP_SIZE)
    best = flat[:, 0].argmax(-1)[..., None]
    confidence, rows, columns = (
        np.take_along_axis(flat[:, part], best, -1)[..., 0] for part in range(3)
    )
    cell = (_NET_SIZE - 1) / (_MAP_SIZE - 1)
    y = cell * (best[..., 0] // _MAP_SIZE) + (_NET_SIZE - 1) * _logit(rows)
    x = cell * (best[..., 0] % _MAP_SIZE) + (_NET_SIZE - 1) * _logit(columns)
    return np.stack([x, y, confidence], -1).astype(np.float32)


def _logit(p: FloatArray) -> FloatArray:
    p = np.clip(p, 1e-7, 0.9999999)
    return np.log(p / (1 - p)) / _OFFSET_FACTOR


def _face_box(points: FloatArray) -> FloatArray:
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    side = 1.3 * float((high - low).max())
    centre = (low + high) / 2
    return np.array([centre[0], centre[1] - 0.05 * side, side], np.float32)


def measure(landmarks: FloatArray) -> FaceTrack:
    """Turn landmarks into mouth, lid, brow and pose curves.

    Args:
        landmarks: float32 [F, 66, 3].

    Returns:
        The track; lengths in inter-ocular distances of the clip's median frame, so that a nod
        does not look like a mouth that opens.
    """
    xy = landmarks[..., :2].astype(np.float64)
    pose, eye_distance = _head_pose(xy)
    left_eye, right_eye = xy[:, 36:42].mean(1), xy[:, 42:48].mean(1)
    axis = right_eye - left_eye
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    down = np.stack([-axis[:, 1], axis[:, 0]], -1)
    scale = eye_distance * np.maximum(1 + pose[:, 5], 0.5)

    def gap(pairs: tuple[tuple[int, int], ...]) -> npt.NDArray[np.float64]:
        spans = [((xy[:, low] - xy[:, high]) * down).sum(-1) for high, low in pairs]
        return np.maximum(np.mean(spans, 0), 0) / scale

    width = np.linalg.norm(xy[:, 62] - xy[:, 58], axis=-1) / scale
    brows = ((xy[:, 36:48].mean(1) - xy[:, 17:27].mean(1)) * down).sum(-1) / scale
    curves = (gap(_INNER_PAIRS), width, gap(_EYE_PAIRS), brows)
    aperture, width32, eyes, brow = (curve.astype(np.float32) for curve in curves)
    return FaceTrack(
        aperture, width32, eyes, brow, pose.astype(np.float32), landmarks[..., 2].mean(1)
    )


def _head_pose(xy: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], float]:
    """Weak-perspective pose of the rigid points against the clip's median face.

    Depth comes from a coarse model (nose tip in front of the eyes); angles are small here, so
    first order suffices: yaw moves points by depth in x, pitch by depth in y.
    """
    reference = np.median(xy, axis=0)
    eye_distance = float(np.linalg.norm(reference[42:48].mean(0) - reference[36:42].mean(0)))
    points = reference[_RIGID_POINTS]
    centre = points.mean(0)
    depth = np.array([0.15, 0.3, 0.42, 0.52, 0.3, 0.36, 0.3, -0.12, 0.0, 0.0, -0.12])
    depth = (depth - depth.mean()) * eye_distance
    local = points - centre
    moved = xy[:, _RIGID_POINTS]
    pose = np.zeros((len(xy), 6))
    # Unknowns a frame: shift x, y, relative size, roll, yaw, pitch (image y points down).
    ones, zeros = np.ones(len(local)), np.zeros(len(local))
    rows_x = np.stack([ones, zeros, local[:, 0], local[:, 1], depth, zeros], -1)
    rows_y = np.stack([zeros, ones, local[:, 1], -local[:, 0], zeros, depth], -1)
    design = np.concatenate([rows_x, rows_y])
    change = (moved - points).transpose(0, 2, 1).reshape(len(xy), -1)
    fit = np.linalg.lstsq(design, change.T, rcond=None)[0].T
    pose[:, 0] = np.degrees(fit[:, 4])
    pose[:, 1] = np.degrees(fit[:, 5])
    pose[:, 2] = np.degrees(fit[:, 3])
    pose[:, 3] = fit[:, 0] / eye_distance
    pose[:, 4] = -fit[:, 1] / eye_distance
    pose[:, 5] = fit[:, 2]
    return pose, eye_distance
