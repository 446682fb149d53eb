"""Hostile peers: nothing that comes over a socket stops the stream or makes memory grow."""

import contextlib
import gc
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgpack
import psutil
import pytest
import zmq

from rest_bridge.audio.pcm import PcmMessage, encode_pcm
from rest_bridge.audio.push import PushSource
from rest_bridge.client import BridgeClient
from rest_bridge.sinks.control import ControlServer, Operation
from rest_bridge.sinks.messages import RequestMessage
from rest_bridge.sinks.publisher import ZeroMqPublisher
from rest_bridge.sinks.wire import encode
from rest_bridge.types import FrameFormat
from tests.support.frames import make_frame, tone
from tests.support.messages import example_messages

ANY_PORT = "tcp://127.0.0.1:*"
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
READY = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH"


class Server:
    """All four sockets of a daemon, and a stream that goes on while a test does its worst."""

    def __init__(self) -> None:
        self.publisher = ZeroMqPublisher(frames_endpoint=ANY_PORT, events_endpoint=ANY_PORT)
        self.publisher.open(FrameFormat(64, 48, 25.0))
        self.control = ControlServer(
            {"hi": Operation(lambda body, progress: {"there": True})}, endpoint=ANY_PORT
        )
        self.control.start()
        self.speech = PushSource(ANY_PORT)
        self.num_sent = 0
        self.slowest_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            begin = time.monotonic()
            self.publisher.send(make_frame(self.num_sent))
            self.slowest_s = max(self.slowest_s, time.monotonic() - begin)
            self.num_sent += 1

    @property
    def endpoints(self) -> list[str]:
        return [
            self.publisher.frames_endpoint,
            self.publisher.events_endpoint,
            self.control.endpoint,
            self.speech.endpoint,
        ]

    def check(self) -> None:
        """Fail unless frames, requests and speech still work for an honest client."""
        with BridgeClient(
            frames=self.publisher.frames_endpoint,
            events=self.publisher.events_endpoint,
            control=self.control.endpoint,
        ) as client:
            assert client.frame(5.0) is not None
            assert client.voice(5.0) is not None
            assert client.request("hi", timeout_s=5.0) == {"there": True}
        before = self.speech.num_messages
        with contextlib.closing(zmq.Context.instance().socket(zmq.PUSH)) as push:
            push.connect(self.speech.endpoint)
            push.send(encode_pcm(PcmMessage(tone(0)[:, None], 48_000)))
            deadline = time.monotonic() + 5.0
            while self.speech.num_messages == before:
                assert time.monotonic() < deadline
                time.sleep(0.005)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.publisher.close()
        self.control.close()
        self.speech.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def dial(endpoint: str) -> socket.socket:
    host, port = endpoint.removeprefix("tcp://").split(":")
    return socket.create_connection((host, int(port)), 5.0)


def memory_mb() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        os.urandom(4096),
        bytes(65536),
        GREETING[:11],
        GREETING,
        GREETING + b"\x06" + struct.pack(">Q", 1 << 62),
        GREETING + READY + b"\x02" + struct.pack(">Q", (1 << 63) - 1),
        GREETING + READY + b"\x02" + struct.pack(">Q", 1 << 30) + bytes(100_000),
        GREETING + READY + b"\x00\xff" + bytes(10),
    ],
    ids=["http", "noise", "zeros", "half-greeting", "no-handshake", "huge-command", "huge-message",
         "gigabyte-begun", "cut-message"],
)  # fmt: skip
def test_bytes_that_are_no_zeromq_harm_nobody(server: Server, data: bytes) -> None:
    before = memory_mb()
    peers = [dial(endpoint) for endpoint in server.endpoints for _ in range(5)]
    for peer in peers:
        with contextlib.suppress(OSError):
            peer.sendall(data)
    server.check()
    for peer in peers:
        peer.close()
    server.check()
    assert memory_mb() - before < 40


def test_a_thousand_connects_harm_nobody(server: Server) -> None:
    server.check()
    before, files = memory_mb(), psutil.Process().num_fds()
    for _ in range(250):
        peers = [dial(endpoint) for endpoint in server.endpoints]
        for peer in peers:
            peer.close()
    server.check()
    deadline = time.monotonic() + 5.0
    while psutil.Process().num_fds() > files + 8 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert psutil.Process().num_fds() <= files + 8
    assert memory_mb() - before < 40


def test_a_connection_cut_after_any_byte_harms_nobody(server: Server) -> None:
    before, files = memory_mb(), psutil.Process().num_fds()
    message = encode(example_messages()["request_ping"])
    stream = GREETING + READY + struct.pack("BB", 0, len(message)) + message
    for cut in range(1, len(stream)):
        peers = [dial(endpoint) for endpoint in server.endpoints]
        for peer in peers:
            peer.sendall(stream[:cut])
            peer.close()
    server.check()
    deadline = time.monotonic() + 5.0
    while psutil.Process().num_fds() > files + 8 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert psutil.Process().num_fds() <= files + 8
    assert memory_mb() - before < 40


def test_a_thousand_clients_that_come_and_go_harm_nobody(server: Server) -> None:
    server.check()
    before = memory_mb()
    ping = encode(example_messages()["request_ping"])
    context: zmq.Context[Any] = zmq.Context()
    for _ in range(1000):
        with context.socket(zmq.DEALER) as dealer:
            dealer.linger = 0
            dealer.connect(server.control.endpoint)
            dealer.send(ping)
    server.check()
    context.destroy(linger=0)
    assert memory_mb() - before < 40


def test_wrong_messages_on_every_socket_are_refused_and_answered(server: Server) -> None:
    before = memory_mb()
    messages = [encode(message) for message in example_messages().values()]
    wrong = [bytes((*data[:4], 9, *data[5:])) for data in messages]
    wrong += [data[:cut] for data in messages for cut in range(len(data))]
    long_header = msgpack.packb({"id": 1, "op": "ping", "more": "x" * 60_000})
    wrong.append(b"RQST\x01\x00" + struct.pack("<H", len(long_header)) + long_header + b"\x80")
    wrong += [b"RQST\x01\x00\xff\xff" + os.urandom(3000), b"PCM_\x01\x00\x05\x00" + bytes(90)]
    context: zmq.Context[Any] = zmq.Context()
    dealer, push = context.socket(zmq.DEALER), context.socket(zmq.PUSH)
    dealer.connect(server.control.endpoint)
    push.connect(server.speech.endpoint)
    for data in wrong:
        push.send(data)
        dealer.send(data)
        assert dealer.poll(5000)  # an error reply to each
        dealer.recv()
    dealer.send_multipart([b"a", b"b", b"c"])
    push.send_multipart([b"a", b"b", b"c"])
    server.check()
    context.destroy(linger=0)
    assert server.speech.num_refused >= len(wrong)
    assert memory_mb() - before < 40


def test_a_client_that_never_reads_its_replies_is_dropped_not_stored(server: Server) -> None:
    before = memory_mb()
    context: zmq.Context[Any] = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.rcvhwm = 1
    dealer.sndtimeo = 200
    dealer.connect(server.control.endpoint)
    request = encode(RequestMessage(1, "hi", {"x": "y" * 4000}))
    with contextlib.suppress(zmq.Again):
        for _ in range(5000):
            dealer.send(request)
    server.check()
    context.destroy(linger=0)
    assert memory_mb() - before < 60


def test_slow_readers_lose_frames_and_delay_nobody(server: Server) -> None:
    before = memory_mb()
    context: zmq.Context[Any] = zmq.Context()
    readers = []
    for topic in (b"RGBA", b"BGRA", b"JPEG", b"PNG_", b"WEBP"):
        for _ in range(3):
            reader = context.socket(zmq.SUB)
            readers.append(reader)
            reader.rcvhwm = 1
            reader.subscribe(topic)
            reader.connect(server.publisher.frames_endpoint)
    start = server.num_sent
    deadline = time.monotonic() + 30.0
    while server.num_sent < start + 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    server.check()
    context.destroy(linger=0)
    assert memory_mb() - before < 80


def test_many_subscriptions_end_with_their_connection(server: Server) -> None:
    context: zmq.Context[Any] = zmq.Context()
    reader = context.socket(zmq.SUB)
    reader.connect(server.publisher.frames_endpoint)
    for number in range(20_000):
        reader.subscribe(b"x%d" % number)
    server.check()
    context.destroy(linger=0)
    server.check()
    assert len(server.publisher._frame_topics) <= 64
