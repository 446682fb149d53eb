"""From a face's name, a picture or an avatar file to an avatar; imported once, then cached."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rest_bridge import gallery
from rest_bridge.avatar import Avatar
from rest_bridge.config import AvatarSection
from rest_bridge.errors import AvatarError
from rest_bridge.gallery import ImportOptions, load_avatar
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait import importer


@pytest.fixture(scope="module")
def package(package_path: Path) -> ModelPackage:
    return ModelPackage.load(package_path, verify=False)


@pytest.fixture(scope="module")
def luna(package: ModelPackage) -> Avatar:
    face = gallery.built_in_faces()["luna"]
    assert face.options.landmarks is not None
    points = gallery.read_landmarks(face.options.landmarks)
    return importer.import_portrait(face.picture, package, landmarks=points, style="drawn")


class Importer:
    """Counts how often a portrait is imported, and with what."""

    def __init__(self, avatar: Avatar) -> None:
        self.avatar = avatar
        self.calls: list[dict[str, Any]] = []

    def __call__(self, picture: Path, _package: ModelPackage, **options: Any) -> Avatar:
        self.calls.append({"picture": picture, **options})
        options["progress"]("painting", 0.5)
        return dataclasses.replace(self.avatar, source=picture.name)


@pytest.fixture
def counted(luna: Avatar, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Importer:
    imported = Importer(luna)
    monkeypatch.setattr(importer, "import_portrait", imported)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return imported


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "me.png"
    assert cv2.imwrite(str(path), np.full((64, 64, 3), 200, np.uint8))
    return path


def test_every_built_in_face_has_a_picture_a_title_a_style_and_a_licence() -> None:
    faces = gallery.built_in_faces()
    assert len(faces) >= 2
    for face in faces.values():
        assert face.picture.is_file()
        assert face.title
        assert face.style in ("photo", "painting", "drawn")
        assert face.licence


def test_the_built_in_voice_is_there() -> None:
    assert gallery.built_in_voice().is_file()


def test_a_picture_is_imported_once(
    counted: Importer, picture: Path, package: ModelPackage
) -> None:
    seen: list[tuple[float, str]] = []
    first = load_avatar(str(picture), package, progress=lambda d, t: seen.append((d, t)))
    again = load_avatar(str(picture), package)
    assert len(counted.calls) == 1
    assert seen == [(0.5, "painting")]
    assert np.array_equal(first.picture, again.picture)


def test_a_changed_picture_or_option_is_imported_again(
    counted: Importer, picture: Path, package: ModelPackage
) -> None:
    load_avatar(str(picture), package)
    load_avatar(str(picture), package, options=ImportOptions(style="drawn"))
    load_avatar(str(picture), package, options=ImportOptions(mouth_open=picture))
    load_avatar(str(picture), package, options=ImportOptions(eyes_closed=picture))
    picture.write_bytes(picture.read_bytes() + b"\0")
    load_avatar(str(picture), package)
    assert len(counted.calls) == 5


def test_a_damaged_cache_is_replaced(
    counted: Importer, picture: Path, package: ModelPackage
) -> None:
    load_avatar(str(picture), package)
    gallery.cache_path(picture, package, ImportOptions()).write_bytes(b"junk")
    load_avatar(str(picture), package)
    load_avatar(str(picture), package)
    assert len(counted.calls) == 2


def test_an_avatar_file_is_loaded_as_it_is(
    luna: Avatar, tmp_path: Path, package: ModelPackage
) -> None:
    luna.save(tmp_path / "x.npz")
    assert np.array_equal(load_avatar(str(tmp_path / "x.npz"), package).picture, luna.picture)


@pytest.mark.parametrize("choice", ["nobody", "/no/such/picture.png"])
def test_an_unknown_face_is_refused_with_the_names_there_are(
    choice: str, package: ModelPackage
) -> None:
    with pytest.raises(AvatarError, match="luna") as caught:
        load_avatar(choice, package)
    assert choice in str(caught.value)


def test_options_come_from_the_configuration() -> None:
    section = AvatarSection(landmarks="a.json", style="painting", face=2)
    assert ImportOptions.of(section) == ImportOptions(Path("a.json"), "painting", 2)
    assert ImportOptions.of(AvatarSection()) == ImportOptions()


@pytest.mark.parametrize(
    "content", ["", "[1, 2]", '"text"', json.dumps([[1, 2]] * 65), json.dumps([[1, "x"]] * 66)]
)
def test_landmarks_of_another_form_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "points.json"
    path.write_text(content)
    with pytest.raises(AvatarError, match="landmarks"):
        gallery.read_landmarks(path)
