"""Small films for the tests: written with PyAV, some of them wrong in one way each."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np


def voice(seconds: float, *, level: float = 0.2) -> np.ndarray:
    """Return float32 [S], 16 kHz: a buzz that comes and goes three times a second."""
    t = np.arange(int(seconds * 16_000)) / 16_000
    buzz = np.sign(np.sin(2 * np.pi * 140 * t)) * (np.sin(2 * np.pi * 3 * t) > 0)
    return (level * buzz).astype(np.float32)


def counted(num_frames: int, size: int = 64) -> list[np.ndarray]:
    """Return grey pictures whose brightness tells their number."""
    return [np.full((size, size, 3), 20 + 2 * k, np.uint8) for k in range(num_frames)]


def write_film(
    path: Path,
    pictures: Iterable[np.ndarray],
    samples: np.ndarray | None,
    *,
    rate: Fraction | int = 25,
    sound_at_s: float = 0.0,
    audio_hz: int = 16_000,
) -> Path:
    """Write a film; `sound_at_s` is the stamp of the first sample."""
    with av.open(str(path), "w") as container:
        video: Any = None
        sound: Any = None
        if samples is not None:
            sound = container.add_stream("flac" if path.suffix == ".mkv" else "aac", rate=audio_hz)
            sound.codec_context.layout = "mono"
        for k, picture in enumerate(pictures):
            if video is None:
                video = container.add_stream("libx264", rate=Fraction(rate))
                video.height, video.width = picture.shape[:2]
                video.pix_fmt = "yuv420p"
                video.options = {"crf": "8", "preset": "ultrafast", "g": "10", "bf": "0"}
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = k, 1 / Fraction(rate)
            container.mux(video.encode(frame))
        if video is not None:
            container.mux(video.encode(None))
        if sound is not None:
            pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
            resampler = av.AudioResampler(
                format=sound.codec_context.codec.audio_formats[0], layout="mono", rate=audio_hz
            )
            written = round(sound_at_s * audio_hz)
            size = sound.codec_context.frame_size or 1024
            for first in range(0, len(pcm), size):
                piece = av.AudioFrame.from_ndarray(
                    pcm[None, first : first + size], format="s16", layout="mono"
                )
                piece.sample_rate = audio_hz
                for ready in resampler.resample(piece):
                    ready.pts, ready.time_base = written, Fraction(1, audio_hz)
                    written += ready.samples
                    container.mux(sound.encode(ready))
            container.mux(sound.encode(None))
    return path


def points_at(
    num_frames: int,
    *,
    middle: tuple[float, float] = (32.0, 32.0),
    opening: np.ndarray | None = None,
) -> np.ndarray:
    """Return float32 [F, 66, 3]: a rough face whose lips open by `opening` (eye distances)."""
    face = np.zeros((66, 2))
    face[:17] = np.stack([np.linspace(-11, 11, 17), 14 - 0.1 * np.linspace(-11, 11, 17) ** 2], 1)
    face[17:27] = np.stack([np.linspace(-8, 8, 10), np.full(10, -8)], 1)
    face[27:36] = np.stack([np.linspace(-2, 2, 9), np.linspace(-3, 4, 9)], 1)
    ring = np.linspace(0, 2 * np.pi, 7)[:6]
    face[36:42] = np.stack([-5 - 1.5 * np.cos(ring), -4 - 0.8 * np.sin(ring)], 1)
    face[42:48] = np.stack([5 - 1.5 * np.cos(ring), -4 - 0.8 * np.sin(ring)], 1)
    face[48:58] = np.stack([np.linspace(-4, 4, 10), np.full(10, 9.0)], 1)
    face[58:66, 0] = [-3, -1.5, 0, 1.5, 3, 1.5, 0, -1.5]
    face[58:66, 1] = 8.5
    every = np.tile(face, (num_frames, 1, 1)) + np.array(middle)
    if opening is not None:
        every[:, 63:66, 1] += 10 * opening[:, None]
    ones = np.full((num_frames, 66, 1), 0.9)
    return np.concatenate([every, ones], -1).astype(np.float32)
