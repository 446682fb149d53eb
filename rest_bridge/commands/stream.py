"""`rest-bridge demo` and `run`: the live daemon with a status line."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.status import Status as StatusLine

from rest_bridge.commands.console import ExitCode, err, print_error, print_json
from rest_bridge.commands.options import (
    AudioOption,
    AvatarOption,
    BlinkRateOption,
    ConfigOption,
    ExpressionOption,
    GazeOption,
    HeadMotionOption,
    JsonOption,
    SecondsOption,
    SeedOption,
    SetOption,
    SizeOption,
    configure,
    parse_settings,
    steering_settings,
)
from rest_bridge.config import Config
from rest_bridge.config_sources import load_config
from rest_bridge.errors import ConfigError

if TYPE_CHECKING:
    from rest_bridge.daemon import Status

CameraOption = Annotated[
    bool | None, typer.Option("--camera/--no-camera", help="Send to a virtual camera.")
]
VoiceOutOption = Annotated[
    str | None,
    typer.Option(
        "--voice-out",
        help="Play the delayed voice on this device; or default, or cable (a virtual microphone).",
    ),
]
RecordOption = Annotated[
    Path | None, typer.Option("--record", help="Record to this file: .mp4, .webm or .mov.")
]

RigOption = Annotated[
    list[str] | None,
    typer.Option(
        "--rig",
        metavar="WHERE",
        help="Send the face's parameters to vmc, live-link, vtube-studio or lines (stdout).",
    ),
]
_RIGS: Final = {
    "vmc": "vmc", "live-link": "live_link", "vtube-studio": "vtube_studio", "lines": "rig_lines",
}  # fmt: skip


def demo(
    avatar: AvatarOption = None,
    seconds: SecondsOption = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the preview page.")
    ] = True,
    record: RecordOption = None,
    voice_out: VoiceOutOption = None,
    size: SizeOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> int:
    """A built-in face speaks a built-in voice: no microphone, no GPU, no network.

    Shows it in the browser and publishes it over ZeroMQ. Ctrl-C ends it.
    """
    from rest_bridge.gallery import built_in_voice

    options: dict[str, Any] = {
        "audio.source": str(built_in_voice()),
        "audio.loop": True,
        "preview.open_browser": browser,
        "avatar.picture": avatar,
        "recording.path": None if record is None else str(record),
        "voice_out.device": voice_out,
        "output.size": size,
    }
    overrides = {**options, **parse_settings(settings)}
    loaded = load_config(overrides=overrides, use_user_file=False)
    return _run(loaded.config, seconds, _required(options), json=json)


def start(
    config: ConfigOption = None,
    avatar: AvatarOption = None,
    audio: AudioOption = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the control page.")
    ] = True,
    seconds: SecondsOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> int:
    """Open the control page, where everything else is done: face, voice, outputs.

    Goes on as you left it; the first time a built-in face speaks, and the page shows you round.
    Ctrl-C ends it. `rest-bridge` without a command does the same.
    """
    from rest_bridge.commands.starting import settings_to_start_with

    options = {
        "avatar.picture": avatar,
        "audio.source": audio,
        "preview.open_browser": browser,
    }
    begin, notes = settings_to_start_with(configure(config, settings, options))
    for note in notes:
        err.print(note)
    loaded = configure(config, settings, {**begin, **options_given(options)})
    return _run(loaded.config, seconds, frozenset(), json=json)


def options_given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {key: value for key, value in options.items() if value is not None}


def run(
    config: ConfigOption = None,
    audio: AudioOption = None,
    avatar: AvatarOption = None,
    camera: CameraOption = None,
    voice_out: VoiceOutOption = None,
    record: RecordOption = None,
    rig: RigOption = None,
    seconds: SecondsOption = None,
    size: SizeOption = None,
    seed: SeedOption = None,
    expression: ExpressionOption = None,
    gaze: GazeOption = None,
    head_motion: HeadMotionOption = None,
    blink_rate: BlinkRateOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> int:
    """Your voice, your picture: run until Ctrl-C, or until a file has ended."""
    options: dict[str, Any] = {
        "audio.source": audio,
        "avatar.picture": avatar,
        "camera.enabled": camera,
        "voice_out.device": voice_out,
        "recording.path": None if record is None else str(record),
        "output.size": size,
        "generator.seed": seed,
        **steering_settings(expression, gaze, head_motion, blink_rate),
    }
    wanted = [_rig_output(name) for name in rig or ()]
    options.update({f"{name}.enabled": True for name in wanted})
    loaded = configure(config, settings, options)
    lines = loaded.config.rig_lines
    if json and lines.enabled and lines.target == "-":
        raise ConfigError("--json and rig lines would both write to standard output; leave one.")
    required = _required(options) | frozenset(wanted)
    return _run(loaded.config, seconds, required, json=json)


def _rig_output(name: str) -> str:
    if name not in _RIGS:
        raise ConfigError(f'--rig "{name}" is not known; use {", ".join(_RIGS)}.')
    return _RIGS[name]


def _required(options: dict[str, Any]) -> frozenset[str]:
    """Return the outputs that were asked for by name on the command line."""
    outputs = {
        "camera.enabled": "camera",
        "voice_out.device": "voice_out",
        "recording.path": "recording",
    }
    return frozenset(name for key, name in outputs.items() if options.get(key))


def _run(config: Config, seconds: float | None, required: frozenset[str], *, json: bool) -> int:
    from rest_bridge.daemon import run_daemon

    with _status_line(quiet=json) as line:

        def show(status: "Status") -> None:
            if json:
                print_json(asdict(status))
            elif line is not None:
                line.update(_sentence(status))

        outcome = run_daemon(
            config, seconds=seconds, required=required, on_status=show, on_message=err.print
        )
    if json:
        print_json({**asdict(outcome.status), "failures": outcome.failures, "phase": "ended"})
    else:
        err.print(_sentence(outcome.status))
    if outcome.required_failed:
        for failure in outcome.failures:
            print_error(failure)
        return ExitCode.FAILED
    return ExitCode.INTERRUPTED if outcome.interrupted else ExitCode.OK


def _sentence(status: "Status") -> str:
    parts = [f"{status.elapsed_s:.0f} s", status.phase]
    if status.presented:
        parts += [
            *([f"tier {status.tier}"] if status.tier != "full" else []),
            f"{status.fps:.1f} fps",
            f"latency {status.latency_p50_ms:.0f} ms (p95 {status.latency_p95_ms:.0f})"
            + _where(status),
            f"{status.presented} frames, {status.repeated} repeated",
            status.activity,
        ]
    if status.dropped_samples:
        parts.append(f"{status.dropped_samples / 48_000:.1f} s of voice lost: too slow")
    return " · ".join(parts)


def _where(status: "Status") -> str:
    """Say where the latency goes, in four words (medians, ms)."""
    known = {name: summary.p50_ms for name, summary in status.stages.items()}
    if "look_ahead" not in known:
        return ""
    model = known["look_ahead"] + known["assembly"]
    compute = known["encode"] + known["motion"] + known["decode"]
    return (
        f" = model {model:.0f} + device {known['capture']:.0f} + compute {compute:.0f} "
        f"+ pacing {known['pacer']:.0f}"
    )


@contextmanager
def _status_line(*, quiet: bool) -> Generator[StatusLine | None, None, None]:
    """Show one line that changes, where somebody is looking."""
    if quiet or not err.is_terminal:
        yield None
        return
    with err.status("starting ...") as line:
        yield line
