"""Reads a video file as training wants it: pictures at 25 a second, sound at 16 kHz mono.

Place in the flow: a user's file -> here -> `faces`, `lip_sync`, `clips`. One pass over the file at
a time and one picture in memory, so an hour of video needs no more than a minute. What makes a file
unusable raises `Refused` with a reason from the list below; nothing here ends a run.

Shape letters: H/W pixels, S samples, F frames at 25 a second.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from rest_bridge.types import FRAME_RATE_HZ, MODEL_RATE_HZ, ByteArray, FloatArray

MISSING: Final = "missing file"
BROKEN: Final = "broken file"
NO_VIDEO: Final = "no video"
NO_SOUND: Final = "no sound"
SILENT: Final = "silent"
WRONG_RATE: Final = "wrong rate"
TOO_SHORT: Final = "too short"

_LEAST_RATE_HZ, _MOST_RATE_HZ = 20.0, 125.0
_LEAST_AUDIO_HZ: Final = 8_000
_SILENT_DB: Final = -58.0
_UNREADABLE: Final = (FFmpegError, ValueError, OSError, IndexError, EOFError, MemoryError)


class Refused(Exception):
    """A file, or a stretch of it, cannot serve; it is skipped with its reason.

    Attributes:
        reason: one of the constants of this package ("no face", "too short", ...).
        detail: what was found and what is wanted.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        """Name the reason.

        Args:
            reason: one of the constants of this package.
            detail: what was found and what is wanted.
        """
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Footage:
    """What a file says of itself.

    Attributes:
        path: of the file.
        width, height: of the pictures as they are shown, in pixels.
        rate_hz: pictures a second.
        audio_rate_hz: of its sound.
        seconds: how long it says it is; 0 if it does not say.
    """

    path: Path
    width: int
    height: int
    rate_hz: float
    audio_rate_hz: int
    seconds: float = 0.0


def inspect(path: Path) -> Footage:
    """Open a file and look at its streams.

    Args:
        path: of the file.

    Returns:
        What it says of itself.

    Raises:
        Refused: it is missing, cannot be opened, has no video or sound, or rates out of range.
    """
    if not path.is_file():
        raise Refused(MISSING, "there is no such file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise Refused(NO_VIDEO, "the file has no pictures")
            if not container.streams.audio:
                raise Refused(NO_SOUND, "the file has no sound; lips without a voice teach nothing")
            video, audio = container.streams.video[0], container.streams.audio[0]
            seconds = (container.duration or 0) / av.time_base
            rate_hz = float(video.average_rate or video.guessed_rate or 0)
            first = next(container.decode(video=0), None)
    except _UNREADABLE as error:
        raise Refused(BROKEN, f"it cannot be opened as a video ({_short(error)})") from error
    if first is None:
        raise Refused(BROKEN, "it holds no picture that can be decoded")
    if not _LEAST_RATE_HZ <= rate_hz <= _MOST_RATE_HZ:
        raise Refused(
            WRONG_RATE,
            f"{rate_hz:.3g} pictures a second; {_LEAST_RATE_HZ:.0f} to {_MOST_RATE_HZ:.0f} are "
            "wanted (lips are too fast for fewer)",
        )
    if audio.rate < _LEAST_AUDIO_HZ:
        raise Refused(WRONG_RATE, f"sound at {audio.rate} Hz; at least {_LEAST_AUDIO_HZ} is wanted")
    width, height = first.width, first.height
    if _quarter_turns(first) % 2:
        width, height = height, width
    return Footage(path, width, height, rate_hz, int(audio.rate), seconds)


def pictures(
    footage: Footage, *, longest_px: int | None = None
) -> Iterator[tuple[ByteArray, bool]]:
    """Yield the pictures that are shown at (k + 0.5) / 25 s for k = 0, 1, ...

    Args:
        footage: from `inspect`.
        longest_px: shrink the pictures to this longest side; None leaves them as they are.

    Yields:
        tuple[ByteArray, bool]: uint8 [H, W, 3] RGB, upright; whether the decoder called it damaged.

    Raises:
        Refused: the file breaks off before its first second is over; what comes after that ends
            the pictures quietly, and the good beginning is used.
    """
    scale = 1.0
    if longest_px is not None:
        scale = min(1.0, longest_px / max(footage.width, footage.height))
    count, shown, ends_s = 0, None, 0.0
    try:
        with av.open(str(footage.path)) as container:
            for time_s, frame in _timed(container, footage.rate_hz):
                if shown is not None:
                    while (count + 0.5) / FRAME_RATE_HZ < time_s:
                        yield shown
                        count += 1
                ends_s = time_s + 1 / footage.rate_hz
                # Pictures that no output time falls on need not be converted.
                if ends_s + 0.5 / footage.rate_hz >= (count + 0.5) / FRAME_RATE_HZ or shown is None:
                    shown = (_upright(frame, scale), bool(frame.is_corrupt))
    except _UNREADABLE as error:
        if count < FRAME_RATE_HZ:
            raise Refused(
                BROKEN, f"it breaks off after {count / 25:.1f} s ({_short(error)})"
            ) from error
    while shown is not None and (count + 0.5) / FRAME_RATE_HZ < ends_s:
        yield shown
        count += 1


def sound(footage: Footage) -> FloatArray:
    """Decode the voice, on the clock of the pictures.

    Args:
        footage: from `inspect`.

    Returns:
        float32 [S], 16 kHz mono; sample 0 belongs to the beginning of the first picture.

    Raises:
        Refused: it cannot be decoded, or it is silent.
    """
    pieces: list[FloatArray] = []
    try:
        with av.open(str(footage.path)) as container:
            start_s = _audio_start(container) - _video_start(container)
            resampler = av.AudioResampler(format="flt", layout="mono", rate=MODEL_RATE_HZ)
            for frame in container.decode(audio=0):
                pieces += [out.to_ndarray()[0] for out in resampler.resample(frame)]
            pieces += [out.to_ndarray()[0] for out in resampler.resample(None)]
    except _UNREADABLE as error:
        if sum(map(len, pieces)) < MODEL_RATE_HZ:
            raise Refused(BROKEN, f"its sound cannot be decoded ({_short(error)})") from error
        start_s = 0.0
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    shift = round(start_s * MODEL_RATE_HZ)
    if abs(start_s) < 30:  # else the stamps are nonsense, and both are taken to begin together
        samples = np.pad(samples, (shift, 0)) if shift > 0 else samples[-shift:]
    check_loudness(samples)
    return np.clip(samples, -1, 1).astype(np.float32)


def check_loudness(samples: FloatArray) -> None:
    """Refuse silence.

    Args:
        samples: float32 [S].

    Raises:
        Refused: the loudest twentieth lies below -58 dBFS.
    """
    count = len(samples) // 400
    if count == 0:
        raise Refused(NO_SOUND, "its sound holds no sample")
    level = np.sqrt((samples[: count * 400].reshape(count, 400) ** 2).mean(1))
    loud_db = 20 * float(np.log10(np.percentile(level, 95) + 1e-9))
    if loud_db < _SILENT_DB:
        raise Refused(SILENT, f"its sound stays below {max(loud_db, -180):.0f} dBFS")


def _timed(container: Any, rate_hz: float) -> Iterator[tuple[float, Any]]:
    """Yield (seconds since the first picture, picture); without stamps they are counted."""
    origin: float | None = None
    for number, frame in enumerate(container.decode(video=0)):
        time_s = number / rate_hz if frame.time is None else float(frame.time)
        origin = time_s if origin is None else origin
        yield time_s - origin, frame


def _video_start(container: Any) -> float:
    stream = container.streams.video[0]
    return 0.0 if stream.start_time is None else float(stream.start_time * stream.time_base)


def _audio_start(container: Any) -> float:
    stream = container.streams.audio[0]
    return 0.0 if stream.start_time is None else float(stream.start_time * stream.time_base)


def _upright(frame: Any, scale: float) -> ByteArray:
    width, height = max(16, round(frame.width * scale)), max(16, round(frame.height * scale))
    picture: npt.NDArray[np.uint8] = frame.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(np.rot90(picture, _quarter_turns(frame)))


def _quarter_turns(frame: Any) -> int:
    """Return how many quarter turns, counter-clockwise, set a telephone's picture upright."""
    return round(float(getattr(frame, "rotation", 0) or 0) / 90) % 4


def _short(error: BaseException) -> str:
    text = str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
    return text if len(text) < 90 else text[:87] + "..."
