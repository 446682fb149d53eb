"""From a configuration to the parts of a daemon; nothing is opened by drawing the graph."""

import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from rest_bridge.config import Config
from rest_bridge.errors import PackageError
from rest_bridge.gallery import FACES_PATH
from rest_bridge.graph import FILE_MARGIN_NS, LIVE_MARGIN_NS, build_graph
from rest_bridge.loader import Loader, portrait_at
from rest_bridge.outlets import OUTLETS, _open_browser


def configure(**sections) -> Config:
    return Config.model_validate(sections)


@pytest.fixture
def face(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """An avatar that only has a picture."""
    face = SimpleNamespace(picture=np.full((100, 100, 4), 80, np.uint8))
    monkeypatch.setattr("rest_bridge.gallery.load_avatar", lambda *_, **__: face)
    return face


def outlets(config: Config, required: frozenset[str] = frozenset()) -> dict[str, bool]:
    return {o.sink.name: o.required for o in build_graph(config, required=required).outlets()}


def test_default_configuration_publishes_and_previews(package_path, face):
    assert outlets(Config()) == {"zeromq": True, "preview": False}


def test_outputs_that_were_named_are_required(package_path, face, tmp_path):
    config = configure(
        recording={"path": str(tmp_path / "x.mp4")},
        camera={"enabled": True},
        preview={"enabled": False},
        endpoints={"enabled": False},
    )
    assert list(outlets(config, frozenset({"recording"})).values()) == [True, False]
    assert build_graph(config).control is None


def test_names_of_outputs_are_those_the_command_line_requires():
    pictures = {"zeromq", "preview", "recording", "camera", "voice_out"}
    assert set(OUTLETS) == pictures | {"vmc", "live_link", "vtube_studio", "rig_lines"}


def test_files_are_heard_from_their_start_and_devices_from_now(package_path, tmp_path):
    voice = tmp_path / "voice.wav"
    voice.touch()
    for source, from_start, margin_ns in [
        ("mic", False, LIVE_MARGIN_NS),
        ("system", False, LIVE_MARGIN_NS),
        ("alsa_output.pci.monitor", False, LIVE_MARGIN_NS),
        ("push", False, LIVE_MARGIN_NS),
        (str(voice), True, FILE_MARGIN_NS),
    ]:
        graph = build_graph(configure(audio={"source": source}))
        assert (graph.from_start, graph.margin_ns) == (from_start, margin_ns), source
        assert graph.open_when_ready == (source == "push")


def test_missing_model_package_is_refused_at_once(tmp_path):
    with pytest.raises(PackageError, match="does not exist"):
        build_graph(configure(model={"package": str(tmp_path / "none")}))


def test_avatar_is_loaded_once_for_all_threads(package_path, monkeypatch):
    loaded: list[int] = []
    face = SimpleNamespace(picture=np.zeros((64, 64, 4), np.uint8))
    monkeypatch.setattr(
        "rest_bridge.gallery.load_avatar", lambda *_, **__: loaded.append(1) or face
    )
    loader = Loader(Config())
    threads = [threading.Thread(target=loader.avatar) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loaded == [1]


def test_still_portrait_keeps_size_colour_and_transparency_without_fringes():
    picture = np.zeros((200, 200, 4), np.uint8)
    picture[..., :3] = (0, 255, 0)  # a colour that nobody may see
    picture[50:151, 50:151] = (200, 100, 50, 255)
    still = portrait_at(SimpleNamespace(picture=picture), 64)
    assert still.shape == (64, 64, 4)
    np.testing.assert_array_equal(still[32, 32], (200, 100, 50, 255))
    visible = still[still[..., 3] > 8]
    assert np.abs(visible[:, :3].astype(int) - (200, 100, 50)).max() <= 2
    assert still[0, 0, 3] == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="DISPLAY is Linux's")
@pytest.mark.parametrize(("display", "opened"), [("", []), (":0", ["http://x"])])
def test_browser_is_opened_only_where_somebody_can_see_it(monkeypatch, display, opened):
    pages: list[str] = []
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setattr("webbrowser.open", pages.append)
    _open_browser("http://x")
    assert pages == opened


def test_browser_that_fails_disturbs_nobody(monkeypatch):
    import webbrowser

    def fail(_url: str) -> None:
        raise webbrowser.Error

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", fail)
    _open_browser("http://x")


def test_control_clients_see_the_built_in_faces(package_path):
    faces = build_graph(Config()).avatars()
    assert all({"id", "name"} <= face.keys() for face in faces)
    assert FACES_PATH.is_dir() == bool(faces)
