import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_bridge.portrait.raster import fill_outside, rasterise


def test_a_plane_is_interpolated_exactly() -> None:
    points = np.array([[-1, -1, 0], [21, -1, 0], [21, 17, 0], [-1, 17, 0]], np.float32)
    triangles = np.array([[0, 2, 1], [0, 3, 2]])  # front faces with y up
    coverage = rasterise(points, triangles, 16, 20)
    assert coverage.covered.all()
    places = coverage.interpolate(points[:, :2])
    x, y = np.meshgrid(np.arange(20) + 0.5, np.arange(16) + 0.5)
    np.testing.assert_allclose(places, np.stack([x, y], -1), atol=1e-4)


def test_the_nearest_surface_wins_and_back_faces_are_left_out() -> None:
    square = np.array([[0, 0, 0], [8, 0, 0], [8, 8, 0], [0, 8, 0]], np.float32)
    near, far = square + np.float32([0, 0, 5]), square + np.float32([0, 0, 9])
    points = np.concatenate([square, near, far])
    front = np.array([[0, 2, 1], [0, 3, 2]])
    back = front[:, ::-1] + 8
    for order in (
        np.concatenate([front, front + 4, back]),
        np.concatenate([back, front + 4, front]),
    ):
        coverage = rasterise(points, order, 8, 8)
        assert coverage.covered.all()
        np.testing.assert_allclose(coverage.interpolate(points)[..., 2], 5, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_covered_cells_are_those_inside_a_triangle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.uniform(-4, 20, (3, 2)), np.zeros((3, 1))], 1).astype(np.float32)
    coverage = rasterise(points, np.array([[0, 1, 2], [0, 2, 1]]), 16, 16)
    x, y = np.meshgrid(np.arange(16) + 0.5, np.arange(16) + 0.5)
    sides = []
    for a, b in ((0, 1), (1, 2), (2, 0)):
        (ax, ay), (bx, by) = points[a, :2], points[b, :2]
        sides.append((bx - ax) * (y - ay) - (by - ay) * (x - ax))
    distance = np.minimum.reduce(sides) * np.sign(sides[0] + sides[1] + sides[2])
    inside = (np.minimum.reduce(sides) > 0) | (np.maximum.reduce(sides) < 0)
    clear = np.abs(np.minimum.reduce([np.abs(s) for s in sides])) > 0.05
    assert (coverage.covered == inside)[clear].all(), distance
    np.testing.assert_allclose(coverage.weights.sum(-1)[coverage.covered], 1, atol=1e-4)


def test_filling_keeps_what_is_known_and_continues_constants() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(33, 47, 6)).astype(np.float32)
    known = rng.random((33, 47)) < 0.3
    filled = fill_outside(values, known)
    np.testing.assert_allclose(filled[known], values[known], atol=1e-4)
    constant = fill_outside(np.full((33, 47, 2), 3.0, np.float32), known)
    np.testing.assert_allclose(constant, 3, atol=1e-3)
