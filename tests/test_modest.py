"""Work beside the stream: the result or the error comes back, and only that work is modest."""

import os
import sys
import threading

import pytest

from rest_bridge.modest import modestly


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="niceness of a thread is Linux's")
def test_only_the_work_is_modest():
    before = niceness()
    assert modestly(niceness) >= max(before, 10)
    assert niceness() == before


def test_an_error_of_the_work_is_the_callers():
    def work() -> int:
        raise ValueError("no face in it")

    with pytest.raises(ValueError, match="no face in it"):
        modestly(work)
