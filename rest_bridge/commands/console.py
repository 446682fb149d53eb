"""How commands speak: results on stdout, everything else on stderr, one sentence for an error."""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

out: Final = Console(markup=False, highlight=False, soft_wrap=True)
err: Final = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


class ExitCode(IntEnum):
    """What the process returns; documented in the README."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


class Report(Protocol):
    """Tells how far a long task is."""

    def __call__(self, done: float, text: str = "") -> None:
        """Set the fraction done, 0..1, and, where given, what is being done."""
        ...


def print_json(data: Any) -> None:
    """Write one JSON document as one line to stdout."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_error(message: str) -> None:
    """Write an error as one sentence to stderr."""
    err.print(f"Error: {message}", style="red")


@contextmanager
def progress(title: str, *, quiet: bool = False) -> Generator[Report, None, None]:
    """Show a progress bar on stderr while the body runs; nothing if `quiet` or not a terminal."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        disable=quiet or not err.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task(title, total=1.0)

        def report(done: float, text: str = "") -> None:
            bar.update(task, completed=done, description=text or title)

        yield report
