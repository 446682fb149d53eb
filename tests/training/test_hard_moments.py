"""The sheet of hard moments shows what it says: the fastest turn, and a head shaken fast."""

import numpy as np

from rest_bridge.rig import RIG_INDEX, RIG_NAMES
from rest_bridge.training.hard_moments import fastest, shaken


def _turning(yaw: list[float]) -> np.ndarray:
    rig = np.zeros((len(yaw), len(RIG_NAMES)), np.float32)
    rig[:, RIG_INDEX["headYaw"]] = yaw
    return rig


def test_the_fastest_frames_hold_the_largest_step() -> None:
    rig = _turning([0, 0, 1, 1, 5, 5, 4, 4])
    frames, speed = fastest(rig, 3)
    assert speed == 100.0  # four degrees in 40 ms
    assert {1.0, 5.0} <= set(frames[:, RIG_INDEX["headYaw"]])


def test_at_the_ends_there_are_as_many_frames() -> None:
    for yaw in ([9, 0, 0, 0, 0], [0, 0, 0, 0, 9]):
        frames, speed = fastest(_turning([float(v) for v in yaw]), 3)
        assert len(frames) == 3
        assert speed == 225.0


def test_a_shaken_head_is_far_faster_than_speech_moves_one() -> None:
    frames, speed = shaken(3)
    assert speed > 150
    yaw = frames[:, RIG_INDEX["headYaw"]]
    assert yaw[0] < 0 < yaw[2]
    assert np.abs(np.delete(frames, RIG_INDEX["headYaw"], 1)).max() == 0
