"""The daemon's work by stage, each beside its floor: `rest-bridge bench --profile`.

Voice goes through the pipeline as fast as it goes; each frame is then published to a subscriber
that takes all of them, converted as a camera wants it, and encoded as a browser gets it. The floor
of a stage is the longer of its arithmetic and its bytes at this core's measured peaks
(`machine.Peaks`); what lies between is calls, small arrays, branches, and other programs.
Shape letters: S output pixels, T latent frames a chunk, K denoising steps.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.table import Table

from rest_bridge.audio.file import FileSource
from rest_bridge.config import Config
from rest_bridge.gallery import Progress
from rest_bridge.histogram import stages_svg
from rest_bridge.inference.package import ModelPackage
from rest_bridge.loader import Loader, chunk_of
from rest_bridge.machine import Peaks, describe_machine, measure_peaks
from rest_bridge.metrics import Metrics
from rest_bridge.rehearsal import rehearse
from rest_bridge.trace import recording, span
from rest_bridge.types import LATENT_STRIDE, VOICE_RATE_HZ, Frame

STAGES: Final[dict[str, str]] = {
    "features": "48 to 16 kHz, log-mel, speech encoder; for 10 ms of voice",
    "motion": "DiT: a pass for each step and one to commit",
    "network": "the decoder's correction of the flow",
    "fields": "pose, expression, lips, lids: what moves",
    "flow": "what moves, at the output's size",
    "eyes": "where the lids' pixels come from",
    "mouth": "where the lips' pixels come from",
    "warp": "the portrait read there",
    "layers": "eyeballs, teeth, tongue and the line between lips, with edges",
    "alpha": "background that stands still",
    "frame": "times, voice, visemes",
    "publish": "message, socket, for one subscriber to RGBA",
    "convert": "as a virtual camera wants it (only with a camera)",
    "jpeg": "as a browser's picture (only for those who ask)",
}
ON_REQUEST: Final = ("convert", "jpeg")
_READ_SAMPLES: Final = VOICE_RATE_HZ // 25
_MOST_ON_ITS_WAY_MS: Final = 100
"""For a frame from publisher to subscriber; the first ones are lost while these connect."""
_BILINEAR_OPERATIONS: Final = 36.0
"""Of a pixel with four channels: 4 x 3 mixtures of 2 operations, and its place, 12."""


@dataclass(frozen=True, slots=True)
class StageTime:
    """What a stage takes.

    Attributes:
        name: of `STAGES`.
        per_second: how often it runs in a second of stream.
        ms: median of one run.
        core_percent: share of one core that it takes, all its runs together.
        floor_ms: least time of one run; 0 where nothing but calls is to be done.
        times_floor: ms over floor_ms; 0 where there is no floor.
    """

    name: str
    per_second: float
    ms: float
    core_percent: float
    floor_ms: float
    times_floor: float


@dataclass(frozen=True, slots=True)
class Profile:
    """All stages of one run.

    Attributes:
        machine: in words.
        size_px: of the pictures.
        fps: of the stream.
        media_s: seconds of voice.
        peaks: of one core.
        stages: in the order of a frame's way.
        core_percent: of all stages but those on request.
    """

    machine: str
    size_px: int
    fps: int
    media_s: float
    peaks: Peaks
    stages: list[StageTime]
    core_percent: float


def profile(
    config: Config, voice: Path, *, seconds: float, progress: Progress | None = None
) -> Profile:
    """Run the stages and time them.

    Args:
        config: avatar, model, output, generator.
        voice: audio file, repeated as needed.
        seconds: of voice.
        progress: called with the fraction done and what is being done.

    Returns:
        The times.

    Raises:
        RestBridgeError: the face, the model or the voice cannot be used.
    """
    report = progress or (lambda _done, _text: None)
    report(0.0, "loading")
    loader = Loader(config)
    pipeline = loader.pipeline(Metrics(), "live")
    rehearse(pipeline)
    peaks = measure_peaks()
    outlets = Outlets(config.output.size, config.output.fps)
    num_samples = 0
    try:
        with FileSource(voice, paced=False, loop=True) as source, recording() as recorder:
            while num_samples < seconds * VOICE_RATE_HZ:
                report(num_samples / (seconds * VOICE_RATE_HZ), "profiling")
                chunk = source.read(_READ_SAMPLES, 10.0)
                num_samples += len(chunk.samples)
                for frame in pipeline.push(chunk):
                    outlets.send(frame)
    finally:
        outlets.close()
    media_s = num_samples / VOICE_RATE_HZ
    floors = floors_ms(loader.package, config, peaks, pipeline.stages.motion)
    stages = summarise(recorder.durations_ns, media_s, floors)
    total = sum(stage.core_percent for stage in stages if stage.name not in ON_REQUEST)
    report(1.0, "done")
    return Profile(
        describe_machine(), config.output.size, config.output.fps, media_s, peaks, stages, total
    )


def summarise(
    durations_ns: Mapping[str, list[int]], media_s: float, floors: Mapping[str, float]
) -> list[StageTime]:
    """Turn spans into stages.

    Args:
        durations_ns: of `trace.Recorder`.
        media_s: seconds of stream in which they were recorded.
        floors: milliseconds, by stage.
    """
    found: list[StageTime] = []
    for name in STAGES:
        spans = durations_ns.get(name)
        if not spans:
            continue
        ms, floor = float(np.median(spans)) / 1e6, floors.get(name, 0.0)
        found.append(
            StageTime(
                name,
                per_second=len(spans) / media_s,
                ms=ms,
                core_percent=100 * sum(spans) / 1e9 / media_s,
                floor_ms=floor,
                times_floor=ms / floor if floor else 0.0,
            )
        )
    return found


def floors_ms(
    package: ModelPackage, config: Config, peaks: Peaks, motion: object
) -> dict[str, float]:
    """Return the least time of one run of each stage, from its operations and bytes.

    Weights count as read once a run. The networks' operations: two a weight and token, for the
    decoder's convolutions two a weight and cell.

    Args:
        package: sizes of the networks.
        config: size of the pictures, chunk, steps.
        peaks: of one core.
        motion: the DiT's stage; tells its number of steps.
    """
    sizes = {name: int(entry["bytes"]) for name, entry in package.manifest["files"].items()}
    chunk = chunk_of(config, "live")
    tokens = chunk * LATENT_STRIDE // 2
    dit = sizes.get("dit.onnx", 0) + sizes.get("dit_weights.bin", 0)
    passes = int(getattr(motion, "num_steps", 1)) + 1
    speech = sizes.get("speech_encoder.onnx", 0)
    pixels = config.output.size**2
    # Parts of the face, as shares of the picture: both eyes' boxes, the mouth's, as in our faces.
    eyes, mouth = 0.04 * pixels / 2, 0.05 * pixels
    picture = 4 * pixels
    return {
        "features": peaks.floor_ms(7e4 + speech / 4 * 2 / 8, speech / 8),
        "motion": passes * peaks.floor_ms(2 * dit / 4 * tokens, dit),
        "network": peaks.floor_ms(*_decoder_work(package, sizes)),
        "fields": peaks.floor_ms(4 * 7 * 60 * 64**2, 25 * 64**2 * 2 * 4 * 4),
        "flow": peaks.floor_ms(10 * pixels, 16 * pixels),
        "eyes": peaks.floor_ms(_BILINEAR_OPERATIONS * eyes, 40 * eyes),
        "mouth": peaks.floor_ms(3 * _BILINEAR_OPERATIONS * mouth, 96 * mouth),
        "warp": peaks.floor_ms(_BILINEAR_OPERATIONS * pixels, picture * 2 + 8 * pixels),
        "layers": peaks.floor_ms(_BILINEAR_OPERATIONS * (eyes + mouth) / 4, 6 * (eyes + mouth)),
        "alpha": peaks.floor_ms(0, picture / 4),
        "publish": peaks.floor_ms(0, 2 * picture),
        "convert": peaks.floor_ms(12 * pixels, 2 * picture),
    }


def _decoder_work(package: ModelPackage, sizes: Mapping[str, int]) -> tuple[float, float]:
    """Return operations and bytes of the flow decoder, from its width (model.vae.FlowDecoder)."""
    if not package.has("decoder.onnx"):
        return 0.0, 0.0
    width = int(package.section("decoder").get("width", 12))
    convolutions = (
        (4 * width, 4 * width, 8), (7 * width + 2, 3 * width, 16), (5 * width + 2, 2 * width, 32),
        (3 * width + 2, width, 64), (width, width, 64),
        (3 * width, 2, 16), (2 * width, 2, 32), (width, 2, 64),
    )  # fmt: skip
    operations = sum(2 * 9 * n_in * n_out * cells**2 for n_in, n_out, cells in convolutions)
    stored = sizes["decoder.onnx"] + sizes.get("decoder_weights.bin", 0)
    return float(operations), float(stored)


class Outlets:
    """What happens to a frame behind the pacer: one subscriber, a camera, a browser's picture."""

    def __init__(self, size_px: int, fps: int) -> None:
        """Open a publisher on free ports of this computer.

        Args:
            size_px: of the frames.
            fps: of the stream.
        """
        import zmq

        from rest_bridge.sinks.convert import FrameFitter
        from rest_bridge.sinks.publisher import ZeroMqPublisher
        from rest_bridge.types import FrameFormat

        self._publisher = ZeroMqPublisher(
            frames_endpoint="tcp://127.0.0.1:*", events_endpoint="tcp://127.0.0.1:*"
        )
        self._publisher.open(FrameFormat(size_px, size_px, fps))
        self._context = zmq.Context()
        self._reader = self._context.socket(zmq.SUB)
        self._reader.subscribe(b"RGBA")
        self._reader.connect(self._publisher.frames_endpoint)
        self._again = zmq.Again
        self._no_wait = zmq.NOBLOCK
        self._fitter = FrameFitter(1280, 720, background="#202428")

    def send(self, frame: Frame) -> None:
        """Do all of it, each in its span."""
        import cv2

        with span("publish"):
            self._publisher.send(frame)
        with span("convert"):
            self.convert(frame)
        with span("jpeg"):
            cv2.imencode(".jpg", cv2.cvtColor(frame.rgba, cv2.COLOR_RGBA2BGR))
        self._take()

    def publish(self, frame: Frame) -> None:
        """Publish a frame, and wait until the subscriber has it: sockets have a thread."""
        self._publisher.send(frame)
        self._reader.poll(_MOST_ON_ITS_WAY_MS)
        self._take()

    def convert(self, frame: Frame) -> None:
        """Turn a frame into what a camera of 1280 x 720 shows."""
        self._fitter.rgb(frame.rgba)

    def _take(self) -> None:
        while True:
            try:
                self._reader.recv(self._no_wait)
            except self._again:
                break

    def close(self) -> None:
        """Close the sockets."""
        self._reader.close(0)
        self._publisher.close()
        self._context.term()


def as_dict(result: Profile) -> dict[str, Any]:
    """Return the profile as plain numbers and texts, rounded."""
    found = asdict(result)
    found["stages"] = [
        {k: round(v, 4) if isinstance(v, float) else v for k, v in stage.items()}
        for stage in found["stages"]
    ]
    found["peaks"] = {k: round(v, 1) for k, v in found["peaks"].items()}
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()}


def picture(result: Profile) -> str:
    """Return the stages as bars, with their floors (SVG): milliseconds in a second of stream."""
    shown = [stage for stage in result.stages if stage.name not in ON_REQUEST]
    return stages_svg(
        f"{result.size_px} px, {result.fps} fps: ms of one core in a second of stream",
        {stage.name: 10 * stage.core_percent for stage in shown},
        {stage.name: stage.floor_ms * stage.per_second for stage in shown if stage.floor_ms},
        note=f"{result.machine}; floor: arithmetic at {result.peaks.gflops:.0f} GFLOP/s or bytes "
        f"at {result.peaks.copy_gb_per_s:.0f} GB/s, whichever is longer",
    )


def card(result: Profile) -> Table:
    """Return the profile as a table for a terminal."""
    table = Table(
        title=f"{result.size_px} px, {result.fps} fps · {result.machine}", title_justify="left"
    )
    for column in ("stage", "runs/s", "ms", "% of a core", "floor ms", "times floor"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage in result.stages:
        floor = (
            (f"{stage.floor_ms:.3f}", f"{stage.times_floor:.1f}") if stage.floor_ms else ("", "")
        )
        dim = "dim" if stage.name in ON_REQUEST else None
        table.add_row(
            stage.name, f"{stage.per_second:.1f}", f"{stage.ms:.3f}",
            f"{stage.core_percent:.1f}", *floor, style=dim,
        )  # fmt: skip
    table.add_row("all but the dim ones", "", "", f"{result.core_percent:.1f}", "", "")
    table.caption = (
        f"one core: {result.peaks.gflops:.0f} GFLOP/s in a matrix product, "
        f"{result.peaks.copy_gb_per_s:.0f} GB/s in a copy"
    )
    return table
