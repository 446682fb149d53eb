"""Options that several commands share, and how they become a configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from rest_bridge.config_sources import LoadedConfig, load_config
from rest_bridge.errors import ConfigError

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Configuration file instead of the per-user one."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set any key, like output.size=720."),
]
AvatarOption = Annotated[
    str | None,
    typer.Option("--avatar", "-a", help="Built-in face, picture, or avatar file (.npz)."),
]
AudioOption = Annotated[
    str | None,
    typer.Option("--audio", help="mic, system, push, a device's name, or a file."),
]
SizeOption = Annotated[
    int | None, typer.Option("--size", help="Width and height of the picture, pixels.")
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Same seed and voice, same frames.", min=0)
]
SecondsOption = Annotated[
    float | None, typer.Option("--seconds", help="Stop after this many seconds.", min=0.1)
]
ExpressionOption = Annotated[
    str | None,
    typer.Option("--expression", help="Like happy, happy=0.6 or happy=0.5,brow=-0.3."),
]
GazeOption = Annotated[
    str | None, typer.Option("--gaze", help="Where the eyes look: x,y from -1 to 1, or free.")
]
HeadMotionOption = Annotated[
    float | None,
    typer.Option("--head-motion", help="0 still .. 1 normal .. 2 vivid.", min=0, max=2),
]
BlinkRateOption = Annotated[
    float | None, typer.Option("--blink-rate", help="0 never .. 1 normal .. 3.", min=0, max=3)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON for programs to stdout.")]


def steering_settings(
    expression: str | None, gaze: str | None, head_motion: float | None, blink_rate: float | None
) -> dict[str, Any]:
    """Return the configuration that the options of a face's mood ask for."""
    return {
        "steering.expression": expression,
        "steering.gaze": gaze,
        "steering.head_motion": head_motion,
        "steering.blink_rate": blink_rate,
    }


def parse_settings(settings: Sequence[str] | None) -> dict[str, str]:
    """Return key -> value of `--set KEY=VALUE` options; keys are checked by `load_config`.

    Raises:
        ConfigError: an option lacks its "=".
    """
    found: dict[str, str] = {}
    for setting in settings or ():
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f'--set "{setting}" lacks its "="; write --set output.size=720.')
        found[key.strip()] = value.strip().strip('"')
    return found


def configure(
    path: Path | None, settings: Sequence[str] | None, options: Mapping[str, Any]
) -> LoadedConfig:
    """Load the configuration with a command's options on top.

    Raises:
        ConfigError: see `load_config`.
    """
    path = None if path is None else path.expanduser()
    return load_config(path, overrides={**parse_settings(settings), **options})
