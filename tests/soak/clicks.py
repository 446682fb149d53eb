"""Clicks and flashes through every outlet for minutes, with crystals that run apart by 200 ppm.

The voice is a real microphone of a real PulseAudio, recorded at 48,010 or 47,990 Hz and taken for
48,000: a crystal 208 ppm off. The output is opened likewise. ZeroMQ, camera (the stand-in for its
driver, at 30 fps), recording and a real browser are measured beside it, at the start, in the middle
and at the end.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rest_bridge import sync
from rest_bridge.audio import pulse_recorder
from rest_bridge.audio.source import open_source
from rest_bridge.flash import CLICK_S, click_track
from rest_bridge.sound import pulse_player
from rest_bridge.types import VOICE_RATE_HZ
from tests.support.chromium import find_chromium
from tests.support.outlets import PreviewListener, camera_flashes_s, stand_in_camera
from tests.support.pulse import running_pulse

_OFF_HZ = 10
_PERIOD_S = 1.007
"""Clicks come at every place of a frame, and of a camera's turn, in turn."""
_WINDOW_S = 40.0
_CURVE_S = 30.0


def main(minutes: float, *, mic: int = 0, out: int = 0, browser: bool = True) -> int:
    """Measure and print; returns the exit code.

    Args:
        minutes: how long.
        mic: +1 a microphone that runs fast by 208 ppm, -1 slow, 0 neither.
        out: the same of the output.
        browser: look at the preview in Chromium as well.
    """
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        _drift(patch, mic, out)
        server = stack.enter_context(running_pulse())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rb-clicks-")))
        camera, fake = stand_in_camera(folder, patch)
        turns, zeromq = sync.TurnSink(), sync.ZeroMqListener()
        voice = sync.VoiceListener("rb_cable", "rb_cable.monitor")
        voice.pictures = {
            "the camera": lambda since_ns: camera_flashes_s(fake, since_ns),
            "the turn of the frame": turns.flashes_s,
        }
        listeners: list[Any] = [sync.RecordingListener(folder / "clicks.mp4"), zeromq, voice]
        if browser and find_chromium() is not None:
            preview = PreviewListener("rb_speakers.monitor")
            stack.callback(preview.close)
            listeners.append(preview)
        devices: list[Any] = []
        player = _play(server, minutes * 60)
        stack.callback(player)
        begun_ns = time.monotonic_ns()
        taken = sync.listen(
            listeners,
            seconds=minutes * 60,
            extra=[turns, camera, _Notes(devices, voice)],
            source=lambda: devices_of(devices, open_source("rb_mic")),
        )
        inside = zeromq.inside(begun_ns)
    found = report(taken, inside, minutes * 60)
    found["devices"] = [asdict(device.health()) for device in devices]
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 1 if found["problems"] else 0


def devices_of(devices: list[Any], source: Any) -> Any:
    """Remember what was opened, for its numbers at the end."""
    devices.append(source)
    return source


class _Notes:
    """A sink that only remembers the voice output, once it is open."""

    name, policy = "notes", "latest"

    def __init__(self, devices: list[Any], voice: sync.VoiceListener) -> None:
        self._devices, self._voice = devices, voice

    def open(self, fmt: object) -> None:
        self._devices.append(self._voice._sink)

    def send(self, frame: object) -> None:
        pass

    def close(self) -> None:
        pass


def _drift(patch: pytest.MonkeyPatch, mic: int, out: int) -> None:
    record, player = pulse_recorder._parec, pulse_player.PulsePlayer
    rate = f"--rate={VOICE_RATE_HZ + mic * _OFF_HZ}"

    def parec(target: str, channels: int, latency_ms: int) -> list[str]:
        command = record(target, channels, latency_ms)
        if target != "rb_mic":  # whoever listens to an outlet has a true clock
            return command
        return [rate if part.startswith("--rate=") else part for part in command]

    def faster(*given: Any, rate_hz: int, **options: Any) -> Any:
        return player(*given, rate_hz=rate_hz + out * _OFF_HZ, **options)

    patch.setattr(pulse_recorder, "_parec", parec)
    patch.setattr(pulse_player, "PulsePlayer", faster)


def _play(server: Any, seconds: float) -> Callable[[], None]:
    """Play clicks into the microphone; returns what ends it."""
    period = round(_PERIOD_S * VOICE_RATE_HZ)
    one = np.zeros(period, np.float32)
    track = click_track(2.0)
    begin = int(np.flatnonzero(track)[0])
    length = round(CLICK_S * VOICE_RATE_HZ)
    one[:length] = track[begin : begin + length]
    player = server.play(np.tile(one, int(seconds / _PERIOD_S) + 5), "rb_micfeed")

    def end() -> None:
        player.kill()
        player.wait()

    return end


def report(
    taken: list[sync.Taken], inside: list[tuple[float, float]], seconds: float
) -> dict[str, Any]:
    """Return rows for the beginning, the middle and the end, and what is out of bounds."""
    begins = {"start": 0.0, "middle": seconds / 2 - _WINDOW_S / 2, "end": seconds - _WINDOW_S - 8}
    rows, problems = [], []
    for one in taken:
        if one.how == "stamps":  # they say how far inside; nothing is left of them
            continue
        own = _by_order(one, inside) if one.how.startswith("demuxed") else inside
        own = [] if one.how == "arrival" else own  # of a whole frame's voice, with its picture
        for name, begin_s in begins.items():
            row = sync.row(one.without(own).between(begin_s, begin_s + _WINDOW_S))
            rows.append({"when": name, **asdict(row)})
            if not row.ok and "turn" not in row.how:  # nobody sees a turn
                problems.append(f"{row.outlet}, {row.how}, {name}: {row.problem or row.median_ms}")
    return {
        "minutes": round(seconds / 60, 1),
        "rows": rows,
        "by_half_minute": {
            f"{one.outlet}, {one.how}": curve(one.without([] if one.how == "arrival" else inside))
            for one in taken
            if one.how != "stamps" and not one.how.startswith("demuxed")
        },
        "problems": problems,
    }


def curve(taken: sync.Taken) -> list[float | None]:
    """Return the median in ms of each half minute; None where nothing could be paired."""
    flashes = np.array(taken.flashes_s)
    if not len(flashes):
        return []
    begins = np.arange(flashes[0], flashes[-1], _CURVE_S)
    rows = [sync.row(_part(taken, float(begin))) for begin in begins]
    return [None if row.problem else row.median_ms for row in rows]


def _part(taken: sync.Taken, begin_s: float) -> sync.Taken:
    """Return the flashes of half a minute, and all clicks."""
    flashes = [at for at in taken.flashes_s if begin_s <= at < begin_s + _CURVE_S]
    return replace(taken, flashes_s=flashes)


def _by_order(taken: sync.Taken, inside: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return how far clicks begin inside their frames for an outlet with a clock of its own.

    Both saw the same clicks, but one may have begun or ended a few earlier.
    """
    offsets = np.array(sync.pair(taken.clicks_s, taken.flashes_s))
    into = np.array([share for _, share in inside])
    best, found = np.inf, np.zeros(0)
    for shift in range(-8, 9):
        first = np.arange(len(offsets)) + shift
        known = (first >= 0) & (first < len(into))
        if known.sum() < len(offsets) // 2:
            continue
        away = float(np.median(np.abs(offsets[known] - into[first[known]])))
        if away < best:
            best, found = away, into[np.clip(first, 0, len(into) - 1)]
    return list(zip(taken.clicks_s, found.tolist(), strict=False))
