"""The refined head: what the reference encoder may change, and what it must leave alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rest_bridge.generator.head_refinement import reference_input, refine, refined_maps
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.detect import MIRROR

EYE_DISTANCE = 0.2


def _landmarks() -> np.ndarray:
    points = np.tile(np.array([0.5, 0.6], np.float32), (66, 1))
    points[36:42], points[42:48], points[8] = [0.4, 0.4], [0.6, 0.4], [0.5, 0.8]
    return points


def test_maps_mark_eyes_mouth_and_chin_and_are_in_eye_distances() -> None:
    flat = np.full((64, 64), 0.1, np.float32)
    maps = reference_input(flat, flat, flat, _landmarks(), EYE_DISTANCE)
    assert maps.shape == (9, 64, 64)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps[0], 0.5)
    for spot, (x, y) in zip(maps[3:7], ((0.4, 0.4), (0.6, 0.4), (0.5, 0.6), (0.5, 0.8)),
                            strict=True):  # fmt: skip
        row, column = np.unravel_index(np.argmax(spot), spot.shape)
        assert abs((column + 0.5) / 64 - x) < 0.02
        assert abs((row + 0.5) / 64 - y) < 0.02
    # From the middle of the eyes: to the right and down positive.
    assert maps[7, 25, 45] > 0 > maps[7, 25, 18]
    assert maps[8, 50, 32] > 0 > maps[8, 10, 32]


def test_no_change_leaves_the_maps_and_the_border_keeps_its_weight() -> None:
    depth = np.random.default_rng(0).random((96, 96)).astype(np.float32)
    weight = np.random.default_rng(1).random((96, 96)).astype(np.float32)
    same_depth, same_weight = refined_maps(depth, weight, np.zeros((2, 96, 96)), EYE_DISTANCE)
    np.testing.assert_allclose(same_depth, depth)
    np.testing.assert_allclose(same_weight, weight)
    change = np.stack([np.full((96, 96), 0.5), np.ones((96, 96))])
    deeper, heavier = refined_maps(depth, weight, change, EYE_DISTANCE)
    np.testing.assert_allclose(deeper, depth + 0.1, atol=1e-6)
    np.testing.assert_allclose(heavier[20:-20, 20:-20], 1)
    np.testing.assert_allclose(heavier[0], weight[0], atol=0.02)
    assert heavier.max() <= 1


class _Session:
    def __init__(self, outputs: dict[str, np.ndarray]) -> None:
        self.outputs, self.seen = outputs, dict[str, np.ndarray]()

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.seen = inputs
        return self.outputs


class _Package:
    def __init__(self, outputs: dict[str, np.ndarray]) -> None:
        self.runs = _Session(outputs)

    def section(self, name: str) -> dict[str, Any]:
        assert name == "decoder"
        return {"reference_size": 128, "features": ["f64"]}

    def shared_session(self, name: str) -> _Session:
        assert name == "reference_encoder"
        return self.runs


@pytest.fixture(scope="module")
def avatar(package_path):
    from rest_bridge.gallery import built_in_faces, load_avatar

    return load_avatar(sorted(built_in_faces())[0], ModelPackage.load(package_path))


def test_the_pivot_moves_in_eye_distances_and_depth_is_added(avatar) -> None:
    outputs = {
        "refined": np.stack([np.full((64, 64), 0.25), np.zeros((64, 64))])[None].astype(np.float32),
        "pivot": np.array([[0.1, -0.2, 0.3]], np.float32),
        "f64": np.zeros((1, 4, 64, 64), np.float32),
    }
    package: Any = _Package(outputs)
    found = refine(avatar, package)
    assert package.runs.seen["reference"].shape == (1, 3, 128, 128)
    assert package.runs.seen["maps"].shape == (1, 9, 64, 64)
    unit = avatar.eye_distance
    np.testing.assert_allclose(found.head.depth, avatar.head.depth + 0.25 * unit, atol=1e-5)
    # It says the same of the portrait and of its mirror image: what is aside cancels.
    shift = outputs["pivot"][0] * [0, 1, 1]
    np.testing.assert_allclose(found.head.pivot, avatar.head.pivot + unit * shift, atol=1e-6)
    np.testing.assert_allclose(found.head.weight, avatar.head.weight, atol=1e-6)
    assert set(found.features) == {"f64"}


def test_a_portrait_in_the_mirror_has_the_head_in_the_mirror(avatar, package_path) -> None:
    def turned(picture: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(picture[:, ::-1])

    def aside(pivot: np.ndarray) -> np.ndarray:
        return np.array([1 - pivot[0], *pivot[1:]], np.float32)

    head, layers = avatar.head, avatar.backdrop
    mirrored = replace(
        avatar,
        picture=turned(avatar.picture),
        landmarks=avatar.landmarks[MIRROR] * np.float32([-1, 1]) + np.float32([1, 0]),
        backdrop=replace(layers, cutout=turned(layers.cutout), plate=turned(layers.plate)),
        head=replace(
            head, depth=turned(head.depth), weight=turned(head.weight), pivot=aside(head.pivot)
        ),
    )
    package = ModelPackage.load(package_path)
    one, other = (refine(who, package).head for who in (avatar, mirrored))
    np.testing.assert_allclose(turned(other.depth), one.depth, atol=1e-4)
    np.testing.assert_allclose(turned(other.weight), one.weight, atol=1e-3)
    np.testing.assert_allclose(aside(other.pivot), one.pivot, atol=1e-4)
