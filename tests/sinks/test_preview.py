"""Preview server: who may connect, what a viewer gets, and that nobody can hold up the stream."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from rest_bridge.errors import SinkUnavailable
from rest_bridge.sinks.messages import EventMessage, FrameMessage, VoiceMessage
from rest_bridge.sinks.preview import MAX_VIEWERS, PreviewServer
from rest_bridge.sinks.viewer import shrink
from rest_bridge.sinks.wire import decode
from rest_bridge.types import FrameFormat
from tests.support.frames import make_frame, pattern_picture

FORMAT = FrameFormat(64, 48, 25.0)
TOKEN = "test-token"


@pytest.fixture
def server() -> Iterator[PreviewServer]:
    server = PreviewServer(port=0, token=TOKEN)
    server.open(FORMAT)
    yield server
    server.close()


@pytest.fixture
def watch(server: PreviewServer) -> Iterator[Callable[..., ClientConnection]]:
    """Connect as the page does; wait until the server knows the viewer and its wish."""
    stack = contextlib.ExitStack()

    def watch(size: int = 0, voice: bool = False, **kwargs: Any) -> ClientConnection:
        url = f"ws://127.0.0.1:{server._port}/ws?token={TOKEN}"
        connection = stack.enter_context(connect(url, compression=None, max_size=None, **kwargs))
        connection.send(json.dumps({"op": "view", "size": size, "voice": voice}))
        connection.send(json.dumps({"op": "ping", "t0": 1}))
        reply = connection.recv(timeout=5)
        assert isinstance(reply, str)
        return connection

    with stack:
        yield watch


def get(server: PreviewServer, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server._port, timeout=5)
    connection.putrequest("GET", path, skip_host=True)
    for name, value in ({"Host": f"127.0.0.1:{server._port}"} | headers).items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    response.body = response.read()  # type: ignore[attr-defined]
    connection.close()
    return response


def receive(connection: ClientConnection, kind: type) -> Any:
    """Return the next message of a kind."""
    while True:
        data = connection.recv(timeout=5)
        if isinstance(data, bytes) and isinstance(message := decode(data), kind):
            return message


def test_the_page_needs_the_token_and_its_files_do_not(server: PreviewServer) -> None:
    assert server.url == f"http://127.0.0.1:{server._port}/?token={TOKEN}"
    page = get(server, f"/?token={TOKEN}")
    assert page.status == 200
    assert b"<canvas" in page.body  # type: ignore[attr-defined]
    assert "default-src 'self'" in (page.getheader("Content-Security-Policy") or "")
    assert page.getheader("Referrer-Policy") == "no-referrer"
    for path in ("/style.css", "/page.js", "/stream.js", "/voice.js", "/wire.js", "/icon.svg"):
        assert get(server, path).status == 200
    for path in ("/", "/?token=", "/?token=wrong", "/?token=test-tokenx", "/?token=%ff"):
        refused = get(server, path)
        assert refused.status == 403
        assert b"Open the address that rest-bridge printed" in refused.body  # type: ignore[attr-defined]


def test_only_listed_files_are_served(server: PreviewServer) -> None:
    for path in (
        "/../preview.py",
        "/preview.py",
        "/%2e%2e/preview.py",
        "//etc/passwd",
        "/page.js/",
    ):
        assert get(server, f"{path}?token={TOKEN}").status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:5580", "127.0.0.1", "127.0.0.1:1"])
def test_a_foreign_host_name_is_refused(server: PreviewServer, host: str) -> None:
    assert get(server, f"/?token={TOKEN}", Host=host).status == 403
    assert get(server, "/page.js", Host=host).status == 403


def test_a_foreign_page_may_not_connect(server: PreviewServer) -> None:
    address = f"ws://127.0.0.1:{server._port}/ws?token="
    for url, origin in (
        (address + TOKEN, "http://evil.example"),
        (address + TOKEN, "null"),
        (address + TOKEN, "http://127.0.0.1:1"),
        (address + "wrong", f"http://127.0.0.1:{server._port}"),
        (address, None),
    ):
        with pytest.raises(InvalidStatus) as refused, connect(url, origin=origin):  # type: ignore[arg-type]
            pass
        assert refused.value.response.status_code == 403
    with connect(address + TOKEN, origin=f"http://localhost:{server._port}"):  # type: ignore[arg-type]
        pass


def test_every_start_has_a_token_of_its_own() -> None:
    assert PreviewServer().url != PreviewServer().url


def test_a_viewer_gets_exact_pixels_and_the_stamp(
    server: PreviewServer, watch: Callable[..., ClientConnection]
) -> None:
    viewer = watch()
    frame = make_frame(7, captured_ns=5)
    server.send(frame)
    message = receive(viewer, FrameMessage)
    np.testing.assert_array_equal(message.pixels(), frame.rgba)
    assert (message.stamp.sequence, message.stamp.captured_ns) == (7, 5)
    assert message.stamp.published_ns <= time.monotonic_ns()


def test_pictures_are_scaled_to_what_the_page_shows(
    server: PreviewServer, watch: Callable[..., ClientConnection]
) -> None:
    small, large = watch(size=32), watch(size=5000)
    server.send(make_frame(0))
    assert receive(small, FrameMessage).pixels().shape == (24, 32, 4)
    assert receive(large, FrameMessage).pixels().shape == (48, 64, 4)


def test_shrinking_keeps_colours_under_alpha_apart() -> None:
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[:, :31] = (200, 100, 50, 255)
    rgba[:, 31:] = (0, 255, 0, 0)  # hidden green must not bleed into the edge
    small = shrink(rgba, (16, 16))
    visible = small[..., 3] > 0
    assert np.abs(small[visible][:, :3].astype(int) - (200, 100, 50)).max() <= 4
    assert small[:, :7, 3].min() == 255
    assert small[:, 9:, 3].max() == 0
    opaque = np.full((64, 48, 4), 255, np.uint8)
    assert shrink(opaque, (24, 32)).shape == (32, 24, 4)
    np.testing.assert_array_equal(shrink(opaque, (48, 64)), opaque)


def test_voice_comes_complete_to_whom_asks_for_it(
    server: PreviewServer, watch: Callable[..., ClientConnection]
) -> None:
    deaf, hearing = watch(), watch(voice=True)
    for index in range(10):
        (server.skip if index == 4 else server.send)(make_frame(index))
    voices = [receive(hearing, VoiceMessage) for _ in range(10)]
    assert [v.stamp.sequence for v in voices] == list(range(10))
    np.testing.assert_array_equal(voices[3].samples, make_frame(3).voice.samples)
    while True:
        data = deaf.recv(timeout=5)
        assert isinstance(data, bytes)
        message = decode(data)
        assert not isinstance(message, VoiceMessage)
        if isinstance(message, FrameMessage) and message.stamp.sequence == 9:
            break


def test_ping_tells_the_servers_clock(watch: Callable[..., ClientConnection]) -> None:
    viewer = watch()
    before = time.monotonic_ns()
    viewer.send(json.dumps({"op": "ping", "t0": 12.5}))
    reply = json.loads(viewer.recv(timeout=5))
    assert reply["t0"] == 12.5
    assert before <= reply["server_ns"] <= time.monotonic_ns()


def test_statistics_reach_the_page(
    watch: Callable[..., ClientConnection], server: PreviewServer
) -> None:
    server._stats = lambda: {"rtf": 0.4}
    viewer = watch()
    server.send(make_frame(0))
    event = receive(viewer, EventMessage)
    assert (event.kind, event.body) == ("stats", {"dropped": 0, "rtf": 0.4})


@pytest.mark.parametrize(
    "message",
    ["", "{", "[]", "null", '{"op":"view"}', '{"op":"view","size":"x","voice":1}', b"\x00\xff",
     '{"op":"view","size":-5,"voice":false}', '{"op":"view","size":1e99,"voice":false}',
     '{"op":"ping","t0":[]}', '{"op":"ping","t0":NaN}', "[" * 900],
)  # fmt: skip
def test_nonsense_from_a_page_is_ignored(
    server: PreviewServer, watch: Callable[..., ClientConnection], message: str | bytes
) -> None:
    viewer = watch()
    viewer.send(message)
    viewer.send(json.dumps({"op": "ping", "t0": 77}))
    while '"t0": 77' not in str(viewer.recv(timeout=5)):
        pass
    server.send(make_frame(0))
    assert receive(viewer, FrameMessage).stamp.sequence == 0


def test_a_huge_message_costs_the_page_its_connection(
    server: PreviewServer, watch: Callable[..., ClientConnection]
) -> None:
    viewer = watch()
    viewer.send("x" * 100_000)
    with pytest.raises(ConnectionClosed):
        viewer.recv(timeout=5)
    other = watch()
    server.send(make_frame(0))
    receive(other, FrameMessage)


def test_more_pages_than_allowed_are_told_so(
    server: PreviewServer, watch: Callable[..., ClientConnection]
) -> None:
    for _ in range(MAX_VIEWERS):
        watch()
    with (
        connect(f"ws://127.0.0.1:{server._port}/ws?token={TOKEN}") as extra,
        pytest.raises(ConnectionClosed, match="pages are open already"),
    ):
        extra.recv(timeout=5)
    assert server.num_viewers == MAX_VIEWERS


def test_a_page_that_does_not_read_holds_up_nobody(
    server: PreviewServer, watch: Callable[..., ClientConnection]
) -> None:
    watch(max_queue=1, close_timeout=0.1)  # never read below
    awake = watch()
    big = np.zeros((1024, 1024, 4), np.uint8)
    for index in range(30):
        begin = time.monotonic()
        server.send(make_frame(index, rgba=big))
        assert time.monotonic() - begin < 1.0
        assert receive(awake, FrameMessage).stamp.sequence == index
    begin = time.monotonic()
    server.close()
    assert time.monotonic() - begin < 4.0


def test_without_viewers_nothing_is_encoded(
    server: PreviewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_frame_message", lambda *_: pytest.fail("encoded for nobody"))
    server.send(make_frame(0))
    server.skip(make_frame(1))


def test_port_in_use_names_the_key_and_close_frees_the_port(server: PreviewServer) -> None:
    with pytest.raises(SinkUnavailable, match=r"already in use.*preview\.port"):
        PreviewServer(port=server._port).open(FORMAT)
    port = server._port
    server.close()
    server.close()
    again = PreviewServer(port=port)
    again.open(FORMAT)
    again.close()


def test_raw_garbage_and_silence_on_the_socket_are_survived(
    server: PreviewServer, watch: Callable[..., ClientConnection]
) -> None:
    for data in (
        b"",
        b"\x00" * 100,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000,
        b"POST / HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server._port), timeout=5) as raw:
            raw.sendall(data)
    viewer = watch()
    server.send(make_frame(0, rgba=pattern_picture()))
    receive(viewer, FrameMessage)
