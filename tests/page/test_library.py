"""Portraits that are kept: points that follow handles, backgrounds, presets, what is remembered."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rest_bridge.avatar import Avatar
from rest_bridge.commands.starting import settings_to_start_with
from rest_bridge.config_sources import load_config
from rest_bridge.errors import AvatarError, ConfigError
from rest_bridge.gallery import FACES_PATH, kept_portraits, load_avatar
from rest_bridge.inference.package import ModelPackage
from rest_bridge.library import Library
from rest_bridge.page.hotkeys import Hotkeys, check
from rest_bridge.portrait.background import person_of, with_background
from rest_bridge.portrait.handles import HANDLES, handles_of, move
from rest_bridge.presets import MOST_PRESETS, Presets
from rest_bridge.remembered import Remembered
from tests.support.portraits import built_in_avatar


@pytest.fixture(scope="module")
def package(package_path: Path) -> ModelPackage:
    return ModelPackage.load(package_path, verify=False)


def points() -> np.ndarray:
    content = json.loads((FACES_PATH / "maya" / "landmarks.json").read_text())
    return np.asarray(content.get("points", content) if isinstance(content, dict) else content)


# ------------------------------------------------------------------------------- handles


def test_handles_that_stay_change_nothing() -> None:
    before = points()
    np.testing.assert_allclose(move(before, handles_of(before)), before, atol=1e-3)


@pytest.mark.parametrize("name", HANDLES)
def test_a_handle_arrives_where_it_was_dragged(name: str) -> None:
    before = points()
    x, y = handles_of(before)[name]
    after = move(before, {name: (x + 4, y + 3)})
    np.testing.assert_allclose(after[HANDLES[name]], (x + 4, y + 3), atol=1e-2)


def test_the_chin_pulls_the_contour_and_nothing_else() -> None:
    before = points()
    x, y = handles_of(before)["chin"]
    after = move(before, {"chin": (x, y + 20)})
    np.testing.assert_allclose(after[17:], before[17:], atol=1e-3)
    shift = (after - before)[:17, 1]
    assert np.argmax(shift) == 8
    assert shift[0] == pytest.approx(0, abs=1e-3)
    assert (np.diff(shift[:9]) >= 0).all()


def test_mouth_corners_carry_the_lips_with_their_shape() -> None:
    before = points()
    corners = {k: np.asarray(v) for k, v in handles_of(before).items() if "mouth" in k}
    after = move(before, {k: (v[0], v[1] + 10) for k, v in corners.items()})
    np.testing.assert_allclose(after[48:66] - before[48:66], [[0, 10]] * 18, atol=1e-2)
    np.testing.assert_allclose(after[36:48], before[36:48], atol=1e-3)


def test_corners_that_cross_and_unknown_handles_are_refused() -> None:
    before = points()
    where = handles_of(before)
    with pytest.raises(AvatarError, match="cross"):
        move(before, {"mouth_left": tuple(where["mouth_right"])})  # type: ignore[dict-item]
    with pytest.raises(AvatarError, match="no handle"):
        move(before, {"nose": (0, 0)})


# ------------------------------------------------------------------------------- background


def test_without_a_background_the_person_stays_as_it_was(package: ModelPackage) -> None:
    avatar = built_in_avatar("maya", package)
    bare = with_background(avatar, "transparent")
    inside = bare.picture[..., 3] == 255
    assert 0.2 < inside.mean() < 0.9
    np.testing.assert_array_equal(bare.picture[inside], avatar.picture[inside])
    assert bare.picture[4, 4, 3] == 0
    assert not bare.backdrop.stands_still


@pytest.mark.parametrize("name", ["maya", "luna"])
def test_a_colour_stands_behind_and_shows_through_the_hairs_edge(
    package: ModelPackage, name: str
) -> None:
    avatar = built_in_avatar(name, package)
    person = person_of(avatar)
    green = with_background(avatar, "#00b140")
    clear = person[..., 3] == 0
    assert (green.picture[clear] == (0, 177, 64, 255)).all()
    assert (green.picture[..., 3] == 255).all()
    solid = person[..., 3] == 255
    np.testing.assert_array_equal(green.picture[solid][:, :3], person[solid][:, :3])
    assert green.backdrop.stands_still
    assert (green.backdrop.plate[person[..., 3] > 0] == (0, 177, 64, 255)).all()


def test_pictures_and_blur_cover_the_canvas(package: ModelPackage, tmp_path: Path) -> None:
    avatar = built_in_avatar("maya", package)
    file = tmp_path / "wide.png"
    Image.new("RGB", (300, 100), (10, 20, 200)).save(file)
    wide = with_background(avatar, "picture", file)
    assert (wide.picture[2, :8, :3] == (10, 20, 200)).all()
    blurred = with_background(avatar, "blur")
    corner = blurred.picture[:40, :40, :3].astype(float)
    assert corner.std() <= avatar.picture[:40, :40, :3].astype(float).std() + 1
    for kind in ("picture", "#12", "url(x)"):
        with pytest.raises(AvatarError):
            with_background(avatar, kind)


def test_every_background_can_be_saved_and_loaded(package: ModelPackage, tmp_path: Path) -> None:
    avatar = built_in_avatar("maya", package)
    for kind in ("transparent", "blur", "#336699"):
        with_background(avatar, kind).save(tmp_path / "a.npz")
        assert Avatar.load(tmp_path / "a.npz").backdrop.stands_still == (kind != "transparent")


# ------------------------------------------------------------------------------- the library


@pytest.fixture
def library(package: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> Library:
    def quickly(picture: Path, _package: ModelPackage, **options: Any) -> Avatar:
        with Image.open(picture) as opened:
            calls.append({"size": opened.size, **options})
        return built_in_avatar("maya", package)

    calls: list[dict[str, Any]] = []
    monkeypatch.setattr("rest_bridge.portrait.importer.import_portrait", quickly)
    monkeypatch.setattr(
        "rest_bridge.portrait.importer.points_of", lambda *_: points().astype(np.float32) / 4
    )
    library = Library(package)
    library.calls = calls  # type: ignore[attr-defined]
    return library


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "aunt.png"
    with Image.open(FACES_PATH / "maya" / "portrait.png") as opened:
        opened.resize((256, 256)).save(path)
    return path


def test_a_kept_portrait_is_a_face_by_its_name(
    library: Library, picture: Path, package: ModelPackage
) -> None:
    name = library.add(picture, "Aunt Ägnes").name
    assert name == "aunt-agnes"
    assert kept_portraits() == {}, "not before it is built"
    library.build(name)
    assert kept_portraits() == {name: "Aunt Ägnes"}
    assert load_avatar(name, package).source == name
    assert library.is_current(name)
    assert library.add(picture, "Aunt Ägnes").name == "aunt-agnes-1"
    library.delete(name)
    assert name not in kept_portraits()


def test_moved_points_are_used_and_forgotten(library: Library, picture: Path) -> None:
    name = library.add(picture, "x").name
    library.build(name)
    assert library.calls[-1]["landmarks"] is None  # type: ignore[attr-defined]
    x, y = handles_of(library.points(name))["chin"]
    library.drag(name, {"chin": (x, y + 5)})
    library.build(name)
    assert library.calls[-1]["landmarks"][8, 1] == pytest.approx(y + 5, abs=0.1)  # type: ignore[attr-defined]
    library.drag(name, {})
    library.build(name)
    assert library.calls[-1]["landmarks"] is None  # type: ignore[attr-defined]
    with pytest.raises(AvatarError, match="outside"):
        library.drag(name, {"chin": (9999, 0)})


def test_a_crop_cuts_all_pictures_and_shifts_the_points(library: Library, picture: Path) -> None:
    name = library.add(picture, "x").name
    library.supply(name, "eyes_closed", picture)
    library.change(name, crop=[16, 8, 200])
    library.build(name)
    call = library.calls[-1]  # type: ignore[attr-defined]
    assert call["size"] == (200, 200)
    assert call["eyes_closed"].name.startswith("cropped-")
    found = json.loads((library.get(name).folder / "found.json").read_text())
    np.testing.assert_allclose(found, points() / 4 + (16, 8), atol=0.02)
    assert not list(library.get(name).folder.glob("cropped-*"))
    for crop in ([1, 2], [0, 0, 10], ["a", 0, 100], [-5, 0, 100], [250, 250, 100]):
        with pytest.raises(AvatarError):
            library.build(library.change(name, crop=crop).name)


def test_a_part_of_another_size_is_refused(library: Library, picture: Path, tmp_path: Path) -> None:
    name = library.add(picture, "x").name
    small = tmp_path / "small.png"
    Image.new("RGB", (100, 100)).save(small)
    with pytest.raises(AvatarError, match="same pose at the same size"):
        library.supply(name, "mouth_open", small)
    library.supply(name, "background", small)
    assert library.get(name).parts == ["background"]


# ------------------------------------------------------------------------------- presets, hotkeys


def test_presets_belong_to_a_face_and_are_checked(tmp_path: Path) -> None:
    presets = Presets(tmp_path / "presets.json")
    presets.save("luna", "Party", {"expression": {"happy": 0.8}, "gaze": [0.1, 0.2]})
    presets.save("luna", "party", {"expression": {"happy": 0.5}})
    assert [p["name"] for p in presets.of("luna")] == ["party"], "one of a name"
    assert presets.wish("luna", "PARTY")["expression"] == {"happy": 0.5}
    assert presets.wish("luna", "party")["gaze"] is None, "what it does not mention is normal"
    assert presets.of("theo") == []
    with pytest.raises(AvatarError, match="no preset"):
        presets.wish("theo", "party")
    for bad in ({"head_motion": 9}, {"expression": {"evil": 1}}, {"gaze": "x"}, {"gaze": [1]}):
        with pytest.raises(AvatarError):
            presets.save("luna", "bad", bad)
    with pytest.raises(AvatarError, match=str(MOST_PRESETS)):
        presets.replace("luna", [{"name": str(i)} for i in range(MOST_PRESETS + 1)])
    (tmp_path / "presets.json").write_text("{")
    assert presets.of("luna") == [], "a damaged file is no reason to stop"


@pytest.mark.parametrize(
    "hotkey",
    [{"keys": "<ctrl>+evil", "op": "mute"}, {"keys": "a", "op": "stop"}, {"keys": "", "op": "mute"},
     {"keys": "<f99>", "op": "mute"}, {"keys": "a", "op": "mute", "body": 3}, "a", None],
)  # fmt: skip
def test_impossible_hotkeys_are_refused(hotkey: Any) -> None:
    with pytest.raises(ConfigError):
        check([hotkey])
    with pytest.raises(ConfigError, match="twice"):
        check([{"keys": "a", "op": "mute"}] * 2)


def test_where_keys_cannot_be_heard_the_page_says_what_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_SESSION_TYPE", "wayland")
    hotkeys = Hotkeys(lambda _op, _body: None, dict, tmp_path / "keys.json")
    facts = hotkeys.set([{"keys": "<ctrl>+1", "op": "expression", "body": {"name": "happy"}}])
    assert not facts["works"]
    assert "rest-bridge ctl" in facts["problem"]
    assert facts["hotkeys"][0]["keys"] == "<ctrl>+1", "kept all the same"


# ------------------------------------------------------------------------------- remembered


def test_what_was_chosen_is_kept_and_what_is_gone_is_left_out(tmp_path: Path) -> None:
    remembered = Remembered(tmp_path / "page.json")
    nothing: dict[str, Any] = {}
    remembered.note("source.set", {"source": "USB", "options": {"gain_db": 3}}, nothing)
    remembered.note("portraits.wear", {"name": "gone"}, {"name": "gone", "active": True})
    remembered.note("output.start", {"output": "camera", "options": {"mirror": True}}, nothing)
    remembered.note("output.start", {"output": "voice_out", "options": {"device": "d"}}, nothing)
    remembered.note("output.stop", {"output": "voice_out"}, nothing)
    kept = remembered.settings()
    assert kept["camera.enabled"] is True
    assert "voice_out.device" not in kept
    loaded = load_config(environment={}, use_user_file=False)
    begin, notes = settings_to_start_with(loaded, remembered, voices=lambda: {"mic"})
    assert "avatar.picture" not in begin
    assert begin["audio.source"].endswith("voice.flac")
    assert len(notes) == 2
    begin, notes = settings_to_start_with(loaded, remembered, voices=lambda: {"USB"})
    assert (begin["audio.source"], begin["audio.gain_db"]) == ("USB", 3)
    typed = load_config(environment={}, use_user_file=False, overrides={"audio.source": "push"})
    assert "audio.source" not in settings_to_start_with(typed, remembered)[0], "the line wins"
    (tmp_path / "page.json").write_text('{"no.such": 1, "camera.enabled": "maybe"}')
    assert remembered.settings() == {}
