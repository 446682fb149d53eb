"""What is seen between lips and lids, on the built-in faces.

The mouth's inside is painted in colours that no portrait has, so that a single pixel of it shows.
"""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rest_bridge.avatar import Avatar
from rest_bridge.generator.decoder import FaceDecoder
from rest_bridge.generator.seam import softly_rounded
from rest_bridge.inference.package import ModelPackage
from rest_bridge.rig import ARKIT_NAMES, RIG_INDEX, VISEME_TO_ARKIT
from tests.support.portraits import built_in_avatar

SIZE = 400
FACES = ("maya", "idris", "vera", "luna")
_FUNNEL, _PUCKER = (ARKIT_NAMES.index(name) for name in ("mouthFunnel", "mouthPucker"))


@pytest.fixture(scope="module")
def package(package_path: Path) -> ModelPackage:
    return ModelPackage.load(package_path, verify=False)


def _rig(*visemes: str, **values: float) -> np.ndarray:
    rig = np.zeros(58, np.float32)
    for viseme in visemes:
        for name, weight in VISEME_TO_ARKIT[viseme].items():
            rig[RIG_INDEX[name]] += weight
    for name, value in values.items():
        rig[RIG_INDEX[name]] = value
    return rig


def _marked(avatar: Avatar) -> Avatar:
    """Teeth magenta, all else inside green, no shadow of the lips."""
    teeth, tongue = avatar.mouth.teeth.copy(), avatar.mouth.tongue.copy()
    teeth[..., :3] = 255, 0, 255
    tongue[..., :3] = 0, 255, 0
    return replace(avatar, mouth=replace(avatar.mouth, teeth=teeth, tongue=tongue, shaded=False))


class _Inside:
    """Where a face shows teeth and where the rest of its mouth."""

    def __init__(self, face: tuple[Avatar, FaceDecoder], rig: np.ndarray) -> None:
        avatar, decoder = face
        red, green, blue = (decoder.render(rig)[..., k].astype(int) for k in range(3))
        reach = 0.5 * avatar.eye_distance  # hair may be magenta as well
        low = ((avatar.landmarks[48:66].min(0) - reach) * SIZE).astype(int)
        high = ((avatar.landmarks[48:66].max(0) + reach) * SIZE).astype(int)
        near = np.zeros(red.shape, bool)
        near[low[1] : high[1], low[0] : high[0]] = True
        self.teeth = near & (np.minimum(red, blue) - green > 100)
        self.rest = near & (green - np.maximum(red, blue) > 60)
        self.all = self.teeth | self.rest

    @property
    def width(self) -> int:
        columns = np.nonzero(self.all.any(0))[0]
        return int(np.ptp(columns)) if len(columns) else 0

    @property
    def height(self) -> int:
        rows = np.nonzero(self.all.any(1))[0]
        return int(np.ptp(rows)) if len(rows) else 0


@pytest.fixture(scope="module", params=FACES)
def face(request: pytest.FixtureRequest, package: ModelPackage) -> tuple[Avatar, FaceDecoder]:
    avatar = built_in_avatar(request.param, package)
    return avatar, FaceDecoder(package, _marked(avatar), SIZE)


def test_a_mouth_pursed_as_far_as_speech_asks_is_wider_than_high(
    face: tuple[Avatar, FaceDecoder],
) -> None:
    # Drawn as told it was a slit on end, a third as wide as high, with its corners torn off.
    inside = _Inside(face, _rig(mouthPucker=1.0, mouthFunnel=0.5, jawOpen=0.2))
    assert inside.width > inside.height > 0


def test_an_o_is_not_opened_by_its_rounding(face: tuple[Avatar, FaceDecoder]) -> None:
    # Drawn as the scans have it a 'u' stood twice as far open as the jaw's own opening.
    plain = _Inside(face, _rig(jawOpen=0.3))
    rounded = _Inside(face, _rig(jawOpen=0.3, mouthPucker=0.7, mouthFunnel=0.25))
    assert 0.7 * plain.height < rounded.height < 1.6 * plain.height
    assert rounded.width < 0.85 * plain.width


def test_more_rounding_is_never_less_round() -> None:
    asked = np.linspace(0, 2, 50, dtype=np.float32)
    got = []
    for value in asked:
        arkit = np.zeros(52, np.float32)
        arkit[[_FUNNEL, _PUCKER]] = 0.3 * value, 0.7 * value
        arkit[_FUNNEL + 5] = 0.5
        soft = softly_rounded(arkit)
        assert soft[_FUNNEL] == pytest.approx(soft[_PUCKER] * 3 / 7, abs=1e-6)
        assert soft[_FUNNEL + 5] == 0.5
        got.append(soft[_FUNNEL] + soft[_PUCKER])
    assert (np.diff(got) > 0).all()
    np.testing.assert_allclose(np.array(got)[asked < 0.4], asked[asked < 0.4], atol=1e-6)


@pytest.mark.parametrize(
    "rig",
    [
        _rig(),
        _rig("PP"),
        _rig("PP", jawOpen=0.06),
        _rig(jawOpen=0.3, mouthClose=0.3),
        _rig("PP", headYaw=12, mouthPucker=0.4),
        _rig(mouthSmileLeft=0.5, mouthSmileRight=0.5),
        _rig(mouthPressLeft=1, mouthPressRight=1, mouthRollUpper=0.6),
    ],
)
def test_nothing_shows_between_closed_lips(
    face: tuple[Avatar, FaceDecoder], rig: np.ndarray
) -> None:
    assert _Inside(face, rig).all.sum() == 0


def test_a_rounded_mouth_is_narrower(face: tuple[Avatar, FaceDecoder]) -> None:
    aa, oh, ou, wide = (_Inside(face, _rig(v)) for v in ("aa", "oh", "ou", "E"))
    assert aa.width > 0
    assert oh.width < 0.85 * aa.width
    assert ou.width < 0.7 * aa.width
    assert wide.width >= aa.width
    assert ou.height < oh.height
    # Round, not a slit: 0.44 to 0.49 at 1000 px; a pixel of this size is 0.024.
    assert oh.height > 0.42 * oh.width


def test_an_f_shows_upper_teeth_on_the_lower_lip_and_nothing_else(
    face: tuple[Avatar, FaceDecoder],
) -> None:
    inside = _Inside(face, _rig("FF"))
    assert inside.teeth.sum() > 10
    assert inside.rest.sum() <= 0.15 * inside.teeth.sum()
    assert inside.height < 0.5 * _Inside(face, _rig("aa")).height


def test_the_upper_teeth_stay_with_the_skull(face: tuple[Avatar, FaceDecoder]) -> None:
    if face[0].style == "drawn":
        pytest.skip("a drawing's teeth are a strip below the lip")
    edges = []
    for jaw in (0.4, 0.8):
        teeth = _Inside(face, _rig(jawOpen=jaw)).teeth
        middle = teeth[:, int(face[0].landmarks[58:66, 0].mean() * SIZE)]
        upper = np.nonzero(middle)[0]
        edges.append(upper[upper < upper[0] + 0.3 * face[0].eye_distance * SIZE].max())
    assert abs(edges[0] - edges[1]) <= 3


def test_the_same_rig_opens_every_portrait_equally_far(package: ModelPackage) -> None:
    shares = []
    for name in FACES:
        avatar = built_in_avatar(name, package)
        inside = _Inside((avatar, FaceDecoder(package, _marked(avatar), SIZE)), _rig(jawOpen=0.5))
        shares.append(inside.height / (avatar.eye_distance * SIZE))
    assert max(shares) < 1.2 * min(shares)
    assert 0.15 < np.mean(shares) < 0.27


def _energy(frame: np.ndarray, points: np.ndarray, reach: float) -> float:
    """Return the mean gradient around points, float32 [n, 2] in pixels."""
    centre = points.mean(0)
    size = np.ptp(points, 0).max() / 2 + reach
    low, high = (centre - size).astype(int), (centre + size).astype(int)
    grey = cv2.cvtColor(frame[low[1] : high[1], low[0] : high[0], :3], cv2.COLOR_RGB2GRAY)
    grey = grey.astype(np.float32)
    return float(np.hypot(np.diff(grey, axis=0)[:, :-1], np.diff(grey, axis=1)[:-1]).mean())


@pytest.mark.parametrize("name", FACES)
@pytest.mark.parametrize("pose", [{"headX": 0.063}, {"headY": 0.11}, {"headRoll": 5.0}])
def test_a_moved_face_is_as_sharp_as_the_portrait(
    package: ModelPackage, name: str, pose: dict[str, float]
) -> None:
    avatar = built_in_avatar(name, package)
    size = 288  # not the portrait's own: then both are resampled alike
    decoder = FaceDecoder(package, avatar, size)
    still, moved = decoder.render(_rig()), decoder.render(_rig(**pose))
    for part in (slice(36, 48), slice(58, 66)):
        points = avatar.landmarks[part] * size
        step = np.array([pose.get("headX", 0.0), -pose.get("headY", 0.0)])
        moved_points = points + step * avatar.eye_distance * size
        ratio = _energy(moved, moved_points, 14) / _energy(still, points, 14)
        assert 0.85 < ratio < 1.15


def test_gaze_turns_the_iris_and_leaves_the_skin(package: ModelPackage) -> None:
    avatar = built_in_avatar("maya", package)
    decoder = FaceDecoder(package, avatar, SIZE)
    still = decoder.render(_rig()).astype(int)
    turned = decoder.render(_rig(eyeLookOutLeft=0.8, eyeLookInRight=0.8)).astype(int)
    changed = np.abs(turned - still).sum(-1) > 40
    for ring in (slice(36, 42), slice(42, 48)):
        points = avatar.landmarks[ring] * SIZE
        low, high = points.min(0) - 2, points.max(0) + 3
        box = np.zeros_like(changed)
        box[int(low[1]) : int(high[1]) + 1, int(low[0]) : int(high[0]) + 1] = True
        assert changed[box].any()
        changed = changed & ~box
    assert changed.sum() <= 6
