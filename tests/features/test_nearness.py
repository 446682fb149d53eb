"""Whose voice is it: by loudness against the nearest talker, without cutting his words."""

import numpy as np
import pytest

from rest_bridge.features.nearness import BLOCKS_PER_FRAME, Nearness, block_level_db

FRAMES_AHEAD = 2


def judge(
    levels_db: np.ndarray, opening: np.ndarray, softer_db: float = 9.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return share and quiet of each frame; levels [F] in dB, one for the blocks of each."""
    near = Nearness(softer_db)
    state, shares, quiet = near.initial_state(), [], []
    blocks = np.repeat(levels_db, BLOCKS_PER_FRAME).astype(np.float32)
    for frame, opened in enumerate(opening):
        begin = frame * BLOCKS_PER_FRAME
        heard = blocks[begin : begin + BLOCKS_PER_FRAME * FRAMES_AHEAD]
        share, silent, state = near.step(heard, float(opened), state)
        shares.append(share)
        quiet.append(silent)
    return np.array(shares), np.array(quiet)


def speech(frames: int, level_db: float, rng: np.random.Generator) -> np.ndarray:
    """Syllables of 160 ms, 20 dB deep, as a talker's level goes."""
    return level_db - 20 * (np.arange(frames) % 4 == 3) - rng.uniform(0, 4, frames)


def scene(*parts: tuple[str, int, float]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    levels, opening = [], []
    for kind, frames, level_db in parts:
        if kind == "quiet":
            levels.append(np.full(frames, level_db))
            opening.append(np.zeros(frames))
        else:
            levels.append(speech(frames, level_db, rng))
            opening.append(np.full(frames, 0.25 if kind == "voice" else 0.02))
    return np.concatenate(levels), np.concatenate(opening)


def test_the_nearest_talker_is_never_held_not_even_between_syllables() -> None:
    shares, _ = judge(*scene(("quiet", 25, -80), ("voice", 200, -25), ("quiet", 50, -80)))
    assert shares.min() == 1.0


@pytest.mark.parametrize("softer", [18.0, 25.0])
def test_a_voice_across_the_room_is_held_soon_and_ours_is_free_at_once(softer: float) -> None:
    levels, opening = scene(
        ("quiet", 25, -80), ("voice", 100, -25), ("quiet", 50, -80),
        ("voice", 150, -25 - softer), ("voice", 50, -25),
    )  # fmt: skip
    shares, _ = judge(levels, opening)
    far = slice(175, 325 - FRAMES_AHEAD)
    assert (shares[far] < 0.1).mean() > 0.9
    assert shares[325:].min() == 1.0  # seen coming
    assert shares[:175].min() == 1.0


def test_what_begins_softly_after_quiet_is_free_until_it_is_known() -> None:
    levels, opening = scene(
        ("quiet", 25, -80), ("voice", 100, -25), ("quiet", 50, -80),
        ("voice", 4, -45), ("voice", 50, -25),
    )  # fmt: skip
    shares, _ = judge(levels, opening)
    assert shares.min() == 1.0


def test_music_however_loud_does_not_become_the_nearest_talker() -> None:
    levels, opening = scene(
        ("quiet", 25, -80), ("voice", 100, -30), ("music", 500, -12), ("voice", 100, -30)
    )
    shares, _ = judge(levels, opening)
    assert shares[630:].min() == 1.0


def test_who_moves_back_is_found_again() -> None:
    levels, opening = scene(("quiet", 25, -80), ("voice", 100, -20), ("voice", 3000, -38))
    shares, _ = judge(levels, opening)
    assert shares[300] < 0.5
    assert shares[-200:].min() == 1.0


def test_zero_lets_every_voice_through_and_nobody_is_held_before_somebody_is_known() -> None:
    parts = (("quiet", 25, -80), ("voice", 60, -20), ("voice", 200, -50))
    assert judge(*scene(*parts), softer_db=0.0)[0].min() == 1.0
    assert judge(*scene(("quiet", 25, -80), ("voice", 200, -50)))[0].min() == 1.0


def test_quiet_is_what_lies_near_the_floor() -> None:
    _, quiet = judge(*scene(("quiet", 100, -58), ("voice", 50, -30), ("quiet", 100, -58)))
    assert quiet[60:95].all()
    assert not quiet[105:145].any()


def test_level_of_a_block() -> None:
    assert block_level_db(np.full(160, 0.1, np.float32)) == pytest.approx(-20.0, abs=0.01)
    assert block_level_db(np.zeros(160, np.float32)) == -120.0
