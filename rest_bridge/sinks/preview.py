"""Serves the page that shows the face in a browser or as an OBS browser source.

One HTTP and WebSocket server on this computer only. Whoever connects must name us as its host (a
foreign page cannot, nor can a rebound DNS name), come from our own page, and know the token in
the address. A viewer gets messages of the wire protocol: raw RGBA, scaled down to what it shows.
Measured at 512²: 1.2 ms a frame for us, true alpha, and painting costs the browser less than
decoding a compressed picture; PNG would take 19 ms and WebP 53 ms to make.

Threads: the sink runner's calls `send`; the server has one to accept and, for each viewer, one
that reads and one that writes. They meet in `_Viewer`.
"""

import contextlib
import errno
import hmac
import http
import json
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from rest_bridge.errors import SinkUnavailable
from rest_bridge.sinks.messages import EventMessage, FrameMessage
from rest_bridge.sinks.publisher import Provenance, stamp_of, voice_message
from rest_bridge.sinks.viewer import Viewer, shrink
from rest_bridge.sinks.wire import encode
from rest_bridge.types import Frame, FrameFormat

HOST: Final = "127.0.0.1"
MAX_VIEWERS: Final = 8
_MAX_INCOMING_BYTES: Final = 1024
_OPEN_TIMEOUT_S: Final = 1.0
"""Browsers open connections ahead of need and say nothing; closing must not wait for them."""
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
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._viewers: set[Viewer] = set()
        self._lock = threading.Lock()  # guards _viewers
        self._duration_ns = 0
        self._dropped = 0
        self._event_sequence = 0
        self._last_stats_ns = 0

    @property
    def url(self) -> str:
        """The page's address with its token."""
        return f"http://{HOST}:{self._port}/?token={self._token}"

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
        try:
            self._server = serve(
                self._serve_viewer,
                HOST,
                self._port,
                process_request=self._answer_http,
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
                f"Preview: port {self._port} {reason} choose another port with preview.port."
            ) from error
        self._port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="preview", daemon=True
        )
        self._thread.start()

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
        server, self._server = self._server, None
        if server is None:
            return
        viewers = self._all_viewers()
        for viewer in viewers:
            viewer.close()
        deadline = time.monotonic() + _GOODBYE_S
        for viewer in viewers:  # before the shutdown, which waits for stalled pages
            viewer.join(max(0.0, deadline - time.monotonic()))
        server.shutdown()
        if self._thread is not None:
            self._thread.join(2.0)

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
            tier=self._provenance.tier,
            model_id=self._provenance.model_id,
            avatar_id=self._provenance.avatar_id,
        )

    def _answer_http(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a plain request, or return None to go on to the WebSocket."""
        del connection
        parts = urlsplit(request.path)
        hosts = {f"{host}:{self._port}" for host in (HOST, "localhost", "[::1]")}
        if not _is_one_of(request.headers.get_all("Host"), hosts):
            return _text(http.HTTPStatus.FORBIDDEN, "This server only answers to its own address.")
        is_public = parts.path in _FILES and parts.path != "/"  # styles and scripts, no secrets
        given = parse_qs(parts.query).get("token", [""])[-1]
        if not is_public and not hmac.compare_digest(given.encode(), self._token.encode()):
            return _text(
                http.HTTPStatus.FORBIDDEN,
                "Open the address that rest-bridge printed: it ends in ?token=... "
                "(a new one at every start, unless preview.token is set).",
            )
        if parts.path in _FILES:
            name, kind = _FILES[parts.path]
            return _response(http.HTTPStatus.OK, (_PAGE / name).read_bytes(), kind)
        if parts.path != "/ws":
            return _text(http.HTTPStatus.NOT_FOUND, "There is nothing here.")
        origins = request.headers.get_all("Origin")
        if origins and not _is_one_of(origins, {f"http://{host}" for host in hosts}):
            return _text(http.HTTPStatus.FORBIDDEN, "Only the preview page itself may connect.")
        return None

    def _serve_viewer(self, connection: ServerConnection) -> None:
        """Thread body: read what one viewer asks for until it leaves."""
        viewer = Viewer(connection)
        with self._lock:
            has_room = len(self._viewers) < MAX_VIEWERS and self._server is not None
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


def _is_one_of(given: list[str], allowed: set[str]) -> bool:
    return len(given) == 1 and given[0].lower() in allowed


def _text(status: http.HTTPStatus, text: str) -> Response:
    return _response(status, (text + "\n").encode(), "text/plain; charset=utf-8")


def _response(status: http.HTTPStatus, body: bytes, kind: str) -> Response:
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Connection": "close",
            "Content-Security-Policy": (
                "default-src 'self'; connect-src 'self' ws://127.0.0.1:* ws://localhost:*; "
                "style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
                "frame-ancestors 'none'"
            ),
            "Referrer-Policy": "no-referrer",  # the token stands in the address
            "X-Content-Type-Options": "nosniff",
        }
    )
    return Response(status.value, status.phrase, headers, body)
