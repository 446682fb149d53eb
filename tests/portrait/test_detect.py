from pathlib import Path

import numpy as np
import pytest

from rest_bridge.errors import AvatarError
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.detect import MIRROR, FaceBox, _overlap, detect_faces, find_landmarks
from tests.support.portraits import built_in_avatar


class _StandInSession:
    """Answers with one bump, or with points at fixed places of the crop."""

    def __init__(self, kind: str) -> None:
        self.kind, self.sizes = kind, []

    def run(self, inputs):
        height, width = inputs["rgb"].shape[2:]
        self.sizes.append((height, width))
        if self.kind == "landmarks":
            points = np.full((1, 66, 2), 0.5, np.float32)
            points[0, 36:42, 0], points[0, 42:48, 0] = 0.36, 0.64
            points[0, 36:48, 1], points[0, 48:, 1] = 0.4, 0.6
            return {"points": points, "confidence": np.full((1, 66), 0.7, np.float32)}
        rows, columns = height // 8, width // 8
        score = np.zeros((1, 1, rows, columns), np.float32)
        box = np.zeros((1, 3, rows, columns), np.float32)
        score[0, 0, rows // 2, columns // 2] = 0.9
        box[0, 2] = np.log2(min(height, width) / 2 / 32)
        return {"score": score, "box": box}


class _StandInPackage:
    def __init__(self) -> None:
        self.sessions: dict[str, _StandInSession] = {}

    def session(self, name: str):
        return self.sessions.setdefault(name, _StandInSession(name))


def test_one_face_seen_at_both_sizes_is_one_face() -> None:
    package = _StandInPackage()
    faces = detect_faces(np.zeros((480, 640, 3), np.uint8), package)
    assert len(faces) == 1
    assert faces[0].box.x == pytest.approx(320, abs=20)
    assert all(h % 32 == 0 and w % 32 == 0 for h, w in package.sessions["face_detector"].sizes)


def test_points_come_back_in_the_pictures_pixels() -> None:
    package = _StandInPackage()
    points, confidence = find_landmarks(
        np.zeros((400, 300, 3), np.uint8), FaceBox(150, 200, 100), package
    )
    assert len(package.sessions["landmarks"].sizes) == 2
    np.testing.assert_allclose(points[0], [150, 200], atol=1e-3)
    assert points[36, 0] < 150 < points[42, 0]
    assert points[36, 1] < 200 < points[50, 1]
    np.testing.assert_allclose(confidence, 0.7)


def test_a_careful_look_sees_a_face_and_its_mirror_image_alike(package_path: Path) -> None:
    package = ModelPackage.load(package_path)
    avatar = built_in_avatar("maya", package)
    rgb = np.ascontiguousarray(avatar.picture[..., :3])
    true, size = avatar.landmarks * len(rgb), len(rgb)
    eyes = true[36:42].mean(0), true[42:48].mean(0)
    unit = float(np.linalg.norm(eyes[1] - eyes[0]))
    middle = ((eyes[0] + eyes[1]) / 2 + true[48:66].mean(0)) / 2

    def look(picture: np.ndarray, x: float, *, careful: bool) -> np.ndarray:
        box = FaceBox(x, float(middle[1]), 2.6 * unit)
        return find_landmarks(picture, box, package, careful=careful)[0]

    def apart(*, careful: bool) -> float:
        """Return how far the mirror image's points lie from the picture's, in eye distances."""
        own = look(rgb, float(middle[0]), careful=careful)
        turned = np.ascontiguousarray(rgb[:, ::-1])
        other = look(turned, size - float(middle[0]), careful=careful)[MIRROR]
        other[:, 0] = size - other[:, 0]
        assert np.linalg.norm(own - true, axis=1).mean() < 0.1 * unit
        return float(np.linalg.norm(own - other, axis=1).mean() / unit)

    assert apart(careful=True) < 0.5 * apart(careful=False)


def test_bad_input_is_refused_with_the_remedy() -> None:
    package = _StandInPackage()
    with pytest.raises(AvatarError, match="convert it to RGB"):
        detect_faces(np.zeros((40, 40, 4), np.uint8), package)
    with pytest.raises(AvatarError, match="draw it around the face"):
        find_landmarks(np.zeros((40, 40, 3), np.uint8), FaceBox(10, 10, 0), package)


def test_overlap_is_the_share_of_the_smaller_square() -> None:
    assert _overlap(FaceBox(0, 0, 10), FaceBox(0, 0, 4)) == 1
    assert _overlap(FaceBox(0, 0, 10), FaceBox(20, 0, 4)) == 0
    assert _overlap(FaceBox(0, 0, 10), FaceBox(5, 0, 10)) == pytest.approx(0.5)


def test_nothing_is_found_in_plain_and_noisy_pictures(package_path: Path) -> None:
    package = ModelPackage.load(package_path)
    if not package.has("face_detector.onnx"):
        pytest.skip("the package has no face detector yet")
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    gradient = np.repeat(np.linspace(0, 255, 320).astype(np.uint8)[None, :, None], 240, 0)
    for picture in (np.full((300, 200, 3), 128, np.uint8), noise, np.repeat(gradient, 3, 2)):
        assert detect_faces(picture, package) == []


@pytest.mark.assets
def test_a_painting_has_one_face_with_eyes_above_the_mouth(
    package_path: Path, assets_path: Path
) -> None:
    from PIL import Image

    package = ModelPackage.load(package_path)
    if not package.has("landmarks.onnx"):
        pytest.skip("the package has no landmark net yet")
    path = assets_path / "portraits_misc" / "vermeer_pearl_earring.jpg"
    rgb = np.asarray(Image.open(path).convert("RGB"))
    faces = detect_faces(rgb, package)
    assert len(faces) == 1
    points, confidence = find_landmarks(rgb, faces[0].box, package)
    assert points[36:48, 1].mean() < points[48:66, 1].mean()
    assert confidence.mean() > 0.4
