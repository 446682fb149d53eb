"""Timers and counters: right figures, fixed memory."""

import pytest

from rest_bridge.metrics import Metrics, Timer

MS = 1_000_000


def test_summary_gives_percentiles_of_the_window_and_maximum_of_everything():
    timer = Timer(window=100)
    timer.record(500 * MS)
    for k in range(200):
        timer.record((k % 100 + 1) * MS)
    summary = timer.summary()
    assert summary.count == 201
    assert summary.p50_ms == pytest.approx(50.5)
    assert summary.p95_ms == pytest.approx(95.05)
    assert summary.max_ms == 500
    assert summary.total_s == pytest.approx(0.5 + 2 * 5.05)


def test_empty_timer_says_zero():
    assert Metrics().timer("x").summary().p95_ms == 0


def test_last_duration_is_known():
    timer = Timer(window=2)
    assert timer.last_ns() == 0
    for k in (3, 4, 5):
        timer.record(k)
    assert timer.last_ns() == 5


def test_timer_memory_does_not_grow():
    timer = Timer(window=16)
    before = timer._ring.nbytes
    for _ in range(1000):
        timer.record(1)
    assert timer._ring.nbytes == before


def test_measure_records_even_when_the_body_raises():
    metrics = Metrics()
    with pytest.raises(ValueError), metrics.timer("stage").measure():
        raise ValueError
    assert metrics.summaries()["stage"].count == 1


def test_counters_add_up():
    metrics = Metrics()
    metrics.count("late")
    metrics.count("late", 2)
    assert metrics.counter("late") == 3
    assert metrics.counter("never") == 0
    assert metrics.counters() == {"late": 3}
