"""`rest-bridge doctor` and `devices`: look at this computer."""

from rest_bridge.commands.console import ExitCode, err, out, print_json, progress
from rest_bridge.commands.options import ConfigOption, JsonOption, SetOption, configure
from rest_bridge.config import Config
from rest_bridge.doctor import Check, examine
from rest_bridge.errors import ConfigError

_STYLES = {"warn": "yellow", "fail": "bold red"}


def doctor(
    config: ConfigOption = None, settings: SetOption = None, json: JsonOption = False
) -> int:
    """Check this computer and say, for each failure, what to do.

    Exit code 1 if the main job cannot work; a missing microphone or camera is only a warning.
    """
    checks: list[Check] = []
    try:
        loaded = configure(config, settings, {})
        file = str(loaded.path) if loaded.path else "none, defaults are used"
        checks.append(Check("configuration", "ok", file))
        chosen = loaded.config
    except ConfigError as error:
        chosen = Config()
        checks.append(
            Check("configuration", "fail", str(error), "correct it; `rest-bridge config validate`")
        )
    with progress("checking", quiet=json):
        checks += examine(chosen)
    failed = any(check.status == "fail" for check in checks)
    if json:
        print_json({"ok": not failed, "checks": [check.as_dict() for check in checks]})
    else:
        _show(checks)
    return ExitCode.FAILED if failed else ExitCode.OK


def _show(checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        line = f"{check.status:4}  {check.name:{width}}  {check.detail}"
        out.print(line, style=_STYLES.get(check.status))
        if check.remedy:  # a line of its own, unbroken: it is there to be copied
            out.print(f"{'':{width + 6}}  → {check.remedy}")
    warned = sum(check.status == "warn" for check in checks)
    failed = sum(check.status == "fail" for check in checks)
    err.print(f"{len(checks)} checks, {warned} warnings, {failed} failures")
