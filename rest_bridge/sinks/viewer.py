"""One browser that watches the preview: what waits for it, and the thread that writes to it."""

import logging
import socket
import threading
from collections import deque
from typing import Final

import cv2
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from rest_bridge.sinks.alpha import premultiply
from rest_bridge.sinks.convert import is_opaque
from rest_bridge.types import ByteArray

_MESSAGES: Final = 100
"""Voice and statistics that may wait: four seconds; then the oldest go."""
_MIN_SIDE_PX: Final = 16
_MAX_SIDE_PX: Final = 8192

_log = logging.getLogger(__name__)


class Viewer:
    """A mailbox of one picture and a short queue of messages, emptied by a thread of its own.

    Args:
        connection: accepted and checked.
        guest: it came over the network.
    """

    def __init__(self, connection: ServerConnection, *, guest: bool = False) -> None:
        self.guest = guest
        self._connection = connection
        self._changed = threading.Condition()
        self._picture: bytes | None = None  # guarded by _changed, as the next four
        self._messages: deque[bytes | str] = deque(maxlen=_MESSAGES)
        self._max_side_px = _MAX_SIDE_PX
        self._closing = False
        self.wants_voice = False
        self._thread = threading.Thread(target=self._write, name="preview-viewer", daemon=True)

    def start(self) -> None:
        """Begin to write what is left here."""
        self._thread.start()

    def ask(self, *, size: int, voice: bool) -> None:
        """Take what the page wants.

        Args:
            size: longest side in pixels that it can show; 0 for whatever we have.
            voice: whether it plays the voice.
        """
        with self._changed:
            self._max_side_px = min(max(size, _MIN_SIDE_PX), _MAX_SIDE_PX) if size else _MAX_SIDE_PX
            self.wants_voice = voice

    def size_for(self, rgba: ByteArray) -> tuple[int, int]:
        """Return (width, height) of what this viewer gets of a picture: never more than it has."""
        height, width = rgba.shape[:2]
        longest = max(width, height)
        side = min(self._max_side_px, longest)
        return max(1, width * side // longest), max(1, height * side // longest)

    def leave_picture(self, data: bytes) -> None:
        """Leave a picture; one that was not fetched yet is replaced."""
        with self._changed:
            self._picture = data
            self._changed.notify_all()

    def leave_message(self, data: bytes | str) -> None:
        """Leave a message; messages keep their order and go before the picture."""
        with self._changed:
            self._messages.append(data)
            self._changed.notify_all()

    def close(self) -> None:
        """Let the thread say goodbye; idempotent, returns at once."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread; cut the connection if the page does not read."""
        if not self._thread.is_alive():
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            try:
                self._connection.socket.shutdown(socket.SHUT_RDWR)
            except OSError as error:
                _log.debug("preview viewer was gone: %s", error)
            self._thread.join(timeout_s)

    def _write(self) -> None:
        """Thread body: send until closed or gone."""
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(
                        lambda: self._picture is not None or self._messages or self._closing
                    )
                    if self._closing:
                        break
                    messages, picture = list(self._messages), self._picture
                    self._messages.clear()
                    self._picture = None
                for message in messages:
                    self._connection.send(message)
                if picture is not None:
                    self._connection.send(picture)
            self._connection.close(1001)  # "going away"
        except (ConnectionClosed, OSError) as error:
            _log.debug("preview viewer left: %s", error)


def shrink(rgba: ByteArray, size: tuple[int, int]) -> ByteArray:
    """Scale a straight-alpha picture down; colours hidden under alpha 0 do not bleed.

    Args:
        rgba: uint8 [H, W, 4], straight alpha.
        size: (width, height) in pixels, at most those of `rgba`.

    Returns:
        uint8 [height, width, 4], straight alpha, C-contiguous; `rgba` itself if the size is its.
    """
    if size == (rgba.shape[1], rgba.shape[0]):
        return np.ascontiguousarray(rgba)
    # Averaging areas takes 2 ms at 512², bilinear 0.3 ms and aliases only beyond half size.
    method = cv2.INTER_LINEAR if size[0] * 2 >= rgba.shape[1] else cv2.INTER_AREA
    if is_opaque(rgba):
        return np.asarray(cv2.resize(rgba, size, interpolation=method), np.uint8)
    small = cv2.resize(premultiply(rgba), size, interpolation=method)
    alpha = cv2.extractChannel(small, 3)
    divisor = cv2.merge((alpha, alpha, alpha, np.full_like(alpha, 255)))
    return np.asarray(cv2.divide(small, divisor, scale=255), np.uint8)  # x / 0 is 0 here
