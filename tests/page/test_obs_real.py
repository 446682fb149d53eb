"""The page's OBS button with a real OBS: a source, a microphone's delay, all taken back.

Slow: OBS and Chromium together; `pytest -m slow tests/page/test_obs_real.py`.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("simpleobsws", reason="not installed: rest-bridge[obs]")

from tests.support.chromium import Chromium, Page, find_chromium
from tests.support.namespace import can_separate, own_network
from tests.support.obs import PASSWORD, SCENE, Obs, build_plugin, missing_tools
from tests.support.page_daemon import PageDaemon
from tests.support.page_hands import PATIENCE_S, choose, click, find, tab, until

pytestmark = [
    pytest.mark.device,
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium here (apt install chromium)"),
]
MICROPHONE = {
    "AuxAudioDevice1": {
        "id": "pulse_input_capture", "versioned_id": "pulse_input_capture", "name": "Mic/Aux",
        "settings": {"device_id": "default"}, "enabled": True, "mixers": 255, "volume": 1.0,
        "sync": 25_000_000,
    }
}  # fmt: skip


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    if missing := missing_tools():
        pytest.skip(f"not installed: {', '.join(missing)}")
    if not can_separate():
        pytest.skip("OBS listens on all interfaces: only root may give it a network of its own")
    with own_network():
        yield


@pytest.fixture(scope="module")
def obs(network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Obs]:
    with Obs(tmp_path_factory.mktemp("obs"), build_plugin(), fps=10, audio=MICROPHONE) as running:
        yield running


@pytest.fixture(scope="module")
def page(obs: Obs, package_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    # Only this OBS's network has the ports: nobody else's daemon is on them.
    home = tmp_path_factory.mktemp("page")
    with PageDaemon(home, 5580, "--set", "endpoints.enabled=true") as daemon, Chromium() as browser:
        page = browser.open(daemon.url + "#timing", width=1280, height=900)
        page.wait_for("document.documentElement.dataset.ready", PATIENCE_S)
        page.wait_for(find("text=Set it up in OBS"), PATIENCE_S)
        page.wait_for("document.querySelector('.card .big').innerText.endsWith('ms')", PATIENCE_S)
        yield page


def offset_ms(obs: Obs) -> int:
    reply = obs.ask("GetInputAudioSyncOffset", inputName="Mic/Aux")
    return int(reply["inputAudioSyncOffset"])


def sources(obs: Obs) -> list[str]:
    items = obs.ask("GetSceneItemList", sceneName=SCENE)["sceneItems"]
    return [item["sourceName"] for item in items]


def fill_in(page: Page, microphone: str, password: str) -> None:
    choose(page, "#panel .grid input[type=text]", microphone)
    choose(page, "#panel .grid input[type=password]", password)


def test_a_wrong_password_is_one_sentence(page: Page, obs: Obs) -> None:
    fill_in(page, "Mic/Aux", "guessed")
    click(page, "text=Set it up in OBS")
    page.wait_for(
        "[...document.querySelectorAll('.toast.bad')].some((n) => /password/i.test(n.innerText))",
        PATIENCE_S,
    )
    assert sources(obs) == []


def test_the_button_makes_the_source_and_delays_the_microphone(page: Page, obs: Obs) -> None:
    tab(page, "timing")
    fill_in(page, "Mic/Aux", PASSWORD)
    click(page, "text=Set it up in OBS")
    until(lambda: offset_ms(obs) != 25)
    assert sources(obs) == ["rest_bridge"]
    assert offset_ms(obs) >= 100, "as late as the face"
    page.wait_for("document.querySelectorAll('#panel p.good').length >= 2", PATIENCE_S)
    said = page.evaluate("[...document.querySelectorAll('#panel p.good')].map((n) => n.innerText)")
    assert any("Mic/Aux" in sentence for sentence in said)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:  # the live face is on OBS's program
        picture = obs.screenshot(size=(160, 90))
        if picture[..., :3].std() > 20:
            break
        time.sleep(0.2)
    assert obs.screenshot(size=(160, 90))[..., :3].std() > 20


def test_undo_leaves_obs_as_it_was(page: Page, obs: Obs) -> None:
    click(page, "text=Undo")
    until(lambda: sources(obs) == [] and offset_ms(obs) == 25)
    page.wait_for("document.querySelectorAll('#panel p.good').length === 0", PATIENCE_S)
