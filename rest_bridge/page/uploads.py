"""Files that a browser sends, in pieces, over its WebSocket: bounded, counted, gone afterwards.

A file has a number and a size announced beforehand; its bytes come in binary messages that begin
with the number. It lies in a temporary folder under a name of ours until it is used, or its
connection ends.
"""

import struct
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from rest_bridge.sinks.control import BadRequest

MOST_BYTES: Final = 160 * 2**20
"""Of one file: a picture of 100 million pixels, ten minutes of uncompressed voice."""
MOST_FILES: Final = 8
"""Of one connection at the same time."""
PIECE_BYTES: Final = 128 * 2**10
"""Most that one message holds."""
_NUMBER: Final = struct.Struct(">I")


class Upload:
    """One file on its way."""

    def __init__(self, path: Path, size: int) -> None:
        """Create the file.

        Args:
            path: where.
            size: bytes that were announced.
        """
        self.path = path
        self.left = size
        self._file: BinaryIO | None = path.open("wb")

    def write(self, data: bytes) -> None:
        """Take a piece; the last one closes the file."""
        if self._file is None:
            return
        self._file.write(data)
        self.left -= len(data)
        if self.left <= 0:
            self.close()

    def close(self) -> None:
        """Close the file; idempotent."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


class Uploads:
    """The files of one connection; a context manager.

    Used by the connection's thread and, for whole files, by those of its operations.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._folder = tempfile.TemporaryDirectory(
            prefix="rest-bridge-upload-", ignore_cleanup_errors=True
        )
        self._uploads: dict[int, Upload] = {}
        self._next = 1

    def __enter__(self) -> "Uploads":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for upload in list(self._uploads.values()):
            upload.close()
        self._folder.cleanup()

    def begin(self, size: int) -> int:
        """Make room for a file.

        Args:
            size: bytes.

        Returns:
            Its number.

        Raises:
            BadRequest: it is too large, or too many are there already.
        """
        if not 0 < size <= MOST_BYTES:
            raise BadRequest(
                f"This file has {size / 2**20:.0f} MB; at most {MOST_BYTES >> 20} MB can be taken."
                if size > 0
                else "This file is empty."
            )
        if len(self._uploads) >= MOST_FILES:
            raise BadRequest(f"{MOST_FILES} files are on their way already; wait for them.")
        number, self._next = self._next, self._next + 1
        self._uploads[number] = Upload(Path(self._folder.name) / f"{number}", size)
        return number

    def take(self, message: bytes) -> None:
        """Take a piece: the file's number, four bytes big-endian, then its next bytes.

        Raises:
            BadRequest: there is no such file, or more comes than was announced; it is dropped.
        """
        if len(message) <= _NUMBER.size:
            raise BadRequest("A piece of a file needs its number and data.")
        (number,) = _NUMBER.unpack_from(message)
        upload = self._uploads.get(number)
        if upload is None:
            raise BadRequest("There is no such file on its way.")
        if len(message) - _NUMBER.size > upload.left:
            self.drop(number)
            raise BadRequest("More came of this file than was announced; it was dropped.")
        upload.write(message[_NUMBER.size :])

    def whole(self, number: int) -> Path:
        """Return where a file lies that has come completely.

        Raises:
            BadRequest: there is none, or a part is still missing.
        """
        upload = self._uploads.get(number)
        if upload is None:
            raise BadRequest("There is no such file; send it again.")
        if upload.left > 0:
            raise BadRequest("The file has not come completely; send it again.")
        return upload.path

    def drop(self, number: int) -> None:
        """Forget a file; idempotent."""
        upload = self._uploads.pop(number, None)
        if upload is not None:
            upload.close()
            upload.path.unlink(missing_ok=True)
