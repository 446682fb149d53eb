import dataclasses
import math

import numpy as np
import pytest

from rest_bridge.rig import RIG_INDEX
from rest_bridge.training.evaluation import hour, liveliness, rig_lips
from rest_bridge.training.evaluation.held_out import HeldOut
from rest_bridge.training.evaluation.jobs import Row
from rest_bridge.training.visemes import VisemeSpan

RATE = 25


def test_blinks_are_counted_when_both_lids_shut() -> None:
    rig = np.zeros((60 * RATE, 58), np.float32)
    for start in range(0, len(rig), 5 * RATE):
        rig[start : start + 4, RIG_INDEX["eyeBlinkLeft"]] = 1
        rig[start : start + 4, RIG_INDEX["eyeBlinkRight"]] = 1
    assert liveliness.blink_rate(rig) == 12
    rig[:, RIG_INDEX["eyeBlinkRight"]] = 0
    assert liveliness.blink_rate(rig) == 0, "a wink is no blink"


def test_head_motion_of_a_steady_turn_is_known() -> None:
    pose = np.zeros((100, 6), np.float32)
    pose[:, 0] = np.arange(100) * 0.4
    found = liveliness.head_motion(pose)
    assert found["speed_deg_s"] == pytest.approx(10, rel=1e-3)
    assert found["tremble_deg"] == pytest.approx(0, abs=1e-4)
    assert found["roll_sd_deg"] == 0


def test_a_ramp_of_a_wish_is_timed_and_its_step_measured() -> None:
    plain = np.zeros(200, np.float32)
    steered = np.interp(np.arange(200), [100, 108], [0, 0.8]).astype(np.float32)
    found = liveliness.response(steered, plain, 4.0)
    assert found["change"] == pytest.approx(0.8)
    assert found["seconds"] == pytest.approx(8 / RATE, abs=1.5 / RATE)
    assert found["jump"] == pytest.approx(1 / 8, rel=0.01)


def test_a_jump_is_a_jump_and_no_answer_is_none() -> None:
    plain = np.zeros(200, np.float32)
    sudden = (np.arange(200) >= 101).astype(np.float32)
    assert liveliness.response(sudden, plain, 4.0)["jump"] == pytest.approx(1)
    assert math.isnan(liveliness.response(plain, plain, 4.0)["seconds"])


def test_what_speech_does_by_itself_is_no_answer_to_a_wish() -> None:
    moving = np.sin(np.arange(200) / 3).astype(np.float32)
    assert math.isnan(liveliness.response(moving, moving, 4.0)["seconds"])


def test_drift_is_found_in_an_hour_and_chance_is_not() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 60)
    rows = [
        Row("hour", "motion", f"minute {m}", "", {"still": noise[m], "moves": noise[m] + m / 60})
        for m in range(60)
    ]
    drift = {row.clip: row.values for row in hour.drift_rows(rows)}
    assert drift["moves"]["drifts"] == 1
    assert drift["moves"]["slope"] == pytest.approx(1, abs=0.2)
    assert drift["still"]["drifts"] == 0


def test_skin_colour_is_that_of_the_cheeks() -> None:
    landmarks = np.zeros((66, 2), np.float32)
    landmarks[36:42], landmarks[42:48], landmarks[48:66] = (70, 80), (130, 80), (100, 140)
    frame = np.zeros((200, 200, 3), np.uint8)
    rows, columns = hour.skin_box(landmarks)
    frame[rows, columns] = 255
    assert hour.skin_colour(frame, (rows, columns)) == pytest.approx([100, 0, 0], abs=0.5)
    assert rows.start > 80
    assert rows.stop < 140


def test_a_rig_that_moves_only_between_latents_shows_its_seams() -> None:
    even = np.tile(np.linspace(0, 1, 40, dtype=np.float32)[:, None], (1, 58))
    stepped = np.repeat(even[::2], 2, axis=0)
    stepped[1::2] += 1e-4
    scale = np.ones(58, np.float32)
    assert rig_lips.seams(even, scale)["border"] == pytest.approx(1, rel=1e-3)
    assert rig_lips.seams(stepped, scale)["border_mouthPucker"] > 100


def test_what_tells_f_from_p_is_read_in_the_middle_of_the_phones() -> None:
    rig = np.zeros((50, 58), np.float32)
    press = [RIG_INDEX["mouthPressLeft"], RIG_INDEX["mouthPressRight"]]
    upper = [RIG_INDEX["mouthUpperUpLeft"], RIG_INDEX["mouthUpperUpRight"]]
    rig[10, press] = 0.4
    rig[30, upper] = 0.3
    rig[40, upper] = 0.05
    spans = (
        VisemeSpan("PP", 0.36, 0.48),
        VisemeSpan("FF", 1.16, 1.28),
        VisemeSpan("FF", 1.56, 1.68),
    )
    clip = HeldOut("c", "g", np.zeros(1, np.float32), *(np.zeros(50, np.float32),) * 2,
                   *(np.zeros(50, bool),) * 2, visemes=spans)  # fmt: skip
    found = rig_lips.consonants(rig, clip)
    assert found["press_p"] == pytest.approx(0.4)
    assert found["press_f"] == 0
    assert found["told_apart"] == 0.5
    silent = rig_lips.consonants(rig, dataclasses.replace(clip, visemes=()))
    assert np.isnan(silent["press_p"])
    assert "told_apart" not in silent
