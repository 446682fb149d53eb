"""Finds OBS's own settings on this computer: where its websocket listens, its password."""

import configparser
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DEFAULT_PORT: Final = 4455
PLUGIN: Final = "rest-bridge-source"


@dataclass(frozen=True, slots=True)
class Installation:
    """What OBS's own files say.

    Attributes:
        folder: OBS's configuration; None if there is none, or it cannot be read.
        enabled: the websocket server is on.
        port: where it listens.
        password: what it wants; empty for none.
    """

    folder: Path | None = None
    enabled: bool = True
    port: int = DEFAULT_PORT
    password: str = ""


def config_folders() -> Iterator[Path]:
    """Yield where OBS may keep its configuration, most likely first."""
    home = Path.home()
    if sys.platform == "win32":
        yield Path(os.environ.get("APPDATA", home / "AppData" / "Roaming")) / "obs-studio"
    elif sys.platform == "darwin":
        yield home / "Library" / "Application Support" / "obs-studio"
    else:
        yield Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "obs-studio"
        yield home / ".var" / "app" / "com.obsproject.Studio" / "config" / "obs-studio"


def plugin_folder(config: Path) -> Path:
    """Return where a person's plugins lie that belong to a configuration folder."""
    if sys.platform == "win32":
        return Path(os.environ.get("ProgramData", "C:/ProgramData")) / "obs-studio" / "plugins"  # noqa: SIM112
    return config / "plugins"


def find_installation() -> Installation:
    """Read the settings of obs-websocket; the defaults where they cannot be read."""
    for folder in config_folders():
        found = _read_json(folder) or _read_ini(folder)
        if found is not None:
            return found
        if folder.is_dir():
            return Installation(folder)
    return Installation()


def _read_json(folder: Path) -> Installation | None:
    """OBS 30.2 and later keep it in a file of the plugin."""
    path = folder / "plugin_config" / "obs-websocket" / "config.json"
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    wants = bool(data.get("auth_required", True))
    return Installation(
        folder,
        enabled=bool(data.get("server_enabled", False)),
        port=int(data.get("server_port", DEFAULT_PORT)),
        password=str(data.get("server_password", "")) if wants else "",
    )


def _read_ini(folder: Path) -> Installation | None:
    """Earlier ones in OBS's own file."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        text = (folder / "global.ini").read_text(encoding="utf-8-sig")
        parser.read_string(text)
        section = parser["OBSWebSocket"]
        wants = section.getboolean("AuthRequired", True)
        return Installation(
            folder,
            enabled=section.getboolean("ServerEnabled", False),
            port=section.getint("ServerPort", DEFAULT_PORT),
            password=section.get("ServerPassword", "") if wants else "",
        )
    except (OSError, KeyError, ValueError, configparser.Error):
        return None
