"""Serves the pages: the face in a browser or as an OBS browser source, and the control page.

One HTTP and WebSocket server on this computer only, unless the person lets phones of the network
in; `door` says who may connect. A viewer gets messages of the wire protocol: raw RGBA, scaled down
to what it shows. Measured at 512²: 1.2 ms a frame for us, true alpha, and painting costs the
browser less than decoding a compressed picture; PNG would take 19 ms and WebP 53 ms to make. What
the control page may ask for is its desk's business (`PageDesk`).

Threads: the sink runner's calls `send`; a server has one to accept and, for each viewer, one
that reads and one that writes. They meet in `Viewer`.
"""

import contextlib
import errno
import http
import json
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, Protocol
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from rest_bridge.errors import SinkUnavailable
from rest_bridge.sinks.door import (
    LOOPBACK,
    Door,
    own_addresses,
    query_of,
    response,
    text,
)
from rest_bridge.sinks.messages import EventMessage, FrameMessage
from rest_bridge.sinks.publisher import Provenance, stamp_of, voice_message
from rest_bridge.sinks.viewer import Viewer, shrink
from rest_bridge.sinks.wire import encode
from rest_bridge.types import Frame, FrameFormat

MAX_VIEWERS: Final = 8
MAX_TALKS: Final = 8
"""Control pages at the same time."""
_MAX_WISH_BYTES: Final = 1024
_MAX_INCOMING_BYTES: Final = 192 * 1024
"""A piece of a file that a control page sends."""
_ANY_ADDRESS: Final = "0.0.0.0"
_OPEN_TIMEOUT_S: Final = 5.0
"""What a busy computer may need to answer; the end does not wait for connections that say nothing,
which browsers open ahead of need."""
_GOODBYE_S: Final = 0.5
_STATS_INTERVAL_NS: Final = 1_000_000_000
_PAGE: Final = Path(__file__).with_name("preview_page")
_FILES: Final[dict[str, tuple[str, str]]] = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/calm.js": ("calm.js", "text/javascript; charset=utf-8"),
    "/stream.js": ("stream.js", "text/javascript; charset=utf-8"),
    "/voice.js": ("voice.js", "text/javascript; charset=utf-8"),
    "/wire.js": ("wire.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class PageAnswer(Protocol):
    """What a desk answers to a plain request: see `page.desk.Answer`."""

    status: int
    body: bytes
    kind: str
    name: str


class PageDesk(Protocol):
    """What control pages talk to: see `page.desk.Desk`."""

    def is_public(self, path: str) -> bool:
        """Say whether a path holds no secrets and does nothing."""
        ...

    def answer(self, path: str, query: Mapping[str, str], *, guest: bool) -> Any:
        """Answer a plain request; None where there is nothing."""
        ...

    def converse(self, talk: Any, *, guest: bool) -> None:
        """Answer one page until it leaves."""
        ...


class PreviewServer:
    """A `FrameSink` that shows the stream to browsers.

    Args:
        port: on 127.0.0.1; 0 takes any free one.
        token: secret in the address; empty makes a new one.
        provenance: what travels in every frame.
        stats: called once a second; numbers and texts for the page.
    """

    name = "preview"
    policy: Literal["latest", "every"] = "latest"

    def __init__(
        self,
        *,
        port: int = 5580,
        token: str = "",
        provenance: Provenance | None = None,
        stats: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self._port = port
        self._token = token or secrets.token_urlsafe(16)
        self._provenance = provenance or Provenance()
        self._stats = stats
        self._servers: dict[bool, tuple[Server, threading.Thread, list[str]]] = {}
        self._viewers: set[Viewer] = set()
        self._talks: dict[ServerConnection, bool] = {}
        self._lock = threading.Lock()  # guards the three above
        self.desk: PageDesk | None = None
        """What the control page talks to; without one, only the face is shown."""
        self._duration_ns = 0
        self._dropped = 0
        self._event_sequence = 0
        self._last_stats_ns = 0

    @property
    def url(self) -> str:
        """The page's address with its token."""
        return f"http://{LOOPBACK}:{self._port}/?token={self._token}"

    @property
    def num_viewers(self) -> int:
        """Browsers that are connected now."""
        with self._lock:
            return len(self._viewers)

    def open(self, fmt: FrameFormat) -> None:
        """Start to serve.

        Args:
            fmt: rate of the stream.

        Raises:
            SinkUnavailable: the port is in use or not allowed.
        """
        self._duration_ns = round(1e9 / fmt.fps)
        hosts = [f"{host}:{{port}}" for host in (LOOPBACK, "localhost", "[::1]")]
        self._port = self._listen(LOOPBACK, self._port, self._token, hosts, guest=False)

    # --------------------------------------------------------------- phones of the network

    def share(self) -> dict[str, Any]:
        """Let phones of the same network in, with a token of their own; idempotent.

        Returns:
            As `sharing`.

        Raises:
            SinkUnavailable: there is no network, or no free port.
        """
        if True not in self._servers:
            addresses = own_addresses()
            if not addresses:
                raise SinkUnavailable("This computer is in no network; connect it and try again.")
            token = secrets.token_urlsafe(12)
            hosts = [f"{address}:{{port}}" for address in addresses]
            port = self._listen(_ANY_ADDRESS, 0, token, hosts, guest=True)
            urls = [f"http://{address}:{port}/?token={token}" for address in addresses]
            self._servers[True][2].extend(urls)
        return self.sharing()

    def unshare(self) -> dict[str, Any]:
        """Close the port for phones, and their connections; idempotent."""
        self._shut(guest=True)
        return self.sharing()

    def sharing(self) -> dict[str, Any]:
        """Return `on` and `addresses`, whose tokens are the phones'."""
        shared = self._servers.get(True)
        return {"on": shared is not None, "addresses": list(shared[2]) if shared else []}

    def _listen(self, address: str, port: int, token: str, hosts: list[str], *, guest: bool) -> int:
        """Start a server and return its port; `hosts` are completed by it."""
        door: list[Door] = []

        def answer(connection: ServerConnection, request: Request) -> Response | None:
            del connection
            return self._answer_http(door[0], request) if door else None

        try:
            server = serve(
                partial(self._serve, guest),
                address,
                port,
                process_request=answer,
                compression=None,  # deflating raw pixels costs more than the loopback saves
                max_size=_MAX_INCOMING_BYTES,
                open_timeout=_OPEN_TIMEOUT_S,
                close_timeout=0.5,
                server_header=None,
                logger=_quiet_logger(),
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = "is already in use, perhaps by another rest_bridge; stop that program or"
            else:
                reason = f"cannot be opened ({error.strerror});"
            raise SinkUnavailable(
                f"Preview: port {port} {reason} choose another port with preview.port."
            ) from error
        port = int(server.socket.getsockname()[1])
        names = frozenset(host.format(port=port) for host in hosts)
        door.append(Door(names, token, guest))
        name = "preview-network" if guest else "preview"
        thread = threading.Thread(target=server.serve_forever, name=name, daemon=True)
        self._servers[guest] = (server, thread, [])
        thread.start()
        return port

    def send(self, frame: Frame) -> None:
        """Leave a frame with every viewer; never waits for one.

        Args:
            frame: the instant.
        """
        viewers = self._all_viewers()
        if not viewers:
            return
        now_ns = time.monotonic_ns()
        self._leave_voice(viewers, frame, now_ns)
        pictures: dict[tuple[int, int], bytes] = {}
        for viewer in viewers:
            size = viewer.size_for(frame.rgba)
            if size not in pictures:  # viewers of one size share the bytes
                pictures[size] = encode(self._frame_message(frame, size, now_ns))
            viewer.leave_picture(pictures[size])

    def skip(self, frame: Frame) -> None:
        """Leave the voice of a frame whose picture was dropped.

        Args:
            frame: without a picture.
        """
        self._dropped += 1
        self._leave_voice(self._all_viewers(), frame, time.monotonic_ns())

    def close(self) -> None:
        """Say goodbye to the viewers and free the port; idempotent."""
        self._shut(guest=True)
        self._shut(guest=False)

    def _shut(self, *, guest: bool) -> None:
        server = self._servers.pop(guest, None)
        if server is None:
            return
        with self._lock:
            viewers = [viewer for viewer in self._viewers if viewer.guest == guest]
            talks = [talk for talk, is_guest in self._talks.items() if is_guest == guest]
        for viewer in viewers:
            viewer.close()
        for talk in talks:
            with contextlib.suppress(ConnectionClosed, OSError):
                talk.socket.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + _GOODBYE_S
        for viewer in viewers:  # before the shutdown, which waits for stalled pages
            viewer.join(max(0.0, deadline - time.monotonic()))
        server[0].shutdown()
        server[1].join(1.0)

    def _all_viewers(self) -> list[Viewer]:
        with self._lock:
            return list(self._viewers)

    def _leave_voice(self, viewers: list[Viewer], frame: Frame, now_ns: int) -> None:
        if any(viewer.wants_voice for viewer in viewers):
            stamp = stamp_of(frame, duration_ns=self._duration_ns, published_ns=now_ns)
            data = encode(voice_message(frame, stamp))
            for viewer in viewers:
                if viewer.wants_voice:
                    viewer.leave_message(data)
        if now_ns - self._last_stats_ns >= _STATS_INTERVAL_NS:
            self._last_stats_ns = now_ns
            body = {"dropped": self._dropped} | dict(self._stats() if self._stats else {})
            event = EventMessage(
                "stats", frame.stream_id, frame.epoch, self._event_sequence, now_ns, body
            )
            self._event_sequence += 1
            data = encode(event)
            for viewer in viewers:
                viewer.leave_message(data)

    def _frame_message(self, frame: Frame, size: tuple[int, int], now_ns: int) -> FrameMessage:
        rgba = shrink(frame.rgba, size)
        return FrameMessage(
            stamp=stamp_of(frame, duration_ns=self._duration_ns, published_ns=now_ns),
            pixel_format="rgba8",
            width=rgba.shape[1],
            height=rgba.shape[0],
            stride=rgba.shape[1] * 4,
            payload=rgba.data.cast("B"),
            sample_index=int(frame.voice.first_index),
            dropped=self._dropped,
            repeated=frame.repeated,
            tier=frame.tier or self._provenance.tier,
            model_id=self._provenance.model_id,
            avatar_id=frame.avatar_id or self._provenance.avatar_id,
        )

    def _answer_http(self, door: Door, request: Request) -> Response | None:
        """Answer a plain request, or return None to go on to the WebSocket."""
        path, desk = urlsplit(request.path).path, self.desk
        is_file = path in _FILES and path != "/"
        public = is_file or (desk is not None and desk.is_public(path))
        refusal = door.refuse(request, public=public)
        if refusal is not None:
            return refusal
        query = query_of(request)
        query.pop("token", None)
        bare = desk is None or "source" in query or "view" in query
        if path in _FILES and (path != "/" or bare):
            name, kind = _FILES[path]
            return response(http.HTTPStatus.OK, (_PAGE / name).read_bytes(), kind)
        if path == "/ws" or (path == "/control" and desk is not None):
            return None
        if path.startswith("/do/") and door.is_foreign(request):
            return text(http.HTTPStatus.FORBIDDEN, "Another site's page may not do this.")
        answer: PageAnswer | None = None
        if desk is not None:
            answer = desk.answer(path, query, guest=door.guest)
        if answer is None:
            return text(http.HTTPStatus.NOT_FOUND, "There is nothing here.")
        more: dict[str, str] = {}
        if answer.name:
            more["Content-Disposition"] = f'attachment; filename="{answer.name}"'
        return response(http.HTTPStatus(answer.status), answer.body, answer.kind, more)

    def _serve(self, guest: bool, connection: ServerConnection) -> None:
        """Thread body: serve a viewer or a control page until it leaves."""
        request = connection.request
        if request is not None and urlsplit(request.path).path == "/control":
            self._serve_talk(connection, guest=guest)
        else:
            self._serve_viewer(connection, guest=guest)

    def _serve_talk(self, connection: ServerConnection, *, guest: bool) -> None:
        with self._lock:
            has_room = len(self._talks) < MAX_TALKS and guest in self._servers
            if has_room:
                self._talks[connection] = guest
        if not has_room or self.desk is None:
            connection.close(1013, f"{MAX_TALKS} pages are open already; close one.")
            return
        with contextlib.suppress(ConnectionClosed, OSError):
            self.desk.converse(connection, guest=guest)
        with self._lock:
            self._talks.pop(connection, None)

    def _serve_viewer(self, connection: ServerConnection, *, guest: bool) -> None:
        viewer = Viewer(connection, guest=guest)
        with self._lock:
            has_room = len(self._viewers) < MAX_VIEWERS and guest in self._servers
            if has_room:
                self._viewers.add(viewer)
        if not has_room:
            connection.close(1013, f"{MAX_VIEWERS} pages are open already; close one.")
            return
        with contextlib.suppress(ConnectionClosed, OSError):  # the page may leave at any time
            # Half a megabyte on the way is half a frame: what a stalled page sees next is new.
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 19)
            viewer.start()
            for message in connection:
                if len(message) > _MAX_WISH_BYTES:
                    connection.close(1009, "This is no wish of a viewer.")
                    break
                self._take_request(viewer, message)
        with self._lock:
            self._viewers.discard(viewer)
        viewer.close()

    @staticmethod
    def _take_request(viewer: Viewer, message: str | bytes) -> None:
        """Do what a page asks: {"op": "view", "size", "voice"} or {"op": "ping", "t0"}."""
        received_ns = time.monotonic_ns()
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            request: Any = json.loads(message)
            if request["op"] == "view":
                viewer.ask(size=int(request["size"]), voice=bool(request["voice"]))
            elif request["op"] == "ping":
                reply = {"t0": float(request["t0"]), "server_ns": received_ns}
                viewer.leave_message(json.dumps(reply))


def _quiet_logger() -> logging.Logger:
    """Return a logger outside the tree: a page that breaks off is no news."""
    logger = logging.Logger("websockets")
    logger.addHandler(logging.NullHandler())
    return logger
