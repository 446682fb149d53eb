"""Control server: every request gets one reply, whatever comes in."""

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import zmq

from rest_bridge.client import BridgeClient
from rest_bridge.errors import AvatarError, SinkError, SinkUnavailable
from rest_bridge.sinks.control import (
    MOST_SLOW,
    BadRequest,
    ControlServer,
    Operation,
    Progress,
)
from rest_bridge.sinks.messages import EventMessage, Message, ReplyMessage, RequestMessage
from rest_bridge.sinks.wire import decode, encode


class FakeDaemon:
    def __init__(self) -> None:
        self.muted = False
        self.broken: Exception | None = None
        self.go_on = threading.Event()
        self.num_slow = 0

    def operations(self) -> dict[str, Operation]:
        return {
            "status": Operation(self.status),
            "mute": Operation(self.mute),
            "slow": Operation(self.slow, slow=True),
        }

    def status(self, body: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
        if self.broken is not None:
            raise self.broken
        return {"state": "speaking", "fps": 25.0}

    def mute(self, body: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
        if not isinstance(body.get("on"), bool):
            raise BadRequest('mute: "on" must be true or false.')
        self.muted = body["on"]
        return {"muted": self.muted}

    def slow(self, body: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
        self.num_slow += 1
        progress(0.5, "half")
        assert self.go_on.wait(10)
        if self.broken is not None:
            raise self.broken
        return {"done": body.get("what", "")}


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
def server(daemon: FakeDaemon) -> Iterator[ControlServer]:
    with ControlServer(
        daemon.operations(), statistics=lambda: {"fps": 25.0}, endpoint="tcp://127.0.0.1:*"
    ) as server:
        yield server
        daemon.go_on.set()


@pytest.fixture
def dealer(server: ControlServer) -> Iterator["zmq.Socket[bytes]"]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(server.endpoint)
    yield socket
    context.destroy(linger=0)


def receive(socket: "zmq.Socket[bytes]") -> Message:
    assert socket.poll(5000), "nothing came"
    return decode(socket.recv())


@pytest.fixture
def client(server: ControlServer) -> Iterator[BridgeClient]:
    with BridgeClient(frames="", events="", control=server.endpoint) as client:
        yield client


def test_commands_reach_the_daemon(client: BridgeClient, daemon: FakeDaemon) -> None:
    assert client.request("status") == {"state": "speaking", "fps": 25.0}
    assert client.request("mute", on=True) == {"muted": True}
    assert daemon.muted
    assert client.request("mute", on=False) == {"muted": False}
    assert not daemon.muted


def test_clocks_of_one_computer_agree(client: BridgeClient) -> None:
    assert abs(client.clock_offset_ns()) < 2_000_000
    before = time.monotonic_ns()
    reply = client.request("ping", t0=before)
    assert reply["t0"] == before <= reply["t1"] <= reply["t2"] <= time.monotonic_ns()


@pytest.mark.parametrize(
    ("operation", "body", "text"),
    [
        ("fly", {}, "There is no operation 'fly'; try mute, ping, slow, stat"),
        ("mute", {}, '"on" must be true or false'),
        ("mute", {"on": 1}, '"on" must be true or false'),
        ("ping", {"t0": "now"}, '"t0" must be an integer'),
        ("statistics.subscribe", {"on": 1}, '"on" must be true or false'),
        ("statistics.subscribe", {"interval_s": "1"}, '"interval_s" must be a number'),
    ],
)
def test_wrong_requests_are_answered_with_the_reason(
    client: BridgeClient, operation: str, body: dict[str, Any], text: str
) -> None:
    with pytest.raises(SinkError, match=text):
        client.request(operation, **body)


def test_a_failing_daemon_is_answered_too(client: BridgeClient, daemon: FakeDaemon) -> None:
    daemon.broken = AvatarError("The avatar is gone.")
    with pytest.raises(SinkError, match="The avatar is gone"):
        client.request("status")
    daemon.broken = RuntimeError("secret detail")
    with pytest.raises(SinkError, match="failed inside: RuntimeError"):
        client.request("status")


def test_a_slow_operation_tells_its_progress_and_others_are_answered_meanwhile(
    dealer: "zmq.Socket[bytes]", daemon: FakeDaemon
) -> None:
    dealer.send(encode(RequestMessage(1, "slow", {"what": "import"})))
    progress = receive(dealer)
    assert isinstance(progress, EventMessage)
    assert progress.kind == "progress"
    assert progress.body == {"id": 1, "op": "slow", "done": 0.5, "text": "half"}
    dealer.send(encode(RequestMessage(2, "status")))
    quick = receive(dealer)
    assert isinstance(quick, ReplyMessage)
    assert quick.request_id == 2
    daemon.go_on.set()
    done = receive(dealer)
    assert isinstance(done, ReplyMessage)
    assert (done.request_id, done.ok, done.body) == (1, True, {"done": "import"})


def test_repeating_a_slow_request_does_not_do_it_twice(
    dealer: "zmq.Socket[bytes]", daemon: FakeDaemon
) -> None:
    for _ in range(3):
        dealer.send(encode(RequestMessage(7, "slow")))
    assert isinstance(receive(dealer), EventMessage)
    dealer.send(encode(RequestMessage(8, "status")))
    assert isinstance(receive(dealer), ReplyMessage)
    daemon.go_on.set()
    assert isinstance(receive(dealer), ReplyMessage)
    assert daemon.num_slow == 1
    assert not dealer.poll(50)


def test_too_many_slow_requests_are_refused_as_busy(
    dealer: "zmq.Socket[bytes]", daemon: FakeDaemon
) -> None:
    for number in range(MOST_SLOW + 2):
        dealer.send(encode(RequestMessage(number, "slow")))
    messages = [receive(dealer) for _ in range(MOST_SLOW + 2)]
    refused = [m for m in messages if isinstance(m, ReplyMessage)]
    assert [m.code for m in refused] == ["busy", "busy"]
    daemon.go_on.set()
    replies = [receive(dealer) for _ in range(MOST_SLOW)]
    assert all(isinstance(m, ReplyMessage) and m.ok for m in replies)


def test_a_slow_operation_that_fails_is_answered(
    dealer: "zmq.Socket[bytes]", daemon: FakeDaemon
) -> None:
    daemon.broken = AvatarError("No face was found.")
    daemon.go_on.set()
    dealer.send(encode(RequestMessage(1, "slow")))
    messages = [receive(dealer), receive(dealer)]
    reply = next(m for m in messages if isinstance(m, ReplyMessage))
    assert (reply.code, reply.error) == ("failed", "No face was found.")


def test_closing_does_not_wait_for_slow_operations(daemon: FakeDaemon) -> None:
    server = ControlServer(daemon.operations(), endpoint="tcp://127.0.0.1:*")
    server.start()
    with BridgeClient(frames="", events="", control=server.endpoint) as client:
        with pytest.raises(SinkError, match="did not answer"):
            client.request("slow", timeout_s=0.2)
        begin_s = time.monotonic()
        server.close()
        assert time.monotonic() - begin_s < 1.0
    daemon.go_on.set()


def test_subscribers_get_statistics_until_they_say_otherwise(dealer: "zmq.Socket[bytes]") -> None:
    dealer.send(encode(RequestMessage(1, "statistics.subscribe", {"interval_s": 0.1})))
    reply = receive(dealer)
    assert isinstance(reply, ReplyMessage)
    assert reply.body == {"subscribed": True, "interval_s": 0.1}
    for _ in range(3):
        event = receive(dealer)
        assert isinstance(event, EventMessage)
        assert (event.kind, event.body) == ("statistics", {"fps": 25.0})
    dealer.send(encode(RequestMessage(2, "statistics.subscribe", {"on": False})))
    while not isinstance(reply := receive(dealer), ReplyMessage):
        pass
    assert reply.body == {"subscribed": False}
    assert not dealer.poll(250)


def test_a_req_socket_works_as_well_as_a_dealer(server: ControlServer) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.connect(server.endpoint)
    socket.send(encode(RequestMessage(5, "status")))
    reply = decode(socket.recv())
    assert isinstance(reply, ReplyMessage)
    assert (reply.request_id, reply.ok) == (5, True)
    context.destroy(linger=0)


@pytest.mark.parametrize(
    "parts",
    [
        [b""],
        [b"junk"],
        [b"a", b"b", b"c"],
        [encode(ReplyMessage(1, "x", True))],
        [b"RQST\x02\x00\x00\x00"],
    ],
)
def test_garbage_gets_an_error_reply_and_the_next_request_works(
    server: ControlServer, parts: list[bytes]
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(server.endpoint)
    socket.send_multipart(parts)
    socket.send(encode(RequestMessage(9, "status")))
    assert socket.poll(5000)
    bad = decode(socket.recv_multipart()[-1])
    assert isinstance(bad, ReplyMessage)
    assert (bad.request_id, bad.ok, bad.code) == (0, False, "bad_message")
    assert socket.poll(5000)
    good = decode(socket.recv())
    assert isinstance(good, ReplyMessage)
    assert good.ok
    context.destroy(linger=0)


def test_a_huge_message_only_costs_its_sender_the_connection(
    server: ControlServer, client: BridgeClient
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(server.endpoint)
    socket.send(b"x" * 10_000_000)
    assert client.request("status")["state"] == "speaking"
    context.destroy(linger=0)


def test_nobody_there_is_one_clear_sentence() -> None:
    with (
        BridgeClient(frames="", events="", control="tcp://127.0.0.1:9") as client,
        pytest.raises(SinkError, match=r"did not answer 'status'.*is it running"),
    ):
        client.request("status", timeout_s=0.05)


def test_port_in_use_names_the_key(server: ControlServer, daemon: FakeDaemon) -> None:
    with pytest.raises(SinkUnavailable, match=r"already in use.*endpoints\.control"):
        ControlServer(daemon.operations(), endpoint=server.endpoint).start()


def test_close_is_idempotent_and_frees_the_port(daemon: FakeDaemon) -> None:
    first = ControlServer(daemon.operations(), endpoint="tcp://127.0.0.1:*")
    first.start()
    first.close()
    first.close()
    second = ControlServer(daemon.operations(), endpoint=first.endpoint)
    second.start()
    second.close()
