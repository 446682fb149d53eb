"""Fields read between cells, turned around, and laid out at a picture's size."""

import cv2
import numpy as np
import pytest

from rest_bridge.generator.base_flow import FULL_BOX
from rest_bridge.generator.compositor import FLOW_CELLS, _borders
from rest_bridge.generator.fields import grid_points, invert, read_cells, read_field
from rest_bridge.generator.textures import over


def _smooth(height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((height, width, channels))
    return cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 5).reshape(height, width, channels)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_fields_are_read_exactly_between_cells_whatever_their_channels(channels: int) -> None:
    field = _smooth(30, 40, channels)
    rng = np.random.default_rng(1)
    cells = np.stack([rng.uniform(0, 39, (8, 9)), rng.uniform(0, 29, (8, 9))], -1)
    cells = cells.astype(np.float32)
    low = np.minimum(cells.astype(int), [38, 28])
    x, y = np.moveaxis(cells - low, -1, 0)[..., None]
    rows, columns = low[..., 1], low[..., 0]
    upper = field[rows, columns] * (1 - x) + field[rows, columns + 1] * x
    lower = field[rows + 1, columns] * (1 - x) + field[rows + 1, columns + 1] * x
    wanted = upper * (1 - y) + lower * y
    found = read_cells(field, cells).reshape(8, 9, channels)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_what_is_turned_around_leads_back() -> None:
    box = np.array([0.2, 0.1, 0.9, 0.6], np.float32)
    forward = _smooth(60, 90, 2) * np.float32(0.03)
    places = grid_points(box, 60, 90)
    backward = invert(forward, box)
    arrived = backward + read_field(forward, box, places + backward)
    assert np.abs(forward).max() > 0.004
    assert np.abs(arrived[8:-8, 8:-8]).max() < 1e-5


@pytest.mark.parametrize(("size", "per_unit"), [(512, 1024), (360, 720), (1080, 1080), (64, 128)])
def test_a_picture_at_rest_is_read_where_it_lies_up_to_its_border(size: int, per_unit: int) -> None:
    rest = grid_points(FULL_BOX, FLOW_CELLS, FLOW_CELLS) * np.float32(per_unit) - np.float32(0.5)
    found = cv2.resize(rest, (size, size))
    for part, missing in _borders(rest, size, per_unit):
        found[part] += missing
    wanted = grid_points(FULL_BOX, size, size) * np.float32(per_unit) - np.float32(0.5)
    np.testing.assert_allclose(found, wanted, atol=5e-4)


def test_a_frame_over_its_background_is_rounded_like_the_formula() -> None:
    rng = np.random.default_rng(0)
    frame = np.zeros((64, 64, 4), np.uint8)
    frame[..., 3] = np.clip(rng.normal(128, 200, (64, 64)), 0, 255)
    frame[..., :3] = rng.random((64, 64, 3)) * frame[..., 3:]
    plate = rng.integers(0, 256, (64, 64, 4), np.uint8)
    plate[..., 3] = 255
    share = 255 - frame[..., 3:].astype(np.float64)
    wanted = np.minimum(frame + np.rint(plate * share / 255), 255).astype(np.uint8)
    np.testing.assert_array_equal(over(frame.copy(), plate), wanted)
