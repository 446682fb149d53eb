"""Memory that is free goes back to the system when it has become much, and not before."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from rest_bridge.memory import MemoryKeeper, resident_bytes, share_one_heap

MB = 1_000_000


def test_it_gives_back_only_what_has_grown_much_and_then_counts_from_there() -> None:
    sizes = iter([0, 260 * MB, 250 * MB, 280 * MB, 283 * MB, 255 * MB, 285 * MB])
    given: list[int] = []
    keeper = MemoryKeeper(lambda: next(sizes), lambda: given.append(1))
    for _ in range(4):
        keeper.look()
    assert not given  # 30 MB more than the least
    keeper.look()  # 283: given back, 255 remain
    assert (len(given), keeper.num_given_back) == (1, 1)
    keeper.look()  # 30 MB more than then
    assert len(given) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_what_another_thread_freed_between_things_in_use_is_really_given_back() -> None:
    kept: list[np.ndarray] = []

    def work() -> None:
        np.ones(MB, np.uint8)  # from here on pictures come from this thread's heap
        pictures = []
        for _ in range(120):
            pictures.append(np.ones(MB, np.uint8))
            kept.append(np.ones(3000, np.uint8))

    keeper = MemoryKeeper()
    keeper.look()
    before = resident_bytes()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if resident_bytes() - before < 60 * MB:
        pytest.skip("this C library gives everything back by itself")
    keeper.look()
    assert keeper.num_given_back == 1
    assert resident_bytes() - before < 20 * MB
    assert len(kept) == 120


_THREADS_THAT_DREW = """
import sys, threading
import numpy as np
from rest_bridge.memory import resident_bytes, share_one_heap
if sys.argv[1] == "shared" and not share_one_heap():
    raise SystemExit(77)
np.ones(30_000_000, np.uint8)  # once freed, glibc takes blocks up to this size from its heaps
before, done, drawn = resident_bytes(), threading.Event(), []

def draw():
    pictures = [np.ones(1_000_000, np.uint8) for _ in range(40)]
    del pictures
    drawn.append(1)
    done.wait()

for count in range(6):
    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    while len(drawn) <= count:
        thread.join(0.005)
print((resident_bytes() - before) // 1_000_000)
done.set()
"""


def _mb_kept(how: str) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", _THREADS_THAT_DREW, how], capture_output=True, text=True, check=False
    )
    if ran.returncode == 77:
        pytest.skip("this C library has no such setting, or the environment sets it")
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_threads_that_drew_one_after_the_other_keep_no_heap_each() -> None:
    assert _mb_kept("shared") < 60
    assert _mb_kept("each its own") > 120, "then the setting is not needed any more"


def test_who_sets_the_number_of_heaps_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    assert not share_one_heap()
    monkeypatch.delenv("MALLOC_ARENA_MAX")
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=4")
    assert not share_one_heap()
