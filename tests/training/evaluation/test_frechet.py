import numpy as np
import pytest

from rest_bridge.training.evaluation.frechet import frechet_by_clip, frechet_distance


def _normal(seed: int, count: int, mean: float, deviation: float, width: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, deviation, (count, width))


def test_distance_of_a_set_from_itself_is_zero() -> None:
    features = _normal(0, 500, 0, 1)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)


def test_a_shift_costs_its_square() -> None:
    features = _normal(0, 500, 0, 1)
    assert frechet_distance(features, features + 0.5) == pytest.approx(4 * 0.25)


def test_another_spread_costs_the_square_of_its_difference() -> None:
    """d = sum (s1 - s2)² for axis-parallel normal distributions."""
    features = _normal(0, 500, 0, 1)
    own = features.std(0, ddof=1)
    scaled = (features - features.mean(0)) * 2 + features.mean(0)
    assert frechet_distance(features, scaled) == pytest.approx(float((own**2).sum()), rel=0.02)


def test_distance_is_symmetric() -> None:
    a, b = _normal(0, 300, 0, 1), _normal(1, 300, 0.3, 1.5)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))


def test_unequal_features_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        frechet_distance(_normal(0, 10, 0, 1), _normal(0, 10, 0, 1, width=5))


def test_the_interval_is_over_clips() -> None:
    real = [_normal(i, 60, 0, 1) for i in range(6)]
    made = [_normal(10 + i, 60, 1, 1) for i in range(6)]
    found = frechet_by_clip(real, made, num_draws=20)
    assert found.num_clips == 6
    assert found.low <= found.mean * 1.2
    assert found.mean == pytest.approx(4, rel=0.15)
