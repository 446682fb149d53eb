"""Pushed speech: pace, bounds, barge-in, refusal."""

import logging
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import zmq

from rest_bridge.audio.pcm import PcmMessage, encode_pcm
from rest_bridge.audio.push import PREFILL_S, PushSource, SpeechQueue
from rest_bridge.clock import MonotonicClock
from rest_bridge.errors import SourceClosed, SourceError, SourceTimeout
from rest_bridge.types import VOICE_RATE_HZ, FloatArray
from tests.support.fake_clock import FakeClock

FRAME = 1920
FRAME_NS = 40_000_000


def speech(num_samples: int, level: float = 0.5) -> FloatArray:
    return np.full((num_samples, 1), level, np.float32)


def message(seconds: float, *, level: float = 0.5, **fields: object) -> PcmMessage:
    return PcmMessage(speech(round(seconds * VOICE_RATE_HZ), level), VOICE_RATE_HZ, **fields)  # type: ignore[arg-type]


class Events(list[tuple[str, str, int]]):
    def __call__(self, event: str, utterance: str, index: int) -> None:
        self.append((event, utterance, index))


def take_frames(queue: SpeechQueue, clock: FakeClock, count: int, start: int = 0) -> FloatArray:
    parts = []
    for number in range(start, start + count):
        clock._now_ns += FRAME_NS
        parts.append(queue.take(FRAME, number * FRAME))
    return np.concatenate(parts)


def test_a_sentence_pushed_at_once_is_spoken_without_a_gap_and_then_silence() -> None:
    clock, events = FakeClock(), Events()
    queue = SpeechQueue(clock=clock, on_utterance=events)
    queue.put(message(0.5, utterance="a", last=True))
    voice = take_frames(queue, clock, 20)
    assert (voice[:24000] == 0.5).all()
    assert not voice[24000:].any()
    assert events == [("started", "a", 0), ("finished", "a", 24000)]
    assert queue.num_underruns == 0


def test_a_sender_in_real_time_with_jitter_does_not_run_dry() -> None:
    clock = FakeClock()
    queue = SpeechQueue(clock=clock)
    voice = []
    for number in range(50):
        # 40 ms each, alternately 30 ms late and on time
        queue_late = number % 2 == 1
        if not queue_late:
            queue.put(message(0.04))
        clock._now_ns += 30_000_000
        if queue_late:
            queue.put(message(0.04))
        clock._now_ns += 10_000_000
        voice.append(queue.take(FRAME, number * FRAME))
    spoken = np.concatenate(voice)
    first = int(spoken.argmax())
    assert first <= PREFILL_S * VOICE_RATE_HZ + FRAME
    assert (spoken[first:] == 0.5).all()


def test_short_speech_without_an_end_starts_after_the_prefill_time() -> None:
    clock = FakeClock()
    queue = SpeechQueue(clock=clock)
    queue.put(message(0.01))
    assert not queue.take(480, 0).any()
    clock._now_ns += int(PREFILL_S * 1e9)
    assert queue.take(480, 480).all()


def test_running_dry_is_counted_and_collects_again() -> None:
    clock, events = FakeClock(), Events()
    queue = SpeechQueue(clock=clock, on_utterance=events)
    queue.put(message(0.1, utterance="a"))
    take_frames(queue, clock, 4)
    assert queue.num_underruns == 1
    queue.put(message(0.02, utterance="a"))
    assert not queue.take(FRAME, 4 * FRAME).any()
    queue.put(message(0.1, utterance="a", last=True))
    assert queue.take(FRAME, 5 * FRAME).all()
    assert [event[0] for event in events] == ["started", "finished", "started"]


def test_flush_silences_at_once_and_names_what_it_dropped() -> None:
    clock, events = FakeClock(), Events()
    queue = SpeechQueue(clock=clock, on_utterance=events)
    queue.put(message(1.0, utterance="a", last=True))
    queue.put(message(1.0, utterance="b", last=True))
    take_frames(queue, clock, 1)
    queue.put(message(0.2, utterance="c", level=-0.25, last=True, flush=True))
    assert (queue.take(FRAME, FRAME) == -0.25).all()
    assert events == [
        ("started", "a", 0),
        ("flushed", "a", FRAME),
        ("flushed", "b", FRAME),
        ("started", "c", FRAME),
    ]


def test_flush_without_samples_is_silence() -> None:
    clock = FakeClock()
    queue = SpeechQueue(clock=clock)
    queue.put(message(1.0))
    queue.put(message(0.0, flush=True))
    assert not take_frames(queue, clock, 3).any()


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 192000])
def test_any_rate_and_stereo_become_the_mono_voice(rate_hz: int) -> None:
    clock = FakeClock()
    queue = SpeechQueue(clock=clock)
    stereo = np.tile(np.array([[0.6, 0.2]], np.float32), (rate_hz // 2, 1))
    for part in np.array_split(stereo, 7):
        queue.put(PcmMessage(part, rate_hz))
    queue.put(PcmMessage(stereo[:0], rate_hz, last=True))
    voice = take_frames(queue, clock, 15)
    assert np.abs(voice[500:23500] - 0.4).max() < 1e-3
    assert abs(np.count_nonzero(voice) - 24000) <= 200


@pytest.fixture
def source() -> Iterator[PushSource]:
    with PushSource("tcp://127.0.0.1:*", clock=FakeClock()) as made:
        yield made


@pytest.fixture
def connect() -> Iterator[Callable[[PushSource], "zmq.Socket[bytes]"]]:
    sockets = []

    def make(source: PushSource) -> "zmq.Socket[bytes]":
        socket = zmq.Context.instance().socket(zmq.PUSH)
        socket.linger = 0
        socket.sndtimeo = 2000
        sockets.append(socket)
        socket.connect(source.endpoint)
        return socket

    yield make
    for socket in sockets:
        socket.close()


def wait_for(condition: Callable[[], bool]) -> None:
    clock, stop = MonotonicClock(), threading.Event()
    deadline_ns = clock.now_ns() + 5 * 10**9
    while not condition():
        assert clock.now_ns() < deadline_ns
        clock.wait_until(clock.now_ns() + 2_000_000, stop)


def test_speech_over_the_socket_is_read_at_the_pace_of_the_clock(source, connect) -> None:
    connect(source).send(encode_pcm(message(0.2, last=True)))
    wait_for(lambda: source.num_messages == 1)
    chunks = [source.read(FRAME, 1.0) for _ in range(10)]
    steps = np.diff([chunk.captured_ns for chunk in chunks])
    assert (steps == FRAME_NS).all()
    assert [chunk.first_index for chunk in chunks] == list(range(0, 10 * FRAME, FRAME))
    voice = np.concatenate([chunk.samples for chunk in chunks])
    assert np.abs(voice[:9600] - 0.5).max() < 1e-4
    assert not voice[9600:].any()


def test_nothing_pushed_is_silence_and_never_ends(source) -> None:
    for _ in range(100):
        chunk = source.read(FRAME, 1.0)
        assert not chunk.samples.any()
        assert not chunk.discontinuity


def test_garbage_is_refused_counted_and_warned_about_once_per_cause(
    source, connect, caplog: pytest.LogCaptureFixture
) -> None:
    socket = connect(source)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            socket.send(b"hello, I am no speech")
        socket.send_multipart([b"two", b"parts"])
        socket.send(encode_pcm(message(0.1, last=True)))
        wait_for(lambda: source.num_messages == 1)
    assert source.num_refused == 6
    assert len(caplog.records) == 2
    assert source.read(FRAME, 1.0).samples.all()


def test_a_message_over_the_limit_does_not_stop_the_others(source, connect) -> None:
    big = connect(source)
    big.send(bytes(6_000_000))
    connect(source).send(encode_pcm(message(0.1)))
    wait_for(lambda: source.num_messages == 1)


def test_a_full_queue_holds_the_sender_back_and_loses_nothing(connect) -> None:
    with PushSource("tcp://127.0.0.1:*", clock=FakeClock(), max_queued_s=2.0) as source:
        socket = connect(source)
        socket.sndhwm = 4
        socket.sndtimeo = 100
        piece = encode_pcm(
            PcmMessage(speech(5 * VOICE_RATE_HZ), VOICE_RATE_HZ, "f32le", last=False)
        )
        num_sent = 0
        try:
            while num_sent < 200:
                socket.send(piece)
                num_sent += 1
        except zmq.Again:
            pass
        assert source.queue.queued_s < 8.0
        assert num_sent < 200
        spoken = 0
        while spoken < num_sent * 5 * VOICE_RATE_HZ:
            wait_for(lambda: source.queue.queued_s >= 0.1)
            spoken += np.count_nonzero(source.read(VOICE_RATE_HZ // 10, 1.0).samples)
        assert spoken == num_sent * 5 * VOICE_RATE_HZ


def test_port_in_use_and_bad_addresses_are_one_sentence(source) -> None:
    with pytest.raises(SourceError, match=r"already in use.*endpoints\.audio_in"):
        PushSource(source.endpoint)
    with pytest.raises(SourceError, match=r"other computers.*insecure"):
        PushSource("tcp://0.0.0.0:5999")
    with pytest.raises(SourceError, match=r"cannot be bound.*endpoints\.audio_in"):
        PushSource("tcp://127.0.0.1:port")


def test_not_due_in_time_is_a_timeout(source) -> None:
    with pytest.raises(SourceTimeout):
        source.read(VOICE_RATE_HZ, 0.1)
    assert source.read(FRAME, 1.0).first_index == 0


def test_after_the_computer_slept_the_voice_goes_on_from_now(source) -> None:
    source.read(FRAME, 1.0)
    source._clock._now_ns += 3600 * 10**9
    chunk = source.read(FRAME, 1.0)
    assert chunk.discontinuity
    assert chunk.first_index == FRAME
    assert chunk.captured_ns == source._clock.now_ns()


def test_close_ends_the_voice() -> None:
    source = PushSource("tcp://127.0.0.1:*")
    source.close()
    source.close()
    with pytest.raises(SourceClosed):
        source.read(FRAME, 1.0)
