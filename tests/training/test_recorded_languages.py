"""Two readings of one text are laid over one another, pauses and tempo aside."""

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("soxr")

from rest_bridge.training.recorded_languages import lay_over, pauses, warp

RNG = np.random.default_rng(0)
SOUNDS = [
    (f1, f2, noise)
    for f1, f2, noise in zip(
        RNG.uniform(250, 800, 12), RNG.uniform(1000, 3000, 12), RNG.uniform(0, 0.6, 12), strict=True
    )
]


def reading(lengths_s: np.ndarray, *, pitch_hz: float, pause_at: int = -1) -> np.ndarray:
    """Return a voice that says the twelve sounds in these lengths."""
    pieces = [np.zeros(4000)]
    for number, ((low_hz, high_hz, noise), length_s) in enumerate(
        zip(SOUNDS, lengths_s, strict=True)
    ):
        t = np.arange(int(16_000 * length_s)) / 16_000
        carrier = 1 + 0.5 * np.sin(2 * np.pi * pitch_hz * t)
        tones = np.sin(2 * np.pi * low_hz * t) + 0.6 * np.sin(2 * np.pi * high_hz * t)
        pieces.append(0.1 * carrier * tones + 0.1 * noise * RNG.standard_normal(len(t)))
        if number == pause_at:
            pieces.append(np.zeros(9000))
    sound = np.concatenate([*pieces, np.zeros(4000)])
    return (sound + 1e-4 * RNG.standard_normal(len(sound))).astype(np.float32)


def starts(lengths_s: np.ndarray, pause_at: int = -1) -> np.ndarray:
    pause = np.zeros(12)
    if pause_at >= 0:
        pause[pause_at + 1 :] = 9000 / 16_000
    return 0.25 + np.concatenate([[0], np.cumsum(lengths_s)[:-1]]) + pause


def test_the_path_of_equal_signals_is_the_diagonal() -> None:
    values = RNG.standard_normal((60, 8))
    distance = np.abs(values[:, None] - values[None]).mean(-1)
    rows, columns, cost = warp(distance)
    np.testing.assert_array_equal(rows, columns)
    assert cost == pytest.approx(0, abs=1e-9)
    assert (rows[0], rows[-1]) == (0, 59)


def test_signals_too_unlike_in_length_get_a_straight_line() -> None:
    rows, columns, _ = warp(np.ones((10, 100)))
    assert (rows[-1], columns[-1]) == (9, 99)
    assert (np.diff(columns) >= 0).all()


@pytest.mark.parametrize("pause_at", [-1, 5])
def test_sounds_are_found_in_another_tempo_voice_and_with_a_pause(pause_at: int) -> None:
    one, other = RNG.uniform(0.12, 0.25, 12), np.full(12, 0.16)
    recorded = reading(one, pitch_hz=110, pause_at=pause_at)
    path, cost = lay_over(recorded, reading(other, pitch_hz=190))
    found = np.interp(starts(other), path[1], path[0])
    error = np.abs(found - starts(one, pause_at))
    if pause_at >= 0:
        error = np.delete(error, pause_at + 1)  # it may begin on either side of the pause
    assert np.median(error) < 0.02
    assert error.max() < 0.08
    assert cost < 1.0


def test_pauses_are_quiet_for_a_while() -> None:
    sound = reading(np.full(12, 0.16), pitch_hz=120, pause_at=3)
    quiet = pauses(sound)
    begin = int((0.25 + 4 * 0.16) * 100)
    assert quiet[begin + 5 : begin + 50].all()
    assert not quiet[30:80].any()
