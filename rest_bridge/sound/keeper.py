"""Keeps a device open: notices that it is gone, says so once, opens it again by name."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from rest_bridge.errors import RestBridgeError

_POLL_S: Final = 0.5
_LONGEST_WAIT_S: Final = 8.0
_SLEPT_S: Final = 1.0

_log = logging.getLogger(__name__)


class DeviceKeeper:
    """Watches one open device from a thread of its own.

    Args:
        what: the device, for the log: "Microphone 'Yeti'".
        reopen: opens the device again by its name; its argument says that the device list shall
            be read anew first. Raises RestBridgeError while the device is not there.
        is_alive: whether the device still works.
        meanwhile: what the stream gets until the device is back, for the log.
        poll_s: how often to look.
    """

    def __init__(
        self,
        what: str,
        *,
        reopen: Callable[[bool], None],
        is_alive: Callable[[], bool],
        meanwhile: str,
        poll_s: float = _POLL_S,
    ) -> None:
        self._what = what
        self._reopen = reopen
        self._is_alive = is_alive
        self._meanwhile = meanwhile
        self._poll_s = poll_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"keep {what}", daemon=True)
        self.num_losses = 0
        self.lost = False

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; the device is not opened again after this returns. Idempotent."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        looked_s = time.monotonic()
        while not self._stop.wait(self._poll_s):
            slept = time.monotonic() - looked_s > self._poll_s + _SLEPT_S
            looked_s = time.monotonic()
            # After a sleep of the computer the device has had no time to call back yet.
            if not slept and not self._is_alive():
                self.num_losses += 1
                self.lost = True
                _log.warning("%s is gone; %s until it is back.", self._what, self._meanwhile)
                self._wait_for_return()
                looked_s = time.monotonic()

    def _wait_for_return(self) -> None:
        # Reading the device list anew interrupts every other stream, so the first attempt does
        # without, and the later ones come ever more rarely.
        wait_s, refresh = 0.0, False
        while not self._stop.wait(wait_s):
            try:
                self._reopen(refresh)
            except RestBridgeError as error:
                _log.debug("%s is still gone: %s", self._what, error)
            else:
                self.lost = False
                _log.info("%s is back.", self._what)
                return
            wait_s = min(_LONGEST_WAIT_S, max(self._poll_s, wait_s * 2))
            refresh = True
