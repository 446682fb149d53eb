"""Emotions change the face and leave the lips their visemes."""

import numpy as np
import pytest

from rest_bridge.generator.conditions import EMOTIONS
from rest_bridge.rig import RIG_INDEX, RIG_NAMES
from rest_bridge.training import curves, expressions

FRAMES = 40


def speaking(closed: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return a mouth that opens and closes, and its closures."""
    rig = np.zeros((FRAMES, len(RIG_NAMES)), np.float32)
    rig[:, RIG_INDEX["jawOpen"]] = 0.2 + 0.2 * np.sin(np.arange(FRAMES))
    rig[:, RIG_INDEX["mouthLowerDownLeft"]] = rig[:, RIG_INDEX["mouthLowerDownRight"]] = 0.2
    closure = np.full(FRAMES, float(closed), np.float32)
    curves.close_lips(rig, closure)
    return rig, closure


def strengths(emotion: str, value: float = 1.0) -> np.ndarray:
    out = np.zeros((FRAMES, len(EMOTIONS)), np.float32)
    out[:, EMOTIONS.index(emotion)] = value
    return out


def test_neutral_changes_nothing() -> None:
    rig, closure = speaking()
    np.testing.assert_array_equal(expressions.express(rig, 0 * strengths("sad"), closure), rig)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_lips_that_p_shuts_stay_shut_under_every_emotion(emotion: str) -> None:
    rig, closure = speaking(closed=True)
    face = expressions.express(rig, strengths(emotion), closure)
    assert curves.lip_aperture(face).max() < 0.01


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_lips_go_on_speaking_under_every_emotion(emotion: str) -> None:
    rig, closure = speaking()
    plain = curves.lip_aperture(rig)
    face = curves.lip_aperture(expressions.express(rig, strengths(emotion), closure))
    assert np.corrcoef(plain, face)[0, 1] > 0.98
    assert 0.8 < face.std() / plain.std() < 1.25
    assert np.abs(face - plain).max() < 0.2


@pytest.mark.parametrize(
    ("emotion", "raised", "lowered"),
    [
        ("happy", "mouthSmileLeft", "mouthFrownLeft"),
        ("sad", "mouthFrownLeft", "mouthSmileLeft"),
        ("angry", "browDownLeft", "browInnerUp"),
        ("surprised", "browOuterUpLeft", "browDownLeft"),
    ],
)
def test_each_emotion_has_its_action_units(emotion: str, raised: str, lowered: str) -> None:
    basis = expressions.expression_basis()[EMOTIONS.index(emotion)]
    assert basis[RIG_INDEX[raised]] > 0.5
    assert basis[RIG_INDEX[lowered]] == 0
    assert (basis[6:] >= 0).all()
    assert basis[6:].max() <= 1
    assert not basis[[RIG_INDEX["eyeBlinkLeft"], RIG_INDEX["eyeLookUpLeft"]]].any()


def test_a_smile_is_a_little_stronger_on_one_side() -> None:
    basis = expressions.expression_basis()[EMOTIONS.index("happy")]
    left, right = basis[RIG_INDEX["mouthSmileLeft"]], basis[RIG_INDEX["mouthSmileRight"]]
    assert 0.02 < left - right < 0.2


def test_a_rounded_mouth_resists_the_smile() -> None:
    rig, closure = speaking()
    rig[:, RIG_INDEX["mouthPucker"]] = np.linspace(0, 0.8, FRAMES)
    smile = expressions.express(rig, strengths("happy"), closure)[:, RIG_INDEX["mouthSmileLeft"]]
    assert smile[-1] < 0.6 * smile[0]


def test_onsets_are_smooth_and_take_a_fifth_to_half_a_second() -> None:
    seen, moving, mixed = 0, 0, 0
    for seed in range(200):
        drawn = expressions.random_strengths(np.random.default_rng(seed), 100)
        assert drawn.shape == (100, 4)
        assert drawn.min() >= 0
        assert drawn.max() <= 1
        assert np.abs(np.diff(drawn, axis=0)).max() < 0.36  # 5 frames at least for a whole ramp
        seen += bool(drawn.any())
        moving += bool(np.abs(np.diff(drawn, axis=0)).max() > 0)
        mixed += int((drawn.max(0) > 0.05).sum() > 1)
    assert 60 < seen < 140
    assert moving > 30
    assert mixed > 5
