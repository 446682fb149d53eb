"""When lips are free: at once with a voice, for a while after it, and while nothing is known."""

import numpy as np
import pytest

from rest_bridge.features.voice_hold import BENEFIT, HOLD, VoiceHold, likeliest

VOICE, OTHER = 8.0, -8.0


def judge(*parts: tuple[str, int]) -> np.ndarray:
    """Return the share of each frame; parts are "voice", "other", "soft" or "quiet"."""
    hold = VoiceHold()
    state, shares = hold.initial_state(), []
    levels_db = {"voice": -20.0, "other": -20.0, "soft": -45.0, "quiet": -75.0}
    kinds = [kind for kind, frames in parts for _ in range(frames)]
    for place, kind in enumerate(kinds):
        ahead = [*kinds[place : place + 2], kinds[-1]][:2]
        logits = np.repeat([VOICE if one == "voice" else OTHER for one in ahead], 2)
        share, state = hold.step(logits.astype(np.float32), levels_db[kind], kind == "quiet", state)
        shares.append(share)
    return np.array(shares)


def test_music_from_the_start_is_held_after_the_benefit_of_the_doubt() -> None:
    shares = judge(("other", 100))
    assert shares[: BENEFIT - 1].min() == 1.0
    assert shares[BENEFIT + 4 :].max() == 0.0


def test_a_voice_frees_the_lips_before_it_is_heard_and_for_a_while_after_it() -> None:
    shares = judge(("other", 50), ("voice", 20), ("other", 50))
    assert shares[49] == 1.0  # seen coming
    assert shares[50 : 70 + HOLD - 1].min() == 1.0
    assert shares[70 + HOLD + 5 :].max() == 0.0


@pytest.mark.parametrize("unclear", [1, HOLD - 1])
def test_what_is_unclear_inside_words_is_free(unclear: int) -> None:
    shares = judge(("quiet", 50), ("voice", 5), ("other", unclear), ("voice", 5))
    assert shares.min() == 1.0


@pytest.mark.parametrize("breath", [10, 100])
def test_breath_and_room_between_words_change_nothing(breath: int) -> None:
    assert judge(("voice", 20), ("soft", breath), ("voice", 5)).min() == 1.0
    shares = judge(("other", 40), ("soft", breath), ("other", 5))
    assert shares[20:].max() == 0.0


def test_what_is_louder_than_all_before_has_the_benefit_of_the_doubt() -> None:
    hold = VoiceHold()
    state, shares = hold.initial_state(), []
    for level_db in (*[-60.0] * 40, *[-30.0] * 20):
        share, state = hold.step(np.full(4, OTHER, np.float32), level_db, False, state)
        shares.append(share)
    assert shares[39] == 0.0
    assert min(shares[40 : 40 + BENEFIT - 1]) == 1.0
    assert shares[-1] == 0.0


@pytest.mark.parametrize("pause", [5, 30, 200])
def test_the_first_sound_after_a_pause_is_never_held_after_a_voice(pause: int) -> None:
    shares = judge(("voice", 20), ("quiet", pause), ("other", BENEFIT - 1), ("voice", 5))
    assert shares.min() == 1.0


def test_typing_with_pauses_is_held_and_a_pause_in_it_changes_nothing() -> None:
    shares = judge(("quiet", 50), *[("other", 4), ("quiet", 10)] * 6)
    assert shares[50 + 3 * 14 :].max() == 0.0


def test_the_likeliest_moment_is_a_mean_of_40_ms_so_that_a_click_is_no_voice() -> None:
    logits = np.full(6, -16.0, np.float32)
    logits[3] = 14.0
    assert likeliest(logits) == pytest.approx(-1.0)
    assert likeliest(np.zeros(0, np.float32)) == 0.0
    assert likeliest(np.array([3.0], np.float32)) == 3.0
