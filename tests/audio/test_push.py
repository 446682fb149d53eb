"""Pushed speech: pace, bounds, barge-in, refusal."""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import zmq

from rest_bridge.audio.pcm import PcmMessage, encode_pcm
from rest_bridge.audio.push import PushSource
from rest_bridge.audio.speech_queue import DRY_END_S, PREFILL_S, SpeechQueue
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


class Listener:
    """Takes frames from a queue and notes what happened: (event, utterance, sample index)."""

    def __init__(self, queue: SpeechQueue, clock: FakeClock) -> None:
        self._queue, self._clock = queue, clock
        self.index = 0
        self.events: list[tuple[str, str, int]] = []
        self.bodies: list[dict[str, Any]] = []

    def take(self, num_frames: int = 1, *, hold: int = 0) -> FloatArray:
        parts = []
        for _ in range(num_frames):
            self._clock._now_ns += FRAME_NS
            samples, events = self._queue.take(FRAME, hold=hold, in_flight=5 * FRAME)
            for event in events:
                body = dict(event.body)
                self.bodies.append(body)
                self.events.append((body["event"], body["utt"], self.index + event.offset))
            parts.append(samples)
            self.index += FRAME
        return np.concatenate(parts)


def make_queue(**options: Any) -> tuple[SpeechQueue, FakeClock, Listener]:
    clock = FakeClock()
    queue = SpeechQueue(clock=clock, **options)
    return queue, clock, Listener(queue, clock)


def test_a_sentence_pushed_at_once_is_spoken_without_a_gap_and_then_silence() -> None:
    queue, _, listener = make_queue()
    queue.put(message(0.5, utterance="a", last=True))
    voice = listener.take(20)
    assert (voice[:24000] == 0.5).all()
    assert not voice[24000:].any()
    assert listener.events == [("started", "a", 0), ("finished", "a", 24000)]
    assert listener.bodies[-1]["position"] == 500_000_000
    assert listener.bodies[-1]["interrupted"] is False
    assert queue.num_underruns == 0


def test_a_sender_in_real_time_with_jitter_does_not_run_dry() -> None:
    queue, clock, _ = make_queue()
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
        voice.append(queue.take(FRAME)[0])
    spoken = np.concatenate(voice)
    first = int(spoken.argmax())
    assert first <= PREFILL_S * VOICE_RATE_HZ + FRAME
    assert (spoken[first:] == 0.5).all()


def test_short_speech_without_an_end_starts_after_the_prefill_time() -> None:
    queue, clock, _ = make_queue()
    queue.put(message(0.01))
    assert not queue.take(480)[0].any()
    clock._now_ns += int(PREFILL_S * 1e9)
    assert queue.take(480)[0].all()


def test_an_utterance_that_runs_dry_says_so_waits_and_goes_on() -> None:
    queue, _, listener = make_queue()
    queue.put(message(0.1, utterance="a"))
    listener.take(4)
    assert queue.num_underruns == 1
    queue.put(message(0.02, utterance="a"))
    assert not listener.take().any()
    queue.put(message(0.1, utterance="a", last=True))
    assert listener.take().all()
    listener.take(4)
    assert listener.events == [
        ("started", "a", 0),
        ("underrun", "a", 4800),
        ("resumed", "a", 5 * FRAME),
        ("finished", "a", 5 * FRAME + 5760),
    ]
    assert [body["position"] for body in listener.bodies] == [0, 10**8, 10**8, 22 * 10**7]


def test_a_dry_utterance_that_gets_nothing_more_ends_and_lets_the_next_one_speak() -> None:
    queue, clock, listener = make_queue()
    queue.put(message(0.1, utterance="a"))
    queue.put(message(0.1, utterance="b", last=True))
    listener.take(4)
    clock._now_ns += int(DRY_END_S * 1e9)
    listener.take(1)
    assert listener.take(1).all()
    assert [event[:2] for event in listener.events] == [
        ("started", "a"),
        ("underrun", "a"),
        ("finished", "a"),
        ("started", "b"),
    ]
    assert listener.bodies[2]["interrupted"] is True


def test_speech_without_a_name_needs_no_end() -> None:
    queue, _, listener = make_queue()
    queue.put(message(0.1))
    queue.put(message(0.1, utterance="b", last=True))
    voice = listener.take(6)
    assert np.count_nonzero(voice) == 9600
    assert queue.num_underruns == 0


def test_utterances_pushed_interleaved_are_spoken_one_after_the_other() -> None:
    queue, _, listener = make_queue()
    for level, name in ((0.1, "a"), (0.2, "b"), (0.3, "c")) * 2:
        queue.put(message(0.08, utterance=name, level=level))
    for name in ("c", "b", "a"):
        queue.put(message(0.0, utterance=name, last=True))
    voice = listener.take(13)
    assert voice[::FRAME] == pytest.approx([0.1] * 4 + [0.2] * 4 + [0.3] * 4 + [0.0])
    assert listener.events == [
        ("started", "a", 0),
        ("finished", "a", 7680),
        ("started", "b", 7680),
        ("finished", "b", 2 * 7680),
        ("started", "c", 2 * 7680),
        ("finished", "c", 3 * 7680),
    ]


def test_marks_come_with_the_sample_they_were_put_on() -> None:
    queue, _, listener = make_queue()
    half = message(0.1, utterance="a", marks=((0, "begin"), (1000, "there")))
    queue.put(half)
    queue.put(PcmMessage(speech(2400), 24000, utterance="a", last=True, marks=((1200, "half"),)))
    queue.put(message(0.0, utterance="b", last=True, marks=((0, "empty"),)))
    listener.take(6)
    assert [(e, i) for e, _, i in listener.events] == [
        ("started", 0),
        ("mark", 0),
        ("mark", 1000),
        ("mark", 4800 + 2400),
        ("finished", 9600),
        ("started", 9600),
        ("mark", 9600),
        ("finished", 9600),
    ]
    assert [body["mark"] for body in listener.bodies if "mark" in body] == [
        "begin",
        "there",
        "half",
        "empty",
    ]
    assert listener.bodies[3]["position"] == 150_000_000


def test_flush_silences_at_once_and_tells_how_far_each_utterance_came() -> None:
    queue, _, listener = make_queue()
    queue.put(message(1.0, utterance="a", last=True))
    queue.put(message(1.0, utterance="b", last=True))
    listener.take(1)
    queue.put(message(0.2, utterance="c", level=-0.25, last=True, flush=True))
    assert queue.take_cut()
    assert not queue.take_cut()
    assert (listener.take() == -0.25).all()
    assert listener.events == [
        ("started", "a", 0),
        ("finished", "a", FRAME),
        ("finished", "b", FRAME),
        ("started", "c", FRAME),
    ]
    assert [body.get("position") for body in listener.bodies] == [0, 40_000_000, 0, 0]
    assert all(body["interrupted"] for body in listener.bodies[1:3])


def test_flush_of_one_utterance_leaves_the_others() -> None:
    queue, _, listener = make_queue()
    queue.put(message(0.2, utterance="a", last=True, level=0.1))
    queue.put(message(0.2, utterance="b", last=True, level=0.2))
    queue.put(message(0.2, utterance="c", last=True, level=0.3))
    listener.take(1)
    assert queue.flush(["b"]) == ["b"]
    assert not queue.take_cut()  # it had not begun
    voice = listener.take(9)
    assert 0.2 not in voice.round(2)
    assert np.count_nonzero(voice) == 4 * FRAME + 5 * FRAME


def test_what_comes_too_late_for_a_flushed_utterance_is_dropped() -> None:
    queue, _, listener = make_queue()
    queue.put(message(0.2, utterance="a"))
    assert queue.flush(["a", "on its way"]) == ["a"]
    queue.put(message(0.2, utterance="a"))
    queue.put(message(0.2, utterance="on its way", last=True))
    assert not listener.take(3).any()
    assert queue.num_dropped == 2
    queue.put(message(0.2, utterance="a", begin=True, last=True))
    assert listener.take().all()


def test_flush_cuts_the_end_of_speech_that_is_still_on_its_way_to_the_eye() -> None:
    queue, _, listener = make_queue()
    queue.put(message(0.2, utterance="a", last=True))
    listener.take(7)
    queue.flush()
    assert queue.take_cut()
    listener.take(10)
    queue.flush()
    assert not queue.take_cut()


def test_flush_without_samples_is_silence() -> None:
    queue, _, listener = make_queue()
    queue.put(message(1.0))
    queue.put(message(0.0, flush=True))
    assert not listener.take(3).any()
    queue.put(message(0.2, utterance="next", last=True))
    assert listener.take().all()


def test_an_utterance_that_is_only_opened_keeps_its_turn_for_a_while() -> None:
    queue, clock, listener = make_queue()
    queue.put(message(0.0, utterance="a", begin=True))
    queue.put(message(0.2, utterance="b", last=True))
    assert not listener.take(3).any()
    clock._now_ns += int(DRY_END_S * 1e9)
    listener.take(1)
    assert listener.take().all()
    assert [event[:2] for event in listener.events] == [("finished", "a"), ("started", "b")]
    queue.put(message(0.0, utterance="c", begin=True))
    listener.take(5)
    queue.put(message(0.1, utterance="c", last=True))
    assert np.count_nonzero(listener.take(4)) == 4800
    assert [event[:2] for event in listener.events[-2:]] == [("started", "c"), ("finished", "c")]


def test_more_utterances_than_can_wait_are_dropped_and_counted() -> None:
    queue, _, _ = make_queue()
    for number in range(300):
        queue.put(message(0.001, utterance=str(number), last=True))
    assert queue.num_dropped == 44
    assert len(queue.status()["utterances"]) == 256


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000])
def test_marks_of_later_messages_are_exact_at_any_rate(rate_hz: int) -> None:
    queue, _, listener = make_queue()
    size = round(0.1 * rate_hz)
    for number in range(3):  # what the resampler holds back between messages counts, too
        queue.put(PcmMessage(speech(size), rate_hz, utterance="a", marks=((0, str(number)),)))
    queue.put(PcmMessage(speech(0), rate_hz, utterance="a", last=True, marks=((0, "end"),)))
    listener.take(10)
    expected = [number * size * VOICE_RATE_HZ // rate_hz for number in range(4)]
    marks = [index for event, _, index in listener.events if event == "mark"]
    assert marks[:3] == expected[:3]
    assert abs(marks[3] - expected[3]) <= 1


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 192000])
def test_any_rate_and_stereo_become_the_mono_voice(rate_hz: int) -> None:
    queue, _, listener = make_queue()
    stereo = np.tile(np.array([[0.6, 0.2]], np.float32), (rate_hz // 2, 1))
    for part in np.array_split(stereo, 7):
        queue.put(PcmMessage(part, rate_hz))
    queue.put(PcmMessage(stereo[:0], rate_hz, last=True))
    voice = listener.take(15)
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


def test_speech_after_silence_goes_ahead_by_what_the_generator_looks_ahead(source, connect) -> None:
    source.advance_samples = 3 * FRAME
    for _ in range(13):
        source.read(FRAME, 1.0)
    connect(source).send(encode_pcm(message(1.0, utterance="a", last=True)))
    wait_for(lambda: source.num_messages == 1)
    before_ns = source._clock.now_ns()
    chunks = [source.read(FRAME, 1.0) for _ in range(6)]
    assert [chunk.advance for chunk in chunks] == [3 * FRAME, 0, 0, 0, 0, 0]
    assert [chunk.first_index for chunk in chunks] == [FRAME * k for k in range(13, 19)]
    assert all(chunk.samples.all() for chunk in chunks)
    # Four frames at once, then real time again.
    assert source._clock.now_ns() - before_ns == 3 * FRAME_NS
    steps = np.diff([chunk.captured_ns for chunk in chunks])
    assert (steps == FRAME_NS).all()


def test_speech_that_comes_slowly_or_soon_after_other_speech_does_not_go_ahead(
    source, connect
) -> None:
    source.advance_samples = 3 * FRAME
    socket = connect(source)
    for _ in range(13):
        source.read(FRAME, 1.0)
    socket.send(encode_pcm(message(0.1, utterance="slow")))
    wait_for(lambda: source.num_messages == 1)
    chunks = [source.read(FRAME, 1.0) for _ in range(8)]
    assert np.concatenate([chunk.samples for chunk in chunks]).any()
    socket.send(encode_pcm(message(1.0, utterance="soon", last=True)))
    socket.send(encode_pcm(message(0.0, utterance="slow", last=True)))
    wait_for(lambda: source.num_messages == 3)
    chunks += [source.read(FRAME, 1.0) for _ in range(4)]
    assert chunks[-1].samples.all()
    assert not any(chunk.advance for chunk in chunks)


def test_flush_goes_ahead_and_cuts(source, connect) -> None:
    source.advance_samples = 3 * FRAME
    connect(source).send(encode_pcm(message(1.0, utterance="a", last=True)))
    wait_for(lambda: source.num_messages == 1)
    source.read(FRAME, 1.0)
    assert source.flush() == ["a"]
    chunk = source.read(FRAME, 1.0)
    assert (chunk.cut, chunk.advance) == (True, 3 * FRAME)
    assert not chunk.samples.any()
    assert [event.body["event"] for event in chunk.events] == ["finished"]
    assert not source.read(FRAME, 1.0).cut


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


def test_when_another_voice_takes_over_every_line_gets_its_end(source, connect) -> None:
    sender = connect(source)
    for name in ("first", "second", "third"):
        sender.send(encode_pcm(message(1.0, utterance=name, last=True)))
    sender.send(encode_pcm(message(0.0, utterance="opened", begin=True)))
    wait_for(lambda: source.num_messages == 4)
    spoken = [source.read(4800, 1.0) for _ in range(3)]
    assert spoken[0].samples.any()
    events = source.last_events()
    ends = [event.body for event in events if event.body["event"] == "finished"]
    assert [body["utt"] for body in ends] == ["first", "second", "third", "opened"]
    assert all(body["interrupted"] for body in ends)
    assert ends[0]["position"] > 0
    assert [body["position"] for body in ends[1:]] == [0, 0, 0]
    assert source.last_events() == ()


def test_close_ends_the_voice() -> None:
    source = PushSource("tcp://127.0.0.1:*")
    source.close()
    source.close()
    with pytest.raises(SourceClosed):
        source.read(FRAME, 1.0)
