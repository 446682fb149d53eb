import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rest_bridge
from rest_bridge.avatar import Avatar
from rest_bridge.errors import AvatarError
from rest_bridge.generator.correction import FlowDecoder
from rest_bridge.generator.decoder import FaceDecoder
from rest_bridge.generator.latent import LatentSpace
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.importer import import_portrait
from rest_bridge.rig import RIG_INDEX

SIZE = 256


@pytest.fixture(scope="module")
def package(package_path: Path) -> ModelPackage:
    return ModelPackage.load(package_path, verify=False)


@pytest.fixture(scope="module")
def avatar(package: ModelPackage, tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    source = Path(rest_bridge.__file__).parent / "faces" / "luna"
    if not (source / "portrait.png").is_file():
        pytest.skip("no built-in face yet")
    image = Image.open(source / "portrait.png")
    path = tmp_path_factory.mktemp("decoder") / "portrait.png"
    image.resize((400, 400), Image.Resampling.LANCZOS).save(path)
    points = np.array(json.loads((source / "landmarks.json").read_text()), np.float32)
    return import_portrait(path, package, landmarks=points * 400 / image.width, style="drawn")


@pytest.fixture(scope="module")
def decoder(package: ModelPackage, avatar: Avatar) -> FaceDecoder:
    return FaceDecoder(package, avatar, SIZE)


def _rig(**values: float) -> np.ndarray:
    rig = np.zeros(58, np.float32)
    for name, value in values.items():
        rig[RIG_INDEX[name]] = value
    return rig


def _changed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    weight = np.minimum(one[..., 3:], other[..., 3:]) / 255  # unseen colours do not count
    return (np.abs(one.astype(float) - other) * weight).sum(-1) > 24


def test_frames_are_straight_alpha_bytes(decoder: FaceDecoder) -> None:
    frame = decoder.render(_rig(jawOpen=0.5, headYaw=8))
    assert frame.shape == (SIZE, SIZE, 4)
    assert frame.dtype == np.uint8
    assert frame.flags.c_contiguous
    assert frame[0, 0, 3] == 0
    assert frame[SIZE // 2, SIZE // 2, 3] == 255


def test_a_frame_depends_only_on_its_own_rig(decoder: FaceDecoder) -> None:
    rig = _rig(jawOpen=0.4, eyeBlinkLeft=0.6, headRoll=3)
    first = decoder.render(rig)
    decoder.render(_rig(headPitch=-8, mouthPucker=1))
    np.testing.assert_array_equal(decoder.render(rig), first)


def test_the_mouth_opens_further_with_the_jaw(decoder: FaceDecoder) -> None:
    closed = decoder.render(_rig())
    areas = [_changed(decoder.render(_rig(jawOpen=w)), closed).sum() for w in (0.1, 0.3, 0.6, 0.9)]
    assert areas == sorted(areas)
    assert areas[0] > 0


def test_expression_leaves_hair_and_shoulders_alone(decoder: FaceDecoder, avatar: Avatar) -> None:
    closed = decoder.render(_rig())
    face = decoder.render(_rig(mouthSmileLeft=0.6, mouthSmileRight=0.6, eyeBlinkLeft=1))
    rows = np.nonzero(_changed(face, closed).any(1))[0]
    top = avatar.landmarks[17:27, 1].min() * SIZE
    chin = avatar.landmarks[8, 1] * SIZE
    assert rows.min() > top - 12
    assert rows.max() < chin + 0.6 * avatar.eye_distance * SIZE


@pytest.mark.parametrize(("name", "side"), [("eyeBlinkLeft", 1), ("eyeBlinkRight", -1)])
def test_each_eye_closes_alone(decoder: FaceDecoder, avatar: Avatar, name: str, side: int) -> None:
    changed = _changed(decoder.render(_rig(**{name: 1.0})), decoder.render(_rig()))
    columns = np.nonzero(changed.any(0))[0] / SIZE
    middle = avatar.landmarks[27, 0]
    assert len(columns) > 10
    assert ((columns - middle) * side > 0).all()


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [("headYaw", 0, 1), ("headPitch", 1, 1), ("headX", 0, 1), ("headY", 1, -1)],
)
def test_the_pose_moves_the_face_the_way_the_rig_says(
    decoder: FaceDecoder, avatar: Avatar, name: str, axis: int, sign: int
) -> None:
    amount = 0.2 if name in ("headX", "headY") else 10
    x, y = (avatar.landmarks[30] * SIZE).astype(int)
    reach = 14
    still = decoder.render(_rig())[y - reach : y + reach, x - reach : x + reach, :3].astype(float)
    moved = decoder.render(_rig(**{name: amount}))[..., :3].astype(float)
    errors = {}
    for shift in range(-14, 15):
        dx, dy = (shift, 0) if axis == 0 else (0, shift)
        part = moved[y + dy - reach : y + dy + reach, x + dx - reach : x + dx + reach]
        errors[shift] = ((part - still) ** 2).mean()
    assert sign * min(errors, key=lambda shift: errors[shift]) > 0


def test_decoding_latents_draws_their_rig(package: ModelPackage, avatar: Avatar) -> None:
    decoder = FaceDecoder(package, avatar, SIZE, flow_decoder=_Shift(0))
    space = LatentSpace(package)
    rig = np.stack([_rig(jawOpen=0.1 * k, headYaw=k) for k in range(4)])
    latents = space.from_rig(rig)
    frames = list(decoder.decode(latents))
    assert len(frames) == 4
    for frame, values in zip(frames, space.to_rig(latents), strict=True):
        np.testing.assert_array_equal(frame, decoder.render(values))


class _Shift(FlowDecoder):
    """Stands in for the trained decoder: moves everything by the same amount."""

    def __init__(self, amount: float) -> None:
        self._amount = amount

    def __call__(self, latent: np.ndarray, frame: int, base: np.ndarray) -> np.ndarray:
        return np.full_like(base, [self._amount, 0])


def test_the_trained_correction_is_added_where_the_picture_moves(
    package: ModelPackage, avatar: Avatar
) -> None:
    rig = _rig(headX=0.2)
    still = FaceDecoder(package, avatar, SIZE, flow_decoder=_Shift(0)).render(rig)
    moved = FaceDecoder(package, avatar, SIZE, flow_decoder=_Shift(8 / SIZE)).render(rig)
    one, other = moved[50:60, 60:180].astype(int), still[50:60, 68:188].astype(int)
    assert np.abs(one - other).mean() < 3
    assert np.abs(one - still[50:60, 60:180]).mean() > 6


def test_the_trained_correction_leaves_a_still_picture_alone(
    package: ModelPackage, avatar: Avatar
) -> None:
    still = FaceDecoder(package, avatar, SIZE, flow_decoder=_Shift(0)).render(_rig())
    moved = FaceDecoder(package, avatar, SIZE, flow_decoder=_Shift(8 / SIZE)).render(_rig())
    np.testing.assert_array_equal(moved, still)


@pytest.mark.parametrize("size", [64, 250, 1080])
def test_any_size_can_be_drawn(package: ModelPackage, avatar: Avatar, size: int) -> None:
    frame = FaceDecoder(package, avatar, size).render(_rig(eyeBlinkLeft=0.5, jawOpen=0.3))
    assert frame.shape == (size, size, 4)


def test_impossible_sizes_are_refused(package: ModelPackage, avatar: Avatar) -> None:
    with pytest.raises(AvatarError, match="64 to 2160"):
        FaceDecoder(package, avatar, 16)


def test_extreme_rigs_stay_finite(decoder: FaceDecoder) -> None:
    wild = np.full(58, 1.0, np.float32)
    wild[:6] = [90, -90, 90, 3, -3, 2]
    assert decoder.render(wild).shape == (SIZE, SIZE, 4)
    assert decoder.render(-wild).shape == (SIZE, SIZE, 4)
