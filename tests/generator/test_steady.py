"""Motion is even across the borders of latent frames; lids, gaze and lips at rest are untouched."""

import numpy as np

from rest_bridge.generator.steady import STEADIED, WIDENED, MotionEvener
from rest_bridge.rig import RIG_INDEX

RIG = np.random.default_rng(0).uniform(0.3, 0.7, (40, 58)).astype(np.float32)


def even(rig: np.ndarray, size: int) -> np.ndarray:
    evener = MotionEvener()
    state = evener.initial_state()
    parts = []
    for first in range(0, len(rig), size):
        part, state = evener.step(rig[first : first + size], state)
        parts.append(part)
    return np.concatenate(parts)


def test_steps_of_two_frames_become_even_motion_without_delay():
    rig = np.zeros((40, 58), np.float32)
    slow = [RIG_INDEX[n] for n in ("headYaw", "browInnerUp", "cheekPuff")]
    rig[:, slow] = np.repeat(np.arange(20), 2)[:, None] / 20
    made = even(rig, 2)[:, slow]
    np.testing.assert_allclose(np.diff(made, axis=0)[1:], 0.5 / 20, atol=1e-6)
    np.testing.assert_array_equal(made[1::2], rig[1::2, slow])  # the newest frame is never late


def test_lips_move_further_inside_a_latent_frame_about_the_same_middle():
    made = even(RIG, 4)
    for name in ("jawOpen", "mouthLowerDownLeft", "mouthClose"):
        before, after = RIG[:, RIG_INDEX[name]], made[:, RIG_INDEX[name]]
        inside = (after[1::2] - after[::2]) / (before[1::2] - before[::2])
        assert inside.min() > 1.2
        assert inside.max() < 1.6
        np.testing.assert_allclose(after[1::2] + after[::2], before[1::2] + before[::2], rtol=1e-5)


def test_a_mouth_that_does_not_move_is_left_alone():
    still = np.repeat(RIG[:1], 10, 0)
    made = even(still, 2)
    np.testing.assert_allclose(made, made[:1].repeat(10, 0), atol=1e-6)
    np.testing.assert_allclose(
        made[:, RIG_INDEX["jawOpen"]], still[:, RIG_INDEX["jawOpen"]], atol=1e-6
    )


def test_spreading_gets_its_size_back_and_a_closed_mouth_stays_closed():
    rig = np.zeros((10, 58), np.float32)
    np.testing.assert_array_equal(even(rig, 2), rig)
    rig[4:, RIG_INDEX["mouthStretchLeft"]] = 0.2
    made = even(rig, 2)[:, RIG_INDEX["mouthStretchLeft"]]
    assert made[-1] > 1.3 * 0.2
    assert np.all(np.diff(made) >= 0)


def test_any_chunking_gives_equal_bits():
    np.testing.assert_array_equal(even(RIG, 2), even(RIG, 40))


def test_lids_gaze_and_input_are_untouched():
    before = RIG.copy()
    rest = [i for i in range(58) if i not in STEADIED and i not in WIDENED]
    for name in ("eyeBlinkLeft", "eyeLookUpRight", "eyeLookOutLeft"):
        assert RIG_INDEX[name] in rest
    np.testing.assert_array_equal(even(RIG, 4)[:, rest], RIG[:, rest])
    np.testing.assert_array_equal(before, RIG)


def test_weights_stay_between_0_and_1():
    made = even(np.round(RIG * 2 - 0.5), 2)
    assert made[:, 6:].min() >= 0
    assert made[:, 6:].max() <= 1


def test_first_frame_keeps_its_pose():
    pose = slice(0, 6)
    np.testing.assert_allclose(even(RIG, 2)[0, pose], RIG[0, pose], atol=1e-6)
