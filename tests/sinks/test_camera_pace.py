"""When a camera's turns are: even, at its own rate, and in the same place against the stream's."""

import numpy as np
import pytest

from rest_bridge.sinks.camera_pace import CameraPacer

NS = 1_000_000_000


def simulate(
    fps: float, stream_fps: float, *, start_ms: float = 0.0, ppm: float = 0.0, seconds: float = 20.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the camera's turns, and how long each new frame had waited then, in ms."""
    frame_ns = NS / stream_fps * (1 + ppm * 1e-6)
    pacer = CameraPacer(fps, stream_fps, round(start_ms * 1e6))
    turns, waits, seen = [], [], -1
    while pacer.next_ns < seconds * NS:
        turns.append(pacer.next_ns / 1e6)
        newest = int(pacer.next_ns // frame_ns)
        if newest > seen:
            waits.append((pacer.next_ns - newest * frame_ns) / 1e6)
            pacer.observe(round(newest * frame_ns))
            seen = newest
        pacer.advance(pacer.next_ns)
    return np.array(turns), np.array(waits)


@pytest.mark.parametrize(("fps", "stream_fps"), [(30, 25), (25, 25), (60, 25), (30, 30), (24, 25)])
@pytest.mark.parametrize("start_ms", [0.0, 3.1, 17.7, 38.2])
def test_every_run_shows_the_frames_after_the_same_waits(
    fps: int, stream_fps: int, start_ms: float
) -> None:
    _, waits = simulate(fps, stream_fps, start_ms=start_ms)
    _, usual = simulate(fps, stream_fps, start_ms=1.0)
    for share in (0, 50, 100):
        settled = np.percentile(waits[100:], share)
        assert settled == pytest.approx(np.percentile(usual[100:], share), abs=1.0)
    assert waits[100:].max() < 1000 / fps + 10.0


def test_thirty_of_twenty_five_waits_five_to_thirty_two() -> None:
    _, waits = simulate(30, 25, start_ms=11.0)
    assert sorted(set(np.round(waits[100:]))) == [5.0, 12.0, 18.0, 25.0, 32.0]


@pytest.mark.parametrize("ppm", [200.0, -200.0])
def test_it_follows_a_stream_whose_clock_runs_apart(ppm: float) -> None:
    _, early = simulate(30, 25, ppm=ppm, seconds=10.0)
    _, late = simulate(30, 25, ppm=ppm, seconds=120.0)
    assert np.median(late[-100:]) == pytest.approx(np.median(early[-100:]), abs=0.2)


def test_turns_are_even_once_it_has_found_its_place() -> None:
    turns, _ = simulate(30, 25, start_ms=9.0, ppm=150.0)
    assert np.abs(np.diff(turns)[30:] - 1000 / 30).max() < 0.4


@pytest.mark.parametrize("stream_fps", [25.5, 0.0])
def test_a_stream_that_cannot_be_followed_leaves_the_camera_to_itself(stream_fps: float) -> None:
    pacer = CameraPacer(30, stream_fps, 0)
    pacer.observe(12_345_678)
    assert [pacer.advance(0) for _ in range(3)] == [33_333_333, 66_666_666, 99_999_999]


def test_after_a_stall_it_goes_on_from_now_without_hurrying() -> None:
    pacer = CameraPacer(30, 25, 0)
    pacer.observe(0)
    pacer.advance(0)
    now_ns = 5 * NS
    assert now_ns <= pacer.advance(now_ns) < now_ns + 7_000_000
    assert pacer.advance(now_ns) - now_ns > 30_000_000
