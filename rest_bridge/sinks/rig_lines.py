"""Writes the face as JSON lines, one a frame: to standard output, a file or a named pipe.

For anyone who wants rig values without a library: `rest-bridge run --rig lines | my-program`.
"""

import json
import os
import stat
import sys
from pathlib import Path
from typing import Final, TextIO

from rest_bridge.errors import SinkError, SinkUnavailable
from rest_bridge.rig import RIG_NAMES, VISEME_NAMES
from rest_bridge.sinks.rig_values import RigInstant

STANDARD_OUTPUT: Final = "-"


def line(instant: RigInstant) -> str:
    """Return one instant as a line of JSON without the line's end.

    Args:
        instant: the face.
    """
    return json.dumps(
        {
            "time": round(instant.pts_ns / 1e9, 6),
            "activity": instant.activity,
            "level": round(instant.level, 4),
            "rig": {
                name: round(float(value), 4)
                for name, value in zip(RIG_NAMES, instant.values, strict=True)
            },
            "visemes": {
                name: round(float(value), 4)
                for name, value in zip(VISEME_NAMES, instant.visemes, strict=True)
            },
        },
        separators=(",", ":"),
    )


class RigLinesOutput:
    """Writes lines to where they shall go.

    Args:
        target: a path, or "-" for standard output.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._file: TextIO | None = None

    def open(self) -> None:
        """Open the file.

        Raises:
            SinkUnavailable: it cannot be written.
        """
        if self._target == STANDARD_OUTPUT:
            self._file = sys.stdout
            return
        path = Path(self._target).expanduser()
        try:
            if path.exists() and stat.S_ISFIFO(path.stat().st_mode):
                # Opening a pipe waits for its reader: the daemon must not.
                handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                os.set_blocking(handle, True)
                self._file = os.fdopen(handle, "w", encoding="utf-8")
            else:
                self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            reason = "nobody reads the pipe" if error.errno == 6 else error.strerror
            raise SinkUnavailable(
                f"rig lines cannot be written ({reason}); choose another rig_lines.target: {path}"
            ) from error

    def emit(self, instant: RigInstant) -> None:
        """Write one line, at once.

        Args:
            instant: the face.

        Raises:
            SinkError: the disk is full, or the reader has gone.
        """
        if self._file is None:
            raise SinkError("the rig lines are not open")
        try:
            self._file.write(line(instant) + "\n")
            self._file.flush()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SinkError(f"rig lines end here: {reason}") from error

    def close(self) -> None:
        """Close the file; idempotent. Standard output stays open."""
        file, self._file = self._file, None
        if file is not None and file is not sys.stdout:
            try:
                file.close()
            except OSError as error:
                raise SinkError(f"rig lines end here: {error.strerror}") from error
