"""The player of PulseAudio's own library: what it asks for, what it hands over, how it ends."""

import ctypes
import threading
import time
from typing import Any

import numpy as np
import pytest

from rest_bridge.sound import pulse_player, pulse_stream
from rest_bridge.sound.pulse_player import PulsePlayer
from rest_bridge.sound.pulse_stream import PulseStream, Timing

BLOCK_BYTES = 480 * 2 * 4


class Refused(Exception):
    pass


class FakeStream:
    """What a player needs of a stream; asks for a block a turn, `most` in all, then is gone."""

    def __init__(self, most: int = 1000, waits: tuple[float | None, ...] = (0.035,)) -> None:
        self.most, self.waits = most, waits
        self.written: list[np.ndarray] = []
        self.stepped_at: set[int] = set()
        self.asked = self.closed = self._room = 0
        self.options: dict[str, Any] = {}
        self.full = threading.Event()

    def __call__(self, library: Any, device: str, **options: Any) -> "FakeStream":
        self.options = {"device": device, **options}
        return self

    @property
    def connected(self) -> bool:
        if len(self.written) >= self.most:
            self.full.set()
        return not self.full.is_set()

    def wait(self, seconds: float) -> None:
        time.sleep(0)
        self._room = BLOCK_BYTES

    def room(self) -> int:
        return self._room

    def waits_s(self) -> float | None:
        return self.waits[min(len(self.written), len(self.waits) - 1)]

    def stepped(self) -> bool:
        return len(self.written) in self.stepped_at

    def write(self, address: Any, num_bytes: int) -> bool:
        raw = ctypes.string_at(address, num_bytes)
        self.written.append(np.frombuffer(raw, np.float32).copy())
        self._room -= num_bytes
        return True

    def ask(self) -> None:
        self.asked += 1

    def close(self) -> None:
        self.closed += 1


def player(stream: Any, callback: Any, patch: pytest.MonkeyPatch, **options: Any) -> PulsePlayer:
    patch.setattr(pulse_player, "PulseStream", stream)
    return PulsePlayer(
        None, "sink", rate_hz=48_000, channels=2, blocksize=480, latency_s=0.04,
        callback=callback, error=Refused, **options,
    )  # fmt: skip


def test_every_block_is_asked_for_with_the_time_at_which_it_sounds_and_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, times_s, count = FakeStream(most=5), [], iter(range(100))

    def callback(out: Any, num_samples: int, times: Any, status: Any) -> None:
        assert out.shape == (num_samples, 2) == (480, 2)
        assert status is None
        times_s.append(times.outputBufferDacTime - times.currentTime)
        out[:] = next(count)

    playing = player(stream, callback, monkeypatch)
    assert not playing.active
    playing.start()
    assert stream.full.wait(5.0)
    playing.close()
    assert [float(block[0]) for block in stream.written] == [0, 1, 2, 3, 4]
    assert times_s == [pytest.approx(0.035, abs=1e-6)] * 5
    assert stream.options == {
        "device": "sink", "rate_hz": 48_000, "channels": 2, "target_bytes": 1920 * 8,
        "least_bytes": 480 * 8,
    }  # fmt: skip
    assert playing.latency == pytest.approx(0.035)
    assert not playing.active
    assert stream.closed == 1


def test_no_voice_is_asked_for_while_the_server_does_not_say_when_it_sounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = FakeStream(most=6, waits=(None, None, 0.02, 0.02, None, 0.03))

    def callback(out: Any, *_: Any) -> None:
        out[:] = 1.0

    playing = player(stream, callback, monkeypatch)
    playing.start()
    assert stream.full.wait(5.0)
    playing.close()
    assert [float(block[0]) for block in stream.written] == [0, 0, 1, 1, 0, 1]
    assert stream.asked >= 5


def test_a_server_that_never_says_when_is_played_to_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, waits_s = FakeStream(most=105, waits=(None,)), []

    def callback(out: Any, num_samples: int, times: Any, status: Any) -> None:
        waits_s.append(times.outputBufferDacTime - times.currentTime)

    playing = player(stream, callback, monkeypatch)
    playing.start()
    assert stream.full.wait(5.0)
    playing.close()
    assert waits_s == [pytest.approx(0.04, abs=1e-6)] * 5


@pytest.mark.parametrize(("known", "handed_over"), [(0, 0), (3, 3), (100, 8)])
def test_what_is_known_is_handed_over_up_to_a_tenth_of_a_second_early_unasked(
    monkeypatch: pytest.MonkeyPatch, known: int, handed_over: int
) -> None:
    """A server that asks for nothing and says that 25 ms wait, 10 more with each block."""
    stream, turns = FakeStream(waits=tuple(0.025 + 0.01 * k for k in range(20))), 0

    def ready(num_samples: int) -> bool:
        return num_samples == 480 and len(stream.written) < known

    def wait(seconds: float) -> None:
        nonlocal turns
        turns += 1
        if turns > 3:
            stream.full.set()

    monkeypatch.setattr(stream, "wait", wait)
    playing = player(
        stream,
        lambda *_: None,
        monkeypatch,
        ready=lambda n: n == 480 and len(stream.written) < known,
    )
    playing.start()
    assert stream.full.wait(5.0)
    playing.close()
    assert len(stream.written) == handed_over


def test_a_count_that_broke_off_is_told_as_an_underflow(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, told = FakeStream(most=4), []
    stream.stepped_at = {2}
    playing = player(stream, lambda *given: told.append(given[3]), monkeypatch)
    playing.start()
    assert stream.full.wait(5.0)
    playing.close()
    assert [bool(status) for status in told] == [False, False, True, False]
    assert told[2].output_underflow


def test_a_refusal_is_raised_as_the_error_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("No such entity")

    playing = player(refuse, lambda *_: None, monkeypatch)
    with pytest.raises(Refused, match=r"refuses \(No such entity\)"):
        playing.start()
    assert not playing.active


def test_close_stops_it_and_may_be_called_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, going = FakeStream(most=10**9), threading.Event()
    playing = player(stream, lambda *_: going.set(), monkeypatch)
    playing.start()
    assert going.wait(5.0)
    playing.close()
    playing.close()
    assert not playing.active
    assert stream.closed == 1


def said(device: list[int] | None = None, **values: int) -> PulseStream:
    """Return a stream whose server said that a moment ago."""
    device = device or [3]
    now_us = int(time.time() * 1e6) - values.pop("age_us", 0)
    timing = Timing(seconds=now_us // 10**6, microseconds=now_us % 10**6, playing=1)
    timing.since_underrun = 4800
    for name, value in values.items():
        setattr(timing, name, value)

    class Library:
        def pa_stream_get_timing_info(self, stream: Any) -> Any:
            return ctypes.pointer(timing)

        def pa_stream_get_device_index(self, stream: Any) -> int:
            return device[0]

    stream = PulseStream.__new__(PulseStream)
    stream._library, stream._stream, stream._bytes_a_second = Library(), None, 48_000 * 8
    return stream


def test_what_waits_is_what_the_server_holds_less_the_age_of_its_word() -> None:
    queued = {"write_index": 48_000 * 8, "read_index": 48_000 * 8 - 1920 * 8}
    assert said(**queued, sink_usec=15_000).waits_s() == pytest.approx(0.055, abs=0.002)
    old = said(**queued, sink_usec=15_000, age_us=20_000)
    assert old.waits_s() == pytest.approx(0.035, abs=0.002)
    set_clock = said(**queued, sink_usec=15_000, age_us=3_600_000_000)
    assert set_clock.waits_s() == pytest.approx(0.055, abs=0.002)


def test_however_often_it_wakes_the_server_is_asked_twenty_times_a_second_or_a_hundred_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s, asked = [100.0], list[float]()

    class Library:
        def pa_operation_get_state(self, operation: int) -> int:
            return 1  # answered at once

        def pa_operation_unref(self, operation: int) -> None:
            pass

        def pa_stream_update_timing_info(self, *_: Any) -> int:
            asked.append(now_s[0])
            return 7

        def pa_stream_get_timing_info(self, stream: Any) -> Any:
            return None if 103.0 < now_s[0] < 104.0 else ctypes.pointer(timing)

    timing = Timing(seconds=int(time.time()), playing=1, since_underrun=1, sink_usec=2_000_000)
    monkeypatch.setattr(pulse_stream.time, "monotonic", lambda: now_s[0])
    stream = PulseStream.__new__(PulseStream)
    stream._library, stream._stream, stream._operation = Library(), None, None
    stream._opened_s, stream._ask_at_s, stream._bytes_a_second = 100.0, 0.0, 48_000 * 8
    while now_s[0] < 105.0:  # a wake-up every 0.1 ms, as where each answer brings a question
        stream.ask()
        now_s[0] += 0.0001
    in_second = [sum(k <= at - 100.0 < k + 1 for at in asked) for k in range(5)]
    assert 90 <= in_second[0] <= 101
    assert all(18 <= count <= 21 for count in in_second[1:3])
    assert 90 <= in_second[3] <= 101  # it does not know
    assert in_second[4] <= 21


def test_a_word_older_than_all_that_the_server_held_means_that_it_ran_dry() -> None:
    queued = {"write_index": 1920 * 8, "read_index": 0}
    assert said(**queued, age_us=35_000).waits_s() == pytest.approx(0.005, abs=0.002)
    assert said(**queued, age_us=45_000).waits_s() is None


@pytest.mark.parametrize(
    "what", ["playing", "since_underrun", "write_index_corrupt", "read_index_corrupt"]
)
def test_nothing_is_known_while_the_server_stands_or_its_count_is_doubtful(what: str) -> None:
    stream = said(**{what: 1 if "corrupt" in what else 0})
    assert stream.waits_s() is None


def test_the_count_broke_off_where_less_was_played_since_it_ran_dry_or_the_sink_is_another() -> (
    None
):
    device = [3]
    stream = said(device, since_underrun=9600)
    stream._place = (4800, 3)
    assert [stream.stepped(), stream.stepped()] == [False, False]  # it played on
    stream._place = (48_000, 3)
    assert [stream.stepped(), stream.stepped()] == [True, False]  # and dry in between
    device[0] = 4
    assert [stream.stepped(), stream.stepped()] == [True, False]
