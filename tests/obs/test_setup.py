"""`rest-bridge obs setup|check|undo` with the real OBS, as typed."""

import contextlib
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("simpleobsws", reason="not installed: rest-bridge[obs]")

from rest_bridge import cli
from rest_bridge.commands.obs import PASSWORD_VARIABLE
from rest_bridge.obs.changes import default_path
from rest_bridge.obs.installation import find_installation
from rest_bridge.obs.link import ObsLink, ObsRefused, ObsUnavailable, WrongPassword
from tests.support.face_daemon import FaceDaemon, flash_picture
from tests.support.obs import PASSWORD, SCENE, Obs

pytestmark = pytest.mark.device
MICROPHONE = {
    "AuxAudioDevice1": {
        "id": "pulse_input_capture", "versioned_id": "pulse_input_capture", "name": "Mic/Aux",
        "settings": {"device_id": "default"}, "enabled": True, "mixers": 255, "volume": 1.0,
        "sync": 25_000_000,
    }
}  # fmt: skip
GREY = flash_picture(64, bright=False) | 90


@pytest.fixture(scope="module")
def obs(plugin: Path, network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Obs]:
    with Obs(tmp_path_factory.mktemp("obs"), plugin, fps=10, audio=MICROPHONE) as running:
        yield running


@pytest.fixture(autouse=True)
def _as_its_user(obs: Obs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command finds this OBS's own settings, and its password there."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(obs.folder / "config"))
    obs.forget_lines()


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    """Run a command with --json; return exit code, what it said, and its errors."""
    capsys.readouterr()
    code = cli.run(["obs", *words, "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else None, said.err


def state(obs: Obs) -> dict[str, Any]:
    """Return all that setup may touch."""
    inputs = obs.ask("GetInputList")["inputs"]
    names = [item["inputName"] for item in inputs]
    return {
        "items": obs.ask("GetSceneItemList", sceneName=SCENE)["sceneItems"],
        "inputs": names,
        "settings": [obs.ask("GetInputSettings", inputName=name) for name in names],
        "offset": obs.ask("GetInputAudioSyncOffset", inputName="Mic/Aux"),
        "muted": obs.ask("GetInputMute", inputName="Mic/Aux"),
        "scene": obs.ask("GetCurrentProgramScene"),
    }


def wait_for_state(obs: Obs, wanted: dict[str, Any]) -> None:
    """OBS removes sources in a thread of its own."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(ObsRefused):  # it went between two of our questions
            if state(obs) == wanted:
                return
        time.sleep(0.05)
    assert state(obs) == wanted


def wait_for_picture(obs: Obs) -> None:
    """Wait until our source has a size: its first picture was drawn."""
    deadline = time.monotonic() + 20
    while not obs.ask("GetSceneItemList", sceneName=SCENE)["sceneItems"][-1]["sceneItemTransform"][
        "sourceWidth"
    ]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def remove(obs: Obs, name: str) -> None:
    """Remove a source and wait for the thread that does it."""
    obs.ask("RemoveInput", inputName=name)
    deadline = time.monotonic() + 10
    while name in {item["inputName"] for item in obs.ask("GetInputList")["inputs"]}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.2)  # it is off the list before it is gone


def test_it_finds_port_and_password_in_obs_own_settings(obs: Obs) -> None:
    found = find_installation()
    assert (found.port, found.password, found.enabled) == (4455, PASSWORD, True)


def test_setup_check_and_undo_leave_obs_as_it_was(
    obs: Obs, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(obs)
    assert before["offset"] == {"inputAudioSyncOffset": 25}
    with FaceDaemon(lambda _: GREY):
        code, said, _ = run(capsys, "setup", "--microphone", "Mic/Aux")
        assert code == 0
        assert said["done"] == [
            'Added "rest_bridge" (native source) to the scene "Scene".',
            '"Mic/Aux" is delayed by 140 ms (before: 25 ms).',  # 100 measured, 40 held back
        ]
        wait_for_picture(obs)
        settings = obs.ask("GetInputSettings", inputName="rest_bridge")["inputSettings"]
        assert settings["voice"] is False  # the microphone is heard instead

        code, said, _ = run(capsys, "check")
        assert code == 0, said
        texts = " | ".join(finding["text"] for finding in said["findings"])
        assert "the plugin is loaded" in texts
        assert "shows pictures of 64 x 64" in texts
        assert '"Mic/Aux" is delayed by 140 ms, as the picture is' in texts

        code, said, _ = run(capsys, "setup", "--microphone", "Mic/Aux")  # again: nothing new
        assert code == 0
        assert "already" in said["done"][0]
    code, said, _ = run(capsys, "undo")
    assert code == 0
    assert said["done"] == ['"Mic/Aux" is delayed by 25 ms again.', 'Removed "rest_bridge".']
    wait_for_state(obs, before)
    assert not default_path().exists()
    assert run(capsys, "undo")[1] == {"done": []}


def test_without_a_microphone_the_source_brings_the_voice_and_the_doubled_one_is_told(
    obs: Obs, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(obs)
    with FaceDaemon(lambda _: GREY):
        code, said, _ = run(capsys, "setup")
        assert code == 0
        assert 'Mute "Mic/Aux" in the mixer' in said["done"][1]
        code, said, _ = run(capsys, "check")
        assert code == 1
        wrong = [finding for finding in said["findings"] if not finding["ok"]]
        assert any("heard twice" in finding["text"] for finding in wrong)
        assert all(finding["remedy"] for finding in wrong)
        obs.ask("SetInputMute", inputName="Mic/Aux", inputMuted=True)
        wait_for_picture(obs)
        assert run(capsys, "check")[0] == 0
        obs.ask("SetInputMute", inputName="Mic/Aux", inputMuted=False)
    assert run(capsys, "undo")[0] == 0
    wait_for_state(obs, before)


def test_what_somebody_changed_afterwards_stays(
    obs: Obs, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaceDaemon(lambda _: GREY):
        assert run(capsys, "setup", "--microphone", "Mic/Aux")[0] == 0
    obs.ask("SetInputAudioSyncOffset", inputName="Mic/Aux", inputAudioSyncOffset=333)
    remove(obs, "rest_bridge")
    code, said, _ = run(capsys, "undo")
    assert code == 0
    assert "333 ms by somebody else's wish" in said["done"][0]
    assert said["done"][1] == '"rest_bridge" is gone already.'
    obs.ask("SetInputAudioSyncOffset", inputName="Mic/Aux", inputAudioSyncOffset=25)


def test_check_tells_what_is_wrong_one_by_one(obs: Obs, capsys: pytest.CaptureFixture[str]) -> None:
    def wrong() -> list[str]:
        code, said, _ = run(capsys, "check")
        assert code == 1
        return [finding["text"] for finding in said["findings"] if not finding["ok"]]

    assert wrong() == ['the scene "Scene" does not show the face']
    item = obs.add_source("rest_bridge", address="127.0.0.1:5970")
    texts = wrong()
    assert any("has shown no picture yet" in text for text in texts)
    assert any("no daemon answers at tcp://127.0.0.1:5972" in text for text in texts)
    obs.ask("SetSceneItemEnabled", sceneName=SCENE, sceneItemId=item, sceneItemEnabled=False)
    obs.ask("SetInputMute", inputName="rest_bridge", inputMuted=True)
    texts = wrong()
    assert any('is hidden in "Scene"' in text for text in texts)
    assert any("muted in the mixer" in text for text in texts)
    obs.ask("CreateScene", sceneName="Other")
    obs.ask("SetCurrentProgramScene", sceneName="Other")
    assert "does not show the face (there is" in wrong()[0]
    obs.ask("SetCurrentProgramScene", sceneName=SCENE)
    obs.ask("RemoveScene", sceneName="Other")
    remove(obs, "rest_bridge")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["setup", "--microphone", "Nobody"], 2, 'it has: "Mic/Aux"'),
        (["setup", "--microphone", "Mic/Aux"], 1, "start `rest-bridge run` first"),
        (["setup", "--way", "browser"], 2, "neither our source nor browser sources"),
        (["setup", "--way", "magic"], 2, "say native, browser or auto"),
        (["check", "--port", "4466"], 1, "tick Tools > WebSocket Server Settings"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence_with_the_remedy(
    obs: Obs, capsys: pytest.CaptureFixture[str], words: list[str], code: int, sentence: str
) -> None:
    got, _, errors = run(capsys, *words)
    assert got == code
    assert sentence in errors
    run(capsys, "undo")


def test_the_virtual_camera_is_started_or_its_lack_told(
    obs: Obs, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(obs)
    with FaceDaemon(lambda _: GREY):
        code, _, errors = run(capsys, "setup", "--virtual-camera")
    if code:  # no v4l2loopback in this kernel
        assert "install v4l2loopback" in errors
    else:
        assert obs.ask("GetVirtualCamStatus")["outputActive"]
    assert run(capsys, "undo")[0] == 0
    if not code:
        assert not obs.ask("GetVirtualCamStatus")["outputActive"]
    wait_for_state(obs, before)


def test_another_password_and_another_server_are_told_apart(
    obs: Obs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WrongPassword, match="Show Connect Info"), ObsLink(port=4455, password="x"):
        pass
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong")
    assert "wants another password" in run(capsys, "check")[2]
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    assert "wants another" not in run(capsys, "check")[2]
    with pytest.raises(ObsUnavailable, match="No OBS answers"), ObsLink(port=4477, password=""):
        pass


def test_a_person_at_a_terminal_is_asked_for_the_password(obs: Obs) -> None:
    main, side = pty.openpty()
    environment = os.environ | {PASSWORD_VARIABLE: "another"}
    with subprocess.Popen(
        [sys.executable, "-m", "rest_bridge", "obs", "check"],
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: os.login_tty(side),
    ):
        os.close(side)
        said = b""
        with contextlib.suppress(OSError):  # the terminal's end
            while part := os.read(main, 4096):
                said += part
                if said.endswith(b"obs-websocket: "):
                    os.write(main, PASSWORD.encode() + b"\n")
    os.close(main)
    text = said.decode()
    assert "obs-websocket 5." in text
    assert PASSWORD not in text, "it is not echoed"
