"""The shape that the landmark net always gets wrong is put right, wherever and however large."""

import numpy as np
import pytest

from rest_bridge.portrait.refine import correct_shape, eye_frame
from rest_bridge.training.landmark_shape import fit


@pytest.fixture(scope="module")
def shapes() -> tuple[np.ndarray, np.ndarray]:
    """Faces in the frame of their eyes that vary in two ways; found ones vary too little."""
    rng = np.random.default_rng(0)
    mean = rng.normal(0, 1.0, (66, 2))
    mean[36:42], mean[42:48] = (-0.5, 0.0), (0.5, 0.0)
    ways = rng.normal(0, 0.15, (2, 66, 2))
    ways[:, 36:48] = 0
    amounts = rng.normal(0, 1, (200, 2))
    true = mean + np.einsum("nk,kpc->npc", amounts, ways)
    noise = rng.normal(0, 0.01, true.shape)
    noise[:, 36:48] = 0
    return mean + 0.7 * np.einsum("nk,kpc->npc", amounts, ways) + noise, true


def _error(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.linalg.norm(found - true, axis=-1).mean())


def test_what_is_always_wrong_is_put_right_on_unseen_faces(
    shapes: tuple[np.ndarray, np.ndarray],
) -> None:
    found, true = shapes
    weights = fit(found[:150], true[:150])
    better = np.stack([correct_shape(shape, weights) for shape in found[150:]])
    assert _error(better, true[150:]) < 0.4 * _error(found[150:], true[150:])


def test_place_size_and_turn_of_a_face_do_not_matter(
    shapes: tuple[np.ndarray, np.ndarray],
) -> None:
    found, true = shapes
    weights = fit(found, true)
    turn = 80 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    moved = correct_shape(found[3] @ turn.T + [300, 200], weights)
    expected = correct_shape(found[3], weights) @ turn.T + [300, 200]
    np.testing.assert_allclose(moved, expected, atol=1e-2)


def test_an_odd_face_is_changed_no_more_than_an_extreme_one(
    shapes: tuple[np.ndarray, np.ndarray],
) -> None:
    found, true = shapes
    weights = fit(found, true)
    odd = found.mean(0) + 20 * (found[0] - found.mean(0))
    assert _error(correct_shape(odd, weights), odd) < 4 * _error(found, true)


def test_without_a_map_the_points_stay(shapes: tuple[np.ndarray, np.ndarray]) -> None:
    np.testing.assert_array_equal(correct_shape(shapes[0][0], {}), shapes[0][0])


def test_the_frame_levels_the_eyes_one_unit_apart() -> None:
    points = np.random.default_rng(1).normal(0, 30, (66, 2))
    centre, turn = eye_frame(points)
    local = (points - centre) @ turn.T
    np.testing.assert_allclose(local[36:42].mean(0), [-0.5, 0], atol=1e-9)
    np.testing.assert_allclose(local[42:48].mean(0), [0.5, 0], atol=1e-9)
