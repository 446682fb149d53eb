from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rest_bridge.avatar import Avatar
from rest_bridge.errors import AvatarError
from rest_bridge.generator.decoder import FaceDecoder
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait import importer
from rest_bridge.portrait.detect import DetectedFace, FaceBox
from rest_bridge.portrait.importer import import_portrait
from rest_bridge.rig import RIG_INDEX
from tests.portrait.conftest import Sample


@pytest.fixture(scope="module")
def avatar(sample: Sample, package: ModelPackage) -> Avatar:
    return import_portrait(sample.picture, package, landmarks=sample.landmarks, style="drawn")


def _premultiplied(frame: np.ndarray) -> np.ndarray:
    colour = frame.astype(np.float64)
    colour[..., :3] *= colour[..., 3:] / 255
    return colour


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = ((_premultiplied(one) - _premultiplied(other)) ** 2).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def test_at_rest_the_frame_is_the_portrait(avatar: Avatar, package: ModelPackage) -> None:
    size = avatar.picture.shape[0]
    frame = FaceDecoder(package, avatar, size).render(avatar.rest_rig)
    assert _psnr(frame, avatar.picture) > 45


def test_progress_runs_from_start_to_end(sample: Sample, package: ModelPackage) -> None:
    seen: list[float] = []
    import_portrait(
        sample.picture, package, landmarks=sample.landmarks,
        progress=lambda _what, share: seen.append(share),
    )  # fmt: skip
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)


def test_a_saved_avatar_draws_the_same_frames(
    avatar: Avatar, package: ModelPackage, tmp_path: Path
) -> None:
    path = tmp_path / "luna.avatar"
    avatar.save(path)
    loaded = Avatar.load(path)
    rig = np.zeros(58, np.float32)
    rig[[RIG_INDEX["jawOpen"], RIG_INDEX["eyeBlinkLeft"], RIG_INDEX["headYaw"]]] = 0.5, 0.7, 6
    frames = [FaceDecoder(package, each, 192).render(rig) for each in (avatar, loaded)]
    np.testing.assert_array_equal(*frames)
    assert loaded.style == "drawn"
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_and_foreign_avatar_files_are_refused(avatar: Avatar, tmp_path: Path) -> None:
    with pytest.raises(AvatarError, match="does not exist"):
        Avatar.load(tmp_path / "none")
    path = tmp_path / "a"
    path.write_bytes(b"no avatar")
    with pytest.raises(AvatarError, match="damaged or no avatar"):
        Avatar.load(path)
    with path.open("wb") as file:
        np.savez(file, numbers=np.zeros(3))
    with pytest.raises(AvatarError, match="not an avatar"):
        Avatar.load(path)
    with path.open("wb") as file:
        np.savez(file, format=np.array("rest_bridge-avatar"), format_version=np.array(99))
    with pytest.raises(AvatarError, match="version 99"):
        Avatar.load(path)
    broken = replace(avatar, head=replace(avatar.head, depth=avatar.head.depth * np.nan))
    broken.save(path)
    with pytest.raises(AvatarError, match="not finite"):
        Avatar.load(path)


def test_supplied_eyes_are_shown_when_closed(
    avatar: Avatar, sample: Sample, package: ModelPackage
) -> None:
    with_pictures = import_portrait(
        sample.picture, package, landmarks=sample.landmarks, style="drawn",
        eyes_closed=sample.eyes_closed, mouth_open=sample.mouth_open,
        mouth_open_landmarks=sample.mouth_open_landmarks,
    )  # fmt: skip
    given = np.asarray(Image.open(sample.eyes_closed).convert("RGBA"))
    rig = np.zeros(58, np.float32)
    rig[[RIG_INDEX["eyeBlinkLeft"], RIG_INDEX["eyeBlinkRight"]]] = 1
    size = avatar.picture.shape[0]
    plain, supplied = (
        FaceDecoder(package, each, size).render(rig) for each in (avatar, with_pictures)
    )
    eyes = np.clip(avatar.landmarks[36:48] * size, 0, size).astype(int)
    rows = slice(eyes[:, 1].min(), eyes[:, 1].max())
    columns = slice(eyes[:, 0].min(), eyes[:, 0].max())
    offset = (size - given.shape[0]) // 2  # both are the same picture, the canvas a little larger
    assert abs(offset) < 20
    assert with_pictures.mouth.shaded is False
    assert _psnr(plain[rows, columns], supplied[rows, columns]) < 40


def test_pictures_of_another_size_are_refused(
    sample: Sample, package: ModelPackage, tmp_path: Path
) -> None:
    Image.new("RGBA", (200, 200)).save(tmp_path / "other.png")
    with pytest.raises(AvatarError, match="same pose at the same size"):
        import_portrait(
            sample.picture, package, landmarks=sample.landmarks, eyes_closed=tmp_path / "other.png"
        )


@pytest.mark.parametrize(
    ("faces", "face", "words"),
    [
        (0, None, "No face was found"),
        (3, None, "3 faces.*--face 1"),
        (2, 3, "Face 3 was asked for, but the picture has 2"),
    ],
)
def test_no_face_and_several_faces_are_explained(
    sample: Sample,
    package: ModelPackage,
    monkeypatch: pytest.MonkeyPatch,
    faces: int,
    face: int | None,
    words: str,
) -> None:
    found = [DetectedFace(FaceBox(100, 100, 50 + k), 0.9) for k in range(faces)]
    monkeypatch.setattr(importer, "detect_faces", lambda _rgb, _package: found)
    with pytest.raises(AvatarError, match=words):
        import_portrait(sample.picture, package, face=face)


def test_a_face_too_small_is_refused(sample: Sample, package: ModelPackage) -> None:
    with pytest.raises(AvatarError, match="too small"):
        import_portrait(sample.picture, package, landmarks=sample.landmarks * 0.05)


def test_landmarks_of_another_shape_are_refused(sample: Sample, package: ModelPackage) -> None:
    with pytest.raises(AvatarError, match="66 points"):
        import_portrait(sample.picture, package, landmarks=sample.landmarks[:60])


def test_an_opaque_canvas_stays_inside_the_picture(
    sample: Sample, package: ModelPackage, tmp_path: Path
) -> None:
    image = Image.open(sample.picture)
    solid = Image.new("RGBA", image.size, "grey")
    solid.alpha_composite(image)
    solid.convert("RGB").crop((60, 50, 380, 330)).save(tmp_path / "tight.png")
    points = sample.landmarks - np.array([60, 50], np.float32)
    made = import_portrait(tmp_path / "tight.png", package, landmarks=points)
    assert made.picture.shape[0] <= 280
    assert (made.picture[..., 3] == 255).all()
    frame = FaceDecoder(package, made, made.picture.shape[0]).render(made.rest_rig)
    assert _psnr(frame, made.picture) > 45
