"""The `rest-bridge` command: names the sub-commands and turns every error into one sentence.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 stopped by Ctrl-C.
"""

import errno
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Final, NoReturn

import typer

from rest_bridge import __version__
from rest_bridge.commands import (
    configuration,
    control,
    files,
    inspection,
    keys,
    learning,
    many,
    obs,
    portraits,
    sound,
    stream,
)
from rest_bridge.commands.console import ExitCode, out, print_error
from rest_bridge.errors import ConfigError, RestBridgeError

app = typer.Typer(
    name="rest-bridge",
    invoke_without_command=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One portrait and a live voice in, a talking face out. Without a command it opens the "
    "control page.",
)
app.command()(stream.start)
app.command()(stream.demo)
app.command()(stream.run)
app.command()(many.serve)
app.command()(files.render)
app.command()(inspection.devices)
app.command()(inspection.doctor)
app.command()(inspection.bench)
for _command in (learning.train, learning.evaluate, learning.export):
    app.command(context_settings=learning.PASS_ON)(_command)
app.add_typer(configuration.app, name="config")
app.add_typer(portraits.app, name="avatar")
app.add_typer(sound.app, name="cable")
app.add_typer(control.app, name="ctl")
app.add_typer(keys.app, name="keys")
app.add_typer(obs.app, name="obs")


_TOLD_BY_THE_DAEMON: Final = frozenset(
    {"rest_bridge.sound.keeper", "rest_bridge.audio.pulse_recorder"}
)
"""A device that goes and comes back is told once, in the daemon's own words."""


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"rest-bridge {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(  # pyright: ignore[reportUnusedFunction] - typer calls it
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and all log messages.")
    ] = False,
) -> None:
    del version
    level = logging.DEBUG if debug else logging.WARNING
    handler = logging.StreamHandler()
    if not debug:
        handler.addFilter(lambda record: record.name not in _TOLD_BY_THE_DAEMON)
    logging.basicConfig(
        level=level, format="%(levelname)s %(name)s: %(message)s", handlers=[handler]
    )
    if context.invoked_subcommand is None:
        # What people type who never read a manual. The command's code is the program's.
        raise typer.Exit(stream.start())


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are printed, never raised."""
    words = [word for word in arguments if word != "--debug"]
    debug = len(words) != len(arguments)  # so that it may stand anywhere in the line
    try:
        result = app(
            ["--debug", *words] if debug else words,
            prog_name="rest-bridge",
            standalone_mode=False,
        )
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the top of the program: every error ends here
        if debug:
            traceback.print_exc()
        return _report(error, debug=debug)
    return result if isinstance(result, int) else ExitCode.OK


def main() -> NoReturn:
    """Run the process's own command line and exit."""
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _interrupt)
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # `rest-bridge devices | head`: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if threading.active_count() > 1 or code == ExitCode.INTERRUPTED:
        # A thread inside a library (loading a graph, waiting for a device) cannot be stopped, and
        # Python's own end would take it down in the middle of C++ code, which aborts the process.
        # After a Ctrl-C inside `exec` (a dataclass being made) `python -m` would kill itself.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _report(error: Exception, *, debug: bool) -> int:
    if isinstance(error, RestBridgeError):
        print_error(str(error))
        return ExitCode.USAGE if isinstance(error, ConfigError) else ExitCode.FAILED
    show = getattr(error, "show", None)  # typer's usage errors, whichever click it carries
    if callable(show):
        show()
        return int(getattr(error, "exit_code", ExitCode.USAGE))
    if isinstance(error, BrokenPipeError):
        return ExitCode.FAILED
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        print_error(f"The disk is full; free some space or choose another folder: {error.filename}")
    else:
        print_error(
            f"Something unforeseen went wrong ({type(error).__name__}: {error}); run it again "
            "with --debug and report what it prints."
            if not debug
            else f"Something unforeseen went wrong ({type(error).__name__}: {error})."
        )
    return ExitCode.FAILED
