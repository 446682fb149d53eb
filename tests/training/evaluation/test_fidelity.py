import cv2
import numpy as np
import pytest

from rest_bridge.training.evaluation import fidelity


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A picture with detail at every scale."""
    rng = np.random.default_rng(0)
    layers = [
        cv2.resize(rng.normal(size=(size, size, 3)), (96, 96), interpolation=cv2.INTER_CUBIC)
        for size in (4, 8, 16, 32, 64)
    ]
    return np.clip(128 + 18 * sum(layers), 0, 255).astype(np.uint8)


def _noisy(scene: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, deviation, scene.shape)
    return np.clip(scene + noise, 0, 255).astype(np.uint8)


def test_psnr_of_one_level_of_error_is_known() -> None:
    real = np.full((8, 8, 3), 100, np.uint8)
    assert fidelity.psnr_db(real, real + 1) == pytest.approx(48.1308, abs=1e-3)
    assert fidelity.psnr_db(real, real) == 100


def test_psnr_counts_only_the_masked_pixels() -> None:
    real = np.zeros((8, 8, 3), np.uint8)
    made = real.copy()
    made[:4] = 50
    mask = np.zeros((8, 8), bool)
    mask[4:] = True
    assert fidelity.psnr_db(real, made, mask) == 100


@pytest.mark.parametrize("measure", [fidelity.ssim, fidelity.vif_p])
def test_equal_pictures_score_one_and_noise_lowers_the_score(measure, scene: np.ndarray) -> None:
    assert measure(scene, scene) == pytest.approx(1)
    scores = [measure(scene, _noisy(scene, deviation)) for deviation in (5, 15, 40)]
    assert 1 > scores[0] > scores[1] > scores[2] > 0


def test_vif_falls_with_blur_and_rises_with_contrast(scene: np.ndarray) -> None:
    """Sheikh and Bovik: the one full-reference measure that rewards enhanced contrast."""
    blurred = cv2.GaussianBlur(scene, (0, 0), 2.0)
    stretched = np.clip(128 + 1.15 * (scene.astype(float) - 128), 0, 255).astype(np.uint8)
    assert fidelity.vif_p(scene, blurred) < 0.5
    assert fidelity.vif_p(scene, stretched) > 1
    assert fidelity.ssim(scene, stretched) < 1


def test_vif_of_an_unrelated_picture_is_near_zero(scene: np.ndarray) -> None:
    other = np.random.default_rng(7).integers(0, 255, scene.shape, dtype=np.uint8)
    assert fidelity.vif_p(scene, other) < 0.05


def test_ssim_is_symmetric(scene: np.ndarray) -> None:
    other = _noisy(scene, 10)
    assert fidelity.ssim(scene, other) == pytest.approx(fidelity.ssim(other, scene))


def test_gradient_energy_of_a_ramp_is_its_slope_squared() -> None:
    ramp = np.tile(3.0 * np.arange(20), (10, 1))
    assert fidelity.gradient_energy(ramp) == pytest.approx(9)
    assert fidelity.gradient_energy(2 * ramp) == pytest.approx(36)
