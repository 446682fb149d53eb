"""The rarer flows of the control page: sets, crops, several faces, every voice, every outlet.

Slow: a daemon and a tab of its own, and several imports; `pytest -m slow tests/page`.
"""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rest_bridge.gallery import FACES_PATH, built_in_voice
from tests.support.chromium import Chromium, Page, find_chromium
from tests.support.fakev4l2 import FakeDevice, build
from tests.support.page_daemon import PageDaemon
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
from tests.support.pulse import PulseAudio, running_pulse
from tests.support.vtube_studio import VTubeStudioStandIn

pytestmark = [
    pytest.mark.device,
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium here (apt install chromium)"),
]
ROLES = {
    ("me.png", "me_open.png", "me_blink.png"): ("me.png", "me_open.png", "me_blink.png"),
    ("Eyes-Closed.png", "Talk.png", "Idle.png"): ("Idle.png", "Talk.png", "Eyes-Closed.png"),
    ("aunt mouth open.jpg", "aunt.jpg"): ("aunt.jpg", "aunt mouth open.jpg", None),
    ("closed_eyes.png", "me.png"): ("me.png", None, "closed_eyes.png"),
    ("open.png",): ("open.png", None, None),  # alone it is the portrait, whatever its name
}
"""Names of a set, and which of them is portrait, open mouth, closed eyes."""


@pytest.fixture(scope="module")
def pulse() -> Iterator[PulseAudio]:
    with running_pulse() as server:
        yield server


@pytest.fixture(scope="module")
def vtube_studio() -> Iterator[VTubeStudioStandIn]:
    with VTubeStudioStandIn() as app:
        yield app


@pytest.fixture(scope="module")
def live_link() -> Iterator[socket.socket]:
    """Return where an Unreal Engine would listen."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE_S)
        yield receiver


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> FakeDevice:
    return FakeDevice("/dev/video10", tmp_path_factory.mktemp("camera") / "frames.bin")


@pytest.fixture(scope="module")
def daemon(
    tmp_path_factory: pytest.TempPathFactory,
    package_path: Path,
    pulse: PulseAudio,
    camera: FakeDevice,
    vtube_studio: VTubeStudioStandIn,
    live_link: socket.socket,
) -> Iterator[PageDaemon]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    settings = {
        "camera.device": camera.path,
        "camera.width": 320,
        "camera.height": 180,
        "vtube_studio.port": vtube_studio.port,
        "live_link.port": live_link.getsockname()[1],
    }
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    driver = {
        "LD_PRELOAD": str(build(camera.sink.parent)),
        "FAKE_V4L2_DEV": camera.path,
        "FAKE_V4L2_SINK": str(camera.sink),
    }
    home = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in driver.items():
            patch.setenv(name, value)
        daemon = PageDaemon(home, port, *words)
    with daemon:
        yield daemon


@pytest.fixture(scope="module")
def page(daemon: PageDaemon) -> Iterator[Page]:
    with Chromium() as chromium:
        page = chromium.open(daemon.url, width=1280, height=900)
        page.wait_for("document.documentElement.dataset.ready", PATIENCE_S)
        yield page


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a set of two and with a picture of two people."""
    folder = tmp_path_factory.mktemp("pictures")
    faces = []
    for name in ("maya", "idris"):
        with Image.open(FACES_PATH / name / "portrait.png") as picture:
            faces.append(np.asarray(picture.convert("RGB").resize((400, 400))))
    Image.fromarray(faces[0]).save(folder / "sister.png")
    opened = faces[0].copy()
    opened[290:310, 170:230] = (60, 20, 25)
    Image.fromarray(opened).save(folder / "sister talk.png")
    Image.fromarray(np.hstack(faces)).save(folder / "both.png")
    beach = np.zeros((90, 160, 3), np.uint8)
    beach[:] = (250, 120, 10)
    Image.fromarray(beach).save(folder / "beach.png")
    return folder


def folder_of(daemon: PageDaemon, name: str) -> Path:
    return daemon.home / "xdg_data_home/rest_bridge/portraits" / name


def worn(page: Page, name: str) -> None:
    page.wait_for(
        f"document.querySelector('.face[data-name={name}][aria-pressed=true]')", PATIENCE_S
    )


def test_names_tell_what_the_pictures_of_a_set_are(page: Page) -> None:
    for names, (portrait, mouth, eyes) in ROLES.items():
        listed = json.dumps([{"name": name} for name in names])
        found = page.evaluate(
            f"import('/app/drop.js').then(({{roles}}) => roles({listed}))"
            ".then((r) => [r.portrait, r.mouth_open, r.eyes_closed].map((f) => f?.name ?? null))"
        )
        assert found == [portrait, mouth, eyes], names


def test_a_dropped_set_brings_its_own_mouth(page: Page, daemon: PageDaemon, pictures: Path) -> None:
    tab(page, "faces")
    give(page, ".dropping input", pictures / "sister talk.png", pictures / "sister.png")
    worn(page, "sister")
    assert folder_of(daemon, "sister").joinpath("mouth_open.png").is_file()
    assert not folder_of(daemon, "sister").joinpath("eyes_closed.png").exists()
    assert page.problems == []


def test_the_crop_is_dragged_and_used(page: Page, daemon: PageDaemon) -> None:
    about = folder_of(daemon, "sister") / "about.json"
    page.wait_for(find("text=Eyes, mouth, chin and crop"), PATIENCE_S)
    click(page, "text=Eyes, mouth, chin and crop")
    page.wait_for("document.querySelectorAll('.points .handle').length === 7", PATIENCE_S)
    page.wait_for("document.querySelector('.pointing img').naturalWidth > 0", PATIENCE_S)
    time.sleep(0.5)  # what is above has its place, too
    click(page, "text=Crop")
    page.wait_for("document.querySelector('.points .frame')")
    scale = page.evaluate("document.querySelector('.points').getBoundingClientRect().width") / 400
    drag(page, ".points .handle", -60 * scale, -60 * scale)
    drag(page, ".points .frame", 30 * scale, 20 * scale)
    click(page, "text=Use this crop")
    crop = until(lambda: json.loads(about.read_text()).get("crop"))
    assert np.allclose(crop, (30, 20, 340), atol=3), crop
    page.wait_for("!document.querySelector('.busy')", PATIENCE_S)
    page.wait_for(find("text=Whole picture"), PATIENCE_S)
    click(page, "text=Whole picture")
    until(lambda: json.loads(about.read_text()).get("crop") is None)
    page.wait_for("!document.querySelector('.busy')", PATIENCE_S)


def test_the_background_is_blurred_and_becomes_a_picture(
    page: Page, daemon: PageDaemon, pictures: Path
) -> None:
    tab(page, "live")
    tab(page, "faces")
    page.wait_for(find("text=Blurred"), PATIENCE_S)
    click(page, "text=Blurred")
    about = folder_of(daemon, "sister") / "about.json"
    until(lambda: json.loads(about.read_text())["background"] == "blur")
    page.wait_for(
        "[...document.querySelectorAll('fieldset .chip')]"
        ".some((n) => n.innerText.trim() === 'Blurred' && n.ariaPressed === 'true')",
        PATIENCE_S,
    )
    assert shown(page)[2, 2, 3] == 255, "it is blurred, not gone"
    give(page, "fieldset input[type=file]", pictures / "beach.png")
    until(lambda: np.abs(shown(page)[2, 2, :3].astype(int) - (250, 120, 10)).max() <= 12)
    assert np.abs(shown(page)[128, 128, :3].astype(int) - (250, 120, 10)).max() > 40
    assert page.problems == []


def test_of_several_faces_one_is_chosen(page: Page, daemon: PageDaemon, pictures: Path) -> None:
    give(page, ".dropping input", pictures / "both.png")
    page.wait_for("document.querySelectorAll('.choices button').length === 2", PATIENCE_S)
    assert "2 faces" in page.evaluate("document.querySelector('.choices').innerText")
    click(page, ".choices button:nth-of-type(2)")
    worn(page, "both")
    assert json.loads((folder_of(daemon, "both") / "about.json").read_text())["face"] == 2


def test_every_voice_is_chosen_with_gain_and_gate(
    page: Page, daemon: PageDaemon, tmp_path: Path
) -> None:
    tab(page, "live")
    page.wait_for("document.querySelector('.outputs')")

    def pressed(kind: str) -> None:
        page.wait_for(
            f"document.querySelector('.chip[data-kind={kind}][aria-pressed=true]')", PATIENCE_S
        )

    click(page, ".chip[data-kind=system]")
    page.wait_for("document.querySelector('#panel select').options.length >= 2", PATIENCE_S)
    until(lambda: "monitor" in status(page, daemon)["source_spec"])
    click(page, ".chip[data-kind=push]")
    until(lambda: status(page, daemon)["source_spec"] == "push")
    pressed("push")
    voice = tmp_path / "mine.flac"
    voice.write_bytes(built_in_voice().read_bytes())
    give(page, "#panel input[type=file]", voice)
    until(lambda: status(page, daemon)["source_spec"].endswith("dropped.flac"))
    pressed("file")
    until(lambda: status(page, daemon)["activity"] == "speaking")
    choose(page, ".slider:nth-of-type(1) input", "-12")
    choose(page, ".slider:nth-of-type(2) input", "-21")
    assert page.evaluate(
        "[...document.querySelectorAll('.slider output')].slice(0, 2).map((n) => n.innerText)"
    ) == ["-12 dB", "-21 dB"]
    page.wait_for("document.querySelector('.meter b').style.left === '65%'", PATIENCE_S)
    assert page.problems == []


def test_camera_vtube_studio_and_live_link_are_switched(
    page: Page,
    daemon: PageDaemon,
    camera: FakeDevice,
    vtube_studio: VTubeStudioStandIn,
    live_link: socket.socket,
) -> None:
    outputs: Any = lambda: {o["output"]: o for o in status(page, daemon)["outputs"]}  # noqa: E731
    for label in ("Virtual camera", "VTube Studio", "Live Link Face"):
        click(page, f".switch[aria-label='{label}']")
    until(lambda: len(camera.records()) >= 5)
    assert (camera.records()[-1].width, camera.records()[-1].height) == (320, 180)
    assert vtube_studio.wait_for(5, PATIENCE_S)
    assert len(live_link.recv(4096)) > 100
    for label in ("Virtual camera", "VTube Studio", "Live Link Face"):
        click(page, f".switch[aria-label='{label}']")
    until(lambda: not {"camera", "vtube_studio", "live_link"} & set(outputs()))
    assert page.problems == []


def test_the_plot_shows_what_the_daemon_says(page: Page, daemon: PageDaemon) -> None:
    stages, bands, facts = page.evaluate(
        "new Promise((done) => document.addEventListener('status', ({detail}) =>"
        " setTimeout(() => done([detail, "
        "[...document.querySelectorAll('.legend b')].map((n) => parseFloat(n.innerText)),"
        "[...document.querySelectorAll('dl.facts dd')].map((n) => n.innerText)]), 50),"
        " {once: true}))"
    )
    p50 = {name: stage["p50_ms"] for name, stage in stages["stages"].items()}
    groups = (
        ("look_ahead", "assembly"), ("capture",), ("encode", "motion", "decode"), ("pacer",),
    )  # fmt: skip
    for band, names in zip(bands, groups, strict=True):
        assert abs(band - sum(p50.get(name, 0.0) for name in names)) <= 0.51, names
    assert set(p50) == set(status(page, daemon)["stages"])
    assert facts[0] == f"{stages['fps']:.1f}"
    assert facts[1].startswith(f"{stages['latency_p50_ms']:.0f} ms")


def test_a_late_loudspeaker_is_heard_by_a_microphone_and_set(
    page: Page, daemon: PageDaemon, pulse: PulseAudio
) -> None:
    """What `rb_speakers` plays reaches the microphone 150 ms later, as across a slow amplifier."""
    module = pulse.pactl(
        "load-module", "module-loopback", "source=rb_speakers.monitor", "sink=rb_micfeed",
        "latency_msec=150",
    )  # fmt: skip
    assert module is not None
    tab(page, "timing")
    page.wait_for("document.querySelectorAll('#panel select').length === 2", PATIENCE_S)
    output, ear = (
        page.evaluate(
            f"[...document.querySelectorAll('#panel select')[{place}].options]"
            f".find((o) => (o.value + o.text).includes({json.dumps(part)})).value"
        )
        for place, part in ((0, "rb_speakers"), (1, "Test_Microphone"))
    )
    choose(page, ".field:nth-of-type(1) select", output)
    choose(page, ".field:nth-of-type(2) select", ear)
    click(page, "#measure")
    page.wait_for("document.querySelector('.card .big')?.innerText.match(/^\\d+ ms$/)", PATIENCE_S)
    voice = until(
        lambda: [o for o in status(page, daemon)["outputs"] if o["output"] == "voice_out"]
    )[0]
    assert -350 < voice["settings"]["offset_ms"] < -100, "it leaves as much earlier"
    said = f"Set: {voice['settings']['offset_ms']} ms"
    page.wait_for(f"document.querySelector('.card').innerText.includes('{said}')", PATIENCE_S)
    click(page, "text=Undo")
    until(
        lambda: (
            [
                o["settings"]["offset_ms"]
                for o in status(page, daemon)["outputs"]
                if o["output"] == "voice_out"
            ]
            == [0]
        )
    )
    pulse.pactl("unload-module", module.strip())
    assert ask(page, daemon, "status")["outputs"]
