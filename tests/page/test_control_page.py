"""Each flow of the control page in a real Chromium, with a real daemon and a real sound server.

One daemon and one tab for the file: the tests follow each other as a newcomer's clicks do.
"""

import json
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rest_bridge.gallery import FACES_PATH
from tests.support.chromium import Chromium, Page, find_chromium
from tests.support.page_daemon import TOKEN, PageDaemon
from tests.support.page_hands import (
    PATIENCE_S,
    ask,
    choose,
    click,
    drag,
    find,
    give,
    shown,
    status,
    tab,
    until,
)
from tests.support.pulse import running_pulse

pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium here (apt install chromium)"),
]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, package_path: Path) -> Iterator[PageDaemon]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with running_pulse(), PageDaemon(tmp_path_factory.mktemp("page"), port) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with Chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def page(daemon: PageDaemon, chromium: Chromium) -> Page:
    page = chromium.open(daemon.url, width=1280, height=900)
    page.wait_for("document.documentElement.dataset.ready", PATIENCE_S)
    return page


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return somebody's picture: a built-in face that the daemon has never seen at this size."""
    path = tmp_path_factory.mktemp("pictures") / "my_aunt.jpg"
    with Image.open(FACES_PATH / "maya" / "portrait.png") as picture:
        picture.convert("RGB").resize((420, 420)).save(path, quality=92)
    return path


def test_the_guide_comes_first_with_a_face_that_speaks(page: Page, daemon: PageDaemon) -> None:
    assert page.evaluate("document.getElementById('panel').dataset.tab") == "start"
    page.wait_for("Number(document.getElementById('face').dataset.seq) > 10", PATIENCE_S)
    page.wait_for("document.getElementById('activity').dataset.state === 'speaking'", PATIENCE_S)
    page.wait_for("document.querySelectorAll('.face').length >= 5", PATIENCE_S)
    page.wait_for("document.querySelectorAll('.finding').length >= 8", PATIENCE_S)
    bad = page.evaluate("document.querySelectorAll('.finding.warn, .finding.fail').length")
    remedies = page.evaluate("document.querySelectorAll('.remedy code').length")
    assert remedies >= bad, "each finding says what to do"
    assert page.problems == []


def test_a_microphone_is_chosen_and_its_level_shown(page: Page, daemon: PageDaemon) -> None:
    names = page.evaluate(
        "[...document.querySelectorAll('.step select option')].map((o) => o.value)"
    )
    microphone = next(name for name in names if name)
    choose(page, ".step select", microphone)
    until(lambda: status(page, daemon)["source_spec"] == microphone)
    assert page.evaluate("document.querySelector('.step .meter').getAttribute('aria-valuenow')")
    choose(page, ".step select", "")
    until(lambda: "voice.flac" in status(page, daemon)["source_spec"])


def test_a_dropped_portrait_speaks(page: Page, daemon: PageDaemon, portrait: Path) -> None:
    give(page, ".dropping input[type=file]", portrait)
    page.wait_for(
        "document.querySelector('.face[data-name=my-aunt][aria-pressed=true]')", PATIENCE_S
    )
    assert status(page, daemon)["avatar"] == "my-aunt"
    assert (daemon.home / "xdg_data_home/rest_bridge/portraits/my-aunt/avatar.npz").is_file()
    assert page.problems == []


def test_what_cannot_work_is_refused_with_a_sentence(
    page: Page, daemon: PageDaemon, tmp_path: Path
) -> None:
    tab(page, "faces")
    wall = tmp_path / "wall.png"
    Image.fromarray(np.full((300, 300, 3), 128, np.uint8)).save(wall)
    give(page, ".dropping input[type=file]", wall)
    page.wait_for("document.querySelector('.toast.bad')?.innerText.includes('No face')", PATIENCE_S)
    assert page.evaluate("document.querySelectorAll('.face').length") == 6


def test_points_are_dragged_and_the_face_follows(page: Page, daemon: PageDaemon) -> None:
    page.wait_for(find("text=Eyes, mouth, chin and crop"), PATIENCE_S)
    click(page, "text=Eyes, mouth, chin and crop")
    page.wait_for("document.querySelectorAll('.points .handle').length === 7", PATIENCE_S)
    page.wait_for("document.querySelector('.pointing img').naturalWidth > 0", PATIENCE_S)
    time.sleep(0.5)  # what is above has its place, too
    folder = daemon.home / "xdg_data_home/rest_bridge/portraits/my-aunt"
    before = folder.joinpath("avatar.npz").stat().st_mtime_ns
    found = json.loads(folder.joinpath("found.json").read_text())
    drag(page, "[data-handle=chin]", 0, 24)
    until(lambda: folder.joinpath("avatar.npz").stat().st_mtime_ns > before)
    moved = json.loads(folder.joinpath("landmarks.json").read_text())
    assert moved[8][1] > found[8][1] + 3, "the chin is lower"
    assert abs(moved[36][0] - found[36][0]) < 0.5, "the eyes stay"
    page.wait_for("!document.querySelector('.busy')", PATIENCE_S)
    page.evaluate("document.querySelector('[data-handle=mouth_left]').focus()")
    page.press("ArrowLeft")  # the keyboard does it, too
    until(lambda: json.loads(folder.joinpath("landmarks.json").read_text())[58][0] < moved[58][0])
    page.wait_for("!document.querySelector('.busy')", PATIENCE_S)
    assert page.problems == []


def test_the_background_goes_and_becomes_a_colour(page: Page, daemon: PageDaemon) -> None:
    click(page, "text=None")
    until(lambda: shown(page)[2, 2, 3] == 0)
    assert shown(page)[128, 128, 3] == 255, "the face stays"
    click(page, ".chip.colour[aria-label='#00b140']")
    until(lambda: np.abs(shown(page)[2, 2].astype(int) - (0, 177, 64, 255)).max() <= 2)


def test_own_pictures_replace_what_was_painted(
    page: Page, daemon: PageDaemon, portrait: Path
) -> None:
    tab(page, "live")
    tab(page, "faces")
    page.wait_for(find("text=Own mouth and eyes"), PATIENCE_S)
    small = portrait.with_name("small.png")
    with Image.open(portrait) as picture:
        picture.resize((100, 100)).save(small)
        shut = np.array(picture)
    closed = portrait.with_name("closed.png")
    cv2.rectangle(shut, (150, 190), (270, 215), (90, 60, 50), -1)
    Image.fromarray(shut).save(closed)
    click(page, "text=Own mouth and eyes")
    give(page, ".partrow:nth-of-type(2) input", small)
    page.wait_for(
        "[...document.querySelectorAll('.toast.bad')]"
        ".some((n) => n.innerText.includes('same size'))",
        PATIENCE_S,
    )
    give(page, ".partrow:nth-of-type(2) input", closed)
    part = daemon.home / "xdg_data_home/rest_bridge/portraits/my-aunt/eyes_closed.png"
    until(part.is_file)
    page.wait_for("document.querySelector('.partrow img')", PATIENCE_S)


def test_expressions_presets_and_calls(page: Page, daemon: PageDaemon) -> None:
    tab(page, "moods")
    page.wait_for("document.querySelectorAll('.moods .chip').length >= 6", PATIENCE_S)
    click(page, "text=Happy")
    until(lambda: status(page, daemon)["steering"]["expression"] == {"happy": 0.8})
    choose(page, "form.row input", "Party")
    click(page, "text=Save")
    page.wait_for(find("text=Party"), PATIENCE_S)
    click(page, "text=Back to normal")
    until(lambda: status(page, daemon)["steering"]["expression"] == {})
    click(page, "text=Party")
    until(lambda: status(page, daemon)["steering"]["expression"] == {"happy": 0.8})
    assert ask(page, daemon, "expression?name=sad&strength=0.5")["expression"] == {"sad": 0.5}
    assert ask(page, daemon, "presets.use?name=party")["expression"] == {"happy": 0.8}
    assert ask(page, daemon, "expression?gaze=0.2,-0.1")["gaze"] == [0.2, -0.1]
    assert ask(page, daemon, "expression?reset=true")["gaze"] is None
    page.evaluate("document.querySelector('.pad').focus()")
    page.press("ArrowRight")
    until(lambda: (status(page, daemon)["steering"]["gaze"] or [0])[0] > 0.05)
    assert page.problems == []


def test_voice_gain_gate_and_outputs(page: Page, daemon: PageDaemon) -> None:
    tab(page, "live")
    page.wait_for("document.querySelector('.outputs')")
    click(page, ".chip[data-kind=mic]")
    until(lambda: "voice.flac" not in status(page, daemon)["source_spec"])
    click(page, ".chip[data-kind=built]")
    until(lambda: "voice.flac" in status(page, daemon)["source_spec"])
    page.wait_for("document.querySelector('.chip[data-kind=built][aria-pressed=true]')", PATIENCE_S)
    name = page.evaluate("[...document.querySelectorAll('.field select')].at(-1).options[1].value")
    page.evaluate(
        "(() => { const n = [...document.querySelectorAll('.field select')].at(-1);"
        f" n.value = '{name}'; n.dispatchEvent(new Event('change')); }})()"
    )
    outputs = lambda: {o["output"]: o for o in status(page, daemon)["outputs"]}  # noqa: E731
    until(lambda: outputs().get("voice_out", {}).get("state") == "running")
    click(page, ".switch[aria-label=VMC]")
    until(lambda: outputs().get("vmc", {}).get("state") == "running")
    zeromq = ".switch[aria-label='Games and own programs']"
    click(page, zeromq)
    until(lambda: outputs().get("zeromq", {}).get("state") == "running")
    page.wait_for(f"document.querySelector(\"{zeromq}\").ariaChecked === 'true'", PATIENCE_S)
    click(page, zeromq)
    until(lambda: "zeromq" not in outputs())
    click(page, ".switch[aria-label=Recording]")
    until(lambda: outputs().get("recording", {}).get("state") == "running")
    time.sleep(1.0)
    click(page, ".switch[aria-label=Recording]")
    until(lambda: "recording" not in outputs())
    page.wait_for("Number(document.querySelector('dl.facts dd').innerText) > 1", PATIENCE_S)
    assert page.problems == []


def test_the_delay_of_an_output_is_measured_and_set(page: Page, daemon: PageDaemon) -> None:
    tab(page, "timing")
    page.wait_for(
        "document.getElementById('measure') && !document.getElementById('measure').disabled"
    )
    click(page, "#measure")
    page.wait_for("document.querySelector('.card .big')?.innerText.match(/^\\d+ ms$/)", PATIENCE_S)
    outputs = until(
        lambda: [o for o in status(page, daemon)["outputs"] if o["output"] == "voice_out"]
    )
    assert outputs[0]["settings"]["offset_ms"] == 0, "a monitor hears what the output says"


def test_a_phone_may_steer_when_it_is_let_in(
    page: Page, daemon: PageDaemon, chromium: Chromium
) -> None:
    tab(page, "more")
    click(page, "#panel .switch")
    address = page.wait_for(
        "[...document.querySelectorAll('#panel .copyable code')].map((n) => n.innerText)"
        ".find((text) => text.startsWith('http'))",
        PATIENCE_S,
    )
    assert TOKEN not in address
    phone = chromium.open(address, width=390, height=844)
    phone.wait_for("document.documentElement.dataset.ready", PATIENCE_S)
    assert phone.evaluate(
        "[...document.querySelectorAll('[role=tab]')].map((n) => n.dataset.tab)"
    ) == ["faces", "moods"]
    phone.wait_for("document.querySelectorAll('.face').length >= 5", PATIENCE_S)
    assert phone.evaluate("document.querySelector('.drop') === null")
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    click(phone, ".face[data-name=theo]")
    until(lambda: status(page, daemon)["avatar"] == "theo")
    click(page, "#panel .switch")
    phone.wait_for("!document.getElementById('notice').hidden", PATIENCE_S)


def test_everything_is_reached_and_named_without_a_mouse(page: Page, daemon: PageDaemon) -> None:
    for name in ("start", "faces", "live", "moods", "timing", "more"):
        tab(page, name)
        time.sleep(0.3)
        nameless = page.evaluate(
            "[...document.querySelectorAll('button,select,input:not([type=file]),a,[role=slider]')]"
            ".filter((n) => n.offsetParent &&"
            " !(n.textContent?.trim() || n.getAttribute('aria-label') ||"
            " n.labels?.length || n.placeholder)).map((n) => n.outerHTML.slice(0, 120))"
        )
        assert nameless == []
        unreachable = page.evaluate(
            "[...document.querySelectorAll('#panel button')].filter((n) => n.tabIndex < 0).length"
        )
        assert unreachable == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    page.evaluate("document.getElementById('tab-more').focus()")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight")
    page.wait_for("document.activeElement.id === 'tab-start'")


@pytest.mark.parametrize("language", ["de", "ja"])
def test_other_languages_fit(
    page: Page, daemon: PageDaemon, chromium: Chromium, language: str
) -> None:
    page.evaluate(f"localStorage.setItem('language', '{language}')")
    other = chromium.open(daemon.url + "#live", width=390, height=844)
    other.wait_for(f"document.documentElement.dataset.ready === '{language}'", PATIENCE_S)
    words = json.loads(
        (Path(__file__).parents[2] / f"rest_bridge/page/static/lang/{language}.json").read_text()
    )
    assert words["tab.live"] in other.evaluate("document.body.innerText")
    assert other.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.evaluate("localStorage.removeItem('language')")


def test_a_portrait_is_exported_deleted_and_imported(
    page: Page, daemon: PageDaemon, tmp_path: Path
) -> None:
    bundle = tmp_path / "aunt.restface"
    with urllib.request.urlopen(
        f"http://127.0.0.1:{daemon.port}/export/my-aunt?token={TOKEN}", timeout=20
    ) as reply:
        assert 'filename="my-aunt.restface"' in reply.headers["Content-Disposition"]
        bundle.write_bytes(reply.read())
    tab(page, "faces")
    page.wait_for("document.querySelector('.face[data-name=my-aunt]')", PATIENCE_S)
    click(page, ".face[data-name=my-aunt]")
    page.wait_for(
        "document.querySelector('.face[data-name=my-aunt][aria-pressed=true]')", PATIENCE_S
    )
    page.wait_for(find("text=Name, manner and file"), PATIENCE_S)
    click(page, "text=Name, manner and file")
    click(page, "text=Delete")
    page.wait_for(find("text=Really delete?"))
    click(page, "text=Really delete?")
    page.wait_for("!document.querySelector('.face[data-name=my-aunt]')", PATIENCE_S)
    assert status(page, daemon)["avatar"] == "idris", "somebody takes its place"
    give(page, ".dropping input[type=file]", bundle)
    page.wait_for(
        "document.querySelector('.face[data-name=my-aunt][aria-pressed=true]')", PATIENCE_S
    )
    assert {p["name"] for p in ask(page, daemon, "presets.list")["presets"]} == {"Party"}


def test_the_next_start_goes_on_as_it_was_left(page: Page, daemon: PageDaemon) -> None:
    kept = json.loads((daemon.home / "xdg_config_home/rest_bridge/page.json").read_text())
    assert kept["avatar.picture"] == "my-aunt"
    assert kept["vmc.enabled"] is True


def test_the_page_says_when_the_daemon_is_gone(page: Page, daemon: PageDaemon) -> None:
    daemon.process.terminate()
    assert daemon.process.wait(20) in (0, 130)
    page.wait_for("!document.getElementById('notice').hidden", PATIENCE_S)
    assert "No connection" in page.evaluate("document.getElementById('notice').innerText")
