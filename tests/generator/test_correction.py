"""The decoder in parts computes what the whole one computes."""

from dataclasses import replace

import numpy as np
import pytest

from rest_bridge.config import Config
from rest_bridge.generator.correction import FlowDecoder, feature_planes, read_planes
from rest_bridge.inference.package import ModelPackage
from rest_bridge.loader import Loader


@pytest.fixture(scope="module")
def loader() -> Loader:
    return Loader(Config())


def _whole(package: ModelPackage) -> ModelPackage:
    decoder = {k: v for k, v in package.section("decoder").items() if k != "parts"}
    return ModelPackage(package.path, {**package.manifest, "decoder": decoder})


@pytest.mark.parametrize("frame", [0, 1])
def test_parts_give_the_correction_of_the_whole(loader: Loader, frame: int) -> None:
    if "parts" not in loader.package.section("decoder"):
        pytest.skip("this package has no parts")
    rng = np.random.default_rng(frame)
    latent = rng.standard_normal((16, 4, 4)).astype(np.float32)
    base = (0.01 * rng.standard_normal((64, 64, 2))).astype(np.float32)
    answers = [
        FlowDecoder(package, loader.avatar())(latent, frame, base)
        for package in (loader.package, _whole(loader.package))
    ]
    assert np.abs(answers[1]).max() > 1e-4
    # 1e-5 of the canvas is a hundredth of a pixel at 1080.
    assert np.abs(answers[0] - answers[1]).max() < 1e-6


def test_another_provider_gets_the_whole_graph(loader: Loader) -> None:
    decoder = FlowDecoder(loader.package, loader.avatar(), provider="cuda")
    assert len(decoder._parts) == 1


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
def test_reading_at_the_cells_returns_them_and_borders_continue(channels: int) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((1, channels, 5, 7)).astype(np.float32)
    x, y = np.meshgrid((np.arange(7) + 0.5) / 3.5 - 1, (np.arange(5) + 0.5) / 2.5 - 1)
    places = np.stack([x, y], -1).astype(np.float32)
    assert np.allclose(read_planes(feature_planes(features), places), features, atol=1e-5)
    outside = read_planes(feature_planes(features), places + np.float32(10))
    assert np.allclose(outside, features[:, :, -1:, -1:])


def test_a_face_keeps_its_features_to_itself(loader: Loader) -> None:
    avatar = loader.avatar()
    darker = replace(avatar, picture=(avatar.picture // 2) | np.uint8([[[0, 0, 0, 255]]]))
    latent, base = np.zeros((16, 4, 4), np.float32), np.zeros((64, 64, 2), np.float32)
    mine, theirs = (FlowDecoder(loader.package, one) for one in (avatar, darker))
    first = mine(latent, 0, base)
    theirs(latent, 0, base)
    assert np.array_equal(mine(latent, 0, base), first)
