import numpy as np
import pytest

from rest_bridge.avatar import Avatar
from rest_bridge.generator.decoder import FaceDecoder
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait import backdrop
from rest_bridge.portrait.backdrop import cut_out, no_backdrop
from rest_bridge.portrait.fit import fit_head
from rest_bridge.rig import RIG_INDEX
from rest_bridge.types import Array, ByteArray
from tests.support.portraits import built_in_avatar

SIZE = 256


@pytest.fixture(scope="module")
def maya(package: ModelPackage) -> Avatar:
    return built_in_avatar("maya", package)


def _rig(**values: float) -> np.ndarray:
    rig = np.zeros(58, np.float32)
    for name, value in values.items():
        rig[RIG_INDEX[name]] = value
    return rig


def test_person_and_background_together_are_the_portrait(maya: Avatar) -> None:
    cutout, plate = (
        part.astype(np.float64) for part in (maya.backdrop.cutout, maya.backdrop.plate)
    )
    picture = maya.picture[..., :3].astype(np.float64)
    share = cutout[..., 3:] / 255
    person = np.where((share > 0) & (share < 1), cutout[..., :3], picture)
    behind = np.where(plate[..., 3:] > 0, plate[..., :3], picture)
    error = person * share + behind * (1 - share) - picture
    assert np.abs(error).max() < 6
    assert np.sqrt((error**2).mean()) < 1


def test_the_background_stands_still_while_the_head_moves(
    maya: Avatar, package: ModelPackage
) -> None:
    decoder = FaceDecoder(package, maya, SIZE)
    poses = [{}, {"headYaw": 15}, {"headYaw": -15}, {"headPitch": 10}, {"headRoll": 8}]
    frames = [decoder.render(_rig(**pose)) for pose in poses]
    person = maya.backdrop.cutout[:: len(maya.picture) // SIZE, :: len(maya.picture) // SIZE, 3]
    columns = np.nonzero((person > 0).any(0))[0] / len(person) * SIZE
    left = int(columns[0]) - 30
    corner = slice(0, SIZE // 2), slice(0, max(left, 8))
    for frame in frames[1:]:
        np.testing.assert_array_equal(frame[corner], frames[0][corner])
        assert (np.abs(frame.astype(int) - frames[0]).sum(-1) > 30).mean() > 0.02
        assert (frame[..., 3] == 255).all()


def test_the_head_takes_nothing_of_the_background_along(
    maya: Avatar, package: ModelPackage
) -> None:
    green = np.array([0, 255, 0], np.uint8)
    picture = maya.picture.copy()
    behind = maya.backdrop.cutout[..., 3] == 0
    picture[behind, :3] = green
    points = maya.landmarks * len(picture)
    fitted = fit_head(points, package.arrays("head"))
    layer = cut_out(picture, fitted, maya.landmarks, maya.eye_distance)
    found = layer.cutout[..., 3] > 127
    truth = ~behind
    assert (found & truth).sum() / (found | truth).sum() > 0.95
    inside = layer.cutout[..., 3] == 255
    assert (np.abs(picture[inside][:, :3].astype(int) - green).sum(-1) > 60).mean() > 0.999
    assert (layer.plate[..., 3] > 0)[found].all()
    covered = layer.plate[found][:, :3].astype(int)
    assert np.percentile(np.abs(covered - green).sum(-1), 90) < 60


def test_a_portrait_without_background_has_no_backdrop(package: ModelPackage) -> None:
    luna = built_in_avatar("luna", package)
    assert not luna.backdrop.stands_still
    assert not no_backdrop().stands_still
    decoder = FaceDecoder(package, luna, SIZE)
    for pose in ({}, {"headYaw": 12}, {"headRoll": -8}):
        alpha = decoder.render(_rig(**pose))[..., 3]
        assert alpha[: SIZE // 8, : SIZE // 8].max() == 0
        assert alpha[SIZE // 2, SIZE // 2] == 255


def test_what_cannot_be_told_apart_is_not_cut(maya: Avatar, package: ModelPackage) -> None:
    flat = np.full_like(maya.picture, 128)
    flat[..., 3] = 255
    fitted = fit_head(maya.landmarks * len(flat), package.arrays("head"))
    layer = cut_out(flat, fitted, maya.landmarks, maya.eye_distance)
    # Of one colour, whatever is cut looks the same again.
    if layer.stands_still:
        shown = layer.plate[layer.plate[..., 3] > 0][:, :3]
        assert np.abs(shown.astype(int) - 128).max() <= 1


def test_a_background_that_is_hardly_there_is_painted_at_once() -> None:
    """OpenCV reflected a place endlessly far away for minutes: such a portrait hung the import."""
    colour = np.random.default_rng(0).uniform(0, 255, (300, 300, 3)).astype(np.float32)
    free = np.zeros((300, 300), bool)
    free[1, 1] = True  # too little to be met on the coarser grid
    filled = backdrop._behind(colour, free, 1.0, 0.25)  # pyright: ignore[reportPrivateUsage]
    assert np.isfinite(filled).all()
    assert filled.min() >= 0
    assert filled.max() <= 255.5


def _dark_head(busy: bool) -> tuple[ByteArray, Array]:
    """Draw a dark disc with a lock of hair, before a wall or a lattice as dark as the hair."""
    size = 300
    x, y = np.meshgrid(*[(np.arange(size) + 0.5) / size] * 2)
    picture = np.full((size, size, 4), 255, np.uint8)
    picture[..., :3] = 210, 130, 150
    if busy:
        lattice = ((x * 14).astype(int) + (y * 14).astype(int)) % 2 == 0
        picture[lattice, :3] = 40, 30, 35
    radius = np.hypot(x - 0.5, y - 0.5)
    lock = (np.abs(y - 0.5) < 0.012) & (x > 0.5) & (radius < 0.27)
    picture[(radius < 0.25) | (lock & (not busy)), :3] = 35, 28, 32
    cells = (np.arange(176) + 0.5) / 176
    person = np.hypot(*(n - 0.5 for n in np.meshgrid(cells, cells))) < 0.25
    return picture, person


def test_dark_pieces_of_a_busy_background_are_no_hair() -> None:
    unit = 0.22
    picture, person = _dark_head(busy=True)
    matte = backdrop.soft_edge(picture, person, unit)
    away = np.hypot(*(n - 149.5 for n in np.mgrid[:300, :300])) / 300 - 0.25
    assert matte[(away > 0.05 * unit) & (away < 0.12 * unit)].mean() < 0.02
    assert matte[away < -0.05 * unit].mean() > 0.98


def test_a_lock_of_hair_before_a_wall_stays_with_the_head() -> None:
    picture, person = _dark_head(busy=False)
    matte = backdrop.soft_edge(picture, person, 0.22)
    tip = slice(149, 151), slice(int(0.758 * 300), int(0.766 * 300))
    assert matte[tip].min() > 0.35


def test_the_wall_behind_a_head_has_the_grain_of_the_wall() -> None:
    rng = np.random.default_rng(5)
    colour = np.clip(90 + rng.normal(0, 6, (SIZE, SIZE, 3)), 0, 255).astype(np.float32)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    free = np.hypot(rows - 150, columns - 128) > 70
    colour[~free] = 220
    painted = backdrop._behind(colour, free, 0.0, 0.2)
    inside = np.hypot(rows - 150, columns - 128) < 50
    assert np.array_equal(painted[free], colour[free])
    assert abs(float(painted[inside].mean()) - 90) < 3
    assert 4 < float(painted[inside].std(0).mean()) < 8
