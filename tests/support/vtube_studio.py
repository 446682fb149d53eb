"""A stand-in for VTube Studio, written from its public API description (no VTube Studio runs here).

It follows https://github.com/DenchiSoft/VTubeStudio, API 1.0: messages, error ids, the check that a
session is authenticated, unknown parameters refused, values limited. `user` decides what happens
when a plugin asks for a token, as the person in front of the app does.
"""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from websockets.sync.server import Server, ServerConnection, serve

PARAMETERS = {
    "FaceAngleX": (-30, 30), "FaceAngleY": (-30, 30), "FaceAngleZ": (-90, 90),
    "FacePositionX": (-15, 15), "MouthOpen": (0, 1), "MouthSmile": (0, 1),
    "EyeOpenLeft": (0, 1), "EyeOpenRight": (0, 1), "EyeLeftX": (-1, 1), "Brows": (0, 1),
    "VoiceA": (0, 1), "VoiceSilence": (0, 1),
}  # fmt: skip


class VTubeStudioStandIn:
    """Serves the API on a port of its own; a context manager.

    Args:
        user: called when a plugin asks for a token; True is "Allow".
        port: 0 for any.
    """

    def __init__(self, user: Callable[[], bool] = lambda: True, port: int = 0) -> None:
        self.user = user
        self.tokens: set[str] = set()
        self.asked = 0
        self.injected: list[tuple[float, dict[str, float]]] = []
        self.errors: list[str] = []
        self.arrived = threading.Condition()
        self._server: Server = serve(self._talk, "127.0.0.1", port)
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._talks: list[ServerConnection] = []

    def __enter__(self) -> "VTubeStudioStandIn":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self._server.shutdown()
        self._thread.join(5)

    def hang_up(self) -> None:
        """End every connection, as closing the app does."""
        for talk in self._talks:
            talk.close()

    def wait_for(self, count: int, timeout_s: float = 10.0) -> list[dict[str, float]]:
        """Wait until `count` injections have come."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.injected) >= count, timeout_s), (
                self.errors
            )
            return [values for _, values in self.injected]

    def _talk(self, connection: ServerConnection) -> None:
        self._talks.append(connection)
        session = {"allowed": False}
        for text in connection:
            message = json.loads(text)
            try:
                kind, body = self._answer(message, session)
            except KeyError as error:
                kind, body = "APIError", {"errorID": 3, "message": f"missing {error}"}
            if kind == "APIError":
                self.errors.append(str(body["message"]))
            connection.send(json.dumps({
                "apiName": "VTubeStudioPublicAPI", "apiVersion": "1.0",
                "timestamp": int(time.time() * 1000), "messageType": kind,
                "requestID": message.get("requestID", "none"), "data": body,
            }))  # fmt: skip

    def _answer(
        self, message: dict[str, Any], session: dict[str, bool]
    ) -> tuple[str, dict[str, Any]]:
        assert message["apiName"] == "VTubeStudioPublicAPI"
        assert message["apiVersion"] == "1.0"
        assert 1 <= len(message["requestID"]) <= 64
        kind, data = message["messageType"], message.get("data", {})
        if kind == "AuthenticationTokenRequest":
            assert 3 <= len(data["pluginName"]) <= 32
            assert 3 <= len(data["pluginDeveloper"]) <= 32
            self.asked += 1
            if not self.user():
                return "APIError", {
                    "errorID": 50, "message": "User has denied API access for your plugin.",
                }  # fmt: skip
            token = f"token-{self.asked}"
            self.tokens.add(token)
            return "AuthenticationTokenResponse", {"authenticationToken": token}
        if kind == "AuthenticationRequest":
            session["allowed"] = data["authenticationToken"] in self.tokens
            return "AuthenticationResponse", {"authenticated": session["allowed"], "reason": ""}
        if not session["allowed"]:
            return "APIError", {"errorID": 8, "message": "This request needs authentication."}
        if kind == "InputParameterListRequest":
            return "InputParameterListResponse", {
                "modelLoaded": False,
                "customParameters": [],
                "defaultParameters": [
                    {"name": n, "addedBy": "VTube Studio", "value": 0, "min": low, "max": high,
                     "defaultValue": 0}
                    for n, (low, high) in PARAMETERS.items()
                ],
            }  # fmt: skip
        if kind == "InjectParameterDataRequest":
            return self._inject(data)
        return "APIError", {"errorID": 1, "message": f"unknown request {kind}"}

    def _inject(self, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        values = {entry["id"]: float(entry["value"]) for entry in data["parameterValues"]}
        unknown = set(values) - set(PARAMETERS)
        if unknown:
            return "APIError", {"errorID": 453, "message": f"no such parameters: {unknown}"}
        with self.arrived:
            self.injected.append((time.monotonic(), values))
            self.arrived.notify_all()
        return "InjectParameterDataResponse", {}
