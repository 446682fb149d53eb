"""Hears from the sound server when devices come, go or become the default.

A server moves a stream whose device has gone to another one, without a word: the face would hear
another microphone, and the voice would come out of the loudspeakers. So whoever has named a device
watches it here and gives the stream up. One `pactl subscribe` for each watcher.
"""

import logging
import subprocess
import threading
from collections.abc import Callable
from typing import Final

from rest_bridge.sound import pulse

_RETRY_S: Final = 0.5
_KINDS: Final = (b" on server ", b" on source #", b" on sink #")

_log = logging.getLogger(__name__)


class PulseWatch:
    """Calls back with what the server has, at first and whenever that changes.

    Args:
        on_change: called in a thread of its own.
    """

    def __init__(self, on_change: Callable[[pulse.PulseServer], None]) -> None:
        self._on_change = on_change
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="pactl", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; idempotent."""
        self._stop.set()
        with self._lock:
            if self._process is not None:
                self._process.kill()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(2.0)

    def _run(self) -> None:
        """Thread body: follow the server's events, again after it was restarted."""
        while not self._stop.is_set():
            process = self._spawn()
            if process is None:
                return
            with process:
                assert process.stdout is not None
                self._look()
                for line in process.stdout:
                    if self._stop.is_set():
                        break
                    # Of "change" only the server's matters: it tells of a new default.
                    changed = b"'change'" not in line or b" on server " in line
                    if changed and any(kind in line for kind in _KINDS):
                        self._look()
                process.kill()
            self._stop.wait(_RETRY_S)

    def _look(self) -> None:
        server = pulse.query()
        if isinstance(server, pulse.PulseServer):
            self._on_change(server)

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        """Start pactl in a session of its own, so that Ctrl-C reaches only us."""
        with self._lock:
            if self._stop.is_set():
                return None
            try:
                self._process = subprocess.Popen(
                    ["pactl", "subscribe"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=pulse.english(),
                    start_new_session=True,
                )
            except OSError as error:
                _log.warning("The sound server's devices are not watched: %s", error)
                return None
            return self._process
