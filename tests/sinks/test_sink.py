"""Sink runner: bounded, counted, and a sink that fails harms nobody else."""

import gc
import threading
import weakref
from typing import Literal

import pytest

from rest_bridge.errors import SinkError, SinkUnavailable
from rest_bridge.sinks.sink import SinkRunner
from rest_bridge.types import Frame, FrameFormat
from tests.support.frames import make_frame, make_frames

FORMAT = FrameFormat(64, 48, 25.0)
WAIT_S = 5.0


class FakeSink:
    """Notes what it gets; blocks in `send` while `gate` is closed."""

    def __init__(self, policy: Literal["latest", "every"] = "every") -> None:
        self.name = "fake"
        self.policy = policy
        self.gate = threading.Event()
        self.gate.set()
        self.in_send = threading.Event()
        self.opened: FrameFormat | None = None
        self.open_error: Exception | None = None
        self.send_error: Exception | None = None
        self.sent: list[int] = []
        self.closed = 0
        self.threads: set[int] = set()

    def open(self, fmt: FrameFormat) -> None:
        self.threads.add(threading.get_ident())
        if self.open_error is not None:
            raise self.open_error
        self.opened = fmt

    def send(self, frame: Frame) -> None:
        self.threads.add(threading.get_ident())
        self.in_send.set()
        assert self.gate.wait(WAIT_S)
        if self.send_error is not None:
            raise self.send_error
        assert frame.rgba.size
        self.sent.append(frame.index)

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed += 1


class SkippingFakeSink(FakeSink):
    def __init__(self, policy: Literal["latest", "every"] = "every") -> None:
        super().__init__(policy)
        self.skipped: list[int] = []

    def skip(self, frame: Frame) -> None:
        assert frame.rgba.size == 0
        assert len(frame.voice.samples)
        self.skipped.append(frame.index)


def test_every_frame_arrives_in_order_in_one_thread_of_its_own() -> None:
    sink = FakeSink()
    runner = SinkRunner(sink, FORMAT)
    runner.start()
    for frame in make_frames(20):
        runner.offer(frame)
    assert runner.close(WAIT_S)
    assert sink.sent == list(range(20))
    assert sink.opened == FORMAT
    assert sink.closed == 1
    assert len(sink.threads) == 1
    assert threading.get_ident() not in sink.threads
    assert (runner.status.sent, runner.status.dropped, runner.status.state) == (20, 0, "closed")


def test_latest_keeps_only_the_newest_and_counts_the_rest() -> None:
    sink = FakeSink("latest")
    sink.gate.clear()
    runner = SinkRunner(sink, FORMAT)
    runner.start()
    runner.offer(make_frame(0))
    assert sink.in_send.wait(WAIT_S)
    for index in range(1, 10):
        runner.offer(make_frame(index))
    assert (runner.status.waiting, runner.status.dropped) == (1, 8)
    sink.in_send.clear()
    sink.gate.set()
    assert sink.in_send.wait(WAIT_S)
    runner.close(WAIT_S)
    assert sink.sent == [0, 9]


def test_latest_hands_on_the_voice_of_overtaken_pictures_in_order() -> None:
    sink = SkippingFakeSink("latest")
    sink.gate.clear()
    runner = SinkRunner(sink, FORMAT)
    runner.start()
    runner.offer(make_frame(0))
    assert sink.in_send.wait(WAIT_S)
    for index in range(1, 10):
        runner.offer(make_frame(index))
    assert (runner.status.waiting, runner.status.dropped) == (9, 6)
    sink.gate.set()
    while runner.status.waiting:
        pass
    runner.close(WAIT_S)
    assert sink.skipped == [1, 2, 3, 4, 5, 6]
    assert sink.sent == [0, 7, 8, 9]


def test_a_full_queue_drops_pictures_but_hands_on_their_voice() -> None:
    sink = SkippingFakeSink()
    sink.gate.clear()
    runner = SinkRunner(sink, FORMAT, queue_frames=5)
    runner.start()
    runner.offer(make_frame(0))
    assert sink.in_send.wait(WAIT_S)
    for index in range(1, 10):
        runner.offer(make_frame(index))
    assert (runner.status.waiting, runner.status.dropped) == (9, 4)
    sink.gate.set()
    runner.close(WAIT_S)
    assert sink.sent == [0, 1, 2, 3, 4, 5]
    assert sink.skipped == [6, 7, 8, 9]


def test_a_full_queue_in_front_of_a_plain_sink_only_drops() -> None:
    sink = FakeSink()
    sink.gate.clear()
    runner = SinkRunner(sink, FORMAT, queue_frames=2)
    runner.start()
    runner.offer(make_frame(0))
    assert sink.in_send.wait(WAIT_S)
    for index in range(1, 5):
        runner.offer(make_frame(index))
    sink.gate.set()
    runner.close(WAIT_S)
    assert sink.sent == [0, 1, 2]
    assert runner.status.dropped == 2


def test_a_sink_that_cannot_open_says_why_at_start() -> None:
    sink = FakeSink()
    sink.open_error = SinkUnavailable("No camera; plug one in.")
    runner = SinkRunner(sink, FORMAT, on_failure=lambda *_: pytest.fail("start reports already"))
    with pytest.raises(SinkUnavailable, match="plug one in"):
        runner.start()
    runner.offer(make_frame(0))
    assert runner.close()
    assert runner.status.state == "failed"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SinkError("The disk is full."), "The disk is full"),
        (ValueError("x"), "fake: ValueError: x"),
    ],
)
def test_a_sink_that_fails_is_closed_and_reported_once(error: Exception, text: str) -> None:
    sink = FakeSink()
    sink.send_error = error
    reports: list[tuple[str, str]] = []
    reported = threading.Event()

    def report(name: str, failure: SinkError) -> None:
        reports.append((name, str(failure)))
        reported.set()

    runner = SinkRunner(sink, FORMAT, on_failure=report)
    runner.start()
    for frame in make_frames(5):
        runner.offer(frame)
    assert reported.wait(WAIT_S)
    for frame in make_frames(5):
        runner.offer(frame)
    runner.close()
    assert sink.closed == 1
    assert len(reports) == 1
    name, message = reports[0]
    assert name == "fake"
    assert message.startswith(text)
    assert (runner.status.state, runner.status.error) == ("failed", message)
    assert runner.status.waiting == 0


def test_a_hanging_sink_does_not_hang_close() -> None:
    sink = FakeSink()
    sink.gate.clear()
    runner = SinkRunner(sink, FORMAT)
    runner.start()
    runner.offer(make_frame(0))
    assert sink.in_send.wait(WAIT_S)
    assert not runner.close(0.05)
    sink.gate.set()
    assert runner.close(WAIT_S)


def test_close_without_drain_gives_up_what_waits() -> None:
    sink = FakeSink()
    sink.gate.clear()
    runner = SinkRunner(sink, FORMAT)
    runner.start()
    for frame in make_frames(5):
        runner.offer(frame)
    assert sink.in_send.wait(WAIT_S)
    closer = threading.Thread(target=runner.close, args=(WAIT_S,), kwargs={"drain": False})
    closer.start()
    while not runner._closing:
        pass
    sink.gate.set()
    closer.join(WAIT_S)
    assert sink.sent == [0]


def test_close_before_start_is_harmless() -> None:
    assert SinkRunner(FakeSink(), FORMAT).close()


class _Encoder:
    """Something large that is only known to the calls that fail."""


class _FailingInside(FakeSink):
    def send(self, frame: Frame) -> None:
        self.in_send.set()
        encoder = _Encoder()
        self.seen = weakref.ref(encoder)
        try:
            raise OSError("disk")
        except OSError as error:
            raise SinkError("The disk is full.") from error


def test_a_failure_that_is_kept_holds_nothing_of_where_it_happened() -> None:
    sink = _FailingInside()
    errors: list[SinkError] = []
    runner = SinkRunner(sink, FORMAT, on_failure=lambda _, error: errors.append(error))
    gc.disable()  # what only a full collection frees stays for minutes
    try:
        runner.start()
        runner.offer(make_frame(0))
        assert sink.in_send.wait(WAIT_S)
        assert runner.close(WAIT_S)
        assert runner.status.error == "The disk is full."
        assert len(errors) == 1
        assert sink.seen() is None
    finally:
        gc.enable()
