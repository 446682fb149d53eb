import numpy as np
import pytest

from rest_bridge.rig import ARKIT_NAMES, RIG_INDEX, RIG_NAMES, VISEME_NAMES
from rest_bridge.sinks.rig_values import (
    LIVE_LINK_NAMES,
    RigInstant,
    expressions,
    feelings,
    gaze_deg,
    live_link_values,
    mouth_open,
    tracking_parameters,
    unity_rotation,
    vowels,
)


def face(level: float = 0.0, viseme: str = "sil", **values: float) -> RigInstant:
    rig = np.zeros(len(RIG_NAMES), np.float32)
    for name, value in values.items():
        rig[RIG_INDEX[name]] = value
    visemes = np.zeros(len(VISEME_NAMES), np.float32)
    visemes[VISEME_NAMES.index(viseme)] = 1
    return RigInstant(0, rig, visemes, level, "speaking")


def rotate(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    x, y, z, w = quaternion.astype(float)
    matrix = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    return matrix @ vector


def our_matrix(yaw: float, pitch: float, roll: float) -> np.ndarray:
    (a, b, c), (sa, sb, sc) = np.cos(r := np.radians([yaw, pitch, roll])), np.sin(r)
    about_y = np.array([[a, 0, sa], [0, 1, 0], [-sa, 0, a]])
    about_x = np.array([[1, 0, 0], [0, b, -sb], [0, sb, b]])
    about_z = np.array([[c, -sc, 0], [sc, c, 0], [0, 0, 1]])
    return about_z @ about_x @ about_y


@pytest.mark.parametrize("pose", [(20, 0, 0), (0, 15, 0), (0, 0, 10), (12, -7, 5)])
def test_unitys_rotation_is_ours_seen_in_a_mirror(pose):
    mirror = np.diag([-1.0, 1.0, 1.0])
    expected = mirror @ our_matrix(*pose) @ mirror
    for axis in np.eye(3):
        assert rotate(unity_rotation(*pose), axis) == pytest.approx(expected @ axis, abs=1e-6)


def test_an_avatar_that_looks_along_z_turns_to_its_own_left_for_positive_yaw():
    # Unity: +Z ahead, +X to the avatar's right; the person's left is the picture's right.
    ahead = rotate(unity_rotation(30, 0, 0), np.array([0.0, 0.0, 1.0]))
    assert ahead[0] == pytest.approx(-0.5, abs=1e-6)
    down = rotate(unity_rotation(0, 30, 0), np.array([0.0, 0.0, 1.0]))
    assert down[1] == pytest.approx(-0.5, abs=1e-6)


def test_vrm0_and_vrm1_say_the_same_under_other_names():
    instant = face(viseme="aa", eyeBlinkLeft=0.9, eyeBlinkRight=0.4, mouthSmileLeft=0.5)
    old, new = expressions(instant, "vrm0"), expressions(instant, "vrm1")
    assert list(old.values()) == list(new.values())
    assert old["A"] == new["aa"] == 1.0
    assert new["blink"] + new["blinkLeft"] == pytest.approx(0.9)
    assert new["blink"] + new["blinkRight"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("naming", "first"), [("arkit", "eyeBlinkLeft"), ("ARKit", "EyeBlinkLeft")]
)
def test_perfect_sync_has_the_52_weights(naming, first):
    found = expressions(face(eyeBlinkLeft=1.4, tongueOut=-0.2), naming)
    assert len(found) == len(ARKIT_NAMES)
    assert next(iter(found)) == first
    assert found[first] == 1.0
    assert min(found.values()) >= 0


@pytest.mark.parametrize(
    ("viseme", "vowel"), [("aa", "aa"), ("ih", "ih"), ("ou", "ou"), ("E", "ee"), ("oh", "oh")]
)
def test_each_vowels_viseme_is_mostly_that_vowel(viseme, vowel):
    found = vowels(face(viseme=viseme).visemes)
    assert max(found, key=lambda name: found[name]) == vowel
    assert found[vowel] == 1.0


@pytest.mark.parametrize("viseme", ["sil", "PP"])
def test_shut_lips_are_no_vowel(viseme):
    assert max(vowels(face(viseme=viseme).visemes).values()) == 0


def test_both_eyes_look_to_the_persons_left():
    instant = face(eyeLookOutLeft=0.5, eyeLookInRight=0.5, eyeLookUpLeft=1, eyeLookUpRight=1)
    assert gaze_deg(instant, "Left") == gaze_deg(instant, "Right") == (15.0, 25.0)


def test_live_link_has_61_values_weights_first_rotations_in_radians():
    instant = face(eyeBlinkLeft=0.25, tongueOut=1, headYaw=90, eyeLookDownLeft=1)
    values = dict(zip(LIVE_LINK_NAMES, live_link_values(instant), strict=True))
    assert len(values) == 61
    assert values["EyeBlinkLeft"] == 0.25
    assert values["TongueOut"] == 1
    assert values["HeadYaw"] == pytest.approx(np.pi / 2)
    assert values["LeftEyePitch"] > 0
    assert values["RightEyePitch"] == 0


def test_resting_face_leaves_feelings_and_mouth_alone():
    assert set(feelings(face()).values()) == {0.0}
    assert mouth_open(face()) == 0


@pytest.mark.parametrize(
    ("feeling", "values"),
    [
        ("happy", {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7}),
        ("angry", {"browDownLeft": 0.8, "browDownRight": 0.8}),
        ("sad", {"mouthFrownLeft": 0.5, "mouthFrownRight": 0.5, "browInnerUp": 0.6}),
        ("surprised", {"browInnerUp": 0.8, "browOuterUpLeft": 0.8, "browOuterUpRight": 0.8}),
    ],
)
def test_each_feeling_is_read_off_its_muscles(feeling, values):
    found = feelings(face(**values))
    assert max(found, key=lambda name: found[name]) == feeling
    assert found[feeling] > 0.5


def test_tracking_parameters_stay_in_the_apps_ranges_for_any_face():
    rng = np.random.default_rng(0)
    limits = {"FaceAngle": 30, "FacePosition": 10}
    for _ in range(50):
        rig = (rng.normal(0, 1, len(RIG_NAMES)) * 2).astype(np.float32)
        rig[:6] *= 40
        visemes = rng.dirichlet(np.ones(len(VISEME_NAMES))).astype(np.float32)
        for name, value in tracking_parameters(RigInstant(0, rig, visemes, 2.0, "idle")).items():
            limit = next((v for k, v in limits.items() if name.startswith(k)), 1)
            assert abs(value) <= limit
            assert 4 <= len(name) <= 32


def test_a_closed_lid_closes_the_models_eye_and_an_open_jaw_its_mouth():
    found = tracking_parameters(face(eyeBlinkLeft=1, jawOpen=0.6, headYaw=10))
    assert found["EyeOpenLeft"] == 0
    assert found["EyeOpenRight"] == 1
    assert found["MouthOpen"] > 0.7
    assert found["FaceAngleX"] == 10
