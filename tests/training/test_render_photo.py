import numpy as np
import pytest

pytest.importorskip("numba")
from rest_bridge.rig import RIG_INDEX
from rest_bridge.training.face_subjects import portrait
from rest_bridge.training.render.landmarks66 import inter_ocular
from rest_bridge.training.render.photo import PhotoHead

pytestmark = pytest.mark.assets


@pytest.fixture(scope="module")
def head() -> PhotoHead:
    picture, landmarks = portrait(33)
    return PhotoHead(picture, landmarks, size_px=96, eye_share=0.24)


def test_in_its_own_state_the_portrait_is_the_photo(head: PhotoHead) -> None:
    shown = head.render(head.rig)
    fine = head.photo.shape[0] // 96
    photo = head.photo.reshape(96, fine, 96, fine, 3).mean((1, 3))
    assert np.abs(shown.rgba[..., :3] - photo).mean() < 0.004
    away = np.linalg.norm(shown.landmarks - head.landmarks / fine, axis=1)
    assert away.mean() < 0.03 * inter_ocular(shown.landmarks)


def test_expressions_and_pose_have_the_signs_of_the_rig(head: PhotoHead) -> None:
    still = head.render(head.rig).landmarks
    rig = head.rig.copy()
    rig[RIG_INDEX["jawOpen"]] = 0.6
    rig[RIG_INDEX["eyeBlinkLeft"]] = 1
    moved = head.render(rig).landmarks
    assert moved[64, 1] - moved[60, 1] > still[64, 1] - still[60, 1] + 2
    assert (moved[[46, 47], 1] - moved[[44, 43], 1]).mean() < 1
    turned = head.rig.copy()
    turned[0] += 12
    assert head.render(turned).landmarks[30, 0] > still[30, 0] + 1


def test_flow_leads_back_to_the_reference(head: PhotoHead) -> None:
    first = head.render(head.rig)
    rig = head.rig.copy()
    rig[:3] += [6, 2, 4]
    frame = head.render(rig, reference=first.geometry)
    assert frame.flow is not None
    for index in (30, 33, 50, 55, 8):
        x, y = (frame.landmarks[index] * 2).astype(int)
        near = frame.flow[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 2)
        back = frame.landmarks[index] + np.median(near, 0) / 2
        np.testing.assert_allclose(back, first.landmarks[index], atol=1.5)


def test_the_eyes_follow_the_gaze(head: PhotoHead) -> None:
    first = head.render(head.rig)

    def iris_moved(**looks: float) -> np.ndarray:
        rig = head.rig.copy()
        for name, value in looks.items():
            rig[RIG_INDEX[name]] = value
        frame = head.render(rig, reference=first.geometry)
        assert frame.flow is not None
        ways = []
        for ring in (slice(36, 42), slice(42, 48)):
            x, y = (first.landmarks[ring].mean(0) * 2).astype(int)
            ways.append(np.median(frame.flow[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 2), 0))
        return -np.mean(ways, 0)  # the flow leads back

    assert iris_moved(eyeLookOutLeft=0.8, eyeLookInRight=0.8)[0] > 0.5
    assert iris_moved(eyeLookInLeft=0.8, eyeLookOutRight=0.8)[0] < -0.5
    assert iris_moved(eyeLookUpLeft=0.8, eyeLookUpRight=0.8)[1] < -0.2
    assert iris_moved(eyeLookDownLeft=0.8, eyeLookDownRight=0.8)[1] > 0.2
