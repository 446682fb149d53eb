import math
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from rest_bridge.training.evaluation.alternatives import (
    Score,
    loudness_mouth,
    phone_mouth,
    plot,
    score,
    table,
    without_lag,
)
from rest_bridge.training.evaluation.held_out import HeldOut
from rest_bridge.training.phonemes import flite
from rest_bridge.training.visemes import VisemeSpan
from rest_bridge.types import SAMPLES_PER_FRAME


def clip(aperture: np.ndarray, name: str = "a") -> HeldOut:
    inside = np.ones(len(aperture), bool)
    inside[:10] = False
    return HeldOut(
        name=name, group="g", voice=np.zeros(len(aperture) * SAMPLES_PER_FRAME, np.float32),
        aperture=aperture, width=aperture, sentence=inside, rest=~inside,
        visemes=(VisemeSpan("PP", 1.0, 1.1),),
    )  # fmt: skip


def test_the_loud_mouth_opens_with_the_voice_and_shuts_slowly():
    level = np.repeat([0.0, 0.5, 0.0], [25, 25, 25]).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 1, 75 * SAMPLES_PER_FRAME).astype(np.float32)
    mouth = loudness_mouth(noise * np.repeat(level, SAMPLES_PER_FRAME))
    assert mouth[:25].max() == 0
    assert mouth[30:49].min() > 0.9
    assert mouth[50] > 0.4
    assert mouth[70] < 0.01


def test_recognised_phones_open_the_mouth_in_the_word_and_not_around_it():
    samples, _ = flite("a big apple", voice="rms")
    voice = np.repeat(samples, 3)  # 16 to 48 kHz, good enough for a recogniser that halves again
    silence = np.zeros(24_000, np.float32)
    mouth = phone_mouth(np.concatenate([silence, voice, silence]))
    middle = mouth[14:-14]
    assert middle.max() > 0.2
    assert mouth[:8].max() < 0.5 * middle.max()


def test_a_late_mouth_is_moved_to_where_it_belongs():
    time = np.arange(150) / 25
    real = (np.sin(5 * time) + 0.5 * np.sin(13 * time)).astype(np.float32)
    late = np.interp(time - 0.08, time, real).astype(np.float32)
    moved = without_lag(late, real)
    assert np.corrcoef(moved[10:-10], real[10:-10])[0, 1] > 0.99
    assert np.corrcoef(late[10:-10], real[10:-10])[0, 1] < 0.95


def test_the_truth_scores_one_and_another_sentence_less():
    rng = np.random.default_rng(1)
    ours, other = (np.abs(rng.normal(0, 1, 100)).astype(np.float32) for _ in range(2))
    ours[25:28] = 0
    judged = score("truth", ours, clip(ours), [clip(ours), clip(other, "b")])
    assert judged.r == pytest.approx(1)
    assert judged.sentence == pytest.approx(1)
    assert abs(judged.other) < 0.5
    assert judged.closed == 1


def test_the_table_averages_clips_and_leaves_out_what_was_not_measured():
    rows = [Score("g", "m", r, r, 0.0, 10, math.nan, 0.1) for r in (0.2, 0.4)]
    last = table(rows).splitlines()[-1]
    assert last == "| g | 2 | m | 0.30 | 0.30 | 0.00 | +10 |  | 0.10 |"


def test_the_plot_has_a_bar_for_each_mouth_as_long_as_its_mean():
    rows = [Score("g", m, 0.0, r, 0.0, 0, 1.0, 0.1) for m, r in (("a", 0.5), ("b", -0.2))]
    picture = ET.fromstring(plot(rows))
    bars = [float(r.get("width", "0")) for r in picture.iter() if r.get("height") == "11"]
    assert bars == [210, 0]
