import numpy as np
import pytest

pytest.importorskip("numba")
from rest_bridge.rig import RIG_INDEX, RIG_NAMES
from rest_bridge.training.render.augment import degrade, paint_over, recolour, reshape
from rest_bridge.training.render.background import sample_background
from rest_bridge.training.render.drawn import draw_character
from rest_bridge.training.render.drawn_style import TEST_MANNERS, TRAIN_MANNERS, sample_style
from rest_bridge.training.render.landmarks66 import inter_ocular


def _rig(**values: float) -> np.ndarray:
    rig = np.zeros(len(RIG_NAMES), np.float32)
    for name, value in values.items():
        rig[RIG_INDEX[name]] = value
    return rig


@pytest.mark.parametrize("manner", [*TRAIN_MANNERS, *TEST_MANNERS])
def test_points_follow_the_rig_in_every_manner(manner) -> None:
    style = sample_style(np.random.default_rng(1), manner)
    still = draw_character(style, _rig(), size_px=128).landmarks
    blink = draw_character(style, _rig(eyeBlinkLeft=1, jawOpen=0.7), size_px=128).landmarks
    assert (blink[[46, 47], 1] - blink[[44, 43], 1]).max() < 0.3
    assert blink[64, 1] - blink[60, 1] > 3
    np.testing.assert_allclose(blink[36:42], still[36:42], atol=0.01)
    turned = draw_character(style, _rig(headYaw=15), size_px=128).landmarks
    assert turned[33, 0] > still[33, 0] + 1


@pytest.mark.parametrize("manner", TRAIN_MANNERS)
def test_eye_share_sets_the_size_and_drawing_is_reproducible(manner) -> None:
    style = sample_style(np.random.default_rng(2), manner)
    first = draw_character(style, _rig(), size_px=160, eye_share=0.2)
    again = draw_character(style, _rig(), size_px=160, eye_share=0.2)
    np.testing.assert_array_equal(first.rgba, again.rgba)
    assert inter_ocular(first.landmarks) == pytest.approx(32, abs=1.5)
    assert first.rgba[0, 0, 3] == 0
    x, y = first.landmarks[30].astype(int)
    assert first.rgba[y, x, 3] == 1


@pytest.mark.assets
@pytest.mark.parametrize("change", [recolour, paint_over, degrade])
def test_changes_keep_shape_and_type(change) -> None:
    rng = np.random.default_rng(0)
    picture = (sample_background(rng, 64) * 255).astype(np.uint8)
    for _ in range(12):
        changed = change(picture, rng)
        assert changed.shape == picture.shape
        assert changed.dtype == np.uint8


@pytest.mark.assets
def test_backgrounds_are_pictures_of_the_size_asked_for() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        picture = sample_background(rng, 48)
        assert picture.shape == (48, 48, 3)
        assert 0 <= picture.min() <= picture.max() <= 1


def test_a_reshaped_portrait_takes_its_points_along_and_is_somebody_else() -> None:
    # Every pixel holds its own place, so that the colour says where it came from.
    y, x = np.mgrid[:240, :240]
    picture = np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8)
    rig = _rig()
    points = draw_character(
        sample_style(np.random.default_rng(1), "semi"), rig, size_px=240, eye_share=0.2
    ).landmarks
    ratios = []
    for seed in range(6):
        bent, moved = reshape(picture, points, np.random.default_rng(seed))
        again, _ = reshape(picture, points, np.random.default_rng(seed))
        np.testing.assert_array_equal(bent, again)
        columns, rows = np.floor(moved).astype(int).clip(0, 239).T
        assert np.abs(bent[rows, columns, :2] - points).max() < 3
        face = np.ptp(moved[:17], axis=0)
        ratios.append(float(face[1] / face[0]))
    assert np.ptp(ratios) > 0.05
