"""The browser source, set up by `rest-bridge obs` in a real OBS that has not our plugin.

Where OBS has browser sources (those that people download have) its own is taken, and has to show
the page. Debian's OBS has none: a stand-in of that kind takes the settings, and the page itself is
tested in Chromium (tests/sinks/test_browser_source.py).
"""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("simpleobsws", reason="not installed: rest-bridge[obs]")

from rest_bridge import cli
from rest_bridge.commands import obs as command
from tests.obs.test_setup import MICROPHONE, run, state, wait_for_state
from tests.support.obs import SCENE, Obs, missing_tools
from tests.support.page_daemon import PageDaemon

pytestmark = pytest.mark.device
STAND_IN = Path(__file__).parents[1] / "support" / "obs_browser.c"
ITS_OWN = next(iter(Path("/usr/lib").glob("*/obs-plugins/obs-browser.so")), None)
TOKEN = "a-word-of-mine"
LATENCY_MS = 336.0


@pytest.fixture(scope="module")
def obs(network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Obs]:
    if missing := missing_tools():
        pytest.skip(f"not installed: {', '.join(missing)}")
    studio = Obs(tmp_path_factory.mktemp("obs"), None, fps=10, audio=MICROPHONE)
    if ITS_OWN is None:
        folder = studio.config / "plugins" / "browser-stand-in" / "bin" / "64bit"
        folder.mkdir(parents=True)
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-isystem/usr/include/obs",
             str(STAND_IN), "-o", str(folder / "browser-stand-in.so"), "-lobs"],
            check=True,
        )  # fmt: skip
    with studio:
        yield studio


@pytest.fixture(autouse=True)
def _as_its_user(obs: Obs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(obs.folder / "config"))
    monkeypatch.setattr(command, "measured_latency_ms", lambda *_: LATENCY_MS)


def settings(obs: Obs) -> dict:
    return obs.ask("GetInputSettings", inputName="rest_bridge")["inputSettings"]


def test_without_our_plugin_setup_takes_the_browser_and_undo_takes_it_out(
    obs: Obs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(obs)
    code, _, said = run(capsys, "setup")
    assert code == 2
    assert "preview.token" in said  # an address that would not stay the same is not taken
    monkeypatch.setenv("REST_BRIDGE_PREVIEW_TOKEN", TOKEN)
    code, told, _ = run(capsys, "setup")
    assert code == 0
    assert told["done"][0] == 'Added "rest_bridge" (browser source) to the scene "Scene".'
    assert 'Mute "Mic/Aux"' in told["done"][1]
    assert settings(obs) == {
        "url": f"http://127.0.0.1:5580/?token={TOKEN}&source=1&voice=1",
        "width": 360, "height": 360, "reroute_audio": True,
    }  # fmt: skip
    (item,) = obs.ask("GetSceneItemList", sceneName=SCENE)["sceneItems"]
    place = item["sceneItemTransform"]
    side = round(0.6 * 360)
    assert (place["positionX"], place["positionY"]) == (640 - side, 360 - side)
    code, found, _ = run(capsys, "check")
    assert code == 1
    assert [finding["ok"] for finding in found["findings"]] == [True, True, True, True, False]
    assert found["findings"][-1]["remedy"] == 'mute "Mic/Aux" in the mixer.'
    obs.ask("SetInputMute", inputName="Mic/Aux", inputMuted=True)
    assert cli.run(["obs", "check"]) == 0
    obs.ask("SetInputMute", inputName="Mic/Aux", inputMuted=False)
    assert cli.run(["obs", "undo"]) == 0
    wait_for_state(obs, before)


def test_with_a_microphone_the_page_is_silent_and_the_microphone_waits_for_the_picture(
    obs: Obs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REST_BRIDGE_PREVIEW_TOKEN", TOKEN)
    before = state(obs)
    assert cli.run(["obs", "setup", "--microphone", "Mic/Aux"]) == 0
    assert settings(obs)["url"].endswith("&source=1")
    offset = obs.ask("GetInputAudioSyncOffset", inputName="Mic/Aux")
    assert offset["inputAudioSyncOffset"] == LATENCY_MS  # the page holds nothing back
    code, found, _ = run(capsys, "check")
    assert code == 0, found
    assert "delayed by 336 ms" in found["findings"][-1]["text"]
    obs.ask("SetInputMute", inputName="Mic/Aux", inputMuted=True)
    code, found, _ = run(capsys, "check")
    assert code == 1
    assert "`&voice=1`" in found["findings"][-1]["remedy"]
    obs.ask("SetInputMute", inputName="Mic/Aux", inputMuted=False)
    assert cli.run(["obs", "undo"]) == 0
    wait_for_state(obs, before)


@pytest.mark.skipif(ITS_OWN is None, reason="this OBS has no browser sources (Debian's has none)")
@pytest.mark.slow
def test_obs_own_browser_source_shows_the_page_with_its_alpha(obs: Obs, tmp_path: Path) -> None:
    with PageDaemon(tmp_path, 5580, "--avatar", "luna") as daemon:
        assert cli.run(["obs", "setup", "--page", daemon.url]) == 0
        deadline = time.monotonic() + 60
        while True:
            alpha = obs.screenshot("rest_bridge")[..., 3]
            if alpha.max() == 255:
                break
            assert time.monotonic() < deadline, obs.log[-2000:]
            time.sleep(0.5)
        assert cli.run(["obs", "undo"]) == 0
    assert alpha[:8, :8].max() == 0
