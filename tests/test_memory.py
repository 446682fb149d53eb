"""Memory that is free goes back to the system when it has become much, and not before."""

import sys
import threading

import numpy as np
import pytest

from rest_bridge.memory import MemoryKeeper, resident_bytes

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
