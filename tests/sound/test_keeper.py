"""A device that disappears is reported once and opened again."""

import logging
import threading

import pytest

from rest_bridge.errors import SourceError
from rest_bridge.sound.keeper import DeviceKeeper


class Device:
    """Gone until it was asked for a number of times."""

    def __init__(self, refusals: int) -> None:
        self.alive = True
        self.attempts: list[bool] = []
        self.back = threading.Event()
        self._refusals = refusals

    def reopen(self, refresh: bool) -> None:
        self.attempts.append(refresh)
        if len(self.attempts) <= self._refusals:
            raise SourceError("not there")
        self.alive = True
        self.back.set()


def keep(device: Device) -> DeviceKeeper:
    keeper = DeviceKeeper(
        "Microphone 'Yeti'",
        reopen=device.reopen,
        is_alive=lambda: device.alive,
        meanwhile="the face hears silence",
        poll_s=0.001,
    )
    keeper.start()
    return keeper


@pytest.mark.parametrize("refusals", [0, 1, 4])
def test_loss_is_reported_once_and_the_list_is_read_anew_only_after_a_failure(
    refusals: int, caplog: pytest.LogCaptureFixture
) -> None:
    device = Device(refusals)
    with caplog.at_level(logging.WARNING):
        keeper = keep(device)
        device.alive = False
        assert device.back.wait(5.0)
        keeper.stop()
    assert device.attempts == [False] + [True] * refusals
    assert keeper.num_losses == 1
    assert [record.message for record in caplog.records] == [
        "Microphone 'Yeti' is gone; the face hears silence until it is back."
    ]


def test_stop_ends_the_watching_while_the_device_is_gone() -> None:
    device = Device(10**9)
    keeper = keep(device)
    device.alive = False
    while not device.attempts:
        threading.Event().wait(0.001)
    keeper.stop()
    keeper.stop()
    count = len(device.attempts)
    threading.Event().wait(0.02)
    assert len(device.attempts) == count
