"""`rest-bridge serve`: several faces in one process."""

from pathlib import Path
from typing import Annotated

import typer

from rest_bridge.commands.console import ExitCode, err, out, print_error
from rest_bridge.commands.options import ConfigOption, SetOption, SizeOption, configure
from rest_bridge.errors import ConfigError


def serve(
    faces: Annotated[
        str,
        typer.Argument(
            help="Built-in faces, pictures or avatar files, with commas between; or a number of "
            "built-in faces."
        ),
    ] = "2",
    audio: Annotated[
        str | None,
        typer.Option("--audio", help="Voice of every face: push (default), a file, mic, a device."),
    ] = None,
    own: Annotated[
        list[Path] | None,
        typer.Option("--own", help="A configuration file of its own for a further face; repeat."),
    ] = None,
    size: SizeOption = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="End after so many seconds.", min=0.1)
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> int:
    """Run several faces at once, each with ports of its own: the first one's plus 20, plus 40 ...

    They share the networks, whose steps run for all of them together. A face that fails ends alone.
    """
    from rest_bridge.many import Ensemble, face_configs

    options = {"audio.source": audio or "push", "output.size": size}
    base = configure(config, settings, options).config
    found = face_configs(base, _names(faces))
    for path in own or []:
        found[path.stem] = configure(path, settings, {}).config
    for name, one in found.items():
        page = f", page {one.preview.port}" if one.preview.enabled else ""
        err.print(f"{name}: frames {one.endpoints.frames}, control {one.endpoints.control}{page}")
    ensemble = Ensemble(
        found, seconds=seconds, on_message=lambda name, text: out.print(f"{name}: {text}")
    )
    try:
        ends = ensemble.run()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    failed = [end for end in ends if end.outcome is None]
    for end in failed:
        print_error(f"{end.name}: {end.error}")
    return ExitCode.FAILED if failed else ExitCode.OK


def _names(faces: str) -> list[str]:
    if not faces.isdigit():
        return [name.strip() for name in faces.split(",") if name.strip()]
    from rest_bridge.gallery import built_in_faces

    known = list(built_in_faces())
    if not known:
        raise ConfigError("There are no built-in faces; name pictures instead of a number.")
    return [known[number % len(known)] for number in range(int(faces))]
