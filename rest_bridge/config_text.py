"""Write a configuration as TOML in which every key is explained, with unit, range and default."""

import json
import textwrap
from collections.abc import Mapping
from typing import Any, Final, Literal, get_args, get_origin

from rest_bridge.config import Config, number_range, sections

_HEADER: Final = """\
# rest_bridge configuration. Every key is optional.
# Command line options win over REST_BRIDGE_SECTION_KEY environment variables, those over this file.
# `rest-bridge config validate` checks it, `rest-bridge config show` tells where each value is from.
"""


def config_text(config: Config | None = None) -> str:
    """Return a commented TOML file.

    Args:
        config: values to write; None writes the defaults, each commented out, so that the file
            keeps only what you change and later defaults still reach you.

    Returns:
        The file's text, which loads as `config`.
    """
    lines = [_HEADER]
    values = config or Config()
    for section, cls in sections().items():
        lines.append(f"# {(cls.__doc__ or '').strip()}\n[{section}]")
        for key in cls.model_fields:
            value = getattr(getattr(values, section), key)
            lines.append(_comment(section, key))
            lines.append(("#" if config is None else "") + f"{key} = {toml_value(value)}\n")
    return "\n".join(lines)


def toml_value(value: Any) -> str:
    """Return a str, bool, int or float in TOML's own writing."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    # JSON's escapes are a subset of TOML's, which also wants DEL escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def settings_lines(settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a configuration as lines "section.key = value"."""
    return [
        f"{section}.{key} = {toml_value(value)}"
        for section, content in settings.items()
        for key, value in content.items()
    ]


def _comment(section: str, key: str) -> str:
    field = sections()[section].model_fields[key]
    text = field.description or ""
    limits = number_range(section, key)
    if limits is not None and limits[0] != limits[1]:
        text += f" Range {limits[0]} to {limits[1]}."
    if get_origin(field.annotation) is Literal:
        text += " One of " + ", ".join(toml_value(v) for v in get_args(field.annotation)) + "."
    text += f" Default {toml_value(field.default)}."
    return "\n".join(f"# {line}" for line in textwrap.wrap(text, 96))
