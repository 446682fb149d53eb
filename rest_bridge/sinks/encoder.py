"""Pixels of a frame in the format that a subscriber chose; the slow ones in a thread of their own.

Raw formats and JPEG take a fraction of a frame's time and are made where the frame is published.
PNG (16 ms at 512², 65 ms at 1080²) and WebP (4 and 18 ms) are made by one helper thread each, which
leaves out frames when it cannot keep up: whoever asks for them harms nobody.
"""

import io
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import cv2
import numpy as np
from PIL import Image

from rest_bridge.errors import SinkError
from rest_bridge.handoff import Latest
from rest_bridge.sinks.convert import composite, make_background, to_bgra
from rest_bridge.sinks.messages import PixelFormat
from rest_bridge.types import ByteArray

SLOW_FORMATS: Final[tuple[PixelFormat, ...]] = ("png", "webp")
_PNG: Final = [
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
]
_WEBP_QUALITY: Final = 80
_POLL_S: Final = 0.5

Item = TypeVar("Item")


class PixelEncoder:
    """Turns pictures into payloads.

    Args:
        jpeg_quality: 1..100.
        jpeg_background: colour behind the face in JPEG, which has no transparency.
    """

    def __init__(self, *, jpeg_quality: int = 85, jpeg_background: str = "black") -> None:
        self._jpeg_quality = jpeg_quality
        self._jpeg_background = jpeg_background
        self._background: ByteArray | None = None

    def encode(self, rgba: ByteArray, pixel_format: PixelFormat) -> memoryview:
        """Return a picture in a format.

        Args:
            rgba: uint8 [H, W, 4], straight alpha.
            pixel_format: wanted.

        Returns:
            The payload; may be a view of `rgba`.

        Raises:
            SinkError: the picture cannot be encoded.
        """
        match pixel_format:
            case "rgba8":
                return np.ascontiguousarray(rgba).data.cast("B")
            case "bgra8":
                return to_bgra(rgba).data.cast("B")
            case "jpeg":
                bgr = cv2.cvtColor(composite(rgba, self._behind(rgba)), cv2.COLOR_RGB2BGR)
                quality = [cv2.IMWRITE_JPEG_QUALITY, self._jpeg_quality]
                return _file(".jpg", np.asarray(bgr, np.uint8), quality)
            case "png":
                return _file(".png", to_bgra(rgba), _PNG)
            case "webp":
                # Pillow knows WebP's fastest method (4 ms at 512²); OpenCV only its default (16).
                buffer = io.BytesIO()
                picture = Image.fromarray(np.ascontiguousarray(rgba))
                picture.save(buffer, "WEBP", quality=_WEBP_QUALITY, method=0)
                return buffer.getbuffer()

    def _behind(self, rgba: ByteArray) -> ByteArray:
        height, width = rgba.shape[:2]
        if self._background is None or self._background.shape[:2] != (height, width):
            self._background = make_background(self._jpeg_background, width, height)
        return self._background


class HelperThread(Generic[Item]):
    """Makes messages of the newest item, one at a time, beside everything else.

    Args:
        make: turns an item into a message; called in the thread.
        name: of the thread.
    """

    def __init__(self, make: Callable[[Item], bytes], name: str) -> None:
        self._make = make
        self._inbox: Latest[Item] = Latest()
        self._done: deque[bytes] = deque(maxlen=2)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> None:
        """Leave an item; it replaces one that is not begun yet."""
        self._inbox.put(item)

    def take(self) -> list[bytes]:
        """Hand over what was made.

        Returns:
            The messages made since the last call, oldest first.

        Raises:
            SinkError: an item could not be encoded.
        """
        if self._error is not None:
            raise SinkError(f"zeromq: a frame cannot be encoded: {self._error}") from self._error
        made: list[bytes] = []
        while self._done:
            made.append(self._done.popleft())
        return made

    def close(self) -> None:
        """Stop after the present item."""
        self._inbox.close(discard=True)
        self._thread.join(2.0)

    def _run(self) -> None:
        try:
            while not self._inbox.drained:
                item = self._inbox.get(_POLL_S)
                if item is not None:
                    self._done.append(self._make(item))
        except Exception as error:  # noqa: BLE001 - the top of a thread; `take` raises it
            self._error = error


def _file(ending: str, picture: ByteArray, options: list[int]) -> memoryview:
    ok, data = cv2.imencode(ending, picture, options)
    if not ok:
        height, width = picture.shape[:2]
        raise SinkError(f"zeromq: a {width} x {height} frame cannot be a {ending} file.")
    return data.data.cast("B")
