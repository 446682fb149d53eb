"""Who hears the voice: mute, push-to-talk and pause, and what each of them means.

*Mute*: the face hears silence, and so does everybody behind it (voice out, recording, ZeroMQ); the
face idles. *Push-to-talk*: muted unless a client holds the key; a hold ends by itself, so that a
client that dies leaves nobody's microphone open. *Pause*: as mute, and the picture stands still
too, or goes on idling where that is asked for. Knows no clock: the caller tells the time.
"""

import threading
from typing import Final, Literal

from rest_bridge.errors import ConfigError
from rest_bridge.types import StreamActivity

MOST_HOLD_S: Final = 60.0
DEFAULT_HOLD_S: Final = 2.0
"""A client that holds the key says so again before this is over."""
_NS_PER_S: Final = 1_000_000_000

PauseShow = Literal["picture", "idle"]
"""What a pause shows: the last picture, or a face that idles."""


class Hush:
    """The state of all three; any thread."""

    def __init__(self) -> None:
        """Begin with everything heard."""
        self._lock = threading.Lock()
        self._muted = False
        self._push_to_talk = False
        self._held_until_ns = 0
        self._pause: PauseShow | None = None

    def mute(self, on: bool) -> None:
        """Mute, or not."""
        with self._lock:
            self._muted = on

    def push_to_talk(self, on: bool) -> None:
        """Be silent unless held from now on, or not."""
        with self._lock:
            self._push_to_talk = on
            self._held_until_ns = 0

    def hold(self, now_ns: int, timeout_s: float = DEFAULT_HOLD_S) -> None:
        """Hold the key; counts only with push-to-talk.

        Args:
            now_ns: the time.
            timeout_s: until then, if nobody holds it again.

        Raises:
            ConfigError: the time is not allowed.
        """
        if not 0 < timeout_s <= MOST_HOLD_S:  # not a number fails too
            raise ConfigError(
                f"timeout_s = {timeout_s} is not possible; choose more than 0, at most "
                f"{MOST_HOLD_S:.0f} seconds, and hold again before it is over."
            )
        with self._lock:
            self._held_until_ns = now_ns + int(timeout_s * _NS_PER_S)

    def release(self) -> None:
        """Let the key go."""
        with self._lock:
            self._held_until_ns = 0

    def pause(self, show: PauseShow | None) -> None:
        """Pause and show this, or go on (None)."""
        with self._lock:
            self._pause = show

    def silent(self, now_ns: int) -> bool:
        """Say whether the face hears silence now."""
        return self.activity(now_ns) is not None

    def resting(self) -> bool:
        """Say whether the picture stands still."""
        with self._lock:
            return self._pause == "picture"

    def activity(self, now_ns: int) -> StreamActivity | None:
        """Return what the stream is to be called, None where the voice says that."""
        with self._lock:
            if self._pause is not None:
                return "paused"
            closed = self._push_to_talk and now_ns >= self._held_until_ns
            return "muted" if self._muted or closed else None

    def as_dict(self, now_ns: int) -> dict[str, object]:
        """Return the state for a control client."""
        silent = self.silent(now_ns)
        with self._lock:
            return {
                "muted": self._muted,
                "push_to_talk": self._push_to_talk,
                "held": self._push_to_talk and now_ns < self._held_until_ns,
                "paused": self._pause is not None,
                "pause_shows": self._pause or "",
                "silent": silent,
            }
