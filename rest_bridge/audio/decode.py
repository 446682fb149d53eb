"""Decodes audio files and streams into mono float32, frame by frame, whatever their layout.

Knows files and codecs (through PyAV), nothing of time, resampling or the pipeline.
Shape letters: S samples, C channels.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import av
import av.error
import numpy as np

from rest_bridge.errors import SourceError
from rest_bridge.types import FloatArray

_READS: Final = "wav, flac, mp3, ogg, opus, m4a and what else FFmpeg reads"
_SCALE: Final[dict[str, float]] = {"s16": 2.0**-15, "s32": 2.0**-31, "flt": 1.0, "dbl": 1.0}
# ITU-R BS.775: the mean of its two-channel downmix. LFE carries no voice.
_ITU_WEIGHTS: Final[dict[str, float]] = {
    "FL": 0.5, "FR": 0.5, "FC": 2**-0.5, "LFE": 0.0, "BC": 0.35, "BL": 0.35, "BR": 0.35,
    "SL": 0.35, "SR": 0.35, "FLC": 0.5, "FRC": 0.5,
}  # fmt: skip
_TAIL_BYTES: Final = 1 << 17  # an Ogg page has at most 65,307 bytes


class AudioDecoder:
    """One audio file, decoded from its beginning.

    Args:
        path: the file.

    Raises:
        SourceError: missing, a folder, empty, not readable, not audio, or without sound.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.num_damaged = 0  # packets that did not decode
        _check_file(path)
        try:
            self._container: Any = av.open(str(path), metadata_errors="ignore")
        except PermissionError:
            raise SourceError(f"The audio file may not be read; check its rights: {path}") from None
        except (av.error.FFmpegError, OSError, ValueError):
            raise SourceError(
                f"This is not an audio file that can be read ({_READS}), or it is cut off before "
                f"its index; convert it or record it again: {path}"
            ) from None
        if not self._container.streams.audio:
            self._container.close()
            raise SourceError(f"The file holds pictures but no sound; choose another one: {path}")
        self._stream = self._container.streams.audio[0]
        self._stream.thread_type = "NONE"  # one core is plenty; threads cost start-up time
        duration, base = self._stream.duration, self._stream.time_base
        self.duration_s = float(duration * base) if duration and base else None

    def frames(self) -> Iterator[tuple[FloatArray, int]]:
        """Decode to the end.

        Yields:
            tuple[FloatArray, int]: mono float32 [S] in [-1, 1], and its rate in Hz. Damaged
            packets are skipped and counted; a file that breaks off simply ends.
        """
        try:
            for packet in self._container.demux(self._stream):
                try:
                    decoded = packet.decode()
                except av.error.FFmpegError:
                    self.num_damaged += 1
                    continue
                for frame in decoded:
                    if frame.samples and frame.sample_rate:
                        yield to_mono(frame), int(frame.sample_rate)
        except av.error.FFmpegError:
            self.num_damaged += 1

    def close(self) -> None:
        """Close the file; idempotent."""
        self._container.close()


def to_mono(frame: Any) -> FloatArray:
    """Mix a decoded frame of any sample format and layout down to one channel.

    Args:
        frame: an `av.AudioFrame`.

    Returns:
        float32 [S]. Stereo is the mean, surround the ITU downmix, unknown layouts the mean.
    """
    names = [channel.name for channel in frame.layout.channels]
    data = frame.to_ndarray()
    kind = frame.format.name.removesuffix("p")
    if not frame.format.is_planar:
        data = data.reshape(-1, len(names)).T
    if kind == "u8":
        channels = (data.astype(np.float32) - 128.0) / 128.0
    else:
        channels = data.astype(np.float32) * np.float32(_SCALE[kind])
    mono = downmix_weights(names) @ channels
    return np.clip(mono, -1.0, 1.0, out=mono)


def downmix_weights(names: list[str]) -> FloatArray:
    """Return float32 [C], the weight of each channel in the mono mix.

    Args:
        names: FFmpeg's short channel names, like "FL"; "NONE" where unknown.

    Returns:
        The weights.
    """
    if len(names) > 2 and all(name in _ITU_WEIGHTS for name in names):
        return np.array([_ITU_WEIGHTS[name] for name in names], np.float32)
    return np.full(len(names), 1.0 / len(names), np.float32)


def is_cut_off(path: Path) -> bool:
    """Whether a file says of itself that it should be longer (wav and ogg; others: False)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        (declared,) = struct.unpack("<I", head[4:8])
        # 0 and 2³²-1 are what recorders write that cannot seek back.
        return 0 < declared < 0xFFFF_FF00 and declared + 8 > size + 1
    if head[:4] == b"OggS":
        return _is_unfinished_ogg(tail[max(0, tail.rfind(b"OggS")) :])
    return False


def _is_unfinished_ogg(page: bytes) -> bool:
    """Whether the last page of an Ogg file is incomplete or does not say "end of stream"."""
    header_bytes = 27
    if len(page) < header_bytes:
        return True
    num_segments = page[26]
    body_bytes = sum(page[header_bytes : header_bytes + num_segments])
    return len(page) < header_bytes + num_segments + body_bytes or not page[5] & 4


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise SourceError(f"This is a folder, not an audio file; name a file in it: {path}")
    if not path.exists():
        raise SourceError(f"The audio file does not exist; check the path: {path}")
    if path.is_file() and path.stat().st_size == 0:
        raise SourceError(f"The audio file is empty (0 bytes); record or copy it again: {path}")
