"""CURVE keys: who may connect to a daemon that other computers can reach, and encryption with them.

A folder holds the daemon's pair (`server.toml`), a pair for programs on the same computer
(`local.key`), and the public key of everyone who was allowed (`allowed/NAME.pub`). A client's file
(`NAME.key`) holds its own pair and the daemon's public key; it is all that the other computer
needs. Keys are written as ZeroMQ does, 40 characters of Z85. Secrets are readable by their owner
only. Nobody outside `allowed` gets past the handshake, so nothing of theirs is ever decoded.
"""

import contextlib
import os
import threading
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs
import zmq
from zmq.utils import z85

from rest_bridge.config import EndpointsSection
from rest_bridge.endpoint import Security
from rest_bridge.errors import ConfigError

KEY_CHARS: Final = 40
KEY_VARIABLE: Final = "REST_BRIDGE_CLIENT_KEY"
_MAX_FILE_BYTES: Final = 4096
_ZAP_ADDRESS: Final = "inproc://zeromq.zap.01"
_ZAP_PARTS: Final = 7


def default_folder() -> Path:
    """Return where keys lie if nobody said otherwise."""
    return Path(platformdirs.user_config_dir("rest_bridge", appauthor=False)) / "keys"


def is_key(text: str) -> bool:
    """Say whether a text looks like a key."""
    try:
        return len(text) == KEY_CHARS and len(z85.decode(text.encode("ascii"))) == 32
    except (ValueError, KeyError, UnicodeEncodeError):
        return False


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a client needs: its own pair and the daemon's public key (`endpoint.Keys`)."""

    public: str
    secret: str
    server: str

    @classmethod
    def load(cls, path: Path) -> "ClientKeys":
        """Read a client's file.

        Args:
            path: as `rest-bridge keys new` writes it.

        Returns:
            The keys.

        Raises:
            ConfigError: the file is missing or holds no keys.
        """
        table = _read(path, ("public", "secret", "server"))
        return cls(table["public"], table["secret"], table["server"])

    def save(self, path: Path) -> None:
        """Write a file that only its owner can read."""
        lines = "# A client of rest_bridge. Keep it secret: whoever has it may watch and steer.\n"
        lines += f'public = "{self.public}"\nsecret = "{self.secret}"\nserver = "{self.server}"\n'
        _write_secret(path, lines)

    def protect(self, socket: "zmq.Socket[bytes]") -> None:
        """Let a socket speak CURVE."""
        socket.curve_serverkey = self.server.encode("ascii")
        socket.curve_publickey = self.public.encode("ascii")
        socket.curve_secretkey = self.secret.encode("ascii")


class KeyFolder:
    """A daemon's keys (`endpoint.Keys`).

    Args:
        path: the folder; `create` makes what is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._cache: tuple[int, frozenset[bytes]] = (-1, frozenset())

    @property
    def allowed_path(self) -> Path:
        """Folder with a file for each client."""
        return self.path / "allowed"

    @property
    def local_path(self) -> Path:
        """File of the clients on this computer."""
        return self.path / "local.key"

    def create(self) -> bool:
        """Make the folder, the daemon's pair and the local client's where they are missing.

        Returns:
            Whether anything was made.

        Raises:
            ConfigError: the folder cannot be written.
        """
        try:
            self.allowed_path.mkdir(parents=True, exist_ok=True)
            if (self.path / "server.toml").exists():
                return False
            public, secret = _new_pair()
            text = "# The daemon's pair. Keep it secret.\n"
            _write_secret(
                self.path / "server.toml", f'{text}public = "{public}"\nsecret = "{secret}"\n'
            )
            self.new_client("local").save(self.local_path)
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}.") from error
        return True

    def public(self) -> str:
        """Return the daemon's public key; raises ConfigError where there is none."""
        return self._server()["public"]

    def new_client(self, name: str) -> ClientKeys:
        """Make a client's keys and allow it.

        Args:
            name: of the client; one of this name is replaced.

        Returns:
            Its keys; save them where the client finds them.
        """
        public, secret = _new_pair()
        self.allow(name, public)
        return ClientKeys(public, secret, self.public())

    def allow(self, name: str, key: str) -> None:
        """Let a client in, from its next connection on.

        Args:
            name: for people: letters, digits, `-` and `_`.
            key: its public key.

        Raises:
            ConfigError: a name or key that is none, or a folder that cannot be written.
        """
        if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
            raise ConfigError(f"{name!r} is no name; use letters, digits, - and _.")
        if not is_key(key):
            raise ConfigError(f"{key[:60]!r} is no public key; it has 40 characters.")
        try:
            self.allowed_path.mkdir(parents=True, exist_ok=True)
            (self.allowed_path / f"{name}.pub").write_text(key + "\n", encoding="ascii")
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}.") from error

    def revoke(self, name: str) -> bool:
        """Let a client in no more, from its next connection on; returns whether it was known."""
        path = self.allowed_path / f"{name}.pub"
        known = path.exists()
        path.unlink(missing_ok=True)
        return known

    def allowed(self) -> dict[str, str]:
        """Return the public keys by name; files that hold none are left out."""
        found: dict[str, str] = {}
        for path in sorted(self.allowed_path.glob("*.pub")):
            text = path.read_text(encoding="ascii", errors="replace")[:100].strip()
            if is_key(text):
                found[path.stem] = text
        return found

    def protect(self, socket: "zmq.Socket[bytes]") -> None:
        """Let a socket that will be bound speak CURVE with those allowed.

        Raises:
            ConfigError: there are no keys.
        """
        server = self._server()
        _start_gatekeeper(socket.context, self)
        socket.curve_server = True
        socket.curve_publickey = server["public"].encode("ascii")
        socket.curve_secretkey = server["secret"].encode("ascii")
        socket.zap_domain = b"rest_bridge"

    def admits(self, key: bytes) -> bool:
        """Say whether the owner of a public key (32 bytes) may connect now."""
        with contextlib.suppress(OSError):
            changed_ns = self.allowed_path.stat().st_mtime_ns
            if changed_ns != self._cache[0]:
                keys = frozenset(z85.decode(k.encode("ascii")) for k in self.allowed().values())
                self._cache = (changed_ns, keys)
            return key in self._cache[1]
        return False

    def _server(self) -> dict[str, str]:
        return _read(self.path / "server.toml", ("public", "secret"))


def security_of(endpoints: EndpointsSection) -> Security:
    """Return what protects the sockets of a configuration."""
    keys = KeyFolder(Path(endpoints.keys).expanduser()) if endpoints.keys else None
    return Security(insecure=endpoints.insecure, keys=keys)


def client_keys(endpoints: EndpointsSection) -> ClientKeys | None:
    """Return the keys of commands that talk to a daemon.

    The file that the environment names (REST_BRIDGE_CLIENT_KEY), for a daemon on another computer;
    else the local client's of this configuration; None where there are no keys.
    """
    if path := os.environ.get(KEY_VARIABLE):
        return ClientKeys.load(Path(path).expanduser())
    if not endpoints.keys:
        return None
    return ClientKeys.load(KeyFolder(Path(endpoints.keys).expanduser()).local_path)


def _start_gatekeeper(context: "zmq.Context[zmq.Socket[bytes]]", folder: KeyFolder) -> None:
    """Answer ZeroMQ's questions who may connect (ZAP, RFC 27), until the context ends."""
    # A context of its own over the same core: `destroy` of the other one must not close this
    # socket from a foreign thread. It is told to end when the core terminates.
    shadow: zmq.Context[zmq.Socket[bytes]] = zmq.Context.shadow(context.underlying)
    socket = shadow.socket(zmq.REP)
    socket.linger = 0
    try:
        socket.bind(_ZAP_ADDRESS)
    except zmq.ZMQError:  # the context has one already
        socket.close()
        return

    def serve() -> None:
        with contextlib.suppress(zmq.ContextTerminated), contextlib.closing(socket):
            while True:
                socket.send_multipart(_answer(folder, socket.recv_multipart()))

    threading.Thread(target=serve, name="gatekeeper", daemon=True).start()


def _answer(folder: KeyFolder, request: list[bytes]) -> list[bytes]:
    number = request[1] if len(request) > 1 else b""
    is_curve = len(request) == _ZAP_PARTS and request[5] == b"CURVE"
    if is_curve and folder.admits(request[6]):
        return [b"1.0", number, b"200", b"OK", b"", b""]
    return [b"1.0", number, b"400", b"Not allowed", b"", b""]


def _new_pair() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode("ascii"), secret.decode("ascii")


def _read(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    try:
        text = path.read_bytes()[:_MAX_FILE_BYTES].decode("utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(
            f"There are no keys at {path}; `rest-bridge keys new` makes some."
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as keys: {error}") from error
    if not all(isinstance(table.get(name), str) and is_key(table[name]) for name in names):
        raise ConfigError(f"{path} must hold {', '.join(names)}, each a key of 40 characters.")
    return {name: table[name] for name in names}


def _write_secret(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
