"""`rest-bridge ctl`: steer the daemon that runs on this computer, or on another one.

Every sub-command is one request of plugins/PROTOCOL.md, section Control. Names of faces, devices
and outputs are completed by asking the daemon itself.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from rest_bridge.commands.asking import (
    OUTPUT_NAMES,
    SLOW_S,
    ask,
    complete_avatar,
    complete_expression,
    complete_output,
    complete_source,
    full_path,
    on_off,
    parse_values,
    say,
    start_stop,
)
from rest_bridge.commands.console import out, print_json, progress
from rest_bridge.commands.options import ConfigOption, JsonOption
from rest_bridge.commands.watching import status_lines, watch_daemon

app = typer.Typer(
    no_args_is_help=True,
    help="Steer the running daemon: face, mood, voice, outputs, recording, mute.",
)

EndpointOption = Annotated[
    str | None,
    typer.Option("--endpoint", help="Control address, if it is not the configured one."),
]
OnOff = Annotated[str, typer.Argument(metavar="on|off", help="on or off.")]


# ------------------------------------------------------------------------------- look


@app.command()
def status(
    watch: Annotated[
        float | None, typer.Option("--watch", help="Go on, every so many seconds.", min=0.1)
    ] = None,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Say what the daemon does: phase, latency by stage, tier, outputs, mute, face, voice."""
    if watch is not None:
        watch_daemon(watch, endpoint, config, json=json)
        return
    reply = ask("status", endpoint=endpoint, config=config)
    if json:
        print_json(reply)
    else:
        for line in status_lines(reply):
            out.print(line)


@app.command()
def avatars(
    endpoint: EndpointOption = None, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """List the faces at hand."""
    reply = ask("avatars", endpoint=endpoint, config=config)
    if json:
        print_json(reply)
        return
    for face in reply["avatars"]:
        out.print(f"{'*' if face['active'] else ' '} {face['id']:12} {face['name']}")


@app.command()
def devices(
    endpoint: EndpointOption = None, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """List the devices of the computer that the daemon runs on."""
    reply = ask("devices", endpoint=endpoint, config=config, timeout_s=SLOW_S)
    if json:
        print_json(reply)
        return
    for kind, listing in reply["devices"].items():
        for device in listing["devices"]:
            out.print(f"{kind:8} {'*' if device['default'] else ' '} {device['name']}")
        if not listing["devices"]:
            out.print(f"{kind:8}   none: {listing['reason']}")


@app.command("config")
def show_config(
    endpoint: EndpointOption = None, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Show the configuration that the daemon began with."""
    from rest_bridge.config_text import settings_lines

    reply = ask("config.show", endpoint=endpoint, config=config)
    if json:
        print_json(reply)
        return
    for line in settings_lines(reply["config"]):
        out.print(line)


# ------------------------------------------------------------------------------- face


@app.command()
def avatar(
    name: Annotated[
        str,
        typer.Argument(
            help="Built-in face, picture or avatar file.", autocompletion=complete_avatar
        ),
    ],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Like face=2.")
    ] = None,
    prepare: Annotated[
        bool, typer.Option("--import", help="Only import the picture, to be shown later.")
    ] = False,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show another face, without a gap; a new picture is imported first."""
    operation, key = ("avatar.import", "picture") if prepare else ("avatar.set", "avatar")
    body = {key: full_path(name), "options": parse_values(settings)}
    with progress(f"importing {name}", quiet=json) as report:
        reply = ask(
            operation,
            body,
            endpoint=endpoint,
            config=config,
            timeout_s=SLOW_S,
            on_progress=report,
        )
    say(reply, json=json)


@app.command()
def expression(
    wish: Annotated[
        str | None,
        typer.Argument(
            help="neutral, happy, sad=0.5, happy=0.4,brow=-0.2 ...",
            autocompletion=complete_expression,
        ),
    ] = None,
    strength: Annotated[
        float | None, typer.Argument(help="0..1, where only a name was given.", min=-1, max=1)
    ] = None,
    gaze: Annotated[str | None, typer.Option("--gaze", help="x,y from -1 to 1, or free.")] = None,
    head_motion: Annotated[
        float | None, typer.Option("--head-motion", help="0 still .. 1 normal .. 2 vivid.")
    ] = None,
    blink_rate: Annotated[
        float | None, typer.Option("--blink-rate", help="0 never .. 1 normal .. 3.")
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Neutral, nothing asked for.")] = False,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Ask for an expression, a gaze, an amount of head motion or blinks."""
    from rest_bridge.wishes import parse_expression, parse_gaze

    body: dict[str, Any] = {"reset": reset} if reset else {}
    if wish is not None:
        if strength is not None and "=" not in wish:
            wish = f"{wish}={strength}"
        body["expression"] = parse_expression(wish)
    if gaze is not None:
        body["gaze"] = parse_gaze(gaze)
    if head_motion is not None:
        body["head_motion"] = head_motion
    if blink_rate is not None:
        body["blink_rate"] = blink_rate
    say(ask("expression", body, endpoint=endpoint, config=config), json=json)


# ------------------------------------------------------------------------------- voice


@app.command()
def source(
    name: Annotated[
        str,
        typer.Argument(help="mic, system, push, a device, a file.", autocompletion=complete_source),
    ],
    device: Annotated[
        str | None, typer.Argument(help="A device's name, after mic.", show_default=False)
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Start a file again at its end.")] = False,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Listen to another voice; the one so far stays if it cannot be opened."""
    chosen = device if name == "mic" and device else name
    body = {"source": full_path(chosen), "options": {"loop": True} if loop else {}}
    say(ask("source.set", body, endpoint=endpoint, config=config, timeout_s=SLOW_S), json=json)


@app.command()
def mute(
    state: OnOff = "on",
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Let the face, and everybody behind it, hear silence."""
    say(ask("mute", {"on": on_off(state)}, endpoint=endpoint, config=config), json=json)


@app.command()
def pause(
    state: OnOff = "on",
    idle: Annotated[
        bool, typer.Option("--idle", help="The face goes on idling; else the picture stands still.")
    ] = False,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Stop the face, in silence."""
    body = {"on": on_off(state), "show": "idle" if idle else "picture"}
    say(ask("pause", body, endpoint=endpoint, config=config), json=json)


@app.command()
def flush(
    utterances: Annotated[
        list[str] | None, typer.Argument(help="Names of pushed lines; all if left out.")
    ] = None,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Interrupt pushed speech: voice and face stop within two frames."""
    body = {"utterances": utterances} if utterances else {}
    say(ask("flush", body, endpoint=endpoint, config=config), json=json)


@app.command()
def speech(
    endpoint: EndpointOption = None, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Say what of pushed speech waits."""
    say(ask("speech", endpoint=endpoint, config=config), json=json)


@app.command("push-to-talk")
def push_to_talk(
    state: OnOff = "on",
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Be muted unless `rest-bridge ctl talk`, or a client, holds the key."""
    say(ask("push_to_talk", {"on": on_off(state)}, endpoint=endpoint, config=config), json=json)


@app.command()
def talk(
    seconds: Annotated[
        float, typer.Argument(help="How long, 0 lets the key go.", min=0, max=60)
    ] = 5.0,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Hold the key of push-to-talk for some seconds."""
    body = {"held": True, "timeout_s": seconds} if seconds > 0 else {"held": False}
    say(ask("push_to_talk", body, endpoint=endpoint, config=config), json=json)


# ------------------------------------------------------------------------------- outputs


@app.command()
def output(
    action: Annotated[str, typer.Argument(metavar="start|stop", help="What to do.")],
    name: Annotated[
        str,
        typer.Argument(help=", ".join(OUTPUT_NAMES), autocompletion=complete_output),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Keys of its section of the config."),
    ] = None,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Start or stop an output while the face is live."""
    body: dict[str, Any] = {"output": name}
    if start_stop(action):
        body["options"] = parse_values(settings)
    reply = ask(f"output.{action}", body, endpoint=endpoint, config=config, timeout_s=SLOW_S)
    say(reply, json=json)


@app.command()
def camera(
    action: Annotated[str, typer.Argument(metavar="start|stop", help="What to do.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Like mirror=true or background=blur."),
    ] = None,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Start or stop the virtual camera."""
    output(action, "camera", settings, endpoint, config, json=json)


@app.command()
def record(
    action: Annotated[str, typer.Argument(metavar="start|stop", help="What to do.")],
    path: Annotated[
        Path | None,
        typer.Argument(help=".mp4, .webm or .mov; a new file among your videos if left out."),
    ] = None,
    endpoint: EndpointOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Start or stop a recording."""
    body = {"path": str(path.expanduser().absolute())} if start_stop(action) and path else {}
    reply = ask(f"recording.{action}", body, endpoint=endpoint, config=config, timeout_s=SLOW_S)
    say(reply, json=json)


@app.command()
def stop(
    endpoint: EndpointOption = None, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """End the daemon, as Ctrl-C does."""
    say(ask("stop", endpoint=endpoint, config=config), json=json)
