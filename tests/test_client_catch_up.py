"""The client after a sleep: nobody is shown the past, and a late stream is shown all the same."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from rest_bridge import client as module
from rest_bridge.client import BridgeClient
from rest_bridge.sinks.messages import FrameMessage
from tests.support.messages import example_messages

MS = 1_000_000


class Clock:
    """The client's time, in ns."""

    now_ns = 10_000 * MS

    def monotonic_ns(self) -> int:
        return self.now_ns

    def monotonic(self) -> float:
        return self.now_ns / 1e9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def client(clock: Clock) -> Iterator[BridgeClient]:
    with BridgeClient(frames="", events="", control="") as client:
        yield client


def frame(clock: Clock, sequence: int, age_ms: int) -> FrameMessage:
    golden = example_messages()["frame_rgba8"]
    assert isinstance(golden, FrameMessage)
    stamp = replace(golden.stamp, sequence=sequence, published_ns=clock.now_ns - age_ms * MS)
    return replace(golden, stamp=stamp)


def seen(client: BridgeClient) -> int | None:
    found = client.frame(0.0)
    return None if found is None else found.stamp.sequence


def test_what_was_kept_for_a_sleeper_is_passed_over(client: BridgeClient, clock: Clock) -> None:
    client._offer(frame(clock, 1, age_ms=2))
    assert seen(client) == 1
    clock.now_ns += 2000 * MS
    for sequence, age_ms in ((2, 1960), (3, 1920), (4, 1880)):
        client._offer(frame(clock, sequence, age_ms))
        assert seen(client) is None
    clock.now_ns += 40 * MS
    client._offer(frame(clock, 52, age_ms=3))
    assert seen(client) == 52


def test_where_nothing_newer_comes_the_old_one_is_shown(client: BridgeClient, clock: Clock) -> None:
    client._offer(frame(clock, 1, age_ms=2))
    assert seen(client) == 1
    clock.now_ns += 2000 * MS
    client._offer(frame(clock, 2, age_ms=1960))
    assert 0 < (client._patience_ms() or 0) <= 300
    clock.now_ns += 301 * MS
    assert client._patience_ms() == 0
    client._heard_ns = clock.now_ns - 40 * MS  # the stream goes on, as late as before
    client._offer(frame(clock, 3, age_ms=1960))
    assert seen(client) == 3


def test_a_stream_that_has_become_slower_is_shown_without_holding(
    client: BridgeClient, clock: Clock
) -> None:
    client._offer(frame(clock, 1, age_ms=2))
    clock.now_ns += 400 * MS
    client._offer(frame(clock, 2, age_ms=2))
    clock.now_ns += 301 * MS
    client._heard_ns = clock.now_ns
    for sequence in range(3, 20):
        clock.now_ns += 40 * MS
        client._offer(frame(clock, sequence, age_ms=500))
        assert seen(client) == sequence


def test_a_frame_that_lay_in_the_mailbox_while_the_program_slept_gives_way(
    client: BridgeClient, clock: Clock
) -> None:
    client._offer(frame(clock, 1, age_ms=2))
    clock.now_ns += 2000 * MS
    newer = frame(clock, 52, age_ms=3)
    answers = iter([client._frame.get, lambda _timeout_s: (newer, clock.now_ns)])
    client._frame.get = lambda timeout_s: next(answers)(timeout_s)  # type: ignore[method-assign]
    found = client.frame(1.0)
    assert found is not None
    assert found.stamp.sequence == 52
