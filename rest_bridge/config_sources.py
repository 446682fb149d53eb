"""Put a configuration together: options over environment over file over defaults.

It remembers where each value came from, refuses what it does not know (naming the nearest known
key), and turns every mistake into one sentence. It does not know what the values are used for.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Final

import platformdirs
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rest_bridge.config import Config, key_names, number_range, sections
from rest_bridge.errors import ConfigError

ENVIRONMENT_PREFIX: Final = "REST_BRIDGE_"
CONFIG_PATH_VARIABLE: Final = "REST_BRIDGE_CONFIG"
_NOT_KEYS: Final = frozenset(
    {
        CONFIG_PATH_VARIABLE,
        "REST_BRIDGE_ASSETS",
        "REST_BRIDGE_CACHE",
        "REST_BRIDGE_CLIENT_KEY",
        "REST_BRIDGE_OBS_PASSWORD",
    }
)
_NOT_KEY_PREFIXES: Final = ("REST_BRIDGE_TEST_", "REST_BRIDGE_SETUP_")


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration and its history.

    Attributes:
        config: the checked values.
        origins: "section.key" -> where the value came from, in words.
        path: the file that was read, or None.
    """

    config: Config
    origins: Mapping[str, str]
    path: Path | None


def default_path() -> Path:
    """Return the per-user configuration file, whether or not it exists."""
    return platformdirs.user_config_path("rest_bridge", appauthor=False) / "config.toml"


def load_config(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    use_user_file: bool = True,
) -> LoadedConfig:
    """Merge defaults, one file, environment variables and command line options.

    Args:
        path: the file; None takes REST_BRIDGE_CONFIG, else the per-user file if there is one.
        environment: variables to read; None takes the process's own.
        overrides: "section.key" -> value given on the command line; None values do not count.
        use_user_file: whether the per-user file counts.

    Raises:
        ConfigError: a file cannot be read, a key is unknown, a value is not allowed.
    """
    variables = os.environ if environment is None else environment
    path = path or (_path_from(variables) if use_user_file else None)
    values: dict[str, Any] = {}
    origins = dict.fromkeys(key_names(), "default")

    if path is not None:
        for key, value in _flatten(read_file(path), path).items():
            values[key], origins[key] = value, f"file {path}"
    for key, (variable, value) in _from_environment(variables).items():
        values[key], origins[key] = value, f"environment variable {variable}"
    for key, value in (overrides or {}).items():
        if value is not None:
            check_key(key, "the command line")
            values[key], origins[key] = value, "command line"
    return LoadedConfig(config=_validated(values, origins), origins=origins, path=path)


def changed(config: Config, changes: Mapping[str, Any], where: str) -> Config:
    """Return a configuration with other values for some keys.

    Args:
        config: so far.
        changes: "section.key" -> value.
        where: who asks for it, in words, for errors.

    Raises:
        ConfigError: a key is unknown, or a value is not allowed.
    """
    for key in changes:
        check_key(key, where)
    values = {
        f"{section}.{key}": value
        for section, content in config.model_dump().items()
        for key, value in content.items()
    }
    return _validated({**values, **changes}, dict.fromkeys([*values, *changes], where))


def read_file(path: Path) -> dict[str, Any]:
    """Parse one TOML file without checking its keys.

    Raises:
        ConfigError: missing, unreadable or not TOML.
    """
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration file {path}; write one with "
            f"`rest-bridge config init {path}`."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The configuration file is not valid TOML ({error}); correct that line: {path}"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"The configuration file cannot be read ({error.strerror}): {path}"
        ) from None


def check_key(key: str, where: str) -> None:
    """Refuse an unknown "section.key".

    Raises:
        ConfigError: naming the nearest known key.
    """
    if key not in key_names():
        raise ConfigError(
            f'Unknown configuration key "{key}" in {where}; did you mean "{nearest_key(key)}"? '
            "All keys: `rest-bridge config show`."
        )


def nearest_key(key: str) -> str:
    """Return the known "section.key" most like `key`; the last part alone counts nearly as much."""

    def likeness(known: str) -> float:
        whole = SequenceMatcher(None, key, known).ratio()
        last = SequenceMatcher(None, key.rpartition(".")[2], known.rpartition(".")[2]).ratio()
        same_letters = sorted(key) == sorted(known)  # typed in another order: flie, file
        return max(whole, 0.9 * last) + 0.1 * same_letters

    return max(key_names(), key=likeness)


def environment_name(key: str) -> str:
    """Return the environment variable of a "section.key"."""
    return ENVIRONMENT_PREFIX + key.replace(".", "_").upper()


def _path_from(variables: Mapping[str, str]) -> Path | None:
    if variables.get(CONFIG_PATH_VARIABLE):
        return Path(variables[CONFIG_PATH_VARIABLE]).expanduser()
    return default_path() if default_path().is_file() else None


def _flatten(tree: Mapping[str, Any], path: Path) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, content in tree.items():
        if not isinstance(content, dict):
            check_key(section, str(path))
        elif section not in sections():
            known = max(sections(), key=lambda s: SequenceMatcher(None, section, s).ratio())
            raise ConfigError(
                f'Unknown configuration section "[{section}]" in {path}; did you mean "[{known}]"?'
            )
        else:
            for key, value in content.items():  # pyright: ignore[reportUnknownVariableType]
                check_key(f"{section}.{key}", str(path))
                flat[f"{section}.{key}"] = value
    return flat


def _from_environment(variables: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    names = {environment_name(key): key for key in key_names()}
    found: dict[str, tuple[str, str]] = {}
    for variable, value in variables.items():
        if variable in _NOT_KEYS or variable.startswith(_NOT_KEY_PREFIXES):
            continue
        if variable in names:
            found[names[variable]] = (variable, value)
        elif variable.startswith(ENVIRONMENT_PREFIX):
            known = max(names, key=lambda n: SequenceMatcher(None, variable, n).ratio())
            raise ConfigError(
                f'Unknown environment variable "{variable}"; did you mean "{known}"? Unset it '
                "if it is not meant for rest_bridge."
            )
    return found


def _validated(values: Mapping[str, Any], origins: Mapping[str, str]) -> Config:
    tree: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        tree.setdefault(section, {})[name] = value
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_explain(error.errors()[0], origins)) from None


def _explain(details: ErrorDetails, origins: Mapping[str, str]) -> str:
    key = ".".join(str(part) for part in details["loc"][:2])
    if len(details["loc"]) == 1:  # a rule between keys of one section: its text says it all
        return f"Configuration section [{key}]: {_rule(details, key)}."
    value = details["input"]
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return f"{key} = {shown} ({origins[key]}) {_rule(details, key)}."


def _rule(details: ErrorDetails, key: str) -> str:
    kind = details["type"]
    if kind == "value_error":
        return str(details.get("ctx", {}).get("error", details["msg"]))
    if kind in {"greater_than_equal", "less_than_equal"}:
        section, _, name = key.partition(".")
        low, high = number_range(section, name) or ("?", "?")
        return f"is not allowed: must be {low}" + ("" if low == high else f" to {high}")
    if kind == "literal_error":
        return f"is not allowed: must be {details.get('ctx', {}).get('expected', '')}"
    simple = {
        "bool_parsing": "must be true or false",
        "bool_type": "must be true or false",
        "int_parsing": "must be a whole number",
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_parsing": "must be a number",
        "float_type": "must be a number",
        "string_type": "must be text in quotes",
        "string_pattern_mismatch": "may hold only letters, digits, - and _",
        "multiple_of": f"must be a multiple of {details.get('ctx', {}).get('multiple_of')}",
    }
    return simple.get(kind, f"is not allowed: {details['msg'][:1].lower()}{details['msg'][1:]}")
