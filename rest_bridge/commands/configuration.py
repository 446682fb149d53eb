"""`rest-bridge config`: write, show and check configuration files."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from rest_bridge.commands.console import err, out, print_json
from rest_bridge.commands.options import ConfigOption, JsonOption, SetOption, configure
from rest_bridge.config import key_names
from rest_bridge.config_sources import default_path, load_config
from rest_bridge.config_text import config_text, toml_value
from rest_bridge.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Write, show and check configuration files.")


@app.command()
def init(
    path: Annotated[Path | None, typer.Argument(help="File to write; - for stdout.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a configuration file in which every key is explained."""
    if path == Path("-"):
        out.print(config_text(), end="")
        return
    target = path or default_path()
    if target.exists() and not force:
        raise ConfigError(f"There is a configuration already; add --force to replace it: {target}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(config_text(), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"The configuration cannot be written ({error.strerror}); choose another path: {target}"
        ) from None
    out.print(f"Wrote {target}")


@app.command()
def show(config: ConfigOption = None, settings: SetOption = None, json: JsonOption = False) -> None:
    """Show every value and where it comes from."""
    loaded = configure(config, settings, {})
    rows = [
        {"key": key, "value": getattr(getattr(loaded.config, s), k), "origin": loaded.origins[key]}
        for key in key_names()
        for s, _, k in [key.partition(".")]
    ]
    if json:
        print_json({"file": str(loaded.path) if loaded.path else None, "values": rows})
        return
    table = Table("key", "value", "from", box=None, pad_edge=False)
    for row in rows:
        changed = row["origin"] != "default"
        table.add_row(
            row["key"], toml_value(row["value"]), row["origin"], style="bold" if changed else "dim"
        )
    out.print(table)
    err.print(f"file: {loaded.path or f'none ({default_path()} does not exist)'}")


@app.command()
def validate(
    path: Annotated[Path | None, typer.Argument(help="File to check; the per-user one.")] = None,
) -> None:
    """Check a configuration file; say the first mistake in one sentence."""
    loaded = load_config(path)
    if loaded.path is None:
        raise ConfigError(
            f"There is no configuration file to check; `rest-bridge config init` writes one: "
            f"{default_path()}"
        )
    out.print(f"{loaded.path} is valid.")
