import numpy as np
import pytest

from rest_bridge.generator.base_flow import rotation
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.fit import fit_head


@pytest.mark.parametrize("pose", [(0, 0, 0), (18, -6, 4), (-25, 8, -10)])
def test_pose_of_a_head_is_found_from_its_landmarks(
    package: ModelPackage, pose: tuple[float, float, float]
) -> None:
    head = package.arrays("head")
    rng = np.random.default_rng(3)
    shape = head["mean"] + np.tensordot(rng.normal(0, 0.6, 8), head["identity"][:8], 1)
    points = shape[head["landmarks"].astype(int)] @ rotation(*pose).T
    landmarks = (points[:, :2] * 20 * [1, -1] + [400, 300]).astype(np.float32)
    fitted = fit_head(landmarks, head)
    np.testing.assert_allclose(fitted.pose_degrees(), pose, atol=6)
    assert fitted.error < 0.03
    at_landmarks = fitted.vertices[head["landmarks"].astype(int), :2]
    assert np.abs(at_landmarks - landmarks).max() < 2


def test_an_open_jaw_is_not_mistaken_for_a_long_face(package: ModelPackage) -> None:
    head = package.arrays("head")
    from rest_bridge.rig import ARKIT_NAMES

    opened = head["mean"] + 0.6 * head["expression"][ARKIT_NAMES.index("jawOpen")]
    points = opened[head["landmarks"].astype(int)]
    fitted = fit_head((points[:, :2] * 20 * [1, -1]).astype(np.float32), head)
    assert fitted.expression["jawOpen"] > 0.3


def test_unsure_points_pull_less(package: ModelPackage) -> None:
    head = package.arrays("head")
    points = (head["mean"][head["landmarks"].astype(int), :2] * 20 * [1, -1]).astype(np.float32)
    wrong = points.copy()
    wrong[30] += [80, 0]
    sure = np.ones(66, np.float32)
    sure[30] = 0.0
    moved = fit_head(wrong, head).vertices[int(head["landmarks"][30]), 0] - points[30, 0]
    kept = fit_head(wrong, head, sure).vertices[int(head["landmarks"][30]), 0] - points[30, 0]
    assert abs(kept) < 0.25 * abs(moved)
