"""Recorded sources on disk: their lists of clips, and sound that may be damaged.

Place in the flow: assets -> here -> `speech_sources`, `speech_prepare`. One clip that cannot be
decoded is left out with its name and the reason; a list that cannot be read is an error.
Shape letters: S samples, F video frames.
"""

import json
import logging
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rest_bridge.errors import ConfigError, RestBridgeError
from rest_bridge.types import MODEL_RATE_HZ, FloatArray

log = logging.getLogger(__name__)

_LEAST_S: Final = 0.4


class BrokenRecordingError(RestBridgeError):
    """A recording cannot be decoded, or holds nothing to learn from."""


def load_audio(path: Path) -> FloatArray:
    """Decode any sound or video file to float32 [S], mono, 16 kHz.

    Raises:
        BrokenRecordingError: it is missing, damaged, without sound or shorter than a syllable.
    """
    import av
    import av.error

    pieces: list[FloatArray] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise BrokenRecordingError(f"The recording has no sound: {path}")
            resampler = av.AudioResampler(format="flt", layout="mono", rate=MODEL_RATE_HZ)
            for frame in container.decode(audio=0):
                pieces += [out.to_ndarray()[0] for out in resampler.resample(frame)]
            pieces += [out.to_ndarray()[0] for out in resampler.resample(None)]
    except (av.error.FFmpegError, OSError) as error:
        raise BrokenRecordingError(
            f"The recording cannot be decoded ({error.strerror or error}): {path}"
        ) from error
    samples = np.concatenate(pieces).astype(np.float32) if pieces else np.zeros(0, np.float32)
    if len(samples) < _LEAST_S * MODEL_RATE_HZ:
        raise BrokenRecordingError(
            f"The recording is too short ({len(samples) / MODEL_RATE_HZ:.2f} s): {path}"
        )
    if not np.isfinite(samples).all():
        raise BrokenRecordingError(f"The recording holds values that are no numbers: {path}")
    return samples


def usable_audio(path: Path) -> FloatArray | None:
    """Decode a clip of a source; None, with a warning that names it, if it cannot serve."""
    try:
        return load_audio(path)
    except BrokenRecordingError as error:
        log.warning("left out: %s", error)
        return None


def usable_frames(path: Path) -> npt.NDArray[np.uint8] | None:
    """Decode the pictures of a clip: uint8 [F, H, W, 3]; None, with a warning, without any."""
    import av
    import av.error

    try:
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (av.error.FFmpegError, OSError, IndexError) as error:
        log.warning("left out: its pictures cannot be decoded (%s): %s", error, path)
        return None
    if not frames:
        log.warning("left out: it holds no pictures: %s", path)
        return None
    return np.stack(frames)


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """Return the clips of an assets folder's manifest.json.

    Raises:
        ConfigError: it is missing or no list of clips.
    """
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return manifest["clips"] if isinstance(manifest, dict) else list(manifest)
    except OSError as error:
        raise ConfigError(
            f"The list of recordings cannot be read ({error.strerror}); name the folder of the "
            f"recorded sources with --assets: {path}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"This is no list of recordings ({error!r}): {path}") from error
