"""Blinks, glances, nods and brows follow the voice, by chance and in time."""

import numpy as np
import pytest

pytest.importorskip("scipy")

from rest_bridge.generator.life import LifePlanner
from rest_bridge.training import prosody

TIMES_S = (np.arange(500) + 0.5) / 25


def voice(spans: list[tuple[float, float]], seconds: float = 20.0, *, bend: float = 0.0):
    """Return a buzz of 120 Hz in these spans, rising by `bend` octaves at each one's end."""
    t = np.arange(int(seconds * 16_000)) / 16_000
    out = np.zeros(len(t), np.float32)
    for start_s, end_s in spans:
        here = (t >= start_s) & (t < end_s)
        late = np.clip((t[here] - end_s + 0.35) / 0.1, 0, 1)
        phase = np.cumsum(120 * 2 ** (bend * late)) / 16_000
        out[here] = 0.1 * np.sign(np.sin(2 * np.pi * phase))
    return out


def test_pitch_is_found_and_silence_has_none() -> None:
    pitch = prosody.pitch_hz(voice([(1.0, 2.0)], 4.0))
    assert np.median(pitch[110:190]) == pytest.approx(120, rel=0.03)
    assert not pitch[:90].any()
    assert not pitch[210:].any()


def test_phrases_are_set_apart_by_pauses_and_short_gaps_join() -> None:
    found = prosody.phrases(voice([(1, 2), (2.1, 3), (5, 6)], 8.0))
    assert [(round(p.start_s), round(p.end_s)) for p in found] == [(1, 3), (5, 6)]
    assert prosody.phrases(np.zeros(16_000, np.float32)) == []


def test_a_question_raises_the_brows_and_a_statement_does_not() -> None:
    for bend, raised in ((0.4, True), (0.0, False)):
        sound = voice([(1.0, 2.5)], 5.0, bend=bend)
        brow = prosody.melody_curves(sound, prosody.phrases(sound), TIMES_S[:125])[:, 1]
        assert (brow.max() > 0.2) == raised
        if raised:
            assert 2.2 < TIMES_S[brow.argmax()] < 3.2


def test_blinks_move_to_the_ends_of_phrases_and_keep_their_rate() -> None:
    spans = [(s, s + 2.5) for s in np.arange(0.5, 18, 3.5)]
    spoken = prosody.phrases(voice(spans))
    ends = np.array([p.end_s for p in spoken])
    near, rates = {True: [], False: []}, {True: 0, False: 0}
    for seed in range(30):
        planner = LifePlanner(seed)
        for follows in (True, False):
            rng = np.random.default_rng(seed)
            lids = prosody.blinks(planner, spoken if follows else [], TIMES_S, rng)
            assert 0 <= lids.min() <= lids.max() <= 1
            peaks = np.flatnonzero((lids[1:-1] > 0.9) & (lids[1:-1] > lids[:-2])) + 1
            rates[follows] += len(peaks)
            near[follows] += [np.abs(ends - TIMES_S[k] + 0.1).min() < 0.3 for k in peaks]
    assert np.mean(near[True]) > np.mean(near[False]) + 0.2
    assert rates[True] == pytest.approx(rates[False], rel=0.15)


def test_listeners_nod_and_look_at_you() -> None:
    spoken = prosody.phrases(voice([(0.5, 2.5)]))
    gaze_quiet, gaze_spoken, nods = [], [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        gaze = prosody.glances(LifePlanner(seed), spoken, TIMES_S, rng)
        quiet = TIMES_S > 3.5
        gaze_quiet.append(np.abs(gaze[quiet]).mean())
        gaze_spoken.append(np.abs(gaze[(TIMES_S > 0.5) & (TIMES_S < 2.5)]).mean())
        nods.append(prosody.listening_nods(spoken, TIMES_S, rng))
    assert np.mean(gaze_quiet) < 0.6 * np.mean(gaze_spoken)
    every = np.stack(nods)
    assert 0.5 < every.max() < 9
    assert not every[:, (TIMES_S > 0.6) & (TIMES_S < 2.4)].any()
    assert np.abs(np.diff(every, axis=1)).max() < 2.0
