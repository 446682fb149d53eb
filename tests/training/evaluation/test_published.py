from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rest_bridge.errors import ConfigError
from rest_bridge.training.evaluation import own_features, published


class _Pooled(torch.nn.Module):
    """Stands for the FID network: takes what it takes and gives that many features."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features

    def forward(self, pictures: Tensor, return_features: bool = False) -> Tensor:
        assert return_features
        return pictures.float().mean((1, 2, 3))[:, None].repeat(1, self.features)


def _scripted(path: Path, features: int) -> Path:
    torch.jit.script(_Pooled(features)).save(str(path))
    return path


def test_a_supplied_network_is_tried_and_named_by_its_checksum(tmp_path: Path) -> None:
    network = published.Inception(_scripted(tmp_path / "net.pt", 2048))
    frames = [np.full((40, 40, 3), value, np.uint8) for value in range(10)]
    found = network.of(frames)
    assert found.shape == (10, 2048)
    assert found[:, 0].tolist() == list(range(10))
    assert len(network.identity) == 16


def test_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1000 features instead of 2048"):
        published.Inception(_scripted(tmp_path / "net.pt", 1000))


def test_a_file_that_is_no_network_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"weights")
    with pytest.raises(ConfigError, match="TorchScript"):
        published.Inception(tmp_path / "net.pt")
    with pytest.raises(ConfigError, match="does not exist"):
        published.I3d(tmp_path / "none.pt")


def test_our_own_features_are_there_and_tell_pictures_apart() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(2)]
    flat = [np.full((64, 64, 3), 128, np.uint8)]
    codes = own_features.FrameFeatures().of([*noise, *flat])
    assert codes.shape == (3, 224)
    assert np.linalg.norm(codes[0] - codes[2]) > 5 * np.linalg.norm(codes[0] - codes[1])


def test_a_still_clip_has_no_motion_and_windows_overlap() -> None:
    codes = np.ones((32, 224), np.float32)
    assert np.abs(own_features.motion_features(codes)).max() < 1e-9
    assert len(own_features.motion_features(codes)) == 5
    assert own_features.motion_features(codes[:10]).shape == (0, 48)
