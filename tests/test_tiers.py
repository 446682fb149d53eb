"""Overload under a virtual clock: less is made, never later; it recovers, and does not flutter.

A computer is a number: how much longer than usual everything takes, over time. No real time passes.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from rest_bridge.lateness import LateAction, late_action
from rest_bridge.tiers import TIER_NAMES, TIERS, ChunkReport, Governor
from rest_bridge.worker import ComputeGuess

MS = 1_000_000
S = 1_000_000_000
CHUNK_NS = 80 * MS
DELAY_NS = 75 * MS
"""From the last sample of a chunk until its first frame's turn; its second comes 40 ms later."""
FULL_NS = 28 * MS
"""A chunk in the full tier on an idle computer (measured, nano, 512 pixels)."""


@dataclass
class Run:
    """What a computer made of a stream."""

    tiers: list[str] = field(default_factory=list)
    ages_ms: list[float] = field(default_factory=list)
    drawn: list[bool] = field(default_factory=list)
    postponed_s: list[float] = field(default_factory=list)

    def at(self, second: float) -> str:
        return self.tiers[int(second * S / CHUNK_NS)]

    def changes(self) -> int:
        return sum(a != b for a, b in zip(self.tiers, self.tiers[1:], strict=False))


def run(
    slowness: Callable[[float], float],
    seconds: float,
    governor: Governor | None = None,
    *,
    delay_ns: int = DELAY_NS,
    arrives: Callable[[float], float] = lambda _t: 0.0,
) -> Run:
    """Generate a stream on one core as it is heard, by the rules of the worker for lateness.

    Args:
        slowness: by second, how many times as long everything takes.
        seconds: how long.
        governor: chooses.
        delay_ns: from the last sample of a chunk until its first frame's turn.
        arrives: by second, how many milliseconds later than it used to the voice comes.
    """
    governor, guess = governor or Governor(), ComputeGuess()
    now_ns, result = 0, Run()
    for index in range(int(seconds * S / CHUNK_NS)):
        heard_ns = (index + 1) * CHUNK_NS
        due_ns = heard_ns + delay_ns + 40 * MS  # the turn of the chunk's last frame
        now_ns = max(now_ns, heard_ns + int(arrives(heard_ns / S) * MS))
        tier = governor.tier
        cost_ns = int(FULL_NS * tier.cost * slowness(now_ns / S))
        action = late_action(now_ns + guess.ns - due_ns)
        drawn = action is LateAction.NOTHING
        now_ns += cost_ns if drawn else cost_ns // 10
        if drawn:
            guess.drawn(cost_ns)
        else:
            guess.skipped()
        report = ChunkReport(now_ns, CHUNK_NS, cost_ns, due_ns - now_ns, drawn)
        after = governor.done(report)
        if governor.wants_delay:
            delay_ns += 40 * MS
            result.postponed_s.append(now_ns / S)
        if after is not tier:
            guess.ns = int(guess.ns * after.cost / tier.cost)
        result.tiers.append(tier.name)
        result.ages_ms.append((now_ns - heard_ns) / MS)
        result.drawn.append(drawn)
    return result


def test_an_idle_computer_makes_everything():
    result = run(lambda _t: 1.0, 60)
    assert set(result.tiers) == {"full"}
    assert all(result.drawn)


def test_a_game_takes_the_computer_and_gives_it_back():
    def slowness(t: float) -> float:
        return 5.0 if 10 <= t < 40 else 1.0

    result = run(slowness, 80)
    assert result.at(9) == "full"
    assert result.at(12) in ("sparse", "still")
    assert set(result.tiers[int(13 / 0.08) : int(39 / 0.08)]) <= {"sparse", "still"}
    assert np.mean(result.drawn[int(14 / 0.08) : int(39 / 0.08)]) > 0.9
    assert result.at(79) == "full"
    assert result.tiers[int(41 / 0.08) :].index("full") * 0.08 < 30


@pytest.mark.parametrize("slow", [1.0, 2.0, 3.5, 6.0, 12.0, 40.0])
def test_no_queue_is_ever_built(slow):
    result = run(lambda t: slow if t > 3 else 1.0, 60)
    # However slow: what is made is made of what was just heard.
    assert max(result.ages_ms) < 40 * slow + 250
    assert np.mean(result.ages_ms[-200:]) < 300 + 40 * len(result.postponed_s)


@pytest.mark.parametrize("slow", np.linspace(1.5, 6.0, 19))
def test_a_load_at_any_border_between_tiers_does_not_make_it_flutter(slow):
    result = run(lambda t: slow if t > 3 else 1.0, 180)
    late = result.tiers[int(30 / 0.08) :]
    changes = sum(a != b for a, b in itertools.pairwise(late))
    assert changes <= 8, f"{changes} changes in 150 s"


def test_a_load_that_comes_and_goes_is_met_with_more_and_more_patience():
    result = run(lambda t: 6.0 if int(t) % 8 < 4 else 1.0, 240)
    first, last = result.tiers[: int(60 / 0.08)], result.tiers[int(180 / 0.08) :]

    def rises(tiers: list[str]) -> int:
        levels = [TIER_NAMES.index(name) for name in tiers]
        return sum(b < a for a, b in itertools.pairwise(levels))

    assert rises(last) <= rises(first)
    assert rises(last) <= 4


def test_one_hiccup_changes_nothing():
    def slowness(t: float) -> float:
        return 16.0 if 10.0 <= t < 10.08 else 1.0

    assert set(run(slowness, 30).tiers) == {"full"}


def test_tiers_are_taken_one_after_the_other():
    result = run(lambda t: 30.0 if t > 1 else 1.0, 20)
    levels = [TIER_NAMES.index(name) for name in result.tiers]
    assert max(np.abs(np.diff(levels))) == 1
    assert result.tiers[-1] == "still"


def test_a_fixed_tier_stays():
    for level, tier in enumerate(TIERS):
        result = run(lambda _t: 9.0, 20, Governor(highest=level, lowest=level))
        assert set(result.tiers) == {tier.name}


def test_the_same_load_gives_the_same_tiers():
    def slowness(t: float) -> float:
        return 1.0 + 4.0 * (np.sin(t / 3) > 0)

    assert run(slowness, 60).tiers == run(slowness, 60).tiers


def test_each_tier_makes_less_than_the_one_above():
    costs = [tier.cost for tier in TIERS]
    assert costs == sorted(costs, reverse=True)
    assert TIERS[0].cost == 1.0
    assert [tier.every for tier in TIERS] == sorted(tier.every for tier in TIERS)
    assert [tier.scale for tier in TIERS] == sorted((t.scale for t in TIERS), reverse=True)


def test_pictures_that_are_late_though_compute_is_not_short_are_delayed_and_not_made_less() -> None:
    result = run(lambda _t: 1.0, 120, arrives=lambda t: 100.0 if t > 10 else 0.0)
    assert set(result.tiers) == {"full"}
    assert len(result.postponed_s) == 1
    assert 10 < result.postponed_s[0] < 11
    assert all(result.drawn[int(12 / 0.08) :])


def test_a_frame_more_of_delay_is_tried_before_the_picture_stands_still() -> None:
    def slowness(t: float) -> float:
        return 3.6 if 10 <= t < 40 else 1.0

    result = run(slowness, 80, delay_ns=0)
    assert "still" not in result.tiers
    assert len(result.postponed_s) == 1
    assert result.at(79) == "full"


def test_it_is_tried_once_until_the_delay_is_what_it_was() -> None:
    governor = Governor()
    result = run(lambda _t: 1.0, 30, governor, arrives=lambda t: 250.0 if t > 3 else 0.0)
    assert len(result.postponed_s) == 1
    governor = Governor()
    run(lambda _t: 1.0, 10, governor, arrives=lambda t: 100.0 if t > 3 else 0.0)
    governor.calm()
    again = run(lambda _t: 1.0, 10, governor, arrives=lambda t: 100.0 if t > 3 else 0.0)
    assert len(again.postponed_s) == 1
    assert set(again.tiers) == {"full"}


def test_a_governor_says_when_not_even_the_least_is_in_time():
    governor, said = Governor(), []
    for k in range(40):
        governor.done(ChunkReport(k * CHUNK_NS, CHUNK_NS, 0, -MS, drawn=False))
        said.append(governor.starves)
    assert said[-1]
    assert governor.tier.name == "still"
    assert not any(said[:4])
    governor.done(ChunkReport(41 * CHUNK_NS, CHUNK_NS, MS, 9 * MS, drawn=True))
    assert not governor.starves
