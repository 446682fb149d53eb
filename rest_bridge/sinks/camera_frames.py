"""Pictures from our process to the camera's: three slots in a mapped file, the newest one wins.

The writer never waits and the reader never sees half a picture: the writer fills the slot that
was used longest ago and then announces it; the reader checks afterwards that it was not overtaken
twice meanwhile. A mapped file instead of `multiprocessing.shared_memory`, whose resource tracker
deletes the memory under us when the other process ends (Python before 3.13).
"""

import mmap
import os
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from rest_bridge.types import ByteArray

_NUM_SLOTS: Final = 3
_NUM_NUMBERS: Final = 8
_HEADER_BYTES: Final = _NUM_NUMBERS * 8
_SEQUENCE, _SENT, _REPEATED, _LOST, _LOSSES = 0, 1, 2, 3, 4
_DUE = 5
"""One for each slot."""


class CameraFrames:
    """The mapped file; one process makes it, the other one opens it by its path.

    Args:
        path: of an existing file.
        width: of the pictures, pixels.
        height: of the pictures, pixels.
    """

    def __init__(self, path: Path, width: int, height: int) -> None:
        self.path = path
        size = _HEADER_BYTES + _NUM_SLOTS * height * width * 4
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        self._numbers = np.frombuffer(self._map, np.int64, _NUM_NUMBERS)
        self._slots = np.frombuffer(self._map, np.uint8, offset=_HEADER_BYTES).reshape(
            _NUM_SLOTS, height, width, 4
        )
        self._seen = 0
        self.due_ns = 0
        """When the picture that was taken last had its turn; 0 where nobody said."""

    @classmethod
    def create(cls, width: int, height: int) -> "CameraFrames":
        """Make a new file, in memory where the system has a folder for that.

        Args:
            width: of the pictures, pixels.
            height: of the pictures, pixels.

        Returns:
            The frames, without a picture.
        """
        memory = Path("/dev/shm")
        folder = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
        handle, name = tempfile.mkstemp(prefix="rest_bridge_camera_", dir=folder)
        try:
            os.truncate(handle, _HEADER_BYTES + _NUM_SLOTS * height * width * 4)
        finally:
            os.close(handle)
        return cls(Path(name), width, height)

    def put(self, rgba: ByteArray, due_ns: int = 0) -> None:
        """Leave a picture.

        Args:
            rgba: uint8 [height, width, 4].
            due_ns: monotonic time of its turn, if that is known.
        """
        sequence = int(self._numbers[_SEQUENCE]) + 1
        np.copyto(self._slots[sequence % _NUM_SLOTS], rgba)
        self._numbers[_DUE + sequence % _NUM_SLOTS] = due_ns
        self._numbers[_SEQUENCE] = sequence

    def take(self) -> ByteArray | None:
        """Return a copy of the newest picture, None if it was taken already."""
        while (sequence := int(self._numbers[_SEQUENCE])) != self._seen:
            picture = self._slots[sequence % _NUM_SLOTS].copy()
            due_ns = int(self._numbers[_DUE + sequence % _NUM_SLOTS])
            # The writer comes back to this slot with its third picture from here.
            if int(self._numbers[_SEQUENCE]) < sequence + _NUM_SLOTS - 1:
                self._seen, self.due_ns = sequence, due_ns
                return picture
        return None

    def count(self, *, repeated: bool) -> None:
        """Note that a picture went to the camera."""
        self._numbers[_SENT] += 1
        self._numbers[_REPEATED] += repeated

    def note_loss(self, *, lost: bool) -> None:
        """Note that the camera has gone, or is back."""
        self._numbers[_LOSSES] += lost
        self._numbers[_LOST] = lost

    @property
    def lost(self) -> bool:
        """Whether the camera is gone now."""
        return bool(self._numbers[_LOST])

    @property
    def num_losses(self) -> int:
        """How often the camera has gone."""
        return int(self._numbers[_LOSSES])

    @property
    def num_sent(self) -> int:
        """Pictures that went to the camera."""
        return int(self._numbers[_SENT])

    @property
    def num_repeated(self) -> int:
        """How many of them were shown before."""
        return int(self._numbers[_REPEATED])

    def close(self, *, delete: bool = False) -> None:
        """Unmap the file; the last counts stay readable.

        Args:
            delete: remove the file as well.
        """
        self._numbers = self._numbers.copy()
        self._slots = self._slots[:0].copy()
        self._map.close()
        if delete:
            self.path.unlink(missing_ok=True)
