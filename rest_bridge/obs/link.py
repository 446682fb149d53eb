"""One connection to a running OBS over obs-websocket 5, with errors that say what to do.

`simpleobsws` does the talking; it is asynchronous, this is not. Knows requests and replies, not
what they are for.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, Self, TypeVar

from rest_bridge.errors import SinkError, SinkUnavailable

_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 10.0
_STEP_S: Final = 0.02
_INSTALL: Final = 'pip install "rest-bridge[obs]"'

_Result = TypeVar("_Result")


class ObsUnavailable(SinkUnavailable):
    """OBS cannot be reached; the message says what to switch on."""


class WrongPassword(ObsUnavailable):
    """OBS runs and wants another password."""


class ObsRefused(SinkError):
    """OBS answered a request with an error.

    Args:
        text: one sentence.
        code: of obs-websocket, like 600 (there is no such thing).
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


NOT_FOUND: Final = 600
"""ObsRefused.code: there is no input, scene or item of that name."""
NOT_AVAILABLE: Final = 604
"""ObsRefused.code: this OBS, on this computer, has no such thing."""


class ObsLink:
    """A connection; a context manager.

    Args:
        port: of obs-websocket on this computer.
        password: of obs-websocket; empty where it wants none.
        host: computer that OBS runs on.
    """

    def __init__(self, *, port: int, password: str, host: str = "127.0.0.1") -> None:
        self.address = f"{host}:{port}"
        self._password = password
        self._runner = asyncio.Runner()
        self._socket: Any = None

    def __enter__(self) -> Self:
        try:
            self._run(self._connect())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._run(self._disconnect())
        finally:
            self._runner.close()

    def ask(self, request: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and return what OBS answers.

        Args:
            request: its name, like "GetVersion".
            **arguments: its fields.

        Raises:
            ObsRefused: OBS says no.
            ObsUnavailable: OBS is gone, or does not answer.
        """
        return self._run(self._ask(request, arguments))

    def _run(self, what: Coroutine[Any, Any, _Result]) -> _Result:
        return self._runner.run(what)

    async def _connect(self) -> None:
        try:
            import simpleobsws
        except ImportError:
            raise ObsUnavailable(f"Steering OBS needs one more package: {_INSTALL}") from None
        logging.getLogger("simpleobsws").setLevel(logging.WARNING)  # it would log the handshake
        wanted = simpleobsws.IdentificationParameters(eventSubscriptions=0)
        socket = simpleobsws.WebSocketClient(f"ws://{self.address}", self._password, wanted)
        try:
            async with asyncio.timeout(_CONNECT_S):
                await socket.connect()
                while socket.ws_open and not socket.is_identified():
                    await asyncio.sleep(_STEP_S)
        except (OSError, TimeoutError) as error:
            raise self._unreachable() from error
        except Exception as error:  # websockets' own: something else listens there
            raise ObsUnavailable(
                f"What listens at {self.address} is no obs-websocket 5 ({error}); OBS 28 and later "
                "have it: Tools > WebSocket Server Settings shows its port."
            ) from error
        if not socket.is_identified():
            code = getattr(socket.ws, "close_code", None)
            await socket.disconnect()
            if code == 4009:
                raise WrongPassword(
                    f"OBS at {self.address} wants another password: Tools > WebSocket Server "
                    "Settings > Show Connect Info shows it."
                )
            raise self._unreachable()
        self._socket = socket

    def _unreachable(self) -> ObsUnavailable:
        return ObsUnavailable(
            f"No OBS answers at {self.address}. Start OBS (28 or later) and tick Tools > WebSocket "
            "Server Settings > Enable WebSocket server."
        )

    async def _disconnect(self) -> None:
        if self._socket is not None:
            await self._socket.disconnect()
            self._socket = None

    async def _ask(self, request: str, arguments: dict[str, Any]) -> dict[str, Any]:
        import simpleobsws

        if self._socket is None or not self._socket.ws_open:
            raise ObsUnavailable(f"The connection to OBS at {self.address} is lost; is OBS closed?")
        try:
            reply = await self._socket.call(
                simpleobsws.Request(request, arguments), timeout=_ANSWER_S
            )
        except simpleobsws.MessageTimeout:
            raise ObsUnavailable(
                f"OBS at {self.address} did not answer {request} within {_ANSWER_S:.0f} s; close "
                "any question that it shows, and try again."
            ) from None
        except Exception as error:  # the connection ended while we waited
            raise ObsUnavailable(
                f"The connection to OBS at {self.address} is lost; is OBS closed?"
            ) from error
        status = reply.requestStatus
        if not status.result:
            words = status.comment or f"code {status.code}"
            raise ObsRefused(f"OBS refused {request}: {words}", int(status.code))
        return dict(reply.responseData or {})
