"""Steering: wishes come true within 0.3 s of stream time, without a jump, in constant memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_bridge.errors import ConfigError, PackageError
from rest_bridge.generator import conditions
from rest_bridge.generator.steering import RAMP_S, Steering, SteeringRamp

EMOTIONS = st.fixed_dictionaries({name: st.floats(0, 1) for name in conditions.EMOTIONS})
WISHES = st.builds(
    Steering,
    expression=EMOTIONS,
    gaze=st.none() | st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
    head_motion=st.floats(0, 2),
    blink_rate=st.floats(0, 3),
)


@given(st.lists(st.tuples(WISHES, st.floats(0.01, 1.0)), min_size=1, max_size=6))
def test_wishes_never_jump_and_come_true(changes: list[tuple[Steering, float]]) -> None:
    ramp, now_s = SteeringRamp.steady(), 10.0
    for wish, after_s in changes:
        before = ramp.at(np.array([now_s]))
        ramp = ramp.turned(wish, now_s)
        after = ramp.at(np.array([now_s]))
        for name in ("emotions", "smile", "brow", "gaze_share", "head_motion", "blink_rate"):
            np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-6)
        looked = before.gaze * before.gaze_share[:, None]
        np.testing.assert_allclose(after.gaze * after.gaze_share[:, None], looked, atol=1e-6)
        now_s += after_s
    there = ramp.at(np.array([now_s + RAMP_S]))
    wished = changes[-1][0].to_vector()
    np.testing.assert_allclose(there.emotions[0], wished[:4], atol=1e-6)
    assert there.gaze_share[0] == (changes[-1][0].gaze is not None)


def test_any_chunking_of_time_gives_the_same_values() -> None:
    ramp = SteeringRamp.steady().turned(Steering({"sad": 0.9}, gaze=(0.2, 0.1)), 1.003)
    times_s = (np.arange(60) + 0.5) / 25
    whole = ramp.at(times_s)
    parts = [ramp.at(times_s[i : i + 2]) for i in range(0, 60, 2)]
    for name, values in whole._asdict().items():
        np.testing.assert_array_equal(values, np.concatenate([getattr(p, name) for p in parts]))


def test_eyes_that_wander_go_straight_to_where_they_shall_look() -> None:
    ramp = SteeringRamp.steady().turned(Steering(gaze=(0.8, -0.6)), 5.0)
    halfway = ramp.at(np.array([5.0 + 0.5 * RAMP_S]))
    np.testing.assert_allclose(halfway.gaze[0], (0.8, -0.6))
    back = ramp.turned(Steering(), 6.0).at(np.array([6.0 + 0.5 * RAMP_S]))
    np.testing.assert_allclose(back.gaze[0], (0.8, -0.6))
    np.testing.assert_allclose(back.gaze_share[0], 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"expression": {"joy": 1.0}}, 'no expression "joy"; choose from neutral, happy'),
        ({"expression": {"happy": 1.5}}, "happy = 1.5 is not possible; choose 0 to 1"),
        ({"expression": {"sad": float("nan")}}, "sad = nan"),
        ({"gaze": (2.0, 0.0)}, "gaze x = 2.0"),
        ({"head_motion": -1.0}, "head_motion = -1.0 is not possible; choose 0 to 2"),
        ({"blink_rate": 9.0}, "choose 0 to 3"),
        ({"style": "opera"}, "no style"),
    ],
)
def test_impossible_wishes_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Steering(**arguments)


def test_a_package_without_emotions_shows_them_by_smile_and_brows() -> None:
    rows = np.zeros((2, len(conditions.CONDITION_NAMES)), np.float32)
    rows[0, conditions.CONDITION_INDEX["happy"]] = 1
    rows[1, conditions.CONDITION_INDEX["angry"]] = 1
    columns = conditions.known_columns(conditions.FIRST_CONDITION_NAMES)
    fitted = conditions.fit_rows(rows, columns)
    assert fitted.shape == (2, 21)
    assert fitted[0, conditions.CONDITION_INDEX["smile"]] > 0.5
    assert fitted[1, conditions.CONDITION_INDEX["brow"]] < -0.5
    known = conditions.known_columns(conditions.CONDITION_NAMES)
    np.testing.assert_array_equal(conditions.fit_rows(rows, known), rows)


def test_rows_follow_the_order_of_the_package_by_name() -> None:
    rows = np.arange(25, dtype=np.float32)[None]
    names = conditions.CONDITION_NAMES[::-1]
    fitted = conditions.fit_rows(rows, conditions.known_columns(names))
    np.testing.assert_array_equal(fitted[0], rows[0, ::-1])


def test_a_package_that_wants_unknown_conditions_is_refused() -> None:
    with pytest.raises(PackageError, match=r"does not know \(tail\)"):
        conditions.known_columns(["blink0", "tail"])


def test_a_dropped_group_leaves_the_others_alone() -> None:
    rows = np.ones((1, 3, 25), np.float32)
    conditions.drop_group(rows, "expressionGiven")
    gone = {*conditions.EMOTIONS, "smile", "brow", "expressionGiven"}
    for name, column in conditions.CONDITION_INDEX.items():
        assert (rows[..., column] == (name not in gone)).all(), name
