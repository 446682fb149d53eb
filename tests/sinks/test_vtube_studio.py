"""Against a stand-in (tests/support/vtube_studio.py): VTube Studio itself does not run here."""

import json
import socket
import stat
import threading
from itertools import pairwise

import pytest

from rest_bridge.errors import SinkError, SinkUnavailable
from rest_bridge.sinks import vtube_studio
from rest_bridge.sinks.vtube_studio import VTubeStudioOutput, discover
from tests.sinks.test_rig_values import face
from tests.support.vtube_studio import PARAMETERS, VTubeStudioStandIn

INSTANT = face(viseme="aa", jawOpen=0.5, headYaw=50, eyeBlinkLeft=1)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(vtube_studio, "_RETRY_S", (0.05,))


def test_the_user_is_asked_once_and_the_model_follows(tmp_path):
    told: list[str] = []
    token = tmp_path / "keys" / "vtube_studio"
    with VTubeStudioStandIn() as app:
        for _ in range(2):
            output = VTubeStudioOutput(port=app.port, token_path=token, tell=told.append)
            output.open()
            output.emit(INSTANT)
            values = app.wait_for(1)[-1]
            output.close()
            app.injected.clear()
    assert app.asked == 1
    assert not app.errors
    assert set(values) == set(PARAMETERS)
    assert values["FaceAngleX"] == 30
    assert values["EyeOpenLeft"] == 0
    assert values["MouthOpen"] > 0.5
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert any("Allow" in text for text in told)


def test_values_are_refreshed_within_a_second_while_nothing_new_comes(tmp_path):
    with VTubeStudioStandIn() as app:
        output = VTubeStudioOutput(port=app.port, token_path=tmp_path / "t", tell=lambda _: None)
        output.open()
        output.emit(INSTANT)
        app.wait_for(4)
        output.close()
    times = [when for when, _ in app.injected]
    assert max(b - a for a, b in pairwise(times)) < 1.0


def test_an_app_that_restarts_is_found_again_without_asking(tmp_path):
    with VTubeStudioStandIn() as app:
        output = VTubeStudioOutput(port=app.port, token_path=tmp_path / "t", tell=lambda _: None)
        output.open()
        output.emit(INSTANT)
        app.wait_for(1)
        app.hang_up()
        app.wait_for(len(app.injected) + 2)
        output.close()
    assert app.asked == 1


def test_a_token_that_was_revoked_leads_to_another_question(tmp_path):
    (tmp_path / "t").write_text("an old token")
    with VTubeStudioStandIn() as app:
        output = VTubeStudioOutput(port=app.port, token_path=tmp_path / "t", tell=lambda _: None)
        output.open()
        output.emit(INSTANT)
        app.wait_for(1)
        output.close()
    assert app.asked == 1
    assert (tmp_path / "t").read_text() == "token-1"


def test_a_user_who_says_no_is_respected_and_may_change_his_mind(tmp_path):
    answers = iter([False, True])
    told: list[str] = []
    with VTubeStudioStandIn(lambda: next(answers)) as app:
        output = VTubeStudioOutput(port=app.port, token_path=tmp_path / "t", tell=told.append)
        output.open()
        output.emit(INSTANT)
        app.wait_for(1)
        output.close()
    assert app.asked == 2
    assert any("denied access" in text for text in told)


def test_an_app_that_does_not_run_is_told_once_and_harms_nobody(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told: list[str] = []
    enough = threading.Event()
    output = VTubeStudioOutput(
        port=port, token_path=tmp_path / "t", tell=lambda text: (told.append(text), enough.set())
    )
    output.open()
    output.emit(INSTANT)
    assert enough.wait(5)
    output.close()
    assert len(told) == 1
    assert "Allow Plugin API access" in told[0]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    output = VTubeStudioOutput(token_path=tmp_path / "file" / "t")
    with pytest.raises(SinkUnavailable, match="writable"):
        output.open()
    with pytest.raises(SinkError, match="not open"):
        output.emit(INSTANT)


@pytest.mark.parametrize(("active", "found"), [(True, 8123), (False, None)])
def test_the_app_is_found_by_its_announcement(active, found):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    announcement = {
        "apiName": "VTubeStudioPublicAPI", "apiVersion": "1.0", "timestamp": 1,
        "messageType": "VTubeStudioAPIStateBroadcast",
        "requestID": "VTubeStudioAPIStateBroadcast",
        "data": {"active": active, "port": 8123, "instanceID": "x", "windowTitle": "VTube Studio"},
    }  # fmt: skip
    stop = threading.Event()

    def call_out() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stop.wait(0.02):
                sender.sendto(b"\xff garbage", ("127.0.0.1", port))
                sender.sendto(json.dumps(announcement).encode(), ("127.0.0.1", port))

    thread = threading.Thread(target=call_out)
    thread.start()
    try:
        assert discover(1.0, port) == found
    finally:
        stop.set()
        thread.join()
