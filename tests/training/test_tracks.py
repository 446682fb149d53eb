"""Landmarks to curves: decoded exactly, mouth and head told apart."""

import numpy as np
import pytest

from rest_bridge.training.tracks import decode_heatmaps, measure

RNG = np.random.default_rng(0)


def face() -> np.ndarray:
    """Return float32 [66, 2]: a coarse face, eyes 100 px apart, in the image's coordinates."""
    points = RNG.uniform(-5, 5, (66, 2))
    points[:17] += np.stack([np.linspace(-110, 110, 17), 120 - np.linspace(-11, 11, 17) ** 2], 1)
    points[17:27] += np.stack([np.linspace(-80, 80, 10), np.full(10, -70)], 1)
    points[27:36] += [0, 20]
    points[36:42] += [-50, -40]
    points[42:48] += [50, -40]
    points[48:58] += [0, 70]
    points[58:66] = [
        [-30, 70],
        [-12, 66],
        [0, 66],
        [12, 66],
        [30, 70],
        [12, 74],
        [0, 74],
        [-12, 74],
    ]
    return (points + np.array([144, 144])).astype(np.float32)


def clip(*changes: np.ndarray) -> np.ndarray:
    frames = np.stack([FACE, *changes])
    return np.concatenate([frames, np.full((*frames.shape[:2], 1), 0.9)], -1).astype(np.float32)


FACE = face()


def opened(by_px: float) -> np.ndarray:
    points = FACE.copy()
    points[[63, 64, 65], 1] += by_px
    return points


def test_a_peak_with_offsets_is_decoded_to_its_place() -> None:
    maps = np.full((1, 198, 28, 28), 0.01, np.float32)
    row, column, point = 9, 17, 5
    maps[0, point, row, column] = 0.8
    offset = 0.01  # of the crop
    maps[0, 66 + point, row, column] = 1 / (1 + np.exp(-16 * offset))
    maps[0, 132 + point, row, column] = 1 / (1 + np.exp(16 * offset))
    x, y, confidence = decode_heatmaps(maps)[0, point]
    assert y == pytest.approx(223 * row / 27 + 223 * offset, abs=0.05)
    assert x == pytest.approx(223 * column / 27 - 223 * offset, abs=0.05)
    assert confidence == pytest.approx(0.8)


def test_an_opening_mouth_is_measured_in_eye_distances() -> None:
    aperture = measure(clip(FACE, opened(20.0))).aperture
    assert aperture[2] - aperture[0] == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("angle_deg", [-8.0, 8.0])
def test_a_rolled_head_keeps_its_mouth(angle_deg: float) -> None:
    a = np.radians(angle_deg)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    rolled = ((FACE - 144) @ turn.T + 144).astype(np.float32)
    track = measure(clip(FACE, FACE, rolled))
    assert track.aperture[3] == pytest.approx(track.aperture[0], abs=0.02)
    # Positive roll is counter-clockwise as seen, which in y-down pixels is a negative turn.
    assert track.pose[3, 2] == pytest.approx(-angle_deg, abs=1.0)


def test_a_shifted_head_moves_and_does_not_turn() -> None:
    track = measure(clip(FACE, FACE, FACE + np.float32([10, -5])))
    np.testing.assert_allclose(track.pose[3, :3], 0, atol=0.1)
    assert track.pose[3, 3] == pytest.approx(0.1, abs=0.02)
    assert track.pose[3, 4] == pytest.approx(0.05, abs=0.02)
