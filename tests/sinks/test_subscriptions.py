"""Who gets statistics: bounds, lease, and no bursts after a pause. No clock, no socket."""

import math

import pytest

from rest_bridge.sinks.subscriptions import LEASE_NS, MOST, Subscriptions

S = 1_000_000_000
ME, YOU = (b"me",), (b"you",)


def test_each_subscriber_is_due_at_its_own_interval() -> None:
    subscriptions = Subscriptions()
    subscriptions.add(ME, 1.0, 0)
    subscriptions.add(YOU, 0.5, 0)
    times = [k * S // 10 for k in range(21)]
    due = {now: subscriptions.due(now) for now in times}
    assert sum(ME in found for found in due.values()) == 3
    assert sum(YOU in found for found in due.values()) == 5


def test_after_a_pause_nothing_is_made_up_for() -> None:
    subscriptions = Subscriptions()
    subscriptions.add(ME, 0.1, 0)
    subscriptions.due(0)
    assert subscriptions.due(30 * S) == [ME]
    assert subscriptions.due(30 * S + 1) in ([], [ME])
    assert subscriptions.due(30 * S + 2) == []


def test_who_is_not_heard_of_is_forgotten_and_any_request_renews() -> None:
    subscriptions = Subscriptions()
    subscriptions.add(ME, 1.0, 0)
    subscriptions.heard(ME, LEASE_NS)
    assert subscriptions.due(LEASE_NS + S) == [ME]
    assert subscriptions.due(2 * LEASE_NS + 1) == []
    assert len(subscriptions) == 0
    assert subscriptions.wait_ms(0) is None


@pytest.mark.parametrize("asked", [0.0, -5.0, math.nan, 1e9, math.inf, 1.5])
def test_any_interval_is_kept_within_bounds(asked: float) -> None:
    taken = Subscriptions().add(ME, asked, 0)
    assert taken is not None
    assert 0.1 <= taken <= 60


def test_their_number_is_bounded_but_a_known_one_may_change_its_interval() -> None:
    subscriptions = Subscriptions()
    for number in range(MOST):
        assert subscriptions.add((bytes([number]),), 1.0, 0) is not None
    assert subscriptions.add(ME, 1.0, 0) is None
    assert subscriptions.add((b"\x00",), 2.0, 0) == 2.0
