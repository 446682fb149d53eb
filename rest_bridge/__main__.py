"""Where the `rest-bridge` command and `python -m rest_bridge` begin.

Loads the program with Ctrl-C already meaning "end", not a traceback out of some import.
"""

import os
import signal
from types import FrameType
from typing import NoReturn

_INTERRUPTED = 130


def main() -> NoReturn:
    """Load the command line and run it."""
    signal.signal(signal.SIGINT, _end_at_once)  # nothing is open yet
    # Read when numpy is loaded. Its idle matrix threads spin: they took 1.2 cores of a streamer's
    # laptop and gave nothing back (bench: 18.1 s of CPU time with them, 8.5 s without, same speed).
    for library in ("OPENBLAS", "VECLIB"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    from rest_bridge import cli

    cli.main()


def _end_at_once(_signal: int, _frame: FrameType | None) -> NoReturn:
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
