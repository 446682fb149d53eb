"""The conversation with one page: requests in JSON, answers, progress, files.

Place in the flow: browser -> `sinks.preview` (who may connect) -> here -> operations. The same
operations as over ZeroMQ, and those of the page (`page.portraits`, `page.machine`). A guest, who
came over the network, may do less (`GUEST_OPERATIONS`). Also answers plain calls of stream decks,
`GET /do/OPERATION?token=...&key=value`: with the token in it no foreign page can make one.

Messages: {"id", "op", "body"} -> any number of {"id", "progress", "text"}, then {"id", "ok": true,
"body"} or {"id", "ok": false, "code", "error"}. Binary messages are pieces of files (`uploads`).
"""

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from rest_bridge.errors import RestBridgeError, SeveralFaces
from rest_bridge.page.uploads import Uploads
from rest_bridge.sinks.control import MOST_SLOW, BadRequest, Operation, Progress

STATIC: Final = Path(__file__).with_name("static")
GUEST_OPERATIONS: Final = frozenset(
    {
        "status", "avatars", "expression", "mute", "push_to_talk", "pause", "flush", "speech",
        "portraits.list", "portraits.wear", "presets.list", "presets.use", "page.hello", "ping",
    }
)  # fmt: skip
"""What a phone in the same network may do: steer, but reach no file, device or setting."""
CALLS: Final = (GUEST_OPERATIONS - {"page.hello"}) | {
    "avatar.set", "source.set", "output.start", "output.stop", "recording.start",
    "recording.stop", "portraits.wear",
}  # fmt: skip
"""What plain HTTP calls may do."""
_KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}

_log = logging.getLogger(__name__)


class Talk(Protocol):
    """A WebSocket as the desk uses it."""

    def send(self, message: str) -> None:
        """Send a text; from any thread."""
        ...

    def __iter__(self) -> Iterator[str | bytes]:
        """Return what comes, until it is closed."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """To a plain request.

    Attributes:
        status: of HTTP.
        body: bytes.
        kind: media type.
        name: to save it as; empty to show it.
    """

    status: int
    body: bytes
    kind: str
    name: str = ""


PageOperation = Callable[[Mapping[str, Any], Progress, Uploads], Mapping[str, Any]]
"""Told the arguments, where to report progress, and the files of its connection."""


class Desk:
    """What pages may ask for."""

    def __init__(
        self,
        operations: Mapping[str, Operation],
        *,
        page: Mapping[str, PageOperation] | None = None,
        files: Callable[[str, Mapping[str, str]], Answer | None] | None = None,
        done: Callable[[str, Mapping[str, Any], Mapping[str, Any]], None] | None = None,
    ) -> None:
        """Lay out.

        Args:
            operations: as control clients have them, by name.
            page: those of the page alone; each runs in a thread of its own.
            files: answers requests for pictures and exports of the library.
            done: told each operation that was done, with its arguments and result.
        """
        self._operations = dict(operations)
        self._page = dict(page or {})
        self._files = files
        self._done = done or (lambda _op, _body, _result: None)
        self._static = {
            f"/app/{path.relative_to(STATIC).as_posix()}": path
            for path in STATIC.rglob("*")
            if path.suffix in _KINDS
        }

    # --------------------------------------------------------------- plain requests

    def is_public(self, path: str) -> bool:
        """Say whether a path needs no token: styles, scripts and texts, which hold no secrets."""
        return path in self._static

    def answer(self, path: str, query: Mapping[str, str], *, guest: bool) -> Answer | None:
        """Answer a request whose token was right, or whose path is public.

        Args:
            path: of the address.
            query: of the address, without the token.
            guest: it came over the network.

        Returns:
            The answer; None where there is nothing.
        """
        if path == "/":
            path = "/app/index.html"
        if path in self._static:
            file = self._static[path]
            return Answer(200, file.read_bytes(), _KINDS[file.suffix])
        if path.startswith("/do/"):
            return self._call(path.removeprefix("/do/"), query, guest=guest)
        if self._files is not None and (not guest or path.startswith("/thumbnail/")):
            try:
                return self._files(path, query)
            except RestBridgeError as error:
                return Answer(404, f"{error}\n".encode(), "text/plain; charset=utf-8")
        return None

    def _call(self, name: str, query: Mapping[str, str], *, guest: bool) -> Answer:
        """Do what a stream deck asks for; the answer is the same JSON as a page gets."""
        allowed = GUEST_OPERATIONS if guest else CALLS
        if name not in allowed or not self._knows(name):
            known = ", ".join(sorted(op for op in allowed if self._knows(op)))
            reply = {"ok": False, "error": f"There is no call {name[:40]!r}; there is {known}."}
            return Answer(404, _json(reply), _KINDS[".json"])
        body = {key: _value(text) for key, text in query.items()}
        with Uploads() as uploads:
            reply = self._run(name, body, lambda _done, _text: None, uploads)
        return Answer(200 if reply["ok"] else 400, _json(reply), _KINDS[".json"])

    # --------------------------------------------------------------- the conversation

    def converse(self, talk: Talk, *, guest: bool) -> None:
        """Answer a page until it leaves; the body of its thread.

        Args:
            talk: accepted and checked.
            guest: it came over the network.
        """
        room = threading.BoundedSemaphore(MOST_SLOW)
        with Uploads() as uploads:
            for message in talk:
                if isinstance(message, bytes):
                    self._take_piece(talk, uploads, message, guest=guest)
                    continue
                request = _parse(message)
                if request is None:
                    _say(talk, _refusal(None, "bad_request", "This is no request."))
                    continue
                self._take_request(talk, uploads, request, room, guest=guest)

    def _take_piece(self, talk: Talk, uploads: Uploads, message: bytes, *, guest: bool) -> None:
        if guest:
            _say(talk, _refusal(None, "not_allowed", "Files can only be sent on this computer."))
            return
        try:
            uploads.take(message)
        except BadRequest as error:
            _say(talk, _refusal(None, "bad_request", str(error)))

    def _take_request(
        self,
        talk: Talk,
        uploads: Uploads,
        request: tuple[int, str, Mapping[str, Any]],
        room: threading.BoundedSemaphore,
        *,
        guest: bool,
    ) -> None:
        number, name, body = request
        refused = self._refused(name, guest=guest)
        if refused is not None:
            _say(talk, _refusal(number, *refused))
            return

        def report(done: float, text: str) -> None:
            _say(talk, {"id": number, "progress": round(done, 3), "text": text})

        def answer() -> None:
            reply = self._run(name, body, report, uploads)
            if name == "page.hello" and reply["ok"]:
                reply["body"] = {**reply["body"], "guest": guest}
            _say(talk, {"id": number, **reply})

        def run() -> None:
            try:
                answer()
            finally:
                room.release()

        operation = self._operations.get(name)
        if name == "upload.begin":
            _say(talk, {"id": number, **_begin_upload(uploads, body)})
        elif operation is not None and not operation.slow:
            answer()
        elif room.acquire(blocking=False):
            threading.Thread(target=run, name=f"page-{name}", daemon=True).start()
        else:
            _say(talk, _refusal(number, "busy", "Too much at once; wait for what is running."))

    def run(self, name: str, body: Mapping[str, Any], uploads: Uploads) -> dict[str, Any]:
        """Do one operation, as a page would ask for it.

        Args:
            name: of the operation.
            body: its arguments.
            uploads: files that it may use.

        Returns:
            The answer, as it is sent.
        """
        return self._run(name, body, lambda _done, _text: None, uploads)

    def _refused(self, name: str, *, guest: bool) -> tuple[str, str] | None:
        if guest and name not in GUEST_OPERATIONS:
            return "not_allowed", "This can only be done on the computer that rest_bridge runs on."
        if name != "upload.begin" and not self._knows(name):
            return "unknown_operation", f"There is no operation {name[:40]!r}."
        return None

    def _knows(self, name: str) -> bool:
        return name in self._operations or name in self._page

    def _run(
        self, name: str, body: Mapping[str, Any], progress: Progress, uploads: Uploads
    ) -> dict[str, Any]:
        """Do one operation; whatever happens, there is an answer."""
        try:
            if name in self._page:
                result = self._page[name](body, progress, uploads)
            else:
                result = self._operations[name].run(body, progress)
            self._done(name, body, result)
        except BadRequest as error:
            return {"ok": False, "code": "bad_request", "error": str(error)}
        except SeveralFaces as error:
            text = str(error).partition("; crop")[0] + "; choose one."
            reply = {"ok": False, "code": "several_faces", "error": text}
            return {**reply, "num_faces": error.num_faces}
        except RestBridgeError as error:
            return {"ok": False, "code": "failed", "error": str(error)}
        except Exception as error:  # noqa: BLE001 - the top of a thread; it is logged
            _log.exception("operation %s failed", name)
            text = f"Something unforeseen went wrong ({type(error).__name__}); see the log."
            return {"ok": False, "code": "internal", "error": text}
        return {"ok": True, "body": result}


def _begin_upload(uploads: Uploads, body: Mapping[str, Any]) -> dict[str, Any]:
    size = body.get("bytes")
    if not isinstance(size, int) or isinstance(size, bool):
        return {"ok": False, "code": "bad_request", "error": 'upload.begin: "bytes" is needed.'}
    try:
        return {"ok": True, "body": {"upload": uploads.begin(size)}}
    except BadRequest as error:
        return {"ok": False, "code": "too_large", "error": str(error)}


def _parse(message: str) -> tuple[int, str, Mapping[str, Any]] | None:
    """Return number, operation and arguments of a request; None where it is none."""
    try:
        request: Any = json.loads(message)
        number, name, body = request["id"], request["op"], request.get("body", {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    if not isinstance(number, int) or not isinstance(name, str) or not isinstance(body, dict):
        return None
    return number, name, body  # pyright: ignore[reportUnknownVariableType]


def _refusal(number: int | None, code: str, error: str) -> dict[str, Any]:
    return {"id": number, "ok": False, "code": code, "error": error}


def _say(talk: Talk, message: Mapping[str, Any]) -> None:
    with suppress(Exception):  # the page has left: its thread ends by itself
        talk.send(json.dumps(message, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    """Return numpy numbers and paths as JSON types."""
    return value.item() if hasattr(value, "item") else str(value)


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, ensure_ascii=False, default=_plain) + "\n").encode()


def _value(text: str) -> Any:
    """Read a value of an address: JSON where it is, else a text. `gaze=0.2,0` is a pair."""
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    with suppress(ValueError):
        x, y = text.split(",")
        return [float(x), float(y)]
    return text
