"""Mute, push-to-talk and pause: what each means, and that a dead client leaves no mic open."""

import math

import pytest

from rest_bridge.errors import ConfigError
from rest_bridge.hush import Hush

S = 1_000_000_000


def test_muted_is_silent_until_it_is_not():
    hush = Hush()
    assert not hush.silent(0)
    hush.mute(True)
    assert hush.activity(0) == "muted"
    hush.mute(False)
    assert hush.activity(0) is None


def test_push_to_talk_is_muted_unless_held():
    hush = Hush()
    hush.push_to_talk(True)
    assert hush.activity(0) == "muted"
    hush.hold(0, 2.0)
    assert not hush.silent(S)
    hush.release()
    assert hush.silent(S)


def test_a_hold_ends_by_itself_so_that_a_dead_client_leaves_nothing_open():
    hush = Hush()
    hush.push_to_talk(True)
    hush.hold(0, 2.0)
    hush.hold(S, 2.0)  # held again before it is over
    assert not hush.silent(2 * S + S // 2)
    assert hush.silent(3 * S)


def test_holding_does_not_unmute():
    hush = Hush()
    hush.push_to_talk(True)
    hush.mute(True)
    hush.hold(0, 2.0)
    assert hush.silent(S)


def test_a_hold_from_before_push_to_talk_does_not_count():
    hush = Hush()
    hush.hold(0, 50.0)
    hush.push_to_talk(True)
    assert hush.silent(S)


@pytest.mark.parametrize("timeout_s", [0, -1, 61, math.nan, math.inf])
def test_hold_for_ever_is_refused(timeout_s):
    with pytest.raises(ConfigError, match="timeout_s"):
        Hush().hold(0, timeout_s)


def test_pause_shows_the_last_picture_or_an_idle_face_and_wins_over_mute():
    hush = Hush()
    hush.mute(True)
    hush.pause("picture")
    assert hush.activity(0) == "paused"
    assert hush.resting()
    hush.pause("idle")
    assert hush.activity(0) == "paused"
    assert not hush.resting()
    hush.pause(None)
    assert hush.activity(0) == "muted"


def test_facts_for_clients():
    hush = Hush()
    hush.push_to_talk(True)
    hush.hold(0, 1.0)
    assert hush.as_dict(0) == {
        "muted": False,
        "push_to_talk": True,
        "held": True,
        "paused": False,
        "pause_shows": "",
        "silent": False,
    }
