"""Phones to curves: closures, rest, range; measured lips and rule curves on one scale."""

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("scipy")

from rest_bridge.rig import RIG_INDEX
from rest_bridge.training import curves, prosody
from rest_bridge.training.phonemes import Phone, tile
from rest_bridge.training.visemes import VISEMES, to_visemes

FRAMES_S = (np.arange(50) + 0.5) / 25


def word(*symbols: str, start_s: float = 0.5, each_s: float = 0.1) -> list[Phone]:
    spoken = [
        Phone(s, start_s + i * each_s, start_s + (i + 1) * each_s) for i, s in enumerate(symbols)
    ]
    return tile(spoken, 2.0)


def rig_of(phones: list[Phone]) -> np.ndarray:
    channels, closure = curves.viseme_curves(to_visemes(phones, "arpabet"), FRAMES_S)
    return curves.rig_from_channels(channels, closure)


@pytest.mark.parametrize("consonant", ["P", "B", "M"])
@pytest.mark.parametrize("each_s", [0.045, 0.08, 0.12])
def test_lips_shut_for_p_b_and_m_between_open_vowels(consonant: str, each_s: float) -> None:
    phones = word("AA", consonant, "AA", each_s=max(each_s, 0.045))
    gap = curves.lip_aperture(rig_of(phones))
    during = (0.5 + each_s - 0.04 < FRAMES_S) & (0.5 + 2 * each_s + 0.02 > FRAMES_S)
    assert gap[during].min() < 0.03
    assert gap.max() > 0.15


def test_silence_is_the_closed_neutral_mouth() -> None:
    rig = rig_of(word("AA"))
    assert np.abs(rig[:5]).max() < 0.02
    assert np.abs(rig[-10:]).max() < 0.02


def test_the_mouth_closes_into_a_long_silence_as_fast_as_into_a_short_one() -> None:
    times_s = (np.arange(250) + 0.5) / 25
    phones = tile([Phone("AA", 0.5, 0.8)], 10.0)
    channels, closure = curves.viseme_curves(to_visemes(phones, "arpabet"), times_s)
    gap = curves.lip_aperture(curves.rig_from_channels(channels, closure))
    assert gap[times_s > 1.05].max() < 0.02


def test_ah_opens_and_oo_rounds() -> None:
    ah, oo = (rig_of(word(v, v, v)).max(0) for v in ("AA", "UW"))
    assert 0.4 < ah[RIG_INDEX["jawOpen"]] < 0.65
    assert oo[RIG_INDEX["mouthPucker"]] > 0.5
    assert ah[RIG_INDEX["mouthPucker"]] < 0.1


def test_all_phones_of_the_tables_have_a_shape() -> None:
    for viseme in VISEMES.values():
        assert len(viseme.shape) == len(curves.CHANNELS)
        assert all(0 <= value <= 1 for value in viseme.shape)
    spans = to_visemes([Phone("aɪ", 0, 0.1), Phone("ʃ", 0.1, 0.2), Phone("y", 0.2, 0.3)], "ipa")
    assert [s.name for s in spans] == ["AA", "IH", "CH", "UE"]


def test_measured_lips_read_back_as_measured() -> None:
    aperture = np.linspace(0, 0.6, 13).astype(np.float32)
    rig = curves.rig_from_lips(aperture, np.zeros(13, np.float32))
    np.testing.assert_allclose(curves.lip_aperture(rig), aperture, atol=0.06)
    round_mouth = curves.rig_from_lips(aperture, np.full(13, -1.5, np.float32))
    assert (curves.mouth_width(round_mouth) < curves.mouth_width(rig)).all()


def test_tiles_cover_the_clip_without_gap_or_overlap() -> None:
    phones = tile([Phone("AA1", 0.2, 0.4), Phone("+SPN+", 0.5, 0.6), Phone("P", 0.6, 0.7)], 1.0)
    assert [p.symbol for p in phones] == ["SIL", "AA", "SIL", "P", "SIL"]
    assert phones[0].start_s == 0
    assert phones[-1].end_s == 1.0
    for before, after in pairwise(phones):
        assert before.end_s == after.start_s


def test_a_loud_moment_makes_the_head_nod_after_it() -> None:
    rng = np.random.default_rng(0)
    voice = (rng.standard_normal(48_000) * 0.01).astype(np.float32)
    voice[24_000:27_200] *= 12
    moments = prosody.accents(voice)
    assert len(moments) == 1
    assert 1.45 < moments[0][0] < 1.75
    times_s = (np.arange(75) + 0.5) / 25
    nod = prosody.accent_curves(moments, times_s)[:, 0]
    assert times_s[nod.argmax()] > moments[0][0]
    assert nod.max() > 0.5
    assert prosody.accents(np.zeros(16_000, np.float32)) == []


def test_tracked_lips_bite_in_f_and_press_in_p() -> None:
    phones = word("AA", "F", "AA", "P", "AA")
    channels, closure = curves.viseme_curves(to_visemes(phones, "arpabet"), FRAMES_S)
    tracked = curves.rig_from_lips(np.zeros(50, np.float32), np.zeros(50, np.float32))
    before = tracked.copy()
    curves.close_lips(tracked, closure)
    curves.bite_lips(tracked, channels, closure)
    lower, upper, press = (
        tracked[:, RIG_INDEX[n]] for n in ("mouthRollLower", "mouthRollUpper", "mouthPressLeft")
    )
    f, p = (int(t * 25) for t in (0.65, 0.85))
    assert lower[f] > 0.4
    assert max(upper[f], press[f]) < 0.02
    assert min(upper[p], press[p]) > 0.2
    still = slice(0, 5)
    np.testing.assert_allclose(tracked[still], before[still], atol=0.02)
