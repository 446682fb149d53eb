"""The faces and the voice that come with rest_bridge: complete, sound and of honest provenance."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

FACES = Path(__file__).parents[1] / "rest_bridge" / "faces"
FOLDERS = sorted(path.parent for path in FACES.glob("*/face.json"))
STYLES = {"photo", "painting", "drawn"}
MAX_BYTES = 1_200_000

each_face = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def _about(folder: Path) -> dict[str, object]:
    return json.loads((folder / "face.json").read_text(encoding="utf-8"))


def _marks(folder: Path, name: str = "landmarks.json") -> np.ndarray:
    return np.array(json.loads((folder / name).read_text(encoding="utf-8")), np.float64)


def _picture(folder: Path, name: str = "portrait.png") -> np.ndarray:
    with Image.open(folder / name) as image:
        return np.asarray(image.convert("RGBA"))


def test_there_are_at_least_four_faces_in_two_styles() -> None:
    assert len(FOLDERS) >= 4
    assert len({_about(folder)["style"] for folder in FOLDERS}) >= 2


@each_face
def test_face_says_what_it_is_and_whose(folder: Path) -> None:
    about = _about(folder)
    assert about["style"] in STYLES
    for key in ("title", "description", "licence"):
        assert str(about[key]).strip()
    assert about["credits"]


@each_face
def test_portrait_is_large_square_and_small_as_a_file(folder: Path) -> None:
    height, width = _picture(folder).shape[:2]
    assert height == width >= 960
    for picture in folder.glob("*.png"):
        assert picture.stat().st_size <= MAX_BYTES, picture.name


@each_face
def test_landmarks_lie_inside_the_picture_in_plausible_order(folder: Path) -> None:
    marks = _marks(folder)
    size = _picture(folder).shape[0]
    assert marks.shape == (66, 2)
    assert (marks >= 0).all()
    assert (marks < size).all()
    assert (np.diff(marks[:17, 0]) > 0).all()  # contour, image left to right
    assert marks[8, 1] == marks[:17, 1].max()  # over the chin
    assert (np.diff(marks[17:27, 0]) > 0).all()  # brows
    assert (np.diff(marks[27:31, 1]) > 0).all()  # nose ridge, downwards
    assert (np.diff(marks[31:36, 0]) > 0).all()  # nose base
    for start in (36, 42):
        eye = marks[start : start + 6]
        assert eye[0, 0] < eye[1, 0] < eye[2, 0] < eye[3, 0]
        assert eye[1:3, 1].max() < eye[4:6, 1].min()  # upper lid above the lower: open
    assert (np.diff(marks[48:53, 0]) > 0).all()  # upper outer lip, left to right
    assert (np.diff(marks[53:58, 0]) < 0).all()  # lower outer lip, right to left
    assert (np.diff(marks[58:63, 0]) > 0).all()  # upper inner lip, corner to corner
    brows, eyes, nose, mouth = (
        marks[a:b, 1].mean() for a, b in ((17, 27), (36, 48), (31, 36), (48, 66))
    )
    assert brows < eyes < nose < mouth < marks[8, 1]


@each_face
def test_face_has_room_to_turn(folder: Path) -> None:
    marks, size = _marks(folder), _picture(folder).shape[0]
    left, right = marks[36:42].mean(0), marks[42:48].mean(0)
    distance = np.linalg.norm(right - left) / size
    assert 0.17 < distance < 0.22
    assert 0.38 < (left[1] + right[1]) / 2 / size < 0.46
    assert marks[8, 1] / size < 0.84


@each_face
def test_mouth_rests_closed(folder: Path) -> None:
    marks = _marks(folder)
    gap = np.abs(marks[59:62, 1] - marks[65:62:-1, 1]).max()
    assert gap < 0.05 * np.linalg.norm(marks[42:48].mean(0) - marks[36:42].mean(0))


@each_face
def test_drawn_faces_are_cut_out_and_bring_their_own_second_references(folder: Path) -> None:
    if _about(folder)["style"] != "drawn":
        return
    portrait = _picture(folder)
    corners = portrait[[0, 0], [0, -1], 3]
    assert (corners == 0).all()
    assert (portrait[..., 3] == 255).mean() > 0.25
    marks = _marks(folder)
    distance = float(np.linalg.norm(marks[42:48].mean(0) - marks[36:42].mean(0)))
    for kind, part in (("mouth_open", slice(48, 66)), ("eyes_closed", slice(36, 48))):
        other = _picture(folder, f"{kind}.png")
        assert other.shape == portrait.shape
        changed = np.argwhere(np.abs(other.astype(int) - portrait).sum(2) > 24)[:, ::-1]
        low, high = marks[part].min(0) - 0.4 * distance, marks[part].max(0) + 0.4 * distance
        assert len(changed) > 500
        assert (changed >= low).all()
        assert (changed <= high).all()
        assert _marks(folder, f"landmarks_{kind}.json").shape == (66, 2)


def test_voice_is_ten_to_twenty_seconds_and_does_not_clip() -> None:
    with av.open(str(FACES / "voice.flac")) as container:
        stream = container.streams.audio[0]
        rate = stream.rate
        frames = [frame.to_ndarray() for frame in container.decode(stream)]
    samples = np.concatenate(frames, axis=1).astype(np.float64)
    assert samples.shape[0] == 1
    voice = samples[0] / 32768
    assert 10 <= len(voice) / rate <= 20
    assert np.abs(voice).max() < 0.95
    assert 0.03 < np.sqrt(np.mean(voice**2)) < 0.2
    ending = voice[-rate:]
    assert np.abs(ending).max() < 0.01  # still for a second, so that it loops


def test_voice_says_what_is_said_and_how_it_was_made() -> None:
    about = json.loads((FACES / "voice.json").read_text(encoding="utf-8"))
    assert len(about["text"].split()) > 20
    assert about["made_by"]
    assert about["licence"]
