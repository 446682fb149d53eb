"""Hostile requests to the control page's server: refused, and the next honest one is served."""

import contextlib
import http.client
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from rest_bridge.bundles import unpack
from rest_bridge.errors import AvatarError
from rest_bridge.inference.package import ModelPackage
from rest_bridge.library import Library, slug
from rest_bridge.page.desk import CALLS, GUEST_OPERATIONS, Desk
from rest_bridge.page.portraits import PortraitDesk
from rest_bridge.page.uploads import MOST_BYTES, MOST_FILES
from rest_bridge.presets import Presets
from rest_bridge.sinks.control import Operation
from rest_bridge.sinks.preview import PreviewServer
from rest_bridge.types import FrameFormat

TOKEN = "secret-token"


class Nobody:
    """A studio that shows nothing."""

    avatar = "luna"

    def set_avatar(self, choice: str, _options: Any, _progress: Any) -> str:
        self.avatar = choice
        return "0"


class House:
    """A server with a desk; every operation that was done is noted."""

    def __init__(self, folder: Path, package: ModelPackage) -> None:
        self.done: list[str] = []
        self.library = Library(package, folder / "portraits")
        self.presets = Presets(folder / "presets.json")

        def operation(name: str) -> Operation:
            return Operation(lambda _body, _progress: self.done.append(name) or {"op": name})

        names = ("status", "mute", "expression", "stop", "config.show", "avatar.set", "page.hello")
        operations = {name: operation(name) for name in names}
        portraits = PortraitDesk(
            Nobody(),
            self.library,
            self.presets,
            operations["expression"].run,  # type: ignore[arg-type]
        )
        self.server = PreviewServer(port=0, token=TOKEN)
        self.server.desk = Desk(operations, page=portraits.operations(), files=portraits.file)
        self.server.open(FrameFormat(64, 64, 25.0))
        self.port = self.server._port

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        given = {"Host": f"127.0.0.1:{self.port}"} | headers
        for name, value in given.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        try:
            reply = connection.getresponse()
            return reply.status, reply.read(), reply
        except (http.client.HTTPException, ConnectionError):
            return 0, b"", None
        finally:
            connection.close()


class Page:
    """A page's side of the conversation."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._next = 0

    def ask(self, op: str, **body: Any) -> dict[str, Any]:
        self._next += 1
        self.connection.send(json.dumps({"id": self._next, "op": op, "body": body}))
        while True:
            reply = json.loads(self.connection.recv(timeout=20))
            if reply["id"] == self._next and "ok" in reply:
                return reply

    def upload(self, data: bytes) -> int:
        number = self.ask("upload.begin", bytes=len(data))["body"]["upload"]
        for at in range(0, len(data), 100_000):
            self.connection.send(struct.pack(">I", number) + data[at : at + 100_000])
        return number


@pytest.fixture(scope="module")
def package(package_path: Path) -> ModelPackage:
    return ModelPackage.load(package_path, verify=False)


@pytest.fixture
def house(tmp_path: Path, package: ModelPackage) -> Iterator[House]:
    house = House(tmp_path, package)
    yield house
    house.server.close()


@pytest.fixture
def page(house: House) -> Iterator[Page]:
    url = f"ws://127.0.0.1:{house.port}/control?token={TOKEN}"
    with connect(url, origin=f"http://127.0.0.1:{house.port}") as connection:  # type: ignore[arg-type]
        yield Page(connection)


def png(size: tuple[int, int] = (80, 80)) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((size[1], size[0], 3), 120, np.uint8)).save(out, "PNG")
    return out.getvalue()


def bomb(side: int) -> bytes:
    """Return a PNG of side² pixels that is small: all of them black."""
    rows = zlib.compressobj(9)
    data = rows.compress(b"\0" * (side // 8 + 1) * 64) + rows.flush()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


OURS = {"portrait.png": png(), "about.json": b"{}"}
PLACES = ("/", "/do/mute?on=true", "/thumbnail/luna", "/export/luna", "/picture/x")


@pytest.mark.parametrize("place", PLACES)
def test_without_the_token_nothing_is_told_or_done(house: House, place: str) -> None:
    mark = "&" if "?" in place else "?"
    for given in (place, f"{place}{mark}token=", f"{place}{mark}token={TOKEN}x"):
        assert house.get(given)[0] == 403
    assert house.done == []


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.nip.io:{port}"],
)  # fmt: skip
def test_a_rebound_host_name_is_refused_even_with_the_token(house: House, host: str) -> None:
    name = host.format(port=house.port)
    for place in PLACES:
        mark = "&" if "?" in place else "?"
        assert house.get(f"{place}{mark}token={TOKEN}", Host=name)[0] == 403
    assert house.get("/app/app.js", Host=name)[0] == 403
    assert house.done == []


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"]
)
def test_another_sites_page_is_refused(house: House, origin: str) -> None:
    name = origin.format(port=house.port)
    assert house.get(f"/do/mute?on=true&token={TOKEN}", Origin=name)[0] == 403
    url = f"ws://127.0.0.1:{house.port}/control?token={TOKEN}"
    with pytest.raises(InvalidStatus) as refused, connect(url, origin=name):  # type: ignore[arg-type]
        pass
    assert refused.value.response.status_code == 403
    assert house.done == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_on_another_site_does_nothing(house: House, site: str) -> None:
    headers = {"Sec_Fetch_Site": site}
    assert house.get(f"/do/mute?on=true&token={TOKEN}", **headers)[0] == 403
    assert house.get(f"/do/mute?on=true&token={TOKEN}", Sec_Fetch_Site="none")[0] == 200
    assert house.done == ["mute"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_answered(house: House, method: str) -> None:
    assert house.get(f"/do/mute?on=true&token={TOKEN}", method=method)[0] in (0, 400, 405)
    assert house.done == []


@pytest.mark.parametrize(
    "name", ["stop", "config.show", "upload.begin", "portraits.delete", "../stop", "%2e%2e"]
)
def test_calls_of_stream_decks_reach_only_what_is_listed(house: House, name: str) -> None:
    assert house.get(f"/do/{name}?token={TOKEN}")[0] == 404
    assert house.done == []


@pytest.mark.parametrize(
    "name",
    ["..", "../..", "%2e%2e%2fetc", "a/../../x", "..%5c..", "luna%00", "CON", "portrait.png",
     "a" * 3000, "%2fetc%2fpasswd", "é", "-", " "],
)  # fmt: skip
def test_path_tricks_in_names_reach_no_file(house: House, page: Page, name: str) -> None:
    for kind in ("thumbnail", "picture", "export", "part"):
        status, body, _ = house.get(f"/{kind}/{quote(name, safe='/%')}?token={TOKEN}")
        assert status in (0, 400, 404)
        assert b"root:" not in body
    for op in ("portraits.points", "portraits.delete", "portraits.wear"):
        reply = page.ask(op, name=name)
        assert not reply["ok"]
    assert not page.ask("presets.save", face=name, name="x")["ok"]
    with pytest.raises(AvatarError):
        house.library.get(name)


def test_titles_become_names_of_ours(house: House, tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    file.write_bytes(png())
    for title in (
        "../../etc/passwd",
        "luna",
        "con",
        "<script>alert(1)</script>",
        "顔",
        "",
        "a" * 500,
    ):
        portrait = house.library.add(file, title)
        assert portrait.folder.parent == tmp_path / "portraits"
        assert portrait.name == slug(portrait.name)
        assert portrait.name not in ("luna", "con")
    assert len({p.name for p in house.library.portraits()}) == 7


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("SVG with script", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
        ("HTML", b"<html><script>alert(1)</script>"),
        ("a program", b"MZ" + b"\0" * 500),
        ("half a PNG", png()[: len(png()) // 2]),
        ("a bomb of 900 million pixels", bomb(30_000)),
        ("a bomb of 4 billion pixels", bomb(65_000)),
        ("one pixel", png((1, 1))),
    ],
)  # fmt: skip
def test_what_is_no_usable_picture_is_refused_with_a_sentence(
    house: House, page: Page, what: str, data: bytes
) -> None:
    reply = page.ask("portraits.add", upload=page.upload(data), title=what)
    assert not reply["ok"]
    assert reply["code"] == "failed"
    assert len(reply["error"]) > 20
    assert "/tmp" not in reply["error"], "the person knows nothing of our files"
    assert house.library.portraits() == []
    assert not any(house.library._root.glob("*"))


def test_a_picture_without_a_face_leaves_nothing_behind(house: House, page: Page) -> None:
    reply = page.ask("portraits.add", upload=page.upload(png((200, 200))), title="wall")
    assert "No face was found" in reply["error"]
    assert not any(house.library._root.glob("*"))


def test_uploads_are_bounded_and_counted(house: House, page: Page) -> None:
    for size in (MOST_BYTES + 1, 0, -5, 1e99, "many", None, True):
        assert not page.ask("upload.begin", bytes=size)["ok"]
    numbers = [page.ask("upload.begin", bytes=10)["body"]["upload"] for _ in range(MOST_FILES)]
    assert not page.ask("upload.begin", bytes=10)["ok"], "too many at once"
    page.connection.send(struct.pack(">I", numbers[0]) + b"x" * 11)  # more than announced
    assert "More came" in json.loads(page.connection.recv(timeout=5))["error"]
    page.connection.send(struct.pack(">I", 9999) + b"x")
    assert "no such file" in json.loads(page.connection.recv(timeout=5))["error"]
    page.connection.send(b"\0")
    assert "needs its number" in json.loads(page.connection.recv(timeout=5))["error"]
    page.connection.send(struct.pack(">I", numbers[1]) + b"x" * 5)
    assert "not come completely" in page.ask("portraits.add", upload=numbers[1], title="x")["error"]
    assert page.ask("status")["ok"]


def test_a_message_larger_than_a_piece_costs_the_connection_only(house: House, page: Page) -> None:
    with contextlib.suppress(ConnectionClosed):
        page.connection.send(b"\0" * 2_000_000)
    with pytest.raises(ConnectionClosed):
        page.connection.recv(timeout=5)
    url = f"ws://127.0.0.1:{house.port}/control?token={TOKEN}"
    with connect(url) as connection:
        assert Page(connection).ask("status")["ok"]


@pytest.mark.parametrize(
    "message",
    ["", "{", "null", "[]", "3", '{"id": 1}', '{"id": "x", "op": "status"}', '{"id": 1, "op": 5}',
     '{"id": 1, "op": "status", "body": []}', "[" * 5000, '{"id": 1, "op": "' + "x" * 9000 + '"}'],
)  # fmt: skip
def test_nonsense_is_answered_and_forgotten(house: House, page: Page, message: str) -> None:
    page.connection.send(message)
    assert not json.loads(page.connection.recv(timeout=5))["ok"]
    assert page.ask("status")["ok"]


@pytest.mark.parametrize(
    ("what", "members"),
    [
        ("a path out of the folder", OURS | {"../../evil": b"x"}),
        ("an absolute path", {"portrait.png": png(), "/etc/cron.d/evil": b"x"}),
        ("a file that we do not know", OURS | {"avatar.npz": b"x"}),
        ("no portrait", {"about.json": b"{}"}),
        ("a description that is a list", {"portrait.png": png(), "about.json": b"[]"}),
        ("a deeply nested description", {"portrait.png": png(), "about.json": b"[" * 200_000}),
        ("an SVG as portrait", {"portrait.png": b"<svg/>", "about.json": b"{}"}),
        ("a background that is a path", OURS | {"about.json": b'{"background": "/etc"}'}),
        ("points that are no numbers", OURS | {"landmarks.json": b'[["a", 1]]'}),
        ("a preset that is impossible", OURS | {"presets.json": b'[{"name": "x", "gaze": 99}]'}),
    ],
)  # fmt: skip
def test_a_bundle_that_is_not_ours_is_refused_whole(
    house: House, tmp_path: Path, what: str, members: dict[str, bytes]
) -> None:
    file = tmp_path / "x.restface"
    with zipfile.ZipFile(file, "w") as bundle:
        for name, data in members.items():
            bundle.writestr(name, data)
    with pytest.raises(AvatarError):
        unpack(file, house.library, house.presets)
    assert house.library.portraits() == []
    assert not (tmp_path.parent / "evil").exists()


def test_a_zip_bomb_is_given_up_at_the_bound(house: House, tmp_path: Path) -> None:
    file = tmp_path / "bomb.restface"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bundle:
        bundle.writestr("about.json", b" " * (40 * 2**20))  # 40 MB in 40 KB
        bundle.writestr("portrait.png", png())
    assert file.stat().st_size < 100_000
    with pytest.raises(AvatarError, match="larger than 1 MB"):
        unpack(file, house.library, house.presets)


def test_a_zip_that_lies_about_its_sizes_is_refused(house: House, tmp_path: Path) -> None:
    file = tmp_path / "liar.restface"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("about.json", b" " * (3 * 2**20))
    data = bytearray(file.read_bytes())
    size = struct.pack("<I", 3 * 2**20)
    for at in (data.find(size), data.rfind(size)):
        data[at : at + 4] = struct.pack("<I", 10)
    file.write_bytes(data)
    with pytest.raises(AvatarError):
        unpack(file, house.library, house.presets)


def test_guests_may_only_steer(house: House) -> None:
    shared = house.server.share()
    if not shared["addresses"]:
        pytest.skip("no network here")
    address = shared["addresses"][0]
    host, token = address.split("/")[2], address.split("token=")[1]
    assert token != TOKEN
    with connect(f"ws://{host}/control?token={token}") as connection:
        guest = Page(connection)
        assert guest.ask("mute", on=True)["ok"]
        assert guest.ask("page.hello")["body"]["guest"] is True
        for op in ("stop", "config.show", "avatar.set", "portraits.delete", "upload.begin"):
            assert guest.ask(op)["code"] == "not_allowed"
        connection.send(struct.pack(">I", 1) + b"x")
        assert json.loads(connection.recv(timeout=5))["code"] == "not_allowed"
    for wrong in (TOKEN, "", token + "x"):  # not even the owner's token
        with pytest.raises(InvalidStatus), connect(f"ws://{host}/control?token={wrong}"):
            pass
    assert house.server.unshare() == {"on": False, "addresses": []}
    with pytest.raises(OSError), connect(f"ws://{host}/control?token={token}", open_timeout=2):
        pass
    assert GUEST_OPERATIONS.isdisjoint({"source.set", "output.start", "recording.start", "stop"})
    assert "stop" not in CALLS


def test_every_answer_forbids_what_pages_do_not_need(house: House) -> None:
    for path in (f"/?token={TOKEN}", "/app/app.js", f"/thumbnail/luna?token={TOKEN}", "/nothing"):
        reply = house.get(path)[2]
        policy = reply.getheader("Content-Security-Policy")
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy
        assert reply.getheader("X-Content-Type-Options") == "nosniff"
        assert reply.getheader("Referrer-Policy") == "no-referrer"
