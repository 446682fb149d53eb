"""How late samples arrive, and what follows for the delay of the stream."""

from typing import Any

import pytest

from rest_bridge.arrival import Arrival, LentDelay, frames_to_postpone

MS = 1_000_000


def test_usual_lateness_ignores_single_stalls_and_forgets_the_device_before():
    arrival = Arrival()
    assert arrival.usual_ns() is None
    for k in range(200):
        stalled = 100 <= k < 140  # for 0.4 s nothing came
        arrival.note((25 + 10 * (140 - k) if stalled else 25) * MS)
    assert arrival.usual_ns() == 25 * MS
    arrival.forget()
    assert arrival.usual_ns() is None
    for _ in range(30):
        arrival.note(140 * MS)
    assert arrival.usual_ns() == 140 * MS


@pytest.mark.parametrize(
    ("needed_ms", "silent", "settled_s", "frames"),
    [
        (200, True, 9, 0),  # as it is
        (220, False, 9, 0),  # by no more than there is to spare
        (221, False, 9, 1),
        (330, False, 9, 4),
        (330, False, 0.5, 0),  # just changed: wait what comes of it
        (120, False, 9, 0),  # too long, but somebody speaks
        (140, True, 9, 0),  # not by enough
        (120, True, 9, -1),
        (40, True, 9, -3),
    ],
)
def test_delay_grows_at_once_and_shrinks_in_silence(needed_ms, silent, settled_s, frames):
    assert frames == frames_to_postpone(
        needed_ns=needed_ms * MS,
        delay_ns=200 * MS,
        frame_ns=40 * MS,
        silent=silent,
        settled_ns=int(settled_s * 1000) * MS,
    )


@pytest.mark.parametrize("needed_ms", range(0, 1000, 7))
def test_one_change_is_enough(needed_ms):
    delay_ns = 200 * MS
    for _ in range(2):
        frames = frames_to_postpone(
            needed_ns=needed_ms * MS,
            delay_ns=delay_ns,
            frame_ns=40 * MS,
            silent=True,
            settled_ns=9000 * MS,
        )
        delay_ns += frames * 40 * MS
    assert frames == 0
    assert delay_ns >= (needed_ms - 20) * MS


def have_back(lent: LentDelay, **changed: Any) -> bool:
    calm = {"spare_ns": 41 * MS, "frame_ns": 40 * MS, "silent": True, "settled_ns": 31_000 * MS}
    return lent.have_back(**(calm | changed))


def test_lent_delay_is_had_back_in_a_pause_after_half_a_minute_without_need() -> None:
    lent = LentDelay()
    assert not have_back(lent)  # nothing was lent
    lent.lend()
    assert not have_back(lent, silent=False)
    assert not have_back(lent, settled_ns=29_000 * MS)
    assert not have_back(lent, spare_ns=30 * MS)
    assert lent.any
    assert have_back(lent)
    assert not lent.any
    assert not have_back(lent)


def test_delay_that_was_had_back_too_soon_is_had_back_later_each_time() -> None:
    lent, waits_s = LentDelay(), []
    for _ in range(7):
        lent.lend()
        waits_s.append(next(s for s in range(1000) if have_back(lent, settled_ns=s * 1000 * MS)))
    assert waits_s == [30, 60, 120, 240, 480, 480, 480]
