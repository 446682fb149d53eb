import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")
import torch

from rest_bridge.errors import PackageError
from rest_bridge.model.landmark_net import (
    DETECTOR_STRIDE,
    FaceDetector,
    LandmarkNet,
    confidence,
)
from rest_bridge.training import landmarks_export
from rest_bridge.training.face_pools import FacePicture, render_drawn
from rest_bridge.training.face_samples import (
    CROP_PX,
    SCENE_PX,
    Sampler,
    Source,
    detector_targets,
)
from rest_bridge.training.landmarks import _pairs, detector_loss, landmark_loss
from rest_bridge.training.render.landmarks66 import face_square, inter_ocular

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    rgba, points = render_drawn(0, 6)
    pictures = [FacePicture(a, b, whole=False) for a, b in zip(rgba, points, strict=True)]
    return [Source(pictures, 1.0, 0.1)]


@pytest.mark.assets
def test_samples_follow_from_the_seed_and_hold_their_face(sources) -> None:
    crops, points = Sampler(sources, 3).landmark_batch(8)
    again, same_points = Sampler(sources, 3).landmark_batch(8)
    np.testing.assert_array_equal(crops, again)
    np.testing.assert_array_equal(points, same_points)
    assert crops.shape == (8, CROP_PX, CROP_PX, 3)
    middle = np.stack([face_square(row * CROP_PX)[:2] for row in points])
    assert np.abs(middle - CROP_PX / 2).max() < 0.2 * CROP_PX
    # Image's left stays left however the sample is mirrored.
    assert np.all(points[:, 36:42, 0].mean(1) < points[:, 42:48, 0].mean(1))
    assert np.all(inter_ocular(points * CROP_PX) > 20)


@pytest.mark.assets
def test_scenes_have_no_two_faces_in_one_place(sources) -> None:
    scenes, faces = Sampler(sources, 5).detector_batch(24)
    assert scenes.shape == (24, SCENE_PX, SCENE_PX, 3)
    assert {len(rows) for rows in faces} >= {0, 1}
    for rows in faces:
        for i, one in enumerate(rows):
            for other in rows[:i]:
                assert np.abs(one[:2] - other[:2]).max() > 0.4 * (one[2] + other[2])


def test_target_box_leads_back_to_the_face() -> None:
    faces = np.array([[50.0, 71.0, 40.0], [120.0, 33.0, 64.0]])
    heat, box, where = detector_targets(faces, 20, stride=8)
    assert (heat == 1).sum() == 2
    for row, column in zip(*np.nonzero(where), strict=True):
        x, y = (column + 0.5 + box[0, row, column]) * 8, (row + 0.5 + box[1, row, column]) * 8
        side = 32 * 2 ** box[2, row, column]
        assert np.abs(faces - [x, y, side]).sum(1).min() < 1e-3


def test_no_face_gives_an_empty_target() -> None:
    heat, _, where = detector_targets(np.zeros((0, 3)), 20, stride=8)
    assert heat.max() == 0
    assert where.max() == 0


def test_detector_takes_any_size_and_expects_nothing_at_first() -> None:
    net = FaceDetector().eval()
    with torch.no_grad():
        for height, width in ((160, 160), (96, 320), (176, 112)):
            logit, box = net(torch.rand(1, 3, height, width))
            assert logit.shape == (1, 1, height // DETECTOR_STRIDE, width // DETECTOR_STRIDE)
            assert box.shape[1] == 3
            assert logit.sigmoid().max() < 0.2


def test_landmark_net_points_shift_with_the_picture() -> None:
    torch.manual_seed(0)
    net = LandmarkNet().eval()
    with torch.no_grad():
        points, log_error = net(torch.rand(2, 3, 128, 128))
    assert points.shape == (2, 66, 2)
    sure = confidence(log_error)
    assert float(sure.min()) > 0
    assert float(sure.max()) < 1
    assert float(confidence(torch.log(torch.tensor([0.01])))) == pytest.approx(0.8)


@pytest.mark.assets
@pytest.mark.parametrize("what", ["detector", "landmarks"])
def test_a_few_steps_on_few_samples_lower_the_loss(sources, what) -> None:
    torch.manual_seed(0)
    sampler = Sampler(sources, 0)
    net, loss_of, make = {
        "detector": (FaceDetector(), detector_loss, sampler.detector_batch),
        "landmarks": (LandmarkNet(), landmark_loss, sampler.landmark_batch),
    }[what]
    samples = _pairs(make(6))
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3)
    values = []
    for _ in range(12):
        loss = loss_of(net, samples)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.8 * values[0]


def test_exports_equal_torch_and_are_small() -> None:
    torch.manual_seed(1)
    detector = landmarks_export.export_detector(FaceDetector())
    points = landmarks_export.export_landmarks(LandmarkNet())
    assert len(detector) < 2_000_000
    assert len(points) < 2_000_000


def test_export_refuses_a_graph_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    halve = landmarks_export.halve_weights

    def spoil(model):
        for weight in model.graph.initializer:
            if weight.name.endswith("doubt.2.bias"):
                weight.raw_data = (np.frombuffer(weight.raw_data, np.float32) + 3).tobytes()
        return halve(model)

    monkeypatch.setattr(landmarks_export, "halve_weights", spoil)
    with pytest.raises(PackageError, match="differs from torch"):
        landmarks_export.export_landmarks(LandmarkNet())
