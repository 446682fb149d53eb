"""Work beside the stream that must not disturb it: it comes after the threads that make frames."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

_NICENESS: Final = 10
Result = TypeVar("Result")


def be_modest() -> None:
    """Let this thread come after the ones that make frames, where the system can do that."""
    if sys.platform == "linux":  # elsewhere niceness belongs to the whole process
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def modestly(work: Callable[[], Result]) -> Result:
    """Do something in a modest thread of its own: a modest one cannot become as it was before.

    Args:
        work: what to do; its exception is raised here.

    Returns:
        What it returns.
    """
    done: Future[Result] = Future()

    def run() -> None:
        be_modest()
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, name="modest", daemon=True).start()
    return done.result()
