"""p is shut, f shows teeth, rounding is seen, silence and doubt change nothing, no flicker."""

import numpy as np
import pytest

from rest_bridge.generator.lip_shape import SHAPED, LipShaper
from rest_bridge.rig import ARTICULATIONS, RIG_INDEX, RIG_NAMES, VISEME_NAMES, viseme_basis
from rest_bridge.types import FloatArray

RIG = np.random.default_rng(0).uniform(0.05, 0.5, (20, 58)).astype(np.float32)


def asked(num_frames: int = 20, **values: float) -> FloatArray:
    marks = np.zeros((num_frames, len(ARTICULATIONS)), np.float32)
    for name, value in values.items():
        marks[:, ARTICULATIONS.index(name)] = value
    return marks


def shape(rig: FloatArray, marks: FloatArray | None, strength: float = 1.0) -> FloatArray:
    shaper = LipShaper(strength)
    return shaper.step(rig, marks, settled(shaper, marks))[0]


def settled(shaper: LipShaper, marks: FloatArray | None) -> dict[str, FloatArray]:
    """Return the state of a stream that has been asked for the first frame's lips for long."""
    state = shaper.initial_state()
    if marks is not None:
        for _ in range(20):
            _, state = shaper.step(RIG[:2], np.repeat(marks[:1], 2, 0), state)
    return state


def value(rig: FloatArray, name: str) -> FloatArray:
    return rig[:, RIG_INDEX[name]]


def test_p_is_shut_whatever_the_jaw_does() -> None:
    made = shape(RIG, asked(shut=1.0))
    np.testing.assert_array_equal(value(made, "mouthLowerDownLeft"), 0)
    np.testing.assert_array_equal(value(made, "mouthUpperUpRight"), 0)
    assert np.all(value(made, "mouthClose") >= value(made, "jawOpen") - 1e-6)
    assert np.all(value(made, "mouthPressLeft") >= 0.4)
    assert np.all(value(made, "jawOpen") >= 0.65 * value(RIG, "jawOpen"))


def test_f_parts_what_the_network_pressed_and_comes_near_the_viseme() -> None:
    pressed = RIG.copy()
    pressed[:, RIG_INDEX["mouthPressLeft"]] = 0.4
    made = shape(pressed, asked(teeth=1.0))
    for name in ("mouthPressLeft", "mouthPressRight", "mouthRollUpper", "mouthClose"):
        np.testing.assert_array_equal(value(made, name), 0)
    wanted = viseme_basis()[VISEME_NAMES.index("FF")]
    for name in ("mouthRollLower", "mouthUpperUpLeft", "mouthUpperUpRight"):
        assert np.all(value(made, name) >= wanted[RIG_INDEX[name]] - 1e-6)
    assert value(made, "jawOpen").max() <= 0.11


def test_p_and_f_of_one_mouth_are_two_shapes() -> None:
    p, f = (shape(RIG, asked(**{n: 1.0})) for n in ("shut", "teeth"))
    assert np.all(value(p, "mouthPressLeft") - value(f, "mouthPressLeft") > 0.3)
    assert np.all(value(f, "mouthUpperUpLeft") - value(p, "mouthUpperUpLeft") > 0.3)


def test_rounding_grows_with_what_is_asked() -> None:
    amounts = [shape(RIG, asked(round=r))[:, SHAPED] for r in (0.0, 0.5, 1.0)]
    pucker = SHAPED.index(RIG_INDEX["mouthPucker"])
    assert np.all(np.diff([a[:, pucker] for a in amounts], axis=0) > 0.1)


@pytest.mark.parametrize("marks", [{}, {"shut": 0.2, "teeth": 0.2}, {"silent": 1.0, "shut": 1.0}])
def test_doubt_and_silence_change_no_shape(marks: dict[str, float]) -> None:
    made = shape(RIG, asked(**marks))
    kept = [i for i in SHAPED if RIG_NAMES[i] not in ("mouthPucker", "mouthFunnel")]
    np.testing.assert_array_equal(made[:, kept], RIG[:, kept])


def test_little_more_certainty_is_little_more_shape() -> None:
    sure = np.linspace(0, 1, 202, dtype=np.float32)
    for name in ("shut", "teeth", "round", "silent"):
        marks = asked(202, teeth=0.6, shut=0.3)
        marks[:, ARTICULATIONS.index(name)] = sure
        made = shape(np.repeat(RIG[:1], 202, 0), marks)
        assert np.abs(np.diff(made, axis=0)).max() < 0.05


def test_nothing_but_the_lips_is_touched_and_weights_stay_between_0_and_1() -> None:
    before = RIG.copy()
    made = shape(RIG, asked(shut=0.7, teeth=0.7, round=1.0))
    others = [i for i in range(58) if i not in SHAPED]
    np.testing.assert_array_equal(made[:, others], RIG[:, others])
    np.testing.assert_array_equal(before, RIG)
    most = shape(np.ones_like(RIG), asked(round=1.0))
    assert most.min() >= 0
    assert most.max() <= 1


def test_without_articulation_or_without_strength_rounding_alone_is_enlarged() -> None:
    for made in (shape(RIG, None), shape(RIG, asked(shut=1.0), 0.0)):
        changed = np.flatnonzero(np.abs(made - RIG).max(0))
        assert set(changed) == {RIG_INDEX["mouthPucker"], RIG_INDEX["mouthFunnel"]}
        assert np.all(value(made, "mouthPucker") > 1.9 * np.minimum(value(RIG, "mouthPucker"), 0.5))


def test_half_strength_lies_between() -> None:
    marks = asked(shut=1.0)
    none, half, full = (shape(RIG, marks, s) for s in (0.0, 0.5, 1.0))
    press = RIG_INDEX["mouthLowerDownLeft"]
    assert np.all(none[:, press] > half[:, press])
    assert np.all(half[:, press] > full[:, press])


def test_rounding_goes_straight_from_one_latent_frame_to_the_next() -> None:
    marks = asked(80)
    rounded = np.random.default_rng(1).random(40)
    marks[:, ARTICULATIONS.index("round")] = np.repeat(rounded, 2)
    made = shape(np.full((80, 58), 0.2, np.float32), marks)[:, RIG_INDEX["mouthPucker"]]
    change = np.diff(made)
    assert np.abs(change).max() > 0.05
    np.testing.assert_allclose(change[2::2], change[1:-1:2], atol=1e-5)


def test_a_single_frame_of_p_is_wholly_shut_when_it_is_the_second_of_its_latent_frame() -> None:
    marks = asked(20)
    marks[9, ARTICULATIONS.index("shut")] = 1.0
    made = shape(RIG, marks)
    assert value(made, "mouthPressLeft")[9] >= 0.4


def test_any_chunking_gives_equal_bits() -> None:
    rng = np.random.default_rng(2)
    marks = rng.random((20, len(ARTICULATIONS))).astype(np.float32)
    shaper = LipShaper()
    whole, _ = shaper.step(RIG, marks, shaper.initial_state())
    parts, state = [], shaper.initial_state()
    for first in range(0, 20, 2):
        part, state = shaper.step(RIG[first : first + 2], marks[first : first + 2], state)
        parts.append(part)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
