"""A file that survives its disk: the first error is kept, and nothing after it reaches the file.

FFmpeg learns of a full disk late and would still rewrite the head of the file at the end, for a
tail that is not there.
"""

import io
from pathlib import Path
from typing import IO, Any

from rest_bridge.errors import SinkUnavailable


class GuardedFile(io.RawIOBase):
    """The file as FFmpeg sees it; after the first error everything further is swallowed.

    Args:
        file: opened for writing, unbuffered.

    Attributes:
        error: the first error; None while all is well.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._position = 0
        self._size = 0
        self.error: Exception | None = None

    def fail(self, error: Exception) -> None:
        """Keep the first error and write nothing from now on."""
        if self.error is None:
            # Its traceback would hold the encoder, with 10 MB, until the next full collection.
            self.error = error.with_traceback(None)

    def write(self, data: Any, /) -> int:
        """Write all of `data`; say so even after an error."""
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view) and self.error is None:
            try:
                written += self._file.write(view[written:])
            except OSError as error:
                self.fail(error)
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move, if only in thought after an error."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        if self.error is None:
            try:
                self._file.seek(self._position)
            except OSError as error:
                self.fail(error)
        return self._position

    def tell(self) -> int:
        """Return the position that FFmpeg believes in."""
        return self._position

    def seekable(self) -> bool:
        """Say yes: mp4 and webm patch their head at the end."""
        return True

    def writable(self) -> bool:
        """Say yes."""
        return True

    def close(self) -> None:
        """Close the file; an error of it is kept, not raised."""
        if not self.closed:
            try:
                self._file.close()
            except OSError as error:
                self.fail(error)
        super().close()


def open_for_recording(path: Path) -> IO[bytes]:
    """Create or empty a file.

    Args:
        path: the file.

    Returns:
        It, unbuffered.

    Raises:
        SinkUnavailable: there is no such folder, or one may not write there.
    """
    try:
        return path.open("wb", buffering=0)
    except OSError as error:
        if not path.parent.is_dir():
            reason = "the folder does not exist; create it first"
        elif path.is_dir():
            reason = "this is a folder; give a file name"
        else:
            reason = f"{error.strerror}; choose a place where you may write"
        raise SinkUnavailable(f"Cannot record: {reason}: {path}") from error
