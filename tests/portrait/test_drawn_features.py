import cv2
import numpy as np
import pytest

from rest_bridge.avatar import Avatar
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.drawn_features import snap_to_lines
from tests.support.portraits import built_in_avatar

SKIN = np.array([250, 225, 210], np.float32)
SIZE = 400


@pytest.fixture(scope="module")
def luna(package: ModelPackage) -> Avatar:
    return built_in_avatar("luna", package)


def _drawn(luna: Avatar, *, open_mouth: bool) -> tuple[np.ndarray, np.ndarray]:
    """Draw tall eyes and a mouth where Luna has hers: picture uint8 [N, N, 4] and its points."""
    points = luna.landmarks.copy()
    picture = np.full((SIZE, SIZE, 4), 255, np.uint8)
    picture[..., :3] = SKIN
    for ring in (points[36:42], points[42:48]):
        centre = tuple((ring.mean(0) * SIZE).round().astype(int))
        half = (round(float(np.ptp(ring[:, 0])) * SIZE / 2), round(0.16 * luna.eye_distance * SIZE))
        cv2.ellipse(picture, centre, half, 0, 0, 360, (120, 90, 200, 255), -1)
        cv2.ellipse(picture, centre, half, 0, 180, 360, (50, 20, 50, 255), 3)
    left, right = points[58] * SIZE, points[62] * SIZE
    middle = tuple(((left + right) / 2).round().astype(int))
    half = (round(float(right[0] - left[0]) / 2), round(0.12 * luna.eye_distance * SIZE))
    if open_mouth:
        cv2.ellipse(picture, middle, half, 0, 0, 180, (190, 80, 90, 255), -1)
    ends = ((middle[0] - half[0], middle[1]), (middle[0] + half[0], middle[1]))
    cv2.line(picture, *ends, (60, 25, 50, 255), 2)
    points[58:66, 1] = middle[1] / SIZE
    return picture, points


def test_a_mouth_marked_too_low_comes_back_to_its_line(luna: Avatar) -> None:
    picture, points = _drawn(luna, open_mouth=False)
    for wrong in (-0.1, 0.06, 0.12):
        guess = points.copy()
        guess[48:66, 1] += wrong * luna.eye_distance
        found = snap_to_lines(picture, guess, luna.eye_distance, SKIN)
        error = np.abs(found[58:66, 1] - points[58:66, 1]).mean() / luna.eye_distance
        assert error < 0.025


def test_lids_marked_on_the_iris_go_to_the_lashes_and_below_the_ball(luna: Avatar) -> None:
    picture, points = _drawn(luna, open_mouth=False)
    guess = points.copy()
    for ring in (slice(36, 42), slice(42, 48)):
        centre = guess[ring].mean(0)
        guess[ring, 1] = centre[1] + 0.4 * (guess[ring, 1] - centre[1])
    found = snap_to_lines(picture, guess, luna.eye_distance, SKIN)
    for upper, lower, ring in (
        ((37, 38), (40, 41), slice(36, 42)),
        ((43, 44), (46, 47), slice(42, 48)),
    ):
        centre = points[ring].mean(0)[1]
        top = (centre - found[list(upper), 1].mean()) / luna.eye_distance
        bottom = (found[list(lower), 1].mean() - centre) / luna.eye_distance
        assert 0.1 < top < 0.19
        assert 0.1 < bottom < 0.19


def test_what_is_no_skin_below_the_line_is_an_open_mouth(luna: Avatar) -> None:
    gaps = []
    for open_mouth in (False, True):
        picture, points = _drawn(luna, open_mouth=open_mouth)
        found = snap_to_lines(picture, points, luna.eye_distance, SKIN)
        gaps.append(float(found[64, 1] - found[60, 1]) / luna.eye_distance)
    assert gaps[0] < 0.03
    assert 0.08 < gaps[1] < 0.16


def test_a_blank_face_keeps_its_marks(luna: Avatar) -> None:
    blank = np.full((SIZE, SIZE, 4), 255, np.uint8)
    blank[..., :3] = SKIN
    found = snap_to_lines(blank, luna.landmarks, luna.eye_distance, SKIN)
    np.testing.assert_allclose(found, luna.landmarks, atol=1e-6)
