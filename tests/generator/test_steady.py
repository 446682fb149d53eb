"""Head, gaze and brows move evenly, whatever the latent rate; lips and lids are not touched."""

import numpy as np

from rest_bridge.generator.steady import STEADIED, HeadSmoother
from rest_bridge.rig import RIG_INDEX

RIG = np.random.default_rng(0).standard_normal((40, 58)).astype(np.float32)


def smooth(rig: np.ndarray, size: int) -> np.ndarray:
    smoother = HeadSmoother()
    state = smoother.initial_state()
    parts = []
    for first in range(0, len(rig), size):
        part, state = smoother.step(rig[first : first + size], state)
        parts.append(part)
    return np.concatenate(parts)


def test_steps_of_two_frames_become_even_motion():
    rig = np.zeros((40, 58), np.float32)
    slow = [RIG_INDEX[n] for n in ("headYaw", "eyeLookUpLeft", "browInnerUp", "mouthPucker")]
    rig[:, slow] = np.repeat(np.arange(20), 2)[:, None]
    np.testing.assert_allclose(np.diff(smooth(rig, 2)[:, slow], axis=0)[1:], 0.5)


def test_any_chunking_gives_equal_bits():
    np.testing.assert_array_equal(smooth(RIG, 2), smooth(RIG, 40))


def test_lips_lids_and_input_are_untouched():
    before = RIG.copy()
    rest = [i for i in range(58) if i not in STEADIED]
    for name in ("jawOpen", "mouthClose", "mouthPressLeft", "mouthRollLower", "eyeBlinkLeft"):
        assert RIG_INDEX[name] in rest
    np.testing.assert_array_equal(smooth(RIG, 4)[:, rest], RIG[:, rest])
    np.testing.assert_array_equal(before, RIG)


def test_first_frame_keeps_its_pose():
    np.testing.assert_array_equal(smooth(RIG, 2)[0], RIG[0])
