"""The player of PulseAudio's own library: what it asks for, what it hands over, how it ends."""

import ctypes
import threading
from typing import Any

import numpy as np
import pytest

from rest_bridge.sound.pulse_player import PulsePlayer


class Refused(Exception):
    pass


class FakeLibrary:
    """What of libpulse-simple is used; takes `most` blocks, then fails."""

    def __init__(self, most: int = 1000, *, refuses: bool = False) -> None:
        self.most, self.refuses = most, refuses
        self.written: list[np.ndarray] = []
        self.freed = 0
        self.asked: dict[str, Any] = {}
        self.full = threading.Event()

    def pa_simple_new(self, server, name, way, device, title, spec, channels, attributes, code):
        if self.refuses:
            code._obj.value = 5
            return None
        given = spec._obj
        self.asked = {
            "device": device, "rate": given.rate, "channels": given.channels,
            "bytes ahead": attributes._obj.tlength, "bytes at a time": attributes._obj.minreq,
        }  # fmt: skip
        return 1234

    def pa_simple_get_latency(self, stream, code):
        assert stream.value == 1234
        return 35_000

    def pa_simple_write(self, stream, data, size, code):
        if len(self.written) >= self.most:
            self.full.set()
            return -1
        raw = ctypes.string_at(data, size)
        self.written.append(np.frombuffer(raw, np.float32).copy())
        return 0

    def pa_simple_free(self, stream):
        self.freed += 1


def player(library: FakeLibrary, callback) -> PulsePlayer:
    return PulsePlayer(
        library, "sink", rate_hz=48_000, channels=2, blocksize=480, latency_s=0.04,
        callback=callback, error=Refused,
    )  # fmt: skip


def test_every_block_is_asked_for_with_the_time_at_which_it_sounds_and_handed_over() -> None:
    library, times_s, count = FakeLibrary(most=5), [], iter(range(100))

    def callback(out, num_samples, times, status):
        assert out.shape == (num_samples, 2) == (480, 2)
        times_s.append(times.outputBufferDacTime - times.currentTime)
        out[:] = next(count)

    stream = player(library, callback)
    assert not stream.active
    stream.start()
    assert library.full.wait(5.0)
    stream.close()
    assert [float(block[0]) for block in library.written] == [0, 1, 2, 3, 4]
    assert times_s == [pytest.approx(0.035, abs=1e-6)] * 6
    assert library.asked == {
        "device": b"sink", "rate": 48_000, "channels": 2, "bytes ahead": 1920 * 8,
        "bytes at a time": 480 * 8,
    }  # fmt: skip
    assert stream.latency == pytest.approx(0.035)


def test_a_server_that_goes_ends_the_stream_and_nothing_is_kept() -> None:
    library = FakeLibrary(most=1)
    stream = player(library, lambda *_: None)
    stream.start()
    assert library.full.wait(5.0)
    stream.close()
    assert not stream.active
    assert library.freed == 1


def test_a_refusal_is_raised_as_the_error_asked_for() -> None:
    stream = player(FakeLibrary(refuses=True), lambda *_: None)
    with pytest.raises(Refused, match=r"refuses .error 5."):
        stream.start()
    assert not stream.active


def test_close_stops_it_and_may_be_called_again() -> None:
    library, going = FakeLibrary(most=10**9), threading.Event()

    def callback(*_):
        going.set()

    stream = player(library, callback)
    stream.start()
    assert going.wait(5.0)
    stream.close()
    stream.close()
    assert not stream.active
    assert library.freed == 1
