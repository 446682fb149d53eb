"""`rest-bridge obs`: puts the face into OBS, says what is wrong, takes it out again."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rest_bridge.commands.asking import ask
from rest_bridge.commands.console import ExitCode, err, out, print_json
from rest_bridge.commands.options import ConfigOption, JsonOption, configure
from rest_bridge.errors import ConfigError, SinkError

if TYPE_CHECKING:
    from rest_bridge.obs.link import ObsLink

app = typer.Typer(
    no_args_is_help=True,
    help="OBS: the face into the current scene, voice in time; needs the extra `obs`.",
)
PASSWORD_VARIABLE: Final = "REST_BRIDGE_OBS_PASSWORD"
_WAYS: Final = ("auto", "native", "browser")
_LATENCIES: Final = ("low", "balanced", "smooth")

PortOption = Annotated[
    int | None,
    typer.Option("--port", help="Of obs-websocket; OBS's own settings say it.", min=1, max=65535),
]
HostOption = Annotated[str, typer.Option("--host", help="Computer that OBS runs on.")]


@app.command()
def setup(
    way: Annotated[str, typer.Option("--way", help="native, browser, or auto.")] = "auto",
    name: Annotated[str, typer.Option("--name", help="Of the source.")] = "rest_bridge",
    microphone: Annotated[
        str,
        typer.Option(
            "--microphone", help="Keep this microphone of OBS and delay it to fit the picture."
        ),
    ] = "",
    latency: Annotated[
        str, typer.Option("--latency", help="Of the native source: low, balanced or smooth.")
    ] = "balanced",
    latency_ms: Annotated[
        float | None,
        typer.Option("--latency-ms", help="Instead of the daemon's own figure.", min=0, max=20000),
    ] = None,
    camera: Annotated[
        bool, typer.Option("--virtual-camera", help="Start OBS's virtual camera, too.")
    ] = False,
    page: Annotated[
        str, typer.Option("--page", help="The preview page's address, for the browser source.")
    ] = "",
    port: PortOption = None,
    host: HostOption = "127.0.0.1",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Put the face into the scene that is on the air; `undo` takes it out again."""
    from rest_bridge.obs.arrange import Wishes
    from rest_bridge.obs.arrange import setup as arrange
    from rest_bridge.obs.changes import ChangeFile

    if way not in _WAYS:
        raise ConfigError(f'"{way}" is no way into OBS; say native, browser or auto.')
    if latency not in _LATENCIES:
        raise ConfigError(f'"{latency}" is no latency; say low, balanced or smooth.')
    settings = configure(config, None, {}).config
    wishes = Wishes(
        way=way,  # pyright: ignore[reportArgumentType] - one of _WAYS
        name=name,
        address=_short(settings.endpoints.frames, settings.endpoints.events,
                       settings.endpoints.control),
        page=_page(page, settings.preview.port, settings.preview.token, voice=not microphone),
        latency=latency,
        microphone=microphone,
        latency_ms=latency_ms if latency_ms is not None else measured_latency_ms("", config),
        camera=camera,
    )  # fmt: skip
    done: list[str] = []
    with _link(host, port) as obs:
        for sentence in arrange(obs, wishes, ChangeFile()):
            done.append(sentence)
            if not json:
                out.print(sentence)
    if json:
        print_json({"done": done})
    else:
        out.print("`rest-bridge obs check` looks whether all is well, `obs undo` takes it back.")


@app.command()
def check(
    port: PortOption = None,
    host: HostOption = "127.0.0.1",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> int:
    """Say what is wrong between the daemon and OBS, with a remedy for each."""
    from rest_bridge.obs.examine import check as examine

    with _link(host, port) as obs:
        findings = list(examine(obs, lambda address: measured_latency_ms(address, config)))
    ok = all(finding.ok for finding in findings)
    if json:
        print_json({"ok": ok, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            out.print(f"{'ok ' if finding.ok else 'NO '} {finding.text}")
            if finding.remedy:
                out.print(f"    → {finding.remedy}")
    return ExitCode.OK if ok else ExitCode.FAILED


@app.command()
def undo(port: PortOption = None, host: HostOption = "127.0.0.1", json: JsonOption = False) -> None:
    """Leave OBS as it was before `setup`."""
    from rest_bridge.obs.arrange import undo as take_back
    from rest_bridge.obs.changes import ChangeFile

    changes = ChangeFile()
    done: list[str] = []
    if changes.changes:
        with _link(host, port) as obs:
            for sentence in take_back(obs, changes):
                done.append(sentence)
                if not json:
                    out.print(sentence)
    elif not json:
        out.print("There is nothing to take back.")
    if json:
        print_json({"done": done})


def measured_latency_ms(address: str, config: Path | None) -> float | None:
    """Return the daemon's latency, from the captured sample to the published picture.

    Args:
        address: its control address; empty for the configured one.
        config: configuration file.

    Returns:
        Milliseconds, or None if no daemon answers or none was measured yet.
    """
    try:
        status = ask("status", endpoint=address or None, config=config, timeout_s=1.0)
    except SinkError:
        return None
    return float(status.get("latency_p50_ms") or 0.0) or None


def _short(frames: str, events: str, control: str) -> str:
    """Return the three addresses as a person would write them into the source."""
    host, _, port = frames.removeprefix("tcp://").rpartition(":")
    if port.isdigit():
        follow = [f"tcp://{host}:{int(port) + step}" for step in (1, 2)]
        if [events, control] == follow:
            return f"{host}:{port}"
    return f"{frames} {events} {control}"


def _page(given: str, port: int, token: str, *, voice: bool) -> str:
    """Return the address for a browser source, or nothing where the token is not known."""
    address = given or (f"http://127.0.0.1:{port}/?token={token}" if token else "")
    wanted = ["source=1", *(["voice=1"] if voice else [])] if address else []
    for word in wanted:
        if word not in address:
            address += ("&" if "?" in address else "?") + word
    return address


@contextmanager
def _link(host: str, port: int | None) -> "Generator[ObsLink, None, None]":
    """Connect to OBS; asks for the password where OBS's own files do not say it."""
    from rest_bridge.obs.installation import find_installation
    from rest_bridge.obs.link import ObsLink, ObsUnavailable, WrongPassword

    found = find_installation()
    known = os.environ.get(PASSWORD_VARIABLE, found.password)
    where = port or found.port
    try:
        link = ObsLink(port=where, password=known, host=host).__enter__()
    except WrongPassword:
        if not err.is_terminal:
            raise
        given = typer.prompt("Password of obs-websocket", hide_input=True, err=True)
        link = ObsLink(port=where, password=given, host=host).__enter__()
    except ObsUnavailable:
        if not found.enabled and port is None:
            raise ObsUnavailable(
                "OBS's WebSocket server is off: tick Tools > WebSocket Server Settings > Enable "
                "WebSocket server."
            ) from None
        raise
    try:
        yield link
    finally:
        link.__exit__()
