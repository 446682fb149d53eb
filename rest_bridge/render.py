"""A voice file and a portrait in, a video file out: faster than real time, the same every time.

The same pipeline as the daemon's, without clocks: the voice is read as fast as it is decoded, every
frame is written, none is repeated. Encoding runs beside the generator in a thread of its own.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rest_bridge.audio.file import FileSource
from rest_bridge.config import Config
from rest_bridge.errors import ConfigError, SinkUnavailable, SourceClosed
from rest_bridge.gallery import Progress
from rest_bridge.handoff import FrameQueue
from rest_bridge.loader import Loader
from rest_bridge.metrics import Metrics
from rest_bridge.pipeline import Pipeline
from rest_bridge.sinks.video_writer import VideoWriter, container_of
from rest_bridge.types import VOICE_RATE_HZ, AudioSource, Frame, FrameFormat

_READ_SAMPLES: Final = VOICE_RATE_HZ // 5
_WAITING_FRAMES: Final = 8
_PATIENCE_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was written.

    Attributes:
        path: the video file.
        num_frames: pictures in it.
        media_s: its length.
        wall_s: how long it took, loading left out.
    """

    path: Path
    num_frames: int
    media_s: float
    wall_s: float

    @property
    def rtf(self) -> float:
        """Time it took for each second of video; below 1 is faster than real time."""
        return self.wall_s / max(self.media_s, 1e-9)


def render_file(
    audio: Path, out: Path, config: Config, *, progress: Progress | None = None
) -> Rendered:
    """Let the configured avatar speak an audio file into a video file.

    Args:
        audio: any format, rate and channel count.
        out: .mp4, .webm (transparent) or .mov (transparent); replaced if it exists.
        config: avatar, model, output, generator and recording.background count.
        progress: called with the fraction done and what is being done.

    Returns:
        What was written.

    Raises:
        RestBridgeError: the audio, the portrait, the model or the output cannot be used.
    """
    report = progress or _quiet
    _check_output(audio, out)
    with FileSource(audio, paced=False) as source:
        loader = Loader(config)
        loader.avatar(report)
        report(0.0, "loading the model")
        metrics = Metrics()
        pipeline = loader.pipeline(metrics, "file")
        size = config.output.size
        fmt = FrameFormat(size, size, config.output.fps)
        total = (source.duration_s or 0.0) * fmt.fps
        with VideoWriter(out, fmt, background=config.recording.background) as writer:
            return write_stream(source, pipeline, writer, fmt, report, total_frames=total)


def write_stream(
    source: AudioSource,
    pipeline: Pipeline,
    writer: VideoWriter,
    fmt: FrameFormat,
    report: Progress,
    *,
    total_frames: float,
) -> Rendered:
    """Generate and write everything a source has.

    Args:
        source: read to its end.
        pipeline: at the beginning of its stream.
        writer: takes pictures and voice; stays open.
        fmt: size and rate.
        report: told the progress.
        total_frames: how many are expected; 0 if unknown.

    Returns:
        What was written.

    Raises:
        RestBridgeError: reading or writing failed.
    """
    begin_s = time.monotonic()
    queue = FrameQueue(_WAITING_FRAMES)
    encoder = _Encoder(queue, writer)
    encoder.start()
    try:
        for frames in _generate(source, pipeline):
            for frame in frames:
                queue.put(frame, timeout_s=_PATIENCE_S)
            if encoder.error is not None:
                break
            done = pipeline.num_frames / total_frames if total_frames else 0.0
            report(min(done, 0.999), "rendering")
    finally:
        queue.close()
        encoder.join()
    if encoder.error is not None:
        raise encoder.error
    wall_s = time.monotonic() - begin_s
    report(1.0, "done")
    return Rendered(writer.path, pipeline.num_frames, pipeline.num_frames / fmt.fps, wall_s)


def _generate(source: AudioSource, pipeline: Pipeline) -> Iterator[list[Frame]]:
    while True:
        try:
            chunk = source.read(_READ_SAMPLES, _PATIENCE_S)
        except SourceClosed:
            yield pipeline.finish()
            return
        yield pipeline.push(chunk)


class _Encoder(threading.Thread):
    """Writes frames from a queue; closes the queue when it fails, so that nobody waits for it."""

    def __init__(self, queue: FrameQueue, writer: VideoWriter) -> None:
        super().__init__(name="encoder", daemon=True)
        self._queue = queue
        self._writer = writer
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while not self._queue.drained:
                frame = self._queue.get(_PATIENCE_S)
                if frame is not None:
                    self._write(frame)
        except Exception as error:  # noqa: BLE001 - the top of a thread
            self.error = error
            self._queue.close(discard=True)

    def _write(self, frame: Frame) -> None:
        self._writer.write(frame.rgba, frame.pts_ns)
        self._writer.write_voice(frame.voice.samples, frame.voice.first_index)


def _check_output(audio: Path, out: Path) -> None:
    """Refuse what cannot work before anything is loaded."""
    container_of(out)
    if not out.parent.is_dir():
        raise SinkUnavailable(
            f"The folder of the output does not exist; create it first: {out.parent}"
        )
    if out.exists() and audio.exists() and out.samefile(audio):
        raise ConfigError(f"The output would replace the voice file; choose another name: {out}")


def _quiet(_done: float, _text: str) -> None:
    """Report nothing."""
