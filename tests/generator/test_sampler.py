"""Rectified flow: round trips, straight paths, noise that only depends on seed and index."""

import numpy as np
import pytest

from rest_bridge.generator.sampler import euler_step, latent_noise, schedule

RNG = np.random.default_rng(0)
CLEAN, NOISE = (RNG.standard_normal((2, 16, 4, 4)).astype(np.float32) for _ in range(2))


def test_the_schedule_runs_from_noise_to_data() -> None:
    assert schedule(1) == [1.0, 0.0]
    assert schedule(4) == [1.0, 0.75, 0.5, 0.25, 0.0]
    with pytest.raises(ValueError, match="at least one"):
        schedule(0)


@pytest.mark.parametrize("t", [0.1, 0.5, 1.0])
def test_clean_velocity_and_noise_round_trip(t: float) -> None:
    x = (1 - t) * CLEAN + t * NOISE
    velocity = NOISE - CLEAN
    np.testing.assert_allclose(x - t * velocity, CLEAN, atol=1e-5)
    np.testing.assert_allclose(x + (1 - t) * velocity, NOISE, atol=1e-5)


def test_one_euler_step_on_a_straight_path_is_exact() -> None:
    x = 0.3 * CLEAN + 0.7 * NOISE
    np.testing.assert_allclose(euler_step(x, NOISE - CLEAN, 0.7, 0.0), CLEAN, atol=1e-5)


def test_noise_depends_on_seed_and_index_only() -> None:
    whole = latent_noise(5, 10, 6)
    parts = np.concatenate([latent_noise(5, 10, 1), latent_noise(5, 11, 3), latent_noise(5, 14, 2)])
    np.testing.assert_array_equal(whole, parts)
    assert np.abs(whole - latent_noise(6, 10, 6)).max() > 0.5
    assert abs(float(latent_noise(5, 0, 200).std()) - 1) < 0.02
    np.testing.assert_allclose(latent_noise(5, 10, 1, 0.5), 0.5 * whole[:1])
