"""How `rest-bridge ctl` asks the daemon, completes names by it, and says what it answers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from rest_bridge.commands.console import out, print_json
from rest_bridge.commands.options import configure, parse_settings
from rest_bridge.errors import ConfigError, SinkError

PATIENCE_S: Final = 3.0
SLOW_S: Final = 30.0
"""How long a slow operation may say nothing."""
OUTPUT_NAMES: Final = ("camera", "recording", "voice_out", "preview")
_COMPLETION_S: Final = 0.5
_KINDS: Final = ("input", "monitor")


def ask(
    operation: str,
    body: Mapping[str, Any] | None = None,
    *,
    endpoint: str | None = None,
    config: Path | None = None,
    timeout_s: float = PATIENCE_S,
    on_progress: Callable[[float, str], None] | None = None,
) -> dict[str, Any]:
    """Send one request to the daemon and return what it answers.

    Args:
        operation: its name.
        body: its arguments.
        endpoint: control address; the configuration's if None.
        config: configuration file.
        timeout_s: how long it may say nothing.
        on_progress: told the progress of slow operations.

    Raises:
        SinkError: no daemon runs there, or it refuses.
        ConfigError: it says that an argument is wrong.
    """
    from rest_bridge.client import BridgeClient, Refused
    from rest_bridge.curve import client_keys

    endpoints = configure(config, None, {}).config.endpoints
    address = endpoint or endpoints.control

    def heard(event: Any) -> None:
        if event.kind == "progress" and on_progress is not None:
            on_progress(float(event.body.get("done", 0)), str(event.body.get("text", "")))

    keys = client_keys(endpoints)
    with BridgeClient(frames="", events="", control=address, keys=keys) as client:
        try:
            return client.call(operation, body or {}, timeout_s=timeout_s, on_event=heard)
        except Refused as error:
            if error.code in ("bad_request", "unknown_operation"):
                raise ConfigError(str(error)) from None
            raise
        except SinkError:
            raise SinkError(
                f"No daemon answers at {address}; start one with `rest-bridge run` (or demo), or "
                "name its control address with --endpoint."
            ) from None


def _complete(
    operation: str, names: Callable[[dict[str, Any]], list[str]], begun: str
) -> list[str]:
    try:
        found = names(ask(operation, timeout_s=_COMPLETION_S))
    except Exception:  # noqa: BLE001 - a shell that completes must never see an error
        return []
    return [name for name in found if name.startswith(begun)]


def complete_avatar(incomplete: str) -> list[str]:
    """Return the daemon's faces that begin so."""
    return _complete("avatars", lambda r: [a["id"] for a in r["avatars"]], incomplete)


def complete_source(incomplete: str) -> list[str]:
    """Return words and devices that a voice may be and that begin so."""

    def names(reply: dict[str, Any]) -> list[str]:
        devices = [d["name"] for kind in _KINDS for d in reply["devices"][kind]["devices"]]
        return ["mic", "system", "push", *devices]

    return _complete("devices", names, incomplete)


def complete_expression(incomplete: str) -> list[str]:
    """Return expressions that begin so."""
    return _complete("status", lambda r: r["steering"]["names"], incomplete)


def complete_output(incomplete: str) -> list[str]:
    """Return outputs that begin so; needs no daemon."""
    return [name for name in OUTPUT_NAMES if name.startswith(incomplete)]


def on_off(word: str) -> bool:
    """Read "on" or "off".

    Raises:
        ConfigError: neither.
    """
    if word not in ("on", "off"):
        raise ConfigError(f'"{word}" is not possible here; say on or off.')
    return word == "on"


def start_stop(word: str) -> bool:
    """Read "start" or "stop".

    Raises:
        ConfigError: neither.
    """
    if word not in ("start", "stop"):
        raise ConfigError(f'"{word}" is not possible here; say start or stop.')
    return word == "start"


def parse_values(settings: list[str] | None) -> dict[str, Any]:
    """Read KEY=VALUE options; true, false and numbers become what they say."""

    def value(text: str) -> Any:
        if text in ("true", "false"):
            return text == "true"
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
        return text

    return {key: value(text) for key, text in parse_settings(settings).items()}


def full_path(name: str) -> str:
    """Return a file of this shell's folder as the daemon finds it; other names as they are."""
    path = Path(name).expanduser()
    return str(path.absolute()) if path.is_file() else name


def say(reply: Mapping[str, Any], *, json: bool) -> None:
    """Print an answer: as JSON, or a line for each of its keys."""
    if json:
        print_json(reply)
        return
    for key, value in reply.items():
        if key != "names" and value not in ("", None):
            out.print(f"{key.replace('_', ' ')}: {_word(value)}")


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_word(item)}" for name, item in value.items()) or "neutral"
    if isinstance(value, list):
        return ", ".join(map(_word, value))
    return str(value)
