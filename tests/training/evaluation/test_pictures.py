"""Sharpness, seams, edges, flow: each with a picture whose answer is known."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import rest_bridge
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.importer import import_portrait
from rest_bridge.rig import RIG_INDEX
from rest_bridge.training.evaluation import flow_reading, halo, sharpness
from rest_bridge.training.evaluation.jobs import Row
from rest_bridge.training.evaluation.targets import verdicts

SIZE = 200


@pytest.fixture(scope="module")
def still() -> np.ndarray:
    rng = np.random.default_rng(0)
    return cv2.GaussianBlur(rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8), (0, 0), 1.0)


@pytest.fixture(scope="module")
def landmarks() -> np.ndarray:
    points = np.zeros((66, 2), np.float32)
    points[36:42], points[42:48], points[48:66] = (70, 80), (130, 80), (100, 140)
    return points


def test_a_still_is_as_sharp_as_itself(still: np.ndarray, landmarks: np.ndarray) -> None:
    values = sharpness.sharpness([still] * 3, np.zeros((3, 58), np.float32), still, landmarks)
    assert values["eyes"] == pytest.approx(1)
    assert values["mouth"] == pytest.approx(1)
    assert np.isnan(values["mouth_speaking"])


def test_blur_is_seen_in_eyes_and_mouth(still: np.ndarray, landmarks: np.ndarray) -> None:
    soft = cv2.GaussianBlur(still, (0, 0), 1.0)
    values = sharpness.sharpness([soft] * 3, np.zeros((3, 58), np.float32), still, landmarks)
    assert values["eyes"] < 0.6
    assert values["mouth"] < 0.6


def test_a_blink_does_not_count_as_soft_eyes(still: np.ndarray, landmarks: np.ndarray) -> None:
    rig = np.zeros((4, 58), np.float32)
    rig[2:, 6] = 1.0
    frames = [still, still, np.zeros_like(still), np.zeros_like(still)]
    assert sharpness.sharpness(frames, rig, still, landmarks)["eyes"] == pytest.approx(1)


def test_even_motion_has_no_seam_and_a_jump_at_borders_has() -> None:
    even = np.arange(40, dtype=np.float32)[:, None]
    assert sharpness.border_share(even, 1) == pytest.approx(1)
    jumping = even + np.repeat(np.arange(20), 2)[:, None].astype(np.float32)
    assert sharpness.border_share(jumping, 1) == pytest.approx(4)
    assert sharpness.border_share(jumping, 2) == pytest.approx(4 / 2, rel=0.1)


def test_one_glance_at_a_border_is_not_two_million_times_what_moves_inside() -> None:
    glance = np.zeros((40, 1), np.float32)
    glance[20:] = 0.3
    assert np.isnan(sharpness.border_share(glance, 1))


def test_seams_are_summed_over_clips_so_that_one_blink_decides_nothing() -> None:
    def row(clip: str, border: float, inside: float) -> Row:
        energies = {"energy_border_rig": border, "energy_inside_rig": inside}
        return Row("picture", "seams, chunks of 1", clip, "", energies | {"border_rig": 99.0})

    rows = [row("a", 4.0, 1.0), row("b", 1.0, 4.0), row("c", 1.0, 1.0)]
    seam = next(v for v in verdicts(rows) if v.target.name.endswith("inside, rig"))
    assert seam.found.mean == pytest.approx(1)
    assert seam.found.num_clips == 3
    assert seam.met


def _disc(fringe: tuple[int, int, int]) -> np.ndarray:
    """A red disc with an antialiased edge whose half-covered pixels have some colour."""
    y, x = np.mgrid[:SIZE, :SIZE]
    alpha = np.clip(60 - np.hypot(x - 100, y - 100), 0, 1) * 255
    frame = np.zeros((SIZE, SIZE, 4), np.uint8)
    frame[..., 3] = alpha
    frame[..., :3] = np.where((frame[..., 3] == 255)[..., None], (200, 40, 40), fringe)
    return frame


def test_a_foreign_fringe_is_seen_at_a_transparent_edge() -> None:
    assert halo.fringe(_disc((200, 40, 40))) == pytest.approx(0, abs=1)
    assert halo.fringe(_disc((255, 255, 255))) > 200
    assert halo.fringe(np.full((9, 9, 4), 255, np.uint8)) == 0


def test_an_enclosed_hole_is_found_and_the_outside_is_none() -> None:
    frame = _disc((200, 40, 40))
    assert halo.holes(frame) == 0
    frame[90:110, 90:110, 3] = 0
    assert halo.holes(frame) == pytest.approx(400 / (np.pi * 59.5**2 - 400), rel=0.05)


def test_painted_coordinates_say_where_each_pixel_lies() -> None:
    for axis in (0, 1):
        picture = flow_reading.coordinate_picture(60, 90, axis).astype(float)
        place = picture[..., :3].sum(-1) / 765
        true = (np.arange((90, 60)[axis]) + 0.5) / (90, 60)[axis]
        expected = np.broadcast_to(true if axis == 0 else true[:, None], (60, 90))
        assert np.abs(place - expected).max() < 1 / 700


def test_flow_error_of_a_known_shift_is_known() -> None:
    cells = 64
    centres = (np.arange(128) + 0.5) / 128
    places = np.stack(np.meshgrid(centres, centres), -1).astype(np.float32)
    true = np.zeros((cells, cells, 2), np.float32)
    true[..., 0] = 2 * 3 / 128  # every cell is taken from three pixels further right
    whole, cover = np.ones((cells, cells), np.float32), np.ones((128, 128), np.float32)
    assert flow_reading.flow_error_px(places, cover, true, whole) == pytest.approx((3, 3), abs=0.02)
    moved = places + np.array([3 / 128, 0], np.float32)
    assert flow_reading.flow_error_px(moved, cover, true, whole)[0] == pytest.approx(0, abs=0.02)


def test_cells_without_weight_do_not_count() -> None:
    cells = 64
    centres = (np.arange(128) + 0.5) / 128
    places = np.stack(np.meshgrid(centres, centres), -1).astype(np.float32)
    true = np.zeros((cells, cells, 2), np.float32)
    true[:32] = 1.0
    weight = np.zeros((cells, cells), np.float32)
    weight[40:] = 1
    error, _ = flow_reading.flow_error_px(places, np.ones((128, 128), np.float32), true, weight)
    assert error == pytest.approx(0, abs=0.02)


def test_the_flow_of_a_portrait_at_rest_is_none_and_a_shift_is_read(
    package_path: Path, tmp_path: Path
) -> None:
    source = Path(rest_bridge.__file__).parent / "faces" / "luna"
    image = Image.open(source / "portrait.png")
    image.resize((400, 400), Image.Resampling.LANCZOS).save(tmp_path / "portrait.png")
    points = np.array(json.loads((source / "landmarks.json").read_text()), np.float32)
    package = ModelPackage.load(package_path, verify=False)
    avatar = import_portrait(
        tmp_path / "portrait.png", package, landmarks=points * 400 / image.width, style="drawn"
    )
    reader = flow_reading.FlowReader(package, avatar, 128)
    centres = (np.arange(128) + 0.5) / 128
    own = np.stack(np.meshgrid(centres, centres), -1)
    places, cover = reader.read(np.zeros(58, np.float32))
    solid = cover > 0.99
    assert np.abs(places - own)[solid].max() * 128 < 0.3
    rig = np.zeros(58, np.float32)
    rig[3] = 0.2  # eye distances to the right: what is shown lies that much further left
    moved, _ = reader.read(rig)
    nose = (avatar.landmarks[30] * 128).astype(int)
    shift = (moved - own)[nose[1], nose[0], 0]
    assert shift == pytest.approx(-0.2 * avatar.eye_distance, rel=0.1)


def test_paint_and_shut_lids_are_not_mistaken_for_flow(package_path: Path, tmp_path: Path) -> None:
    source = Path(rest_bridge.__file__).parent / "faces" / "luna"
    with Image.open(source / "portrait.png") as image:
        size = image.width
        image.resize((400, 400)).save(tmp_path / "portrait.png")
    points = np.array(json.loads((source / "landmarks.json").read_text()), np.float32) * 400 / size
    package = ModelPackage.load(package_path, verify=False)
    avatar = import_portrait(tmp_path / "portrait.png", package, landmarks=points, style="drawn")
    reader = flow_reading.FlowReader(package, avatar, 128)
    rig = np.zeros(58, np.float32)
    rig[[RIG_INDEX[f"eyeBlink{side}"] for side in ("Left", "Right")]] = 1
    rig[RIG_INDEX["jawOpen"]] = 1
    places, cover = reader.read(rig)
    centres = (np.arange(128) + 0.5) / 128
    away = np.linalg.norm(places - np.stack(np.meshgrid(centres, centres), -1), axis=-1) * 128
    x, y = ((avatar.mouth.contour_upper.mean(0) + np.array([0, 0.03])) * 128).astype(int)
    assert cover[y, x] < 0.1, "the mouth's inside is painted"
    assert 0.001 < flow_reading.painted_share(cover, np.ones((64, 64), np.float32)) < 0.9
    shown = cover > 0.97
    below = np.zeros_like(shown)
    for eye in (avatar.left_eye, avatar.right_eye):
        low, high = (eye.box.reshape(2, 2) * 128).astype(int)
        below[high[1] - 4 : high[1], low[0] : high[0]] = True
    assert (below & shown).sum() > 20
    assert away[below & shown].max() < 6, "skin around a shut eye stays where it is"
