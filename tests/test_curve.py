"""CURVE keys: who gets in, who does not, and what the commands make."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from rest_bridge.cli import run
from rest_bridge.client import BridgeClient
from rest_bridge.curve import ClientKeys, KeyFolder, is_key
from rest_bridge.endpoint import Security
from rest_bridge.errors import ConfigError
from rest_bridge.sinks.control import ControlServer, Operation
from rest_bridge.sinks.publisher import ZeroMqPublisher
from rest_bridge.types import FrameFormat
from tests.support.frames import make_frame

ANY_PORT = "tcp://127.0.0.1:*"


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    made = KeyFolder(tmp_path / "keys")
    assert made.create()
    assert not made.create()
    return made


@pytest.fixture
def publisher(folder: KeyFolder) -> Iterator[ZeroMqPublisher]:
    made = ZeroMqPublisher(
        frames_endpoint=ANY_PORT, events_endpoint=ANY_PORT, security=Security(keys=folder)
    )
    made.open(FrameFormat(64, 48, 25.0))
    yield made
    made.close()


def sees_frames(publisher: ZeroMqPublisher, keys: ClientKeys | None, rounds: int) -> bool:
    with BridgeClient(frames=publisher.frames_endpoint, events="", control="", keys=keys) as client:
        for index in range(rounds):
            publisher.send(make_frame(index))
            if client.frame(0.02) is not None:
                return True
    return False


def test_only_those_allowed_see_anything(publisher: ZeroMqPublisher, folder: KeyFolder) -> None:
    assert sees_frames(publisher, folder.new_client("laptop"), 250)
    assert sees_frames(publisher, ClientKeys.load(folder.local_path), 250)
    stranger = ClientKeys(*(key.decode() for key in zmq.curve_keypair()), folder.public())
    assert not sees_frames(publisher, stranger, 15)
    assert not sees_frames(publisher, None, 15)
    other_server = ClientKeys(stranger.public, stranger.secret, stranger.public)
    assert not sees_frames(publisher, other_server, 15)


def test_a_client_may_be_allowed_and_revoked_while_the_daemon_runs(
    publisher: ZeroMqPublisher, folder: KeyFolder
) -> None:
    public, secret = (key.decode() for key in zmq.curve_keypair())
    keys = ClientKeys(public, secret, folder.public())
    assert not sees_frames(publisher, keys, 15)
    folder.allow("late", public)
    assert sees_frames(publisher, keys, 250)
    assert folder.revoke("late")
    assert not folder.revoke("late")
    assert not sees_frames(publisher, keys, 15)


def test_control_and_its_end_leave_no_thread(folder: KeyFolder) -> None:
    operations = {"hi": Operation(lambda body, progress: {"there": True})}
    with ControlServer(operations, endpoint=ANY_PORT, security=Security(keys=folder)) as server:
        keys = ClientKeys.load(folder.local_path)
        with BridgeClient(frames="", events="", control=server.endpoint, keys=keys) as client:
            assert client.request("hi", timeout_s=5.0) == {"there": True}


def test_keys_allow_addresses_that_others_can_reach(folder: KeyFolder) -> None:
    made = ZeroMqPublisher(
        frames_endpoint="tcp://0.0.0.0:*", events_endpoint=ANY_PORT, security=Security(keys=folder)
    )
    made.open(FrameFormat(64, 48, 25.0))
    made.close()


def test_secrets_are_for_their_owner_only(folder: KeyFolder) -> None:
    for path in (folder.path / "server.toml", folder.local_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "x" * 40 + "é", 'public = "short"', "\x00" * 100])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.key"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError):
        ClientKeys.load(path)
    with pytest.raises(ConfigError, match="keys new"):
        ClientKeys.load(tmp_path / "none.key")


@pytest.mark.parametrize(("name", "key"), [("../x", None), ("", None), ("a", "0" * 39)])
def test_names_and_keys_are_checked(folder: KeyFolder, name: str, key: str | None) -> None:
    with pytest.raises(ConfigError):
        folder.allow(name, key or folder.public())


def test_the_commands_make_show_allow_and_revoke(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    where = ["--folder", str(tmp_path / "keys")]
    assert run(["keys", "show", *where]) != 0
    assert run(["keys", "new", "laptop", *where]) == 0
    keys = ClientKeys.load(tmp_path / "laptop.key")
    assert is_key(keys.public)
    assert run(["keys", "new", "laptop", *where]) != 0  # the file is there already
    assert run(["keys", "allow", "game", zmq.curve_keypair()[0].decode(), *where]) == 0
    capsys.readouterr()
    assert run(["keys", "show", *where]) == 0
    shown = capsys.readouterr().out
    assert keys.server in shown
    assert "laptop" in shown
    assert "game" in shown
    assert keys.secret not in shown
    assert run(["keys", "revoke", "game", *where]) == 0
    assert run(["keys", "revoke", "game", *where]) != 0
