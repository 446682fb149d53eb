"""ZeroMQ publisher with real sockets: what plain subscribers and our client receive."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator

import cv2
import msgpack
import numpy as np
import pytest
import zmq

from rest_bridge.client import BridgeClient
from rest_bridge.endpoint import Security
from rest_bridge.errors import SinkUnavailable, WireError
from rest_bridge.sinks.messages import EventMessage, FrameMessage, RigMessage, VoiceMessage
from rest_bridge.sinks.publisher import Provenance, ZeroMqPublisher
from rest_bridge.sinks.wire import decode, encode
from rest_bridge.types import FRAME_DURATION_NS, SAMPLES_PER_FRAME, FrameFormat, StreamEvent
from tests.support.frames import make_frame, tone
from tests.support.messages import example_messages

ANY_PORT = "tcp://127.0.0.1:*"
FORMAT = FrameFormat(64, 48, 25.0)


def make_publisher(**kwargs: object) -> ZeroMqPublisher:
    publisher = ZeroMqPublisher(
        frames_endpoint=ANY_PORT,
        events_endpoint=ANY_PORT,
        provenance=Provenance("nano-1", "face-1", "nano", "rest_bridge test"),
        **kwargs,  # type: ignore[arg-type]
    )
    publisher.open(FORMAT)
    return publisher


@pytest.fixture
def publisher() -> Iterator[ZeroMqPublisher]:
    publisher = make_publisher()
    yield publisher
    publisher.close()


class Subscribers:
    """Makes plain SUB sockets and closes them all."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: list[zmq.Socket[bytes]] = []

    def __call__(
        self, endpoint: str, *topics: bytes, high_water: int = 1000
    ) -> "zmq.Socket[bytes]":
        socket = self._context.socket(zmq.SUB)
        self._sockets.append(socket)
        socket.setsockopt(zmq.RCVHWM, high_water)
        for topic in topics:
            socket.subscribe(topic)
        socket.connect(endpoint)
        return socket

    def close(self) -> None:
        self._context.destroy(linger=0)


@pytest.fixture
def subscribe() -> Iterator[Subscribers]:
    subscribers = Subscribers()
    yield subscribers
    subscribers.close()


def wait_for_topics(
    publisher: ZeroMqPublisher,
    *,
    frames: set[bytes] = frozenset(),
    events: set[bytes] = frozenset(),
) -> None:  # type: ignore[assignment]
    """Block until the subscriptions have reached the publisher's sockets."""
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        publisher._read_subscriptions(publisher._frames, publisher._frame_topics)
        # The events socket must still see its newcomers, so its subscriptions are only peeked at.
        if publisher._frame_topics >= frames and (not events or publisher._events.poll(20)):
            if events:
                threading.Event().wait(0.1)  # all of one client's subscriptions arrive together
            return
    pytest.fail("subscriptions did not arrive")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)


def receive(socket: "zmq.Socket[bytes]", count: int) -> list[bytes]:
    messages: list[bytes] = []
    while len(messages) < count:
        assert socket.poll(5000), f"only {len(messages)} of {count} messages came"
        messages.append(socket.recv())
    return messages


def test_plain_subscriber_gets_gapless_frames_40_ms_apart(
    publisher: ZeroMqPublisher, subscribe: Subscribers
) -> None:
    socket = subscribe(publisher.frames_endpoint, b"RGBA")
    wait_for_topics(publisher, frames={b"RGBA"})
    got: list[FrameMessage] = []
    for index in range(10):
        publisher.send(make_frame(index, captured_ns=index + 1))
        # Parsed by hand, as the documentation tells a stranger to do.
        (data,) = receive(socket, 1)
        size = int.from_bytes(data[6:8], "little")
        header = msgpack.unpackb(data[8 : 8 + size])
        assert (header["seq"], header["pts"]) == (index, index * FRAME_DURATION_NS)
        assert header["index"] == index * SAMPLES_PER_FRAME
        assert header["syn"] is True
        assert (header["model"], header["avatar"]) == ("nano-1", "face-1")
        pixels = np.frombuffer(data[8 + size :], np.uint8).reshape(header["h"], header["w"], 4)
        np.testing.assert_array_equal(pixels, make_frame(index).rgba)
        message = decode(data)
        assert isinstance(message, FrameMessage)
        got.append(message)
    assert all(m.stamp.published_ns > m.stamp.captured_ns for m in got)


def test_every_format_carries_the_same_picture(
    publisher: ZeroMqPublisher, subscribe: Subscribers
) -> None:
    bgra = subscribe(publisher.frames_endpoint, b"BGRA")
    jpeg = subscribe(publisher.frames_endpoint, b"JPEG")
    wait_for_topics(publisher, frames={b"BGRA", b"JPEG"})
    rgba = make_frame(0).rgba.copy()
    rgba[..., 3] = 255
    publisher.send(make_frame(0, rgba=rgba))
    bgra_message, jpeg_message = decode(receive(bgra, 1)[0]), decode(receive(jpeg, 1)[0])
    assert isinstance(bgra_message, FrameMessage)
    assert isinstance(jpeg_message, FrameMessage)
    np.testing.assert_array_equal(bgra_message.pixels()[..., [2, 1, 0, 3]], rgba)
    picture = cv2.imdecode(np.frombuffer(jpeg_message.payload, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(picture[8:16, 8:16].astype(int) - (0, 0, 255)).max() < 12
    with pytest.raises(WireError, match="JPEG"):
        jpeg_message.pixels()


def test_a_format_nobody_asked_for_is_not_encoded(
    publisher: ZeroMqPublisher,
    subscribe: Subscribers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    original = publisher._encoder.encode
    monkeypatch.setattr(
        publisher._encoder, "encode", lambda rgba, fmt: (made.append(fmt), original(rgba, fmt))[1]
    )
    publisher.send(make_frame(0))
    assert made == []
    socket = subscribe(publisher.frames_endpoint, b"BGRA")
    wait_for_topics(publisher, frames={b"BGRA"})
    publisher.send(make_frame(1))
    receive(socket, 1)
    assert made == ["bgra8"]
    socket.close(0)
    deadline = time.monotonic() + 5.0
    while publisher._frame_topics and time.monotonic() < deadline:
        publisher.send(make_frame(2))
    publisher.send(make_frame(3))
    assert publisher._frame_topics == set()


def test_voice_and_rig_belong_to_the_frame_and_voice_is_continuous(
    publisher: ZeroMqPublisher, subscribe: Subscribers
) -> None:
    socket = subscribe(publisher.events_endpoint, b"VOIC", b"RIG_")
    wait_for_topics(publisher, events={b"VOIC"})
    for index in range(5):
        publisher.send(make_frame(index))
    messages = [decode(data) for data in receive(socket, 10)]
    voices = [m for m in messages if isinstance(m, VoiceMessage)]
    rigs = [m for m in messages if isinstance(m, RigMessage)]
    assert [v.stamp for v in voices] == [r.stamp for r in rigs]
    assert [v.stamp.pts_ns for v in voices] == [i * FRAME_DURATION_NS for i in range(5)]
    np.testing.assert_array_equal(
        np.concatenate([v.samples for v in voices]), tone(0, 5 * SAMPLES_PER_FRAME)
    )
    assert [v.sample_index for v in voices] == [i * SAMPLES_PER_FRAME for i in range(5)]
    np.testing.assert_array_equal(rigs[3].values, make_frame(3).rig.values)
    np.testing.assert_array_equal(rigs[3].visemes, make_frame(3).rig.visemes)


def test_late_joiners_are_greeted_and_states_are_told(
    publisher: ZeroMqPublisher, subscribe: Subscribers
) -> None:
    for index in range(3):
        publisher.send(make_frame(index))
    socket = subscribe(publisher.events_endpoint, b"EVNT")
    wait_for_topics(publisher, events={b"EVNT"})
    publisher.send(make_frame(3))
    publisher.send(make_frame(4, activity="idle"))
    hello, state = (decode(data) for data in receive(socket, 2))
    assert isinstance(hello, EventMessage)
    assert isinstance(state, EventMessage)
    assert hello.kind == "hello"
    assert hello.body["protocol"] == [1, 0]
    assert (hello.body["width"], hello.body["height"], hello.body["fps"]) == (64, 48, 25.0)
    assert len(hello.body["rig"]) == 58
    assert len(hello.body["visemes"]) == 15
    assert hello.body["state"] == "speaking"
    assert (state.kind, state.body) == ("state", {"state": "idle", "pts": 4 * FRAME_DURATION_NS})


def test_stats_come_once_a_second(monkeypatch: pytest.MonkeyPatch, subscribe: Subscribers) -> None:
    publisher = make_publisher(stats=lambda: {"rtf": 0.4})
    socket = subscribe(publisher.events_endpoint, b"EVNT")
    wait_for_topics(publisher, events={b"EVNT"})
    now = 10**12
    monkeypatch.setattr(time, "monotonic_ns", lambda: now)
    for index in range(76):
        publisher.send(make_frame(index, captured_ns=now - 120_000_000))
        if index == 30:
            publisher.skip(make_frame(index))
        now += FRAME_DURATION_NS
    events = [decode(data) for data in receive(socket, 9)]
    publisher.close()
    stats = [e.body for e in events if isinstance(e, EventMessage) and e.kind == "stats"]
    assert [s["fps"] for s in stats] == [0.0, 25.0, 25.0, 25.0]
    assert [s["dropped"] for s in stats] == [0, 0, 1, 1]
    assert stats[-1]["rtf"] == 0.4
    assert stats[-1]["latency_ms"] == 120.0
    assert [e.sequence for e in events if isinstance(e, EventMessage)] == list(range(9))


def test_skipped_pictures_still_send_their_voice(
    publisher: ZeroMqPublisher, subscribe: Subscribers
) -> None:
    socket = subscribe(publisher.events_endpoint, b"VOIC")
    wait_for_topics(publisher, events={b"VOIC"})
    publisher.send(make_frame(0))
    publisher.skip(make_frame(1))
    publisher.send(make_frame(2))
    voices = [decode(data) for data in receive(socket, 3)]
    assert [v.stamp.sequence for v in voices if isinstance(v, VoiceMessage)] == [0, 1, 2]


def test_numpy_scalars_and_broken_numbers_do_not_stop_the_stream(
    publisher: ZeroMqPublisher, subscribe: Subscribers
) -> None:
    frames = subscribe(publisher.frames_endpoint, b"RGBA")
    events = subscribe(publisher.events_endpoint, b"VOIC", b"RIG_")
    wait_for_topics(publisher, frames={b"RGBA"}, events={b"VOIC"})
    good = make_frame(3)
    rig = dataclasses.replace(
        good.rig, speech_level=np.float32("nan"), values=np.full(58, np.nan, np.float32)
    )
    voice = dataclasses.replace(
        good.voice,
        first_index=np.int64(5760),
        samples=np.full(1920, np.nan, np.float32),
    )
    index = np.int64(3)
    publisher.send(dataclasses.replace(good, index=index, pts_ns=index, rig=rig, voice=voice))  # type: ignore[arg-type]
    assert isinstance(decode(receive(frames, 1)[0]), FrameMessage)
    voice_got, rig_got = (decode(data) for data in receive(events, 2))
    assert isinstance(voice_got, VoiceMessage)
    assert isinstance(rig_got, RigMessage)
    assert not voice_got.samples.any()
    assert not rig_got.values.any()


def test_port_in_use_names_the_key_and_frees_what_was_bound() -> None:
    first = make_publisher()
    try:
        second = ZeroMqPublisher(frames_endpoint=ANY_PORT, events_endpoint=first.events_endpoint)
        with pytest.raises(SinkUnavailable, match=r"already in use.*endpoints\.events"):
            second.open(FORMAT)
        assert second._context is None
    finally:
        first.close()


def test_foreign_addresses_need_the_insecure_flag() -> None:
    publisher = ZeroMqPublisher(frames_endpoint="tcp://0.0.0.0:*", events_endpoint=ANY_PORT)
    with pytest.raises(SinkUnavailable, match="other computers"):
        publisher.open(FORMAT)
    allowed = ZeroMqPublisher(
        frames_endpoint="tcp://0.0.0.0:*",
        events_endpoint=ANY_PORT,
        security=Security(insecure=True),
    )
    allowed.open(FORMAT)
    allowed.close()
    allowed.close()


def test_client_shows_the_newest_frame_and_keeps_all_voice(publisher: ZeroMqPublisher) -> None:
    with BridgeClient(
        frames=publisher.frames_endpoint, events=publisher.events_endpoint, control=""
    ) as client:
        wait_for_topics(publisher, frames={b"RGBA"}, events={b"VOIC"})
        for index in range(20):
            publisher.send(make_frame(index))
            wait_until(lambda index=index: client.num_frames > index)
        frame = client.frame()
        assert frame is not None
        assert frame.stamp.sequence == 19
        assert client.frame(timeout_s=0.0) is None
        voices = [client.voice() for _ in range(20)]
        assert [v.stamp.sequence for v in voices if v] == list(range(20))
        rig = client.rig()
        assert rig is not None
        assert rig.stamp.sequence == 0
        hello = client.event()
        assert hello is not None
        assert hello.kind == "hello"
        assert (client.num_lost, client.num_refused, client.num_overflowed) == (0, 0, 0)


def test_client_counts_lost_frames_and_refuses_strangers(publisher: ZeroMqPublisher) -> None:
    with BridgeClient(frames=publisher.frames_endpoint, events="", control="") as client:
        wait_for_topics(publisher, frames={b"RGBA"})
        for count, index in enumerate((0, 1, 5), start=1):
            publisher.send(make_frame(index))
            wait_until(lambda count=count: client.num_frames >= count)
        publisher._frames.send(b"RGBA\x02\x00\x00\x00")
        wait_until(lambda: client.num_refused >= 1)
        assert client.num_lost == 3
        assert client.num_refused == 1


def test_frames_that_are_parts_of_one_message_are_refused_with_it(
    publisher: ZeroMqPublisher,
) -> None:
    frame = encode(example_messages()["frame_rgba8"])
    with BridgeClient(frames=publisher.frames_endpoint, events="", control="") as client:
        wait_for_topics(publisher, frames={b"RGBA"})
        publisher._frames.send_multipart([frame, frame, frame])
        publisher.send(make_frame(0))
        wait_until(lambda: client.num_frames >= 1)
        assert (client.num_frames, client.num_refused) == (1, 1)


def test_a_subscriber_that_never_reads_does_not_block_the_publisher(
    publisher: ZeroMqPublisher, subscribe: Subscribers
) -> None:
    subscribe(publisher.frames_endpoint, b"RGBA", high_water=1)
    wait_for_topics(publisher, frames={b"RGBA"})
    big = np.zeros((1080, 1920, 4), np.uint8)
    begin = time.monotonic()
    for index in range(60):
        publisher.send(make_frame(index, rgba=big))
    assert time.monotonic() - begin < 5.0


@pytest.mark.parametrize(("topic", "tolerance"), [(b"PNG_", 0), (b"WEBP", 24)])
def test_slow_formats_keep_transparency_and_delay_nobody(
    publisher: ZeroMqPublisher, subscribe: Subscribers, topic: bytes, tolerance: int
) -> None:
    plain = subscribe(publisher.frames_endpoint, b"RGBA")
    slow = subscribe(publisher.frames_endpoint, topic)
    wait_for_topics(publisher, frames={b"RGBA", topic})
    rgba = np.zeros((48, 64, 4), np.uint8)
    rgba[:, :32] = (200, 60, 30, 255)
    rgba[:, 32:] = (30, 160, 90, 128)
    index = 0
    while not slow.poll(20):
        publisher.send(make_frame(index, rgba=rgba))
        index += 1
        assert index < 200
    message = decode(slow.recv())
    assert isinstance(message, FrameMessage)
    assert message.stride == 0
    picture = cv2.imdecode(np.frombuffer(message.payload, np.uint8), cv2.IMREAD_UNCHANGED)
    difference = cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA).astype(int) - rgba
    assert np.abs(difference[:, 8:24]).max() <= tolerance
    assert np.abs(difference[:, 40:56]).max() <= tolerance
    raw = decode(plain.recv())
    assert isinstance(raw, FrameMessage)
    assert raw.stamp.sequence == 0


def test_helper_threads_end_with_the_last_subscriber_and_with_the_publisher(
    subscribe: Subscribers,
) -> None:
    before = threading.active_count()
    publisher = make_publisher()
    socket = subscribe(publisher.frames_endpoint, b"PNG_", b"WEBP")
    wait_for_topics(publisher, frames={b"PNG_", b"WEBP"})
    publisher.send(make_frame(0))
    assert {t.name for t in threading.enumerate()} >= {"encode-png", "encode-webp"}
    socket.unsubscribe(b"PNG_")
    deadline = time.monotonic() + 5.0
    while b"PNG_" in publisher._frame_topics and time.monotonic() < deadline:
        publisher.send(make_frame(1))
    assert "encode-png" not in {t.name for t in threading.enumerate()}
    publisher.close()
    assert threading.active_count() <= before


def test_events_of_a_frame_carry_its_time_and_posted_ones_come_with_the_next_frame(
    publisher: ZeroMqPublisher, subscribe: Subscribers
) -> None:
    events = subscribe(publisher.events_endpoint, b"EVNT")
    wait_for_topics(publisher, events={b"EVNT"})
    publisher.post("tier", {"tier": "lean"})
    happened = StreamEvent("speech", 480, {"event": "started", "utt": "a", "position": 0})
    frame = dataclasses.replace(make_frame(3), events=(happened,))
    publisher.send(frame)
    seen = {}
    while not {"speech", "tier"} <= set(seen):
        assert events.poll(2000)
        message = decode(events.recv())
        assert isinstance(message, EventMessage)
        seen[message.kind] = dict(message.body)
    assert seen["tier"] == {"tier": "lean"}
    assert seen["speech"] == {
        "event": "started",
        "utt": "a",
        "position": 0,
        "pts": frame.pts_ns + 10_000_000,
    }


def test_many_foreign_subscriptions_are_forgotten_and_keep_nobody_out(
    publisher: ZeroMqPublisher, subscribe: Subscribers
) -> None:
    foreign = [b"%08d" % k for k in range(300)] + [b"RGBA%08d" % k for k in range(300)]
    socket = subscribe(publisher.frames_endpoint, *foreign)
    deadline = time.monotonic() + 5.0
    while len(publisher._frame_topics) < 64 and time.monotonic() < deadline:
        publisher.send(make_frame(0))
    publisher.send(make_frame(1))
    assert len(publisher._frame_topics) == 64
    assert not socket.poll(20)
    honest = subscribe(publisher.frames_endpoint, b"BGRA")
    wait_for_topics(publisher, frames={b"BGRA"})
    publisher.send(make_frame(2))
    assert receive(honest, 1)
