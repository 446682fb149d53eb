"""`rest-bridge keys`: who may connect to a daemon that other computers can reach."""

from pathlib import Path
from typing import Annotated

import typer

from rest_bridge.commands.console import out, print_json
from rest_bridge.commands.options import JsonOption
from rest_bridge.curve import KeyFolder, default_folder
from rest_bridge.errors import ConfigError

app = typer.Typer(
    no_args_is_help=True,
    help="Keys for programs on other computers: encrypted, and only those you allow.",
)

FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="Where the daemon's keys lie; endpoints.keys.")
]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="For you to recognise the client by.")],
    file: Annotated[
        Path | None, typer.Option("--file", help="The client's key file; default NAME.key.")
    ] = None,
    folder: FolderOption = None,
) -> None:
    """Make a client's keys and allow it; makes the daemon's own keys first if there are none."""
    keys = KeyFolder(folder or default_folder())
    if keys.create():
        out.print(f"Made the daemon's keys in {keys.path}")
    path = file or Path(f"{name}.key")
    if path.exists():
        raise ConfigError(f"{path} exists; choose another --file, or remove it.")
    keys.new_client(name).save(path)
    out.print(f"Made {path} and allowed {name}.")
    out.print("Copy the file to the other computer over a safe way, and delete it here.")
    out.print(f'Let the daemon use keys: endpoints.keys = "{keys.path}"')


@app.command()
def show(folder: FolderOption = None, json: JsonOption = False) -> None:
    """Show the daemon's public key and who is allowed."""
    keys = KeyFolder(folder or default_folder())
    public, allowed = keys.public(), keys.allowed()
    if json:
        print_json({"folder": str(keys.path), "public": public, "allowed": allowed})
        return
    out.print(f"Daemon: {public}   ({keys.path})", markup=False)
    for name, key in allowed.items():
        out.print(f"{name}: {key}", markup=False)


@app.command()
def allow(
    name: Annotated[str, typer.Argument(help="For you to recognise the client by.")],
    key: Annotated[str, typer.Argument(help="Its public key, 40 characters.")],
    folder: FolderOption = None,
) -> None:
    """Allow a client that made its own keys."""
    keys = KeyFolder(folder or default_folder())
    keys.create()
    keys.allow(name, key)
    out.print(f"Allowed {name}. It needs the daemon's public key: {keys.public()}", markup=False)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="As shown by `keys show`.")],
    folder: FolderOption = None,
) -> None:
    """Let a client in no more; a connection that is open stays until it breaks."""
    keys = KeyFolder(folder or default_folder())
    if not keys.revoke(name):
        known = ", ".join(keys.allowed()) or "nobody"
        raise ConfigError(f"There is no client {name!r}; allowed: {known}.")
    out.print(f"{name} may connect no more.")
