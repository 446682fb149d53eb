"""The head moves evenly, whatever the latent rate; nothing else is touched."""

import numpy as np

from rest_bridge.generator.steady import HeadSmoother

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
    rig[:, 0] = np.repeat(np.arange(20), 2)
    np.testing.assert_allclose(np.diff(smooth(rig, 2)[:, 0])[1:], 0.5)


def test_any_chunking_gives_equal_bits():
    np.testing.assert_array_equal(smooth(RIG, 2), smooth(RIG, 40))


def test_face_and_input_are_untouched():
    before = RIG.copy()
    np.testing.assert_array_equal(smooth(RIG, 4)[:, 6:], RIG[:, 6:])
    np.testing.assert_array_equal(before, RIG)


def test_first_frame_keeps_its_pose():
    np.testing.assert_array_equal(smooth(RIG, 2)[0], RIG[0])
