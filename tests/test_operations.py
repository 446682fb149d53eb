"""Every control operation: arguments checked, always answered, whatever comes in."""

import string
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_bridge.errors import AvatarError, RestBridgeError
from rest_bridge.generator.steering import Steering
from rest_bridge.hush import Hush
from rest_bridge.operations import operations_of
from rest_bridge.sinks.control import BadRequest, ControlServer
from rest_bridge.sinks.messages import ReplyMessage, RequestMessage
from rest_bridge.sinks.wire import encode


class FakeStudio:
    """Notes what it is asked to do."""

    def __init__(self) -> None:
        self.hush = Hush()
        self.done: list[tuple[Any, ...]] = []
        self._wish = Steering()

    def apply_hush(self) -> None:
        pass

    def avatars(self) -> list[dict[str, Any]]:
        return [{"id": "luna", "name": "Luna", "active": True}]

    def set_avatar(self, choice, options, progress) -> str:
        if choice == "broken":
            raise AvatarError("No face was found in broken.")
        self.done.append(("avatar", choice, options))
        progress(0.5, "half")
        return "0123"

    def import_avatar(self, choice, options, progress) -> str:
        self.done.append(("import", choice, options))
        return "4567"

    def wish(self) -> Steering:
        return self._wish

    def steer(self, wish: Steering) -> None:
        self.done.append(("steer", wish))
        self._wish = wish

    def set_source(self, spec, options) -> str:
        self.done.append(("source", spec, options))
        return spec

    def start_output(self, key, options) -> dict[str, Any]:
        self.done.append(("start", key, options))
        return {"output": key, "running": True}

    def stop_output(self, key) -> dict[str, Any]:
        self.done.append(("stop", key))
        return {"output": key, "running": False}

    def start_recording(self, path, options) -> dict[str, Any]:
        self.done.append(("record", path, options))
        return {"output": "recording"}


class Desk:
    def __init__(self) -> None:
        self.studio = FakeStudio()
        self.stopped = 0
        self.operations = operations_of(
            self.studio,  # type: ignore[arg-type]
            status=lambda: {"phase": "live"},
            settings={"output": {"size": 512}},
            stop=self._stop,
        )
        del self.operations["devices"]  # asks the computer

    def _stop(self) -> None:
        self.stopped += 1

    def ask(self, operation: str, **body: Any) -> dict[str, Any]:
        return dict(self.operations[operation].run(body, lambda _done, _text: None))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_face_and_voice_and_outputs_are_asked_for(desk):
    assert desk.ask("avatar.set", avatar="maya", options={"face": 2})["id"] == "0123"
    assert desk.ask("avatar.import", picture="me.png") == {"avatar": "me.png", "id": "4567"}
    assert desk.ask("source.set", source="mic", options={"gain_db": 3}) == {"source": "mic"}
    assert desk.ask("output.start", output="camera", options={"mirror": True})["running"]
    assert not desk.ask("output.stop", output="camera")["running"]
    assert desk.ask("recording.start", path="/tmp/a.mp4")["path"] == "/tmp/a.mp4"
    assert desk.ask("recording.start")["path"].endswith(".mp4")
    assert not desk.ask("recording.stop")["running"]
    assert [entry[0] for entry in desk.studio.done] == [
        "avatar", "import", "source", "start", "stop", "record", "record", "stop",
    ]  # fmt: skip
    assert desk.studio.done[0] == ("avatar", "maya", {"face": 2})


def test_expressions_replace_or_mix_and_the_rest_stays(desk):
    assert desk.ask("expression", name="happy", strength=0.8)["expression"] == {"happy": 0.8}
    mixed = desk.ask("expression", expression={"sad": 0.5, "brow": -0.2}, gaze=[0.1, -0.2])
    assert mixed["expression"] == {"sad": 0.5, "brow": -0.2}
    assert mixed["gaze"] == [0.1, -0.2]
    kept = desk.ask("expression", head_motion=0.5)
    assert (kept["expression"], kept["gaze"]) == (mixed["expression"], mixed["gaze"])
    assert desk.ask("expression", gaze=None)["gaze"] is None
    assert desk.ask("expression", name="neutral")["expression"] == {}
    assert desk.ask("expression", reset=True)["head_motion"] == 1.0


def test_asking_for_what_is_already_so_changes_nothing(desk):
    for _ in range(3):
        desk.ask("expression", name="happy")
        desk.ask("mute", on=True)
    assert len(desk.studio.done) == 1
    assert desk.ask("mute", on=True)["muted"]


def test_mute_hold_and_pause(desk):
    assert desk.ask("push_to_talk", on=True)["silent"]
    assert not desk.ask("push_to_talk", held=True, timeout_s=30)["silent"]
    assert desk.ask("push_to_talk", held=False)["silent"]
    desk.ask("push_to_talk", on=False)
    assert desk.ask("pause", on=True)["pause_shows"] == "picture"
    assert desk.ask("pause", on=True, show="idle")["pause_shows"] == "idle"
    assert not desk.ask("pause", on=False)["paused"]


def test_stop_and_settings(desk):
    assert desk.ask("stop") == {"stopping": True}
    assert desk.stopped == 1
    assert desk.ask("config.show") == {"config": {"output": {"size": 512}}}


@pytest.mark.parametrize(
    ("operation", "body", "text"),
    [
        ("avatar.set", {}, 'avatar.set: "avatar" must be a text'),
        ("avatar.set", {"avatar": 5}, '"avatar" must be a text'),
        ("avatar.set", {"avatar": "x" * 5000}, "at most 4096 characters"),
        ("avatar.set", {"avatar": "a\0b"}, "a text"),
        ("avatar.set", {"avatar": "a", "options": 3}, '"options" must be a map'),
        ("avatar.set", {"avatar": "a", "options": {"picture": "b"}}, "a place of its own"),
        ("expression", {"name": "happy", "strength": "much"}, '"strength" must be a number'),
        ("expression", {"strength": True, "name": "sad"}, '"strength" must be a number'),
        ("expression", {"name": "happy", "strength": float("nan")}, "must be a number"),
        ("expression", {"expression": ["happy"]}, "a map of names to numbers"),
        ("expression", {"gaze": [1]}, "two numbers"),
        ("mute", {}, '"on" must be true or false'),
        ("mute", {"on": "yes"}, '"on" must be true or false'),
        ("push_to_talk", {}, 'give "on" or "held"'),
        ("pause", {"on": True, "show": "film"}, '"show" must be'),
        ("output.start", {"output": ""}, '"output" must be a text'),
        ("source.set", {"source": None}, '"source" must be a text'),
    ],
)
def test_wrong_arguments_are_named(desk, operation, body, text):
    with pytest.raises(BadRequest, match=text):
        desk.ask(operation, **body)
    assert not desk.studio.done


@pytest.mark.parametrize(
    ("operation", "body", "text"),
    [
        ("expression", {"name": "hungry"}, 'no expression "hungry".*happy'),
        ("expression", {"name": "happy", "strength": 2}, "0 to 1"),
        ("expression", {"blink_rate": 9}, "0 to 3"),
        ("avatar.set", {"avatar": "broken"}, "No face was found"),
        ("push_to_talk", {"held": True, "timeout_s": 1e9}, "timeout_s"),
    ],
)
def test_what_is_not_possible_is_one_sentence(desk, operation, body, text):
    with pytest.raises(RestBridgeError, match=text):
        desk.ask(operation, **body)
    assert not desk.studio.done


PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    PLAIN | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["avatar", "picture", "options", "name", "strength", "expression", "gaze", "reset", "on",
     "held", "timeout_s", "show", "source", "output", "path", "t0", "interval_s"]
) | st.text(string.printable, max_size=6)  # fmt: skip
OPERATIONS = st.sampled_from(
    [*Desk().operations, "ping", "statistics.subscribe", "nothing"]
) | st.text(max_size=70)


@settings(max_examples=400, deadline=None)
@given(operation=OPERATIONS, body=st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_request_gets_one_reply_and_never_an_inner_failure(operation, body):
    server = ControlServer(Desk().operations, statistics=dict)
    try:
        data = encode(RequestMessage(3, operation, body))
    except (RestBridgeError, ValueError, OverflowError):
        return  # cannot even be sent
    reply = server.answer(data)
    assert isinstance(reply, ReplyMessage)
    assert reply.ok or reply.error
    assert reply.code in ("", "bad_message", "unknown_operation", "bad_request", "failed")
    encode(reply)


@settings(max_examples=300, deadline=None)
@given(
    data=st.binary(max_size=200),
    begin=st.sampled_from([b"", b"RQST\x01\x00", b"RQST\x01\x00\x02\x00"]),
)
def test_any_bytes_get_a_reply(data, begin):
    reply = ControlServer(Desk().operations).answer(begin + data)
    assert not reply.ok or reply.operation in Desk().operations or reply.operation == "ping"


def test_deep_nesting_is_refused_not_followed():
    deep = b"\x91" * 3000 + b"\x90"
    head = msgpack.packb({"id": 1, "op": "avatar.set"})
    data = b"RQST\x01\x00" + len(head).to_bytes(2, "little") + head + b"\x81\xa6avatar" + deep
    assert not ControlServer(Desk().operations).answer(data).ok
