"""A microphone that delivers zeros is told from one in a quiet room, with what to do about it."""

import numpy as np
import pytest

from rest_bridge.audio.live_source import LiveSource
from rest_bridge.sound.muted import ZeroWatch, mute_remedy

QUIET = np.full(480, 1e-5, np.float32)
ZEROS = np.zeros(480, np.float32)


def feed(watch: ZeroWatch, samples: np.ndarray, seconds: float) -> None:
    for _ in range(round(seconds * 100)):
        watch.note(samples, 48_000)


def test_zeros_from_the_beginning_are_a_mute_after_five_seconds() -> None:
    watch = ZeroWatch()
    feed(watch, ZEROS, 4.9)
    assert not watch.muted
    feed(watch, ZEROS, 0.2)
    assert watch.muted


def test_a_quiet_room_is_no_mute_and_sound_ends_one() -> None:
    watch = ZeroWatch()
    feed(watch, QUIET, 120)
    assert watch.note_for("x", "X") == ""
    feed(watch, ZEROS, 59)
    assert not watch.muted  # a noise suppression while a person thinks
    feed(watch, ZEROS, 2)
    assert "noise suppression" in watch.note_for("x", "X")
    feed(watch, QUIET, 0.01)
    assert not watch.muted


@pytest.mark.parametrize(
    ("platform", "words"),
    [("linux", "pactl set-source-mute usb_mic 0"), ("win32", "Privacy"), ("darwin", "Privacy")],
)
def test_the_remedy_is_for_the_system(platform: str, words: str) -> None:
    assert words in mute_remedy("usb_mic", platform)
    assert "switch" in mute_remedy("usb_mic", platform)
    assert "@DEFAULT_SOURCE@" in mute_remedy("default", "linux")


def test_status_says_it_of_a_microphone_and_not_of_what_the_computer_plays() -> None:
    for never_silent, expected in ((True, "nothing but zeros"), (False, "")):
        source = LiveSource("dev", "Microphone 'dev'", never_silent=never_silent)
        source.feed.start(48_000)
        for number in range(600):
            source.write(ZEROS, number * 10_000_000, rate_hz=48_000)
        note = source.health().note
        assert expected in note
        assert bool(note) is never_silent
        source.close()
