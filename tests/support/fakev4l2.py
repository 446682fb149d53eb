"""A stand-in for the v4l2loopback driver: builds fakev4l2.c, reads back what was written to it."""

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rest_bridge.types import ByteArray

_HEADER = struct.Struct("<4s7I2Q")
_SOURCE = Path(__file__).with_name("fakev4l2.c")


@dataclass(frozen=True)
class Record:
    """One write() to the device."""

    sequence: int
    fourcc: str
    width: int
    height: int
    written_ns: int
    data: ByteArray


@dataclass(frozen=True)
class FakeDevice:
    """A device file that exists only for processes with the preloaded library."""

    path: str
    sink: Path

    def records(self) -> list[Record]:
        """Return every complete write so far."""
        data = self.sink.read_bytes() if self.sink.exists() else b""
        result, position = [], 0
        while position + _HEADER.size <= len(data):
            magic, sequence, fourcc, width, height, _, size, _, mono_ns, _ = _HEADER.unpack_from(
                data, position
            )
            assert magic == b"FV4L"
            begin = position + _HEADER.size
            if begin + size > len(data):
                break
            pixels = np.frombuffer(data, np.uint8, size, begin)
            name = fourcc.to_bytes(4, "little").decode()
            result.append(Record(sequence, name, width, height, mono_ns, pixels))
            position = begin + size
        return result


def build(folder: Path) -> Path:
    """Compile the library; skip the test where there is no compiler or no Linux."""
    if shutil.which("gcc") is None or os.name != "posix":
        pytest.skip("the fake camera driver needs gcc on Linux")
    library = folder / "libfakev4l2.so"
    subprocess.run(
        ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(library),
         str(_SOURCE), "-ldl", "-pthread"],
        check=True,
    )  # fmt: skip
    return library
