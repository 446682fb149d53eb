"""Losing and finding a device is told once, to people and to subscribers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from rest_bridge.audio.gain import GainSource
from rest_bridge.device_watch import DeviceWatch
from rest_bridge.sound.health import DeviceHealth

MIC = DeviceHealth("voice in", "Yeti", ppm=12.0)


class Part:
    """A source, or a sink, with a device."""

    name, sample_rate_hz, live = "Yeti", 48_000, True

    def __init__(self, health: DeviceHealth) -> None:
        self.now = health

    def health(self) -> DeviceHealth:
        return self.now


class Log:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.posted: list[tuple[str, Mapping[str, Any]]] = []
        self.watch = DeviceWatch(
            self.told.append, lambda kind, body: self.posted.append((kind, body))
        )


def test_loss_and_return_are_told_once_each() -> None:
    log, mic = Log(), Part(MIC)
    for lost in (False, True, True, True, False, False):
        mic.now = replace(MIC, lost=lost, losses=int(lost or mic.now.losses > 0))
        log.watch.look([mic, object()])
    assert log.told == [
        "Yeti is gone; the face hears silence until it is back.",
        "Yeti is back.",
    ]
    assert [(kind, body["lost"]) for kind, body in log.posted] == [
        ("device", True),
        ("device", False),
    ]
    assert log.posted[0][1] == {"role": "voice in", "device": "Yeti", "lost": True, "losses": 1}


def test_a_device_that_was_gone_between_two_looks_is_told() -> None:
    log, mic = Log(), Part(MIC)
    log.watch.look([mic])
    mic.now = replace(MIC, losses=1)
    log.watch.look([mic])
    assert log.told == ["Yeti was gone for a moment and is back."]


def test_a_device_behind_an_amplifier_is_seen() -> None:
    log = Log()
    log.watch.look([GainSource(Part(MIC), 6.0)])  # type: ignore[arg-type]
    assert log.watch.devices == (MIC,)


def test_jumps_of_time_and_notes_are_told() -> None:
    log, speaker = Log(), Part(replace(MIC, role="voice out", note="It is late."))
    log.watch.look([speaker], 0)
    log.watch.look([speaker], 1)
    log.watch.look([speaker], 1)
    assert log.told[0] == "It is late."
    assert "slept" in log.told[1]
    assert len(log.told) == 2


@pytest.mark.parametrize("role", ["voice in", "voice out", "camera"])
def test_every_role_says_what_happens_meanwhile(role: Any) -> None:
    log = Log()
    log.watch.look([Part(DeviceHealth(role, "X", lost=True, losses=1))])
    assert log.told[0].startswith("X is gone; ")
