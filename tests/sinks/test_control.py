"""Control server: every request gets one reply, whatever comes in."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import zmq

from rest_bridge.client import BridgeClient
from rest_bridge.errors import AvatarError, SinkError, SinkUnavailable
from rest_bridge.sinks.control import ControlServer
from rest_bridge.sinks.messages import ReplyMessage, RequestMessage
from rest_bridge.sinks.wire import decode, encode


class FakeDaemon:
    def __init__(self) -> None:
        self.muted = False
        self.stopped = False
        self.broken: Exception | None = None

    def status(self) -> Mapping[str, Any]:
        if self.broken is not None:
            raise self.broken
        return {"state": "speaking", "fps": 25.0}

    def set_muted(self, muted: bool) -> None:
        self.muted = muted

    def avatars(self) -> Sequence[Mapping[str, Any]]:
        return [{"id": "a1", "name": "Mira", "active": True}]

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
def server(daemon: FakeDaemon) -> Iterator[ControlServer]:
    with ControlServer(daemon, endpoint="tcp://127.0.0.1:*") as server:
        yield server


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
    assert client.request("avatars")["avatars"][0]["name"] == "Mira"
    assert client.request("stop") == {"stopping": True}
    assert daemon.stopped


def test_clocks_of_one_computer_agree(client: BridgeClient) -> None:
    assert abs(client.clock_offset_ns()) < 2_000_000
    before = time.monotonic_ns()
    reply = client.request("ping", t0=before)
    assert reply["t0"] == before <= reply["t1"] <= reply["t2"] <= time.monotonic_ns()


@pytest.mark.parametrize(
    ("operation", "body", "text"),
    [
        ("fly", {}, "There is no operation 'fly'; try avatars, mute, ping, status, stop"),
        ("mute", {}, '"on" must be true or false'),
        ("mute", {"on": 1}, '"on" must be true or false'),
        ("ping", {"t0": "now"}, '"t0" must be an integer'),
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
        ControlServer(daemon, endpoint=server.endpoint).start()


def test_close_is_idempotent_and_frees_the_port(daemon: FakeDaemon) -> None:
    first = ControlServer(daemon, endpoint="tcp://127.0.0.1:*")
    first.start()
    first.close()
    first.close()
    second = ControlServer(daemon, endpoint=first.endpoint)
    second.start()
    second.close()
