"""Who may come in: one address that pages are served at, its token, and the hosts it answers to.

Knows nothing of pages. A request must name us as its host (a foreign page cannot, nor can a rebound
DNS name), come from our own page where it says where it comes from, and know the token.
"""

import hmac
import http
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

LOOPBACK: Final = "127.0.0.1"
_FOREIGN: Final = frozenset({"cross-site", "same-site"})
_MOST_QUERY: Final = 4096


@dataclass(frozen=True, slots=True)
class Door:
    """One address.

    Attributes:
        hosts: what requests may name as their host, with the port.
        token: the secret in the address.
        guest: it is open to the network.
    """

    hosts: frozenset[str]
    token: str
    guest: bool

    def refuse(self, request: Request, *, public: bool) -> Response | None:
        """Return the refusal of a request that may not come in.

        Args:
            request: any.
            public: what it asks for holds no secrets and does nothing.
        """
        if getattr(request, "method", "GET") != "GET":
            return text(http.HTTPStatus.METHOD_NOT_ALLOWED, "Only GET is answered here.")
        if len(request.path) > _MOST_QUERY:
            return text(http.HTTPStatus.REQUEST_URI_TOO_LONG, "This address is too long.")
        if not _is_one_of(request.headers.get_all("Host"), self.hosts):
            return text(http.HTTPStatus.FORBIDDEN, "This server only answers to its own address.")
        if public:
            return None
        if not hmac.compare_digest(
            query_of(request).get("token", "").encode(), self.token.encode()
        ):
            return text(
                http.HTTPStatus.FORBIDDEN,
                "Open the address that rest-bridge printed: it ends in ?token=... "
                "(a new one at every start, unless preview.token is set).",
            )
        origins = request.headers.get_all("Origin")
        if origins and not _is_one_of(origins, {f"http://{host}" for host in self.hosts}):
            return text(http.HTTPStatus.FORBIDDEN, "Only the preview page itself may connect.")
        return None

    def is_foreign(self, request: Request) -> bool:
        """Say whether a browser says that another site's page is behind a request."""
        return request.headers.get("Sec-Fetch-Site", "none") in _FOREIGN


def query_of(request: Request) -> dict[str, str]:
    """Return what stands behind the address's question mark; of a repeated key the last."""
    return dict(parse_qsl(urlsplit(request.path).query, keep_blank_values=True))


def own_addresses() -> list[str]:
    """Return this computer's IPv4 addresses in its networks, the likeliest first."""
    found: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: asks which way it would go
            found.append(str(probe.getsockname()[0]))
        except OSError:
            pass
    try:
        infos = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        infos = []
    found += [str(info[4][0]) for info in infos]
    return [ip for ip in dict.fromkeys(found) if not ip.startswith("127.") and ip != "0.0.0.0"]


def text(status: http.HTTPStatus, sentence: str) -> Response:
    """Return an answer of one sentence."""
    return response(status, (sentence + "\n").encode(), "text/plain; charset=utf-8")


def response(
    status: http.HTTPStatus, body: bytes, kind: str, more: Mapping[str, str] | None = None
) -> Response:
    """Return an answer that runs no scripts but ours, and that no other page may show or read.

    Args:
        status: of HTTP.
        body: bytes.
        kind: media type.
        more: further headers.
    """
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Connection": "close",
            "Content-Security-Policy": (
                "default-src 'self'; connect-src 'self' ws://127.0.0.1:* ws://localhost:*; "
                "img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; "
                "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            ),
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",  # the token stands in the address
            "X-Content-Type-Options": "nosniff",
            **(more or {}),
        }
    )
    return Response(status.value, status.phrase, headers, body)


def _is_one_of(given: list[str], allowed: frozenset[str] | set[str]) -> bool:
    return len(given) == 1 and given[0].lower() in allowed
