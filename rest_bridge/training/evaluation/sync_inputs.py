"""What judges of sound against lips look at: mouth crops and log-mel, one row of each a clip.

Shape letters: F frames, S samples, H/W pixels.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import soxr
from scipy.signal import medfilt

from rest_bridge.features.mel import HOP_SAMPLES, WINDOW_SAMPLES, mel_filters
from rest_bridge.training.evaluation.sync_expert import CROP_PX, MEL_BINS, MEL_PER_FRAME
from rest_bridge.types import MODEL_RATE_HZ, VOICE_RATE_HZ, ByteArray, FloatArray

CROP_SIDE: Final = 1.15
"""Side of the mouth crop in eye distances."""
_MEDIAN: Final = 13
"""Frames of the median filter that steadies the crop, as in SyncNet's own cropping."""
_FLOOR: Final = 3e-5


def crop_places(landmarks: FloatArray) -> tuple[FloatArray, float]:
    """Return where to crop.

    Args:
        landmarks: float32 [F, 66, 2 or 3], pixels.

    Returns:
        centres: float32 [F, 2], steadied.
        side: of the square, one for the whole clip.
    """
    xy = landmarks[..., :2]
    centres = xy[:, 48:66].mean(1)
    size = min(_MEDIAN, len(centres) - 1 + len(centres) % 2)
    padded = np.pad(centres, ((size // 2, size // 2), (0, 0)), "edge")
    steady = np.stack([medfilt(padded[:, k], size) for k in (0, 1)], 1)
    steady = steady[size // 2 : len(padded) - size // 2]
    eyes = xy[:, 42:48].mean(1) - xy[:, 36:42].mean(1)
    return steady.astype(np.float32), CROP_SIDE * float(np.median(np.linalg.norm(eyes, axis=1)))


def mouth_crops(frames: Sequence[ByteArray], centres: FloatArray, side: float) -> ByteArray:
    """Cut grey mouths.

    Args:
        frames: uint8 [H, W, 3] each.
        centres: float32 [F, 2], pixels.
        side: of the square in pixels.

    Returns:
        uint8 [F, 48, 48].
    """
    out = np.empty((len(frames), CROP_PX, CROP_PX), np.uint8)
    scale = side / CROP_PX
    for row, (frame, (x, y)) in enumerate(zip(frames, centres, strict=True)):
        matrix = np.array([[scale, 0, x - side / 2], [0, scale, y - side / 2]], np.float32)
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if scale > 1.5:  # else fine detail would alias
            grey = cv2.GaussianBlur(grey, (0, 0), 0.4 * scale)
        out[row] = cv2.warpAffine(
            grey, matrix, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
    return out


def standardised(crops: ByteArray) -> FloatArray:
    """Return crops of zero mean and unit deviation over the clip; uint8 in, float32 out."""
    values = crops.astype(np.float32)
    return (values - values.mean()) / max(float(values.std()), 1.0)


def log_mels(voice: FloatArray, *, rate_hz: int = VOICE_RATE_HZ) -> FloatArray:
    """Return normalised log-mel of a clip, four rows a video frame.

    Args:
        voice: float32 [S].
        rate_hz: its sample rate.

    Returns:
        float32 [4 F, 40]: row k is centred at (k + 0.5) * 10 ms; each bin has zero mean and unit
        deviation over the clip.
    """
    low = voice if rate_hz == MODEL_RATE_HZ else soxr.resample(voice, rate_hz, MODEL_RATE_HZ)
    count = len(low) // (HOP_SAMPLES * MEL_PER_FRAME) * MEL_PER_FRAME
    lead = (WINDOW_SAMPLES - HOP_SAMPLES) // 2
    padded = np.pad(low, (lead, lead))
    rows = np.arange(count)[:, None] * HOP_SAMPLES + np.arange(WINDOW_SAMPLES)
    power = np.abs(np.fft.rfft(padded[rows] * np.hanning(WINDOW_SAMPLES), 512)) ** 2
    mel = (power @ mel_filters().T).reshape(count, MEL_BINS, 2).mean(-1)
    logs = np.log(mel + _FLOOR)
    return ((logs - logs.mean(0)) / np.maximum(logs.std(0), 0.3)).astype(np.float32)
