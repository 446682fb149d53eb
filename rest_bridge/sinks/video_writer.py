"""Writes frames and their voice into a video file; synchronous, for the recorder and `render`.

The file's ending chooses the format:

- .mp4: H.264 + AAC, the face on a background;
- .webm: VP9 with alpha + Opus;
- .mov: ProRes 4444 with alpha + PCM.

Times come from the media clock only: a picture lies at its `pts_ns`, a sample at its index, so a
dropped or repeated picture never moves the sound. mp4 and mov are written in fragments of a second
and become plain files when closed; whatever ends the writing, what was written can be played.
Equal calls give equal files.
"""

import errno
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Final

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from rest_bridge.errors import SinkError, SinkUnavailable
from rest_bridge.sinks.convert import composite, make_background
from rest_bridge.sinks.guarded_file import GuardedFile, open_for_recording
from rest_bridge.types import VOICE_RATE_HZ, ByteArray, FloatArray, FrameFormat

_TIME_BASE: Final = Fraction(1, VOICE_RATE_HZ)
_MAX_SILENCE: Final = VOICE_RATE_HZ
"""Samples of silence that one gap writes at a time."""
_FRAGMENTED: Final = {
    "movflags": "+hybrid_fragmented+delay_moov",
    "frag_duration": "1000000",  # microseconds
}
_ONE_THREAD_PX: Final = 1280 * 720
"""Up to this size one encoder thread keeps up with 25 fps; more only fight for the two cores. The
count must not depend on the machine, because x264's output depends on it."""


@dataclass(frozen=True, slots=True)
class _Container:
    """How a file ending is written."""

    format: str
    video_codec: str
    pixel_format: str
    audio_codec: str
    sample_format: str
    audio_bit_rate: int
    has_alpha: bool
    video_options: dict[str, str] = field(default_factory=dict[str, str])
    options: dict[str, str] = field(default_factory=dict[str, str])


_CONTAINERS: Final[dict[str, _Container]] = {
    ".mp4": _Container(
        "mp4", "libx264", "yuv420p", "aac", "fltp", 160_000, False,
        # AAC: at the default 128 kbit/s the encoder bursts on a pure tone (error 0.4 of 0.5).
        # No B-frames: decoding order is display order, so a file cut off anywhere stays in sync.
        {"preset": "veryfast", "crf": "18", "bf": "0"},
        _FRAGMENTED,
    ),
    ".webm": _Container(
        "webm", "libvpx-vp9", "yuva420p", "libopus", "flt", 96_000, True,
        # Measured at 512²: 8 ms a frame; deadline "good" takes 38 ms.
        {"deadline": "realtime", "cpu-used": "8", "crf": "24", "b": "0", "auto-alt-ref": "0"},
        {"cluster_time_limit": "1000"},  # milliseconds
    ),
    ".mov": _Container(
        "mov", "prores_ks", "yuva444p10le", "pcm_s16le", "s16", 0, True,
        # A fixed quantiser: 7 ms a frame at 512² instead of the 36 ms that rate search takes.
        {"profile": "4444", "vendor": "apl0", "alpha_bits": "16", "flags": "+qscale",
         "global_quality": str(118 * 4)},
        _FRAGMENTED,
    ),
}  # fmt: skip

ENDINGS: Final = tuple(_CONTAINERS)


def container_of(path: Path) -> str:
    """Find what kind of file a path asks for.

    Args:
        path: file to write.

    Returns:
        Its ending, in lower case: one of `ENDINGS`.

    Raises:
        SinkUnavailable: the ending is not one we write.
    """
    ending = path.suffix.lower()
    if ending not in _CONTAINERS:
        given = f'"{ending}"' if ending else "no ending"
        raise SinkUnavailable(
            f"Cannot record into a file with {given}: use .mp4 (H.264, on a background), .webm "
            f"(VP9, transparent) or .mov (ProRes 4444, transparent): {path}"
        )
    return ending


class VideoWriter:
    """One video file; a context manager.

    Args:
        path: where to write; an existing file is replaced.
        fmt: size and rate; pictures of another size are scaled.
        background: colour name, `#RRGGBB` or picture path, for formats without transparency.
        file: write here instead of opening `path`; must seek.

    Raises:
        SinkUnavailable: unknown ending, or the file cannot be written.
        ConfigError: the background is neither a colour nor a picture.
    """

    def __init__(
        self,
        path: Path,
        fmt: FrameFormat,
        *,
        background: str = "#202428",
        file: IO[bytes] | None = None,
    ) -> None:
        self.path = path
        kind = _CONTAINERS[container_of(path)]
        self._has_alpha = kind.has_alpha
        self._pixel_format = kind.pixel_format
        # 4:2:0 without alpha (H.264) needs even sides; the last row or column is doubled.
        even = 1 if kind.has_alpha else 2
        self._width = -(-fmt.width // even) * even
        self._height = -(-fmt.height // even) * even
        self._frame_size = (fmt.width, fmt.height)
        self._background = make_background(background, fmt.width, fmt.height)
        self._frame_ticks = round(VOICE_RATE_HZ / fmt.fps)
        self._last_ticks = -1
        self._next_sample = 0
        self._closed = False
        self._file = GuardedFile(open_for_recording(path) if file is None else file)
        try:
            self._container = av.open(
                self._file,
                "w",
                format=kind.format,
                options=kind.options | {"fflags": "+bitexact", "flush_packets": "1"},
            )
            self._container.metadata["comment"] = "Synthetic: made by rest_bridge"
            self._video = self._add_video(kind, fmt)
            self._audio: AudioStream = self._container.add_stream(  # type: ignore[assignment]
                kind.audio_codec, rate=VOICE_RATE_HZ, layout="mono"
            )
            self._audio.format = kind.sample_format
            if kind.audio_bit_rate:
                self._audio.bit_rate = kind.audio_bit_rate
            self._audio.time_base = _TIME_BASE
        except (FFmpegError, ValueError) as error:
            self._file.fail(error)
            self._file.close()
            raise SinkUnavailable(
                f"This build of PyAV cannot write {path.suffix} ({error}); reinstall it with "
                f"`pip install --force-reinstall av`: {path}"
            ) from error

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def has_alpha(self) -> bool:
        """Whether the format keeps transparency."""
        return self._has_alpha

    def write(self, rgba: ByteArray, pts_ns: int) -> None:
        """Append a picture.

        Args:
            rgba: uint8 [H, W, 4], straight alpha.
            pts_ns: its time from the start of the file; a picture that is not later than the one
                before is left out.

        Raises:
            SinkError: the file cannot be written on; it was closed and can be played so far.
        """
        ticks = pts_ns * VOICE_RATE_HZ // 1_000_000_000
        if ticks <= self._last_ticks:
            return
        self._last_ticks = ticks
        if (rgba.shape[1], rgba.shape[0]) != self._frame_size:
            rgba = np.asarray(cv2.resize(rgba, self._frame_size), np.uint8)
        frame = self._to_video_frame(rgba)
        frame.pts = ticks
        frame.time_base = _TIME_BASE
        self._encode(self._video, frame)

    def write_voice(self, samples: FloatArray, first_index: int | None = None) -> None:
        """Append voice.

        Args:
            samples: float32 [S], mono at VOICE_RATE_HZ.
            first_index: index of samples[0] from the start of the file; a gap becomes silence, an
                overlap is cut. None: right behind the last one.

        Raises:
            SinkError: the file cannot be written on; it was closed and can be played so far.
        """
        if first_index is not None:
            missing = first_index - self._next_sample
            samples = samples[max(0, -missing) :]
            while missing > 0:
                self._encode_voice(np.zeros(min(missing, _MAX_SILENCE), np.float32))
                missing = first_index - self._next_sample
        if len(samples):
            self._encode_voice(samples)

    def close(self) -> None:
        """Write what the encoders still hold and finish the file; idempotent.

        A file that never got a frame is removed: no player opens it.

        Raises:
            SinkError: the rest could not be written; what was written can be played.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._last_ticks >= 0:
                self._mux(self._video, None)
            if self._next_sample:
                self._mux(self._audio, None)
        except FFmpegError as error:
            self._file.fail(error)
        failed_before = self._file.error is not None
        self._finish()
        if self._last_ticks < 0 and not self._next_sample and not failed_before:
            self.path.unlink(missing_ok=True)  # a video without a frame is no video
        elif self._file.error is not None:
            raise self._failure(self._file.error)

    def _add_video(self, kind: _Container, fmt: FrameFormat) -> VideoStream:
        stream: VideoStream = self._container.add_stream(  # type: ignore[assignment]
            kind.video_codec, rate=Fraction(fmt.fps).limit_denominator(1001)
        )
        stream.width = self._width
        stream.height = self._height
        stream.pix_fmt = kind.pixel_format
        stream.options = dict(kind.video_options)
        context = stream.codec_context
        # 48 kHz ticks: every frame time of 25, 30 and 60 fps is exact, as is every sample.
        context.time_base = _TIME_BASE
        stream.time_base = _TIME_BASE
        context.thread_count = 1 if self._width * self._height <= _ONE_THREAD_PX else 2
        context.colorspace = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        context.color_primaries = 1  # BT.709, as are transfer and matrix: what players assume
        context.color_trc = 1
        return stream

    def _to_video_frame(self, rgba: ByteArray) -> av.VideoFrame:
        if self._has_alpha:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgba), format="rgba")
        else:
            rgb = composite(rgba, self._background)
            right, bottom = self._width - rgb.shape[1], self._height - rgb.shape[0]
            if right or bottom:
                rgb = cv2.copyMakeBorder(rgb, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
            frame = av.VideoFrame.from_ndarray(np.asarray(rgb, np.uint8), format="rgb24")
        return frame.reformat(
            format=self._pixel_format,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )

    def _encode_voice(self, samples: FloatArray) -> None:
        clipped = np.clip(np.nan_to_num(samples), -1.0, 1.0).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(clipped), format="flt", layout="mono"
        )
        frame.sample_rate = VOICE_RATE_HZ
        frame.time_base = _TIME_BASE
        frame.pts = self._next_sample
        self._next_sample += len(samples)
        self._encode(self._audio, frame)

    def _encode(self, stream: VideoStream | AudioStream, frame: Any) -> None:
        if self._closed:
            raise SinkError(f"The recording is already closed: {self.path}")
        try:
            self._mux(stream, frame)
        except FFmpegError as error:
            self._file.fail(error)
        if self._file.error is not None:
            self._closed = True
            self._finish()
            raise self._failure(self._file.error)

    def _mux(self, stream: VideoStream | AudioStream, frame: Any) -> None:
        for packet in stream.encode(frame):
            if stream is self._video:
                packet.duration = self._frame_ticks  # else the last picture has no length
            self._container.mux(packet)

    def _finish(self) -> None:
        """Write the trailer (into nothing after a failure) and close the file."""
        try:
            self._container.close()
        except (FFmpegError, OSError) as error:
            self._file.fail(error)
        self._file.close()

    def _failure(self, error: Exception) -> SinkError:
        if getattr(error, "errno", None) == errno.ENOSPC:
            return SinkError(
                "The disk is full, so the recording ended; what was written can be played. Free "
                f"some space or record to another disk: {self.path}"
            )
        if getattr(error, "errno", None) == errno.EFBIG:
            return SinkError(
                "The disk takes no larger file, so the recording ended; what was written can be "
                f"played. Record in shorter pieces or to another disk: {self.path}"
            )
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return SinkError(
            f"The recording ended ({reason}); what was written can be played: {self.path}"
        )
