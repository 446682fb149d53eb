import dataclasses

import numpy as np
import pytest

pytest.importorskip("numba")
from rest_bridge.rig import RIG_INDEX, RIG_NAMES
from rest_bridge.training.render.landmarks66 import MIRROR, inter_ocular, mirror_points
from rest_bridge.training.render.makehuman import Camera, Head, sample_description

pytestmark = pytest.mark.assets
SIZE = 96


def _rig(**values: float) -> np.ndarray:
    rig = np.zeros(len(RIG_NAMES), np.float32)
    for name, value in values.items():
        rig[RIG_INDEX[name]] = value
    return rig


@pytest.fixture(scope="module")
def head() -> Head:
    description = sample_description(np.random.default_rng(5))
    return Head(dataclasses.replace(description, shape={}), texture_px=512, soft_light=0)


def test_same_seed_gives_the_same_person_and_picture() -> None:
    rendered = [
        Head(sample_description(np.random.default_rng(3)), texture_px=256, soft_light=4).render(
            _rig(jawOpen=0.3), size_px=64
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(rendered[0].rgba, rendered[1].rgba)
    np.testing.assert_array_equal(rendered[0].landmarks, rendered[1].landmarks)


def test_signs_of_the_pose_are_those_of_the_rig(head: Head) -> None:
    def nose_from_eyes(**pose: float) -> np.ndarray:
        points = head.render(_rig(**pose), size_px=SIZE, supersample=1).landmarks
        return points[30] - points[36:48].mean(0)

    still = nose_from_eyes()
    assert nose_from_eyes(headYaw=15)[0] > still[0] + 1  # to the image's right
    assert nose_from_eyes(headPitch=15)[1] > still[1] + 1  # down
    points = head.render(_rig(headRoll=15), size_px=SIZE, supersample=1).landmarks
    left, right = points[36:42].mean(0), points[42:48].mean(0)
    assert right[1] < left[1] - 2  # counter-clockwise: the right eye rises


def test_shift_is_in_eye_distances_and_size_is_relative(head: Head) -> None:
    camera = Camera(distance_dm=60.0)
    still = head.render(_rig(), size_px=SIZE, supersample=1, camera=camera).landmarks
    moved = head.render(
        _rig(headX=0.2, headY=0.1), size_px=SIZE, supersample=1, camera=camera
    ).landmarks
    shift = (moved - still)[36:48].mean(0) / inter_ocular(still)
    np.testing.assert_allclose(shift, [0.2, -0.1], atol=0.03)
    bigger = head.render(_rig(headZ=0.1), size_px=SIZE, supersample=1, camera=camera).landmarks
    assert inter_ocular(bigger) / inter_ocular(still) == pytest.approx(1.1, abs=0.01)


def test_left_is_the_persons_left_and_expressions_move_their_points(head: Head) -> None:
    def points(**values: float) -> np.ndarray:
        return head.render(_rig(**values), size_px=256, supersample=1).landmarks

    still, blink, jaw = points(), points(eyeBlinkLeft=1), points(jawOpen=0.6)
    opening = still[[46, 47, 40, 41], 1] - still[[44, 43, 38, 37], 1]
    closed = blink[[46, 47, 40, 41], 1] - blink[[44, 43, 38, 37], 1]
    assert np.all(closed[:2] < 0.45 * opening[:2])  # image right
    np.testing.assert_allclose(closed[2:], opening[2:], atol=0.2)
    assert jaw[64, 1] - jaw[60, 1] > still[64, 1] - still[60, 1] + 5
    assert jaw[8, 1] > still[8, 1] + 3


def test_flow_to_itself_is_zero_and_all_is_visible(head: Head) -> None:
    first = head.render(_rig(), size_px=SIZE, supersample=1)
    again = head.render(_rig(), size_px=SIZE, supersample=1, reference=first.geometry)
    assert again.flow is not None
    assert again.visible is not None
    assert np.abs(again.flow).max() < 1e-2
    assert again.visible.min() == 1


def test_flow_carries_landmarks_to_the_reference(head: Head) -> None:
    first = head.render(_rig(), size_px=256, supersample=1)
    frame = head.render(
        _rig(headYaw=8, headRoll=5, mouthSmileLeft=0.5), size_px=256, supersample=1,
        reference=first.geometry,
    )  # fmt: skip
    assert frame.flow is not None
    for index in (29, 30, 33, 50, 55, 8):
        x, y = frame.landmarks[index].astype(int)
        near = frame.flow[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 2)
        back = frame.landmarks[index] + np.median(near, 0)
        np.testing.assert_allclose(back, first.landmarks[index], atol=2.0)


def test_alpha_covers_the_person_only(head: Head) -> None:
    rgba = head.render(_rig(), size_px=SIZE).rgba
    assert rgba[SIZE // 2, SIZE // 2, 3] == 1
    assert rgba[0, 0, 3] == 0
    assert 0 <= rgba.min() <= rgba.max() <= 1


def test_mirroring_points_twice_is_no_change() -> None:
    points = np.random.default_rng(0).random((66, 2)) * 100
    np.testing.assert_allclose(mirror_points(mirror_points(points, 128), 128), points)
    assert sorted(MIRROR) == list(range(66))
