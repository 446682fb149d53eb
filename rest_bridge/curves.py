"""A voice file in, the face's curves out, for animators: no pictures are drawn.

The formats, by the ending of the file: `.json` (everything), `.csv` (as Epic's Live Link Face
records it: Blender, Maya and Unreal add-ons import it), `.bvh` (the head's motion), `.tsv` and
`.rhubarb.json` (mouth shapes A-H and X, see `mouth_cues`). Shape letters: F frames.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from rest_bridge import __version__
from rest_bridge.audio.file import FileSource
from rest_bridge.config import Config
from rest_bridge.errors import ConfigError, SinkError, SinkUnavailable, SourceClosed
from rest_bridge.gallery import Progress
from rest_bridge.loader import Loader
from rest_bridge.metrics import Metrics
from rest_bridge.mouth_cues import as_rhubarb_json, as_tsv, mouth_cues
from rest_bridge.pipeline import Pipeline
from rest_bridge.rig import POSE_NAMES, RIG_NAMES, VISEME_NAMES
from rest_bridge.sinks.rig_clock import instant_of
from rest_bridge.sinks.rig_values import LIVE_LINK_NAMES, live_link_values
from rest_bridge.types import (
    FRAME_RATE_HZ,
    VOICE_RATE_HZ,
    AudioSource,
    FloatArray,
    RigFrame,
)

ENDINGS: Final = (".json", ".csv", ".bvh", ".tsv")
_RHUBARB_JSON: Final = ".rhubarb.json"
_READ_SAMPLES: Final = VOICE_RATE_HZ
_PATIENCE_S: Final = 3600.0
_EYE_DISTANCE_CM: Final = 6.3
"""An adult's, for the head's translation in BVH."""


@dataclass(frozen=True, slots=True)
class Curves:
    """The face over a whole voice; each value belongs to the middle of its frame.

    Attributes:
        sound_file: name of the voice file.
        rigs: one a frame, at 25 fps.
    """

    sound_file: str
    rigs: tuple[RigFrame, ...]

    @property
    def rig(self) -> FloatArray:
        """float32 [F, 58]."""
        return np.stack([rig.values for rig in self.rigs]) if self.rigs else np.zeros((0, 58), "f4")

    @property
    def visemes(self) -> FloatArray:
        """float32 [F, 15]."""
        return (
            np.stack([rig.visemes for rig in self.rigs]) if self.rigs else np.zeros((0, 15), "f4")
        )


def is_curves(path: Path) -> bool:
    """Say whether a file's ending is one of curves rather than of a video."""
    return path.suffix.lower() in ENDINGS


def curves_of_file(
    audio: Path, out: Path, config: Config, *, progress: Progress | None = None
) -> Curves:
    """Write the curves of a voice file.

    Args:
        audio: any format, rate and channel count.
        out: its ending chooses the format; replaced if it exists.
        config: avatar, model and generator count.
        progress: called with the fraction done and what is being done.

    Returns:
        What was written.

    Raises:
        RestBridgeError: the audio, the model or the output cannot be used.
    """
    report = progress or _quiet
    if not out.parent.is_dir():
        raise SinkUnavailable(
            f"The folder of the output does not exist; create it first: {out.parent}"
        )
    if out.exists() and audio.exists() and out.samefile(audio):
        raise ConfigError(f"The output would replace the voice file; choose another name: {out}")
    with FileSource(audio, paced=False) as source:
        loader = Loader(config)
        loader.avatar(report)
        report(0.0, "loading the model")
        pipeline = loader.pipeline(Metrics(), "file", pictures=False)
        curves = make_curves(source, pipeline, report, duration_s=source.duration_s or 0.0)
    curves = replace(curves, sound_file=audio.name)
    write_curves(curves, out)
    return curves


def make_curves(
    source: AudioSource, pipeline: Pipeline, report: Progress, *, duration_s: float
) -> Curves:
    """Generate the motion of a whole voice.

    Args:
        source: read to its end.
        pipeline: at the beginning of its stream, without pictures.
        report: told the progress.
        duration_s: of the voice, as far as known; 0 if not.

    Returns:
        The curves.

    Raises:
        SourceError: the voice cannot be read.
    """
    rigs: list[RigFrame] = []
    for found in _rigs(source, pipeline):
        rigs += found
        done_s = len(rigs) / FRAME_RATE_HZ
        report(min(0.999, done_s / duration_s) if duration_s else 0.0, "listening")
    report(1.0, "done")
    return Curves(source.name, tuple(rigs))


def _rigs(source: AudioSource, pipeline: Pipeline) -> Iterator[list[RigFrame]]:
    while True:
        try:
            chunk = source.read(_READ_SAMPLES, _PATIENCE_S)
        except SourceClosed:
            yield [frame.rig for frame in pipeline.finish()]
            return
        yield [frame.rig for frame in pipeline.push(chunk)]


def write_curves(curves: Curves, path: Path) -> None:
    """Write curves in the format that the file's ending names.

    Args:
        curves: what to write.
        path: replaced if it exists.

    Raises:
        ConfigError: no format has this ending.
        SinkError: the file cannot be written.
    """
    if path.name.lower().endswith(_RHUBARB_JSON):
        text = as_rhubarb_json(mouth_cues(curves.rig, curves.visemes), curves.sound_file)
    elif path.suffix.lower() == ".json":
        text = as_json(curves)
    elif path.suffix.lower() == ".csv":
        text = as_live_link_csv(curves)
    elif path.suffix.lower() == ".bvh":
        text = as_bvh(curves)
    elif path.suffix.lower() == ".tsv":
        text = as_tsv(mouth_cues(curves.rig, curves.visemes))
    else:
        raise ConfigError(
            f'Curves cannot be written as "{path.suffix}"; use {", ".join(ENDINGS)} '
            f"or {_RHUBARB_JSON}: {path}"
        )
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise SinkError(f"The curves cannot be written ({error.strerror}): {path}") from error


def as_json(curves: Curves) -> str:
    """Return everything: names, times in seconds, rig values, visemes, loudness, activity."""
    return json.dumps({
        "generator": f"rest_bridge {__version__}", "synthetic": True,
        "soundFile": curves.sound_file, "fps": FRAME_RATE_HZ,
        "rigNames": list(RIG_NAMES), "visemeNames": list(VISEME_NAMES),
        "frames": [
            {
                "time": round((rig.index + 0.5) / FRAME_RATE_HZ, 3),
                "rig": [round(float(value), 4) for value in rig.values],
                "visemes": [round(float(value), 4) for value in rig.visemes],
                "level": round(rig.speech_level, 4),
                "activity": rig.activity,
            }
            for rig in curves.rigs
        ],
    })  # fmt: skip


def as_live_link_csv(curves: Curves) -> str:
    """Return a table as Epic's Live Link Face app records it: timecode, count, 61 values."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["Timecode", "BlendshapeCount", *LIVE_LINK_NAMES])
    for rig in curves.rigs:
        seconds, frame = divmod(rig.index, FRAME_RATE_HZ)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        code = f"{hours:02d}:{minutes:02d}:{seconds:02d}:{frame:02d}.000"
        values = live_link_values(instant_of(rig))
        table.writerow([code, len(values), *(f"{value:.6f}" for value in values)])
    return text.getvalue()


def as_bvh(curves: Curves) -> str:
    """Return the head's motion as Biovision hierarchy: one joint, six channels.

    BVH turns about Z, then X, then Y, as our pose does; x to the picture's right, y up, in cm.
    """
    lines = [
        "HIERARCHY", "ROOT Head", "{", "  OFFSET 0.0 0.0 0.0",
        "  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation",
        "  End Site", "  {", "    OFFSET 0.0 18.0 0.0", "  }", "}",
        "MOTION", f"Frames: {len(curves.rigs)}", f"Frame Time: {1 / FRAME_RATE_HZ:.6f}",
    ]  # fmt: skip
    columns = {name: index for index, name in enumerate(POSE_NAMES)}
    for rig in curves.rigs:
        pose = {name: float(rig.values[index]) for name, index in columns.items()}
        moved = [_EYE_DISTANCE_CM * pose[name] for name in ("headX", "headY")]
        # What is bigger is nearer: 10 % of an arm's length (60 cm) for 10 % of the size.
        turned = [pose[name] for name in ("headRoll", "headPitch", "headYaw")]
        lines.append(" ".join(f"{v:.4f}" for v in (*moved, 60 * pose["headZ"], *turned)))
    return "\n".join(lines) + "\n"


def _quiet(_done: float, _text: str) -> None:
    """Report nothing."""
