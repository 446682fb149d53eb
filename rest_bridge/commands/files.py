"""`rest-bridge render`: a voice file and a portrait in, a video or curves out."""

from pathlib import Path
from typing import Annotated

import typer

from rest_bridge.commands.console import out, print_json, progress
from rest_bridge.commands.options import (
    AvatarOption,
    BlinkRateOption,
    ConfigOption,
    ExpressionOption,
    GazeOption,
    HeadMotionOption,
    JsonOption,
    SeedOption,
    SetOption,
    SizeOption,
    configure,
    steering_settings,
)
from rest_bridge.config import Config
from rest_bridge.types import FRAME_RATE_HZ


def render(
    audio: Annotated[Path, typer.Argument(help="Voice: wav, flac, mp3, ogg, m4a, ...")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Video to write: .mp4; .webm or .mov keep transparency. "
            "Or the face's curves: .json, .csv (Live Link), .bvh, .tsv or .rhubarb.json (Rhubarb).",
        ),
    ] = Path("talking.mp4"),
    avatar: AvatarOption = None,
    size: SizeOption = None,
    fps: Annotated[
        int | None, typer.Option("--fps", help="Frames per second: 24, 25, 30, 50 or 60.")
    ] = None,
    seed: SeedOption = None,
    expression: ExpressionOption = None,
    gaze: GazeOption = None,
    head_motion: HeadMotionOption = None,
    blink_rate: BlinkRateOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Let a portrait speak a file, faster than real time, the same every time."""
    options = {
        "avatar.picture": avatar,
        "output.size": size,
        "output.fps": fps,
        "generator.seed": seed,
        **steering_settings(expression, gaze, head_motion, blink_rate),
    }
    chosen = configure(config, settings, options).config
    from rest_bridge.curves import is_curves
    from rest_bridge.render import render_file

    if is_curves(output):
        _write_curves(audio.expanduser(), output.expanduser(), chosen, json=json)
        return
    with progress("starting", quiet=json) as report:
        done = render_file(audio.expanduser(), output.expanduser(), chosen, progress=report)
    if json:
        print_json(
            {
                "file": str(done.path),
                "frames": done.num_frames,
                "media_s": round(done.media_s, 3),
                "wall_s": round(done.wall_s, 3),
                "rtf": round(done.rtf, 3),
            }
        )
        return
    out.print(
        f"Wrote {done.path}: {done.media_s:.1f} s, {done.num_frames} frames, in {done.wall_s:.1f} s"
        f" (RTF {done.rtf:.2f})"
    )


def _write_curves(audio: Path, output: Path, config: Config, *, json: bool) -> None:
    from rest_bridge.curves import curves_of_file

    with progress("starting", quiet=json) as report:
        curves = curves_of_file(audio, output, config, progress=report)
    if json:
        print_json({"file": str(output), "frames": len(curves.rigs)})
        return
    out.print(f"Wrote {output}: {len(curves.rigs) / FRAME_RATE_HZ:.1f} s of curves")
