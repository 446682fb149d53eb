"""Turns: each stream gets its share of the cores, whatever it draws."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from rest_bridge.turns import TakingTurns, Turns


class Draws:
    """A decoder whose pictures take a while."""

    def __init__(self, spin_s: float = 0.0, fail_at: int | None = None) -> None:
        self._spin_s = spin_s
        self._fail_at = fail_at

    def decode(self, latents, wanted=None) -> Iterator[np.ndarray]:
        for number in range(2 * len(latents)):
            if number == self._fail_at:
                raise ValueError("a bad picture")
            end_s = time.perf_counter() + self._spin_s
            while time.perf_counter() < end_s:
                pass
            yield np.full((1, 1, 4), number, np.uint8)


def _drain(decoder: TakingTurns, latents: int, seen: list[str], name: str) -> None:
    seen.extend(name for _ in decoder.decode(np.zeros((latents, 16, 4, 4), np.float32)))


def test_pictures_pass_unchanged_and_in_order() -> None:
    decoder = TakingTurns(Draws(), Turns(1), "one")
    pictures = [int(p[0, 0, 0]) for p in decoder.decode(np.zeros((3, 16, 4, 4), np.float32))]
    assert pictures == list(range(6))


def test_who_has_had_least_is_next() -> None:
    turns, order = Turns(1), []
    turns._used_s = {"large": 0.15, "small": 0.05, "middle": 0.1}

    def work(name: str) -> None:
        with turns.turn(name):
            order.append(name)

    with turns.turn("holder"):
        threads = [threading.Thread(target=work, args=(n,)) for n in ("large", "middle", "small")]
        for number, thread in enumerate(threads):
            thread.start()
            _until(lambda number=number: len(turns._waiting) > number)
    for thread in threads:
        thread.join(5)
    assert order == ["small", "middle", "large"]


def test_a_large_face_does_not_take_what_small_ones_need() -> None:
    turns, seen = Turns(1), []
    faces = {"large": 0.004, "small": 0.0005}
    begin = threading.Barrier(len(faces))

    def run(name: str, spin_s: float) -> None:
        begin.wait()
        _drain(TakingTurns(Draws(spin_s), turns, name), 20, seen, name)

    threads = [threading.Thread(target=run, args=item) for item in faces.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    # The small one's 40 pictures are done long before the large one's.
    assert seen[: seen.index("small") + 50].count("small") > 30


def test_small_faces_that_always_ask_do_not_starve_a_large_one() -> None:
    turns, seen = Turns(1), []
    faces = {"large": (0.004, 5), "small": (0.0005, 100), "little": (0.0005, 100)}
    begin = threading.Barrier(len(faces))

    def run(name: str, spin_s: float, latents: int) -> None:
        begin.wait()
        _drain(TakingTurns(Draws(spin_s), turns, name), latents, seen, name)

    threads = [threading.Thread(target=run, args=(name, *one)) for name, one in faces.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    last = max(place for place, name in enumerate(seen) if name == "large")
    assert seen.count("large") == 10
    assert last < 0.8 * len(seen)  # its 40 ms were done when each of the others had had as much


def test_never_more_than_the_places_work_at_once() -> None:
    turns, now, most = Turns(2), [0], [0]
    lock = threading.Lock()

    def work(name: str) -> None:
        for _ in range(20):
            with turns.turn(name):
                with lock:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                with lock:
                    now[0] -= 1

    threads = [threading.Thread(target=work, args=(str(k),)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert most[0] <= 2
    assert turns._free == 2


def test_a_picture_that_fails_gives_its_place_back() -> None:
    turns = Turns(1)
    decoder = TakingTurns(Draws(fail_at=1), turns, "bad")
    with pytest.raises(ValueError, match="a bad picture"):
        list(decoder.decode(np.zeros((2, 16, 4, 4), np.float32)))
    with turns.turn("good"):
        pass
    assert turns._free == 1


def test_who_was_idle_has_saved_up_nothing() -> None:
    turns = Turns(1)
    turns._used_s = {"busy": 100.0}
    with turns.turn("new"):
        pass
    assert turns.used_s()["new"] >= 99.5
    turns.leave("new")
    assert "new" not in turns.used_s()


def _until(condition) -> None:
    end_s = time.monotonic() + 5
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.001)
    assert condition()
