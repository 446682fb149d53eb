"""The geometry that training differentiates is the one that the runtime computes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rest_bridge.generator.base_flow import FULL_BOX, rotation  # noqa: E402
from rest_bridge.generator.fields import grid_points, invert  # noqa: E402
from rest_bridge.model import head_motion  # noqa: E402
from rest_bridge.model.vae import base_grid  # noqa: E402

SIZE = 64
PIVOT = np.array([0.52, 0.9], np.float32)


def _maps() -> tuple[np.ndarray, np.ndarray]:
    places = grid_points(FULL_BOX, SIZE, SIZE)
    away = np.linalg.norm(places - [0.5, 0.45], axis=-1)
    depth = 0.35 * np.exp(-((away / 0.3) ** 2))
    weight = np.clip(1.6 - 2 * away, 0, 1)
    return depth.astype(np.float32), weight.astype(np.float32)


def _runtime(pose: np.ndarray) -> np.ndarray:
    depth, weight = _maps()
    places = grid_points(FULL_BOX, SIZE, SIZE)
    relative = np.concatenate([(places - PIVOT) * [1, -1], depth[..., None]], -1)
    turned = relative @ rotation(*pose[:3]).T * (1 + pose[5])
    moved = (turned - relative)[..., :2] + pose[3:5] * 0.2
    return (moved * weight[..., None] * [1, -1]).astype(np.float32)


@pytest.mark.parametrize("pose", [
    (12, 0, 0, 0, 0, 0), (0, -9, 0, 0, 0, 0), (0, 0, 7, 0, 0, 0), (5, 4, -6, 0.1, -0.05, 0.05),
])  # fmt: skip
def test_flow_agrees_with_the_runtime(pose) -> None:
    wanted = _runtime(np.array(pose, np.float32))
    depth, weight = (torch.from_numpy(value)[None, None] for value in _maps())
    forward = head_motion.forward_motion(
        depth, weight, torch.from_numpy(PIVOT)[None], torch.tensor([0.2]),
        torch.tensor([pose], dtype=torch.float32),
    )  # fmt: skip
    np.testing.assert_allclose(forward[0].permute(1, 2, 0).numpy() / 2, wanted, atol=1e-5)
    backward = head_motion.invert(forward, base_grid(SIZE))[0].permute(1, 2, 0).numpy() / 2
    there = invert(wanted, FULL_BOX)
    assert np.abs(backward - there).max() < 0.004
    assert np.abs(backward - there).mean() < 0.0003


def test_gradients_reach_depth_weight_and_pivot() -> None:
    depth, weight = (torch.from_numpy(value)[None, None].requires_grad_() for value in _maps())
    pivot = torch.from_numpy(PIVOT)[None].requires_grad_()
    forward = head_motion.forward_motion(
        depth, weight, pivot, torch.tensor([0.2]), torch.tensor([[8.0, 3.0, 2.0, 0.0, 0.0, 0.0]])
    )
    head_motion.invert(forward, base_grid(SIZE)).square().sum().backward()
    for value in (depth, weight, pivot):
        assert value.grad is not None
        assert value.grad.abs().max() > 0
