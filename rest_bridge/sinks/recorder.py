"""Records what is shown and heard into a video file.

A `FrameSink` around `VideoWriter`: the file starts at the first frame it gets, pictures and voice
keep their media times. When encoding is too slow the runner drops pictures and `skip` keeps their
voice, so a recording may stutter but never loses sync.
"""

import logging
from pathlib import Path
from typing import Final, Literal

from rest_bridge.sinks.video_writer import VideoWriter, container_of
from rest_bridge.types import VOICE_RATE_HZ, Frame, FrameFormat

__all__ = ["Recorder", "VideoWriter"]

_NS_PER_S: Final = 1_000_000_000
_log = logging.getLogger(__name__)


class Recorder:
    """Writes the stream into `path`; the ending chooses the format (see `VideoWriter`).

    Args:
        path: file to write; an existing one is replaced.
        background: colour behind the face in formats without transparency.

    Raises:
        SinkUnavailable: the ending is not one we write.
    """

    name = "recorder"
    policy: Literal["latest", "every"] = "every"

    def __init__(self, path: Path, *, background: str = "#202428") -> None:
        container_of(path)
        self.path = path
        self._background = background
        self._writer: VideoWriter | None = None
        self._start_ns: int | None = None
        self._stream: tuple[str, int] = ("", 0)
        self._end_ns = 0

    def open(self, fmt: FrameFormat) -> None:
        """Create the file.

        Args:
            fmt: size and rate of the video.

        Raises:
            SinkUnavailable: the file cannot be written.
            ConfigError: the background is neither a colour nor a picture.
        """
        self._writer = VideoWriter(self.path, fmt, background=self._background)
        self._frame_ns = round(_NS_PER_S / fmt.fps)

    def send(self, frame: Frame) -> None:
        """Append picture and voice.

        Args:
            frame: the instant.

        Raises:
            SinkError: the disk is full or the file cannot be written on.
        """
        if self._writer is None:
            return
        start_ns = self._place(frame)
        self._write_voice(self._writer, frame, start_ns)
        self._writer.write(frame.rgba, frame.pts_ns - start_ns)

    def skip(self, frame: Frame) -> None:
        """Append the voice of a frame whose picture was dropped.

        Args:
            frame: without a picture.

        Raises:
            SinkError: the disk is full or the file cannot be written on.
        """
        if self._writer is not None:
            self._write_voice(self._writer, frame, self._place(frame))

    def close(self) -> None:
        """Finish the file; idempotent.

        Raises:
            SinkError: the rest could not be written; what was written can be played.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            _log.info("recorded %s", self.path)

    def _place(self, frame: Frame) -> int:
        """Return the media time that is the file's zero for this frame.

        A new stream or epoch whose times begin again is appended behind what was recorded.
        """
        stream = (frame.stream_id, frame.epoch)
        if self._start_ns is None:
            self._start_ns = frame.pts_ns
        elif stream != self._stream and frame.pts_ns - self._start_ns < self._end_ns:
            self._start_ns = frame.pts_ns - self._end_ns
        self._stream = stream
        self._end_ns = max(self._end_ns, frame.pts_ns - self._start_ns + self._frame_ns)
        return self._start_ns

    @staticmethod
    def _write_voice(writer: VideoWriter, frame: Frame, start_ns: int) -> None:
        start_index = start_ns * VOICE_RATE_HZ // _NS_PER_S
        first_index = frame.voice.pts_ns * VOICE_RATE_HZ // _NS_PER_S - start_index
        writer.write_voice(frame.voice.samples, first_index)
