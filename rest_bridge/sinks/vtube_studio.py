"""Moves a Live2D model in VTube Studio: a plugin of its public API over WebSocket.

https://github.com/DenchiSoft/VTubeStudio (API 1.0): find the app, ask the user once for a token,
authenticate, learn which tracking parameters it has, inject values. A thread of its own keeps the
connection; while the app is away the face goes on and the thread tries again. Values that are not
sent again within a second return to the app's own tracking, so the newest are repeated.
"""

import contextlib
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from rest_bridge.errors import SinkError, SinkUnavailable
from rest_bridge.sinks.rig_values import RigInstant, tracking_parameters

DEFAULT_PORT: Final = 8001
DISCOVERY_PORT: Final = 47779
PLUGIN_NAME: Final = "rest_bridge"
PLUGIN_DEVELOPER: Final = "rest_bridge authors"
_API: Final = {"apiName": "VTubeStudioPublicAPI", "apiVersion": "1.0"}
_DISCOVERY_S: Final = 2.5
"""The app calls out every two seconds."""
_ANSWER_S: Final = 5.0
_APPROVAL_S: Final = 300.0
"""The user may take that long to press Allow."""
_REFRESH_S: Final = 0.4
_RETRY_S: Final = (1.0, 2.0, 5.0, 10.0)
_MAX_MESSAGE_BYTES: Final = 4 << 20
_REVOKED: Final = (8, 50)
"""Error ids: the request needs authentication; the user denied or revoked access."""

_log = logging.getLogger(__name__)


class _ApiError(Exception):
    """The app answered a request with an error."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


class VTubeStudioOutput:
    """Injects tracking parameters into VTube Studio.

    Args:
        host: where the app runs.
        port: of its API; 0 listens for the app's own announcement and falls back to 8001.
        token_path: file that keeps the token which the user granted; readable by the user only.
        tell: called with one sentence when the state changes ("press Allow ...").
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token_path: Path,
        tell: Callable[[str], None] = _log.warning,
    ) -> None:
        self._host = host
        self._port = port
        self._token_path = token_path
        self._tell = tell
        self._changed = threading.Condition()
        self._newest: RigInstant | None = None  # guarded by _changed, as the next two
        self._fresh = False
        self._closing = False
        self._connection: ClientConnection | None = None
        self._thread: threading.Thread | None = None
        self._told = ""
        self._requests = 0
        self.injected = 0
        """Requests that the app has accepted."""

    def open(self) -> None:
        """Start the thread that looks for the app; the app itself may come later.

        Raises:
            SinkUnavailable: the folder for the token cannot be written.
        """
        try:
            self._token_path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkUnavailable(
                f"the token of VTube Studio cannot be kept ({error.strerror}): "
                f"make {self._token_path.parent} writable"
            ) from error
        self._thread = threading.Thread(target=self._run, name="vtube-studio", daemon=True)
        self._thread.start()

    def emit(self, instant: RigInstant) -> None:
        """Leave the newest values for the thread; never blocks.

        Args:
            instant: the face.

        Raises:
            SinkError: it was not opened.
        """
        if self._thread is None:
            raise SinkError("the VTube Studio output is not open")
        with self._changed:
            self._newest, self._fresh = instant, True
            self._changed.notify_all()

    def close(self) -> None:
        """Stop the thread; the app takes its own tracking back within a second. Idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(OSError, ConnectionClosed):
                connection.close()
        if self._thread is not None:
            self._thread.join(3.0)
            self._thread = None

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        """Thread body: connect, serve, and again after a while, until closed."""
        attempt = 0
        while not self._closing:
            try:
                with self._connect() as connection:
                    self._connection = connection
                    self._authenticate()
                    names = self._parameter_ranges()
                    self._say("VTube Studio: connected, the model follows the face.")
                    attempt = 0
                    self._serve(names)
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError) as error:
                _log.debug("VTube Studio: %s", error)
                self._say(
                    "VTube Studio does not answer: start it and switch on "
                    '"Allow Plugin API access" in its settings; trying again.'
                )
            except _ApiError as error:
                if error.number in _REVOKED:
                    self._token_path.unlink(missing_ok=True)
                    self._say(
                        "VTube Studio denied access: allow rest_bridge in its plugin list "
                        "(or in the window that asks); trying again."
                    )
                else:
                    self._say(f"VTube Studio: {error}; trying again.")
            except Exception as error:  # noqa: BLE001 - the top of a thread: the stream goes on
                _log.debug("VTube Studio failed", exc_info=error)
                self._say(f"VTube Studio: {type(error).__name__}: {error}; trying again.")
            self._connection = None
            with self._changed:
                wait_s = _RETRY_S[min(attempt, len(_RETRY_S) - 1)]
                self._changed.wait_for(lambda: self._closing, wait_s)
            attempt += 1

    def _connect(self) -> ClientConnection:
        port = self._port or discover(_DISCOVERY_S) or DEFAULT_PORT
        return connect(
            f"ws://{self._host}:{port}", open_timeout=_ANSWER_S, close_timeout=1.0,
            max_size=_MAX_MESSAGE_BYTES, compression=None, proxy=None,
        )  # fmt: skip

    def _authenticate(self) -> None:
        """Use the token at hand, or ask the user for one."""
        token = self._read_token()
        if token and self._use(token):
            return
        self._say('VTube Studio asks whether it may be controlled: press "Allow" there.')
        identity = {"pluginName": PLUGIN_NAME, "pluginDeveloper": PLUGIN_DEVELOPER}
        granted = self._request("AuthenticationTokenRequest", identity, timeout_s=_APPROVAL_S)
        token = str(granted["authenticationToken"])
        self._keep_token(token)
        if not self._use(token):
            raise _ApiError(_REVOKED[0], "the token that it granted is not accepted")

    def _use(self, token: str) -> bool:
        answer = self._request(
            "AuthenticationRequest",
            {
                "pluginName": PLUGIN_NAME,
                "pluginDeveloper": PLUGIN_DEVELOPER,
                "authenticationToken": token,
            },
        )
        return bool(answer.get("authenticated"))

    def _parameter_ranges(self) -> dict[str, tuple[float, float]]:
        """Return minimum and maximum of each tracking parameter that this version has."""
        answer = self._request("InputParameterListRequest", {})
        return {
            str(entry["name"]): (float(entry["min"]), float(entry["max"]))
            for entry in answer.get("defaultParameters", [])
        }

    def _serve(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        """Inject the newest values until the connection ends or we do."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._fresh or self._closing, _REFRESH_S)
                if self._closing:
                    return
                instant, self._fresh = self._newest, False
            if instant is None:
                continue
            values = [
                {"id": name, "value": round(min(ranges[name][1], max(ranges[name][0], value)), 4)}
                for name, value in tracking_parameters(instant).items()
                if name in ranges
            ]
            data = {"faceFound": True, "mode": "set", "parameterValues": values}
            self._request("InjectParameterDataRequest", data)
            self.injected += 1

    def _request(
        self, kind: str, data: Mapping[str, Any], *, timeout_s: float = _ANSWER_S
    ) -> Mapping[str, Any]:
        """Send a request and return the data of its answer."""
        connection = self._connection
        if connection is None:
            raise ConnectionResetError("not connected")
        self._requests += 1
        name = f"rest-bridge-{self._requests}"
        connection.send(json.dumps({**_API, "requestID": name, "messageType": kind, "data": data}))
        deadline = time.monotonic() + timeout_s
        while not self._closing:
            try:
                text = connection.recv(timeout=min(0.5, max(0.0, deadline - time.monotonic())))
            except TimeoutError:
                if time.monotonic() < deadline:
                    continue
                raise
            answer = json.loads(text)
            if answer.get("requestID") != name:
                continue  # an event, or the answer to a request given up
            body: Mapping[str, Any] = answer.get("data") or {}
            if answer.get("messageType") == "APIError":
                raise _ApiError(int(body.get("errorID", 0)), str(body.get("message", "an error")))
            return body
        raise ConnectionResetError("closing")

    # --- the token ----------------------------------------------------------------------------

    def _read_token(self) -> str:
        try:
            return self._token_path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def _keep_token(self, token: str) -> None:
        try:
            handle = os.open(self._token_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(token)
        except OSError as error:
            self._say(
                f"the token of VTube Studio could not be kept ({error.strerror}); "
                "it will ask again next time."
            )

    def _say(self, text: str) -> None:
        """Tell each state once."""
        if text != self._told:
            self._told = text
            self._tell(text)


def discover(timeout_s: float, port: int = DISCOVERY_PORT) -> int | None:
    """Wait for VTube Studio's announcement.

    Args:
        timeout_s: how long.
        port: UDP port that it announces itself on.

    Returns:
        The port of its API; None if none came or its API is switched off.
    """
    deadline = time.monotonic() + timeout_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
            while (left_s := deadline - time.monotonic()) > 0:
                listener.settimeout(left_s)
                found = _announced_port(listener.recv(65535))
                if found is not None:
                    return found
        except OSError:  # another plugin listens, or nothing came in time
            return None
    return None


def _announced_port(data: bytes) -> int | None:
    """Read an announcement; None for anything else and for an API that is switched off."""
    try:
        message = json.loads(data)
        body = message["data"]
        if message["messageType"] == "VTubeStudioAPIStateBroadcast" and body["active"]:
            port = int(body["port"])
            return port if 0 < port < 65536 else None
    except (ValueError, KeyError, TypeError):
        pass
    return None
