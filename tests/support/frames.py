"""Synthetic frames for tests of the sinks: known pixels, known voice, known times."""

from collections.abc import Iterator

import numpy as np

from rest_bridge.rig import RIG_NAMES, VISEME_NAMES
from rest_bridge.types import (
    FRAME_DURATION_NS,
    SAMPLES_PER_FRAME,
    VOICE_RATE_HZ,
    ByteArray,
    FloatArray,
    Frame,
    RigFrame,
    StreamActivity,
    VoiceChunk,
)


def pattern_picture(width: int = 64, height: int = 48, *, seed: int = 0) -> ByteArray:
    """Return uint8 [H, W, 4]: four colour quarters; alpha falls from 255 to 0 left to right.

    The lower right corner (an eighth of each side) is noise that depends on `seed`.
    """
    rgba = np.zeros((height, width, 4), np.uint8)
    top, left = height // 2, width // 2
    rgba[:top, :left, :3] = (255, 0, 0)
    rgba[:top, left:, :3] = (0, 255, 0)
    rgba[top:, :left, :3] = (0, 0, 255)
    rgba[top:, left:, :3] = (255, 255, 255)
    rgba[..., 3] = np.linspace(255, 0, width).round().astype(np.uint8)
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 4), np.uint8)
    rgba[-noise.shape[0] :, -noise.shape[1] :] = noise
    return rgba


def plain_picture(
    width: int = 64, height: int = 48, colour: tuple[int, int, int, int] = (40, 90, 160, 255)
) -> ByteArray:
    """Return uint8 [H, W, 4] of one colour."""
    rgba = np.empty((height, width, 4), np.uint8)
    rgba[:] = colour
    return rgba


def tone(first_index: int, num_samples: int = SAMPLES_PER_FRAME, hz: float = 440.0) -> FloatArray:
    """Return float32 [num_samples] of a sine that is continuous over `first_index`."""
    index = first_index + np.arange(num_samples)
    return (0.5 * np.sin(2 * np.pi * hz * index / VOICE_RATE_HZ)).astype(np.float32)


def make_frame(
    index: int = 0,
    *,
    rgba: ByteArray | None = None,
    voice: FloatArray | None = None,
    activity: StreamActivity = "speaking",
    captured_ns: int = 0,
    stream_id: str = "test",
    epoch: int = 0,
    repeated: bool = False,
) -> Frame:
    """Return frame `index`; rig value k is (index + k) / 1000 and the voice a continuous tone."""
    pts_ns = index * FRAME_DURATION_NS
    first_index = index * SAMPLES_PER_FRAME
    values = ((index + np.arange(len(RIG_NAMES))) / 1000).astype(np.float32)
    visemes = np.zeros(len(VISEME_NAMES), np.float32)
    visemes[index % len(VISEME_NAMES)] = 1.0
    return Frame(
        index=index,
        pts_ns=pts_ns,
        captured_ns=captured_ns,
        rgba=pattern_picture(seed=index) if rgba is None else rgba,
        rig=RigFrame(index, pts_ns, values, visemes, 0.25, activity),
        voice=VoiceChunk(tone(first_index) if voice is None else voice, first_index, pts_ns),
        stream_id=stream_id,
        epoch=epoch,
        repeated=repeated,
    )


def make_frames(count: int, **kwargs: object) -> Iterator[Frame]:
    """Yield frames 0 .. count - 1."""
    for index in range(count):
        yield make_frame(index, **kwargs)  # type: ignore[arg-type]
