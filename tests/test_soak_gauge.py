"""What the soak's gauge sees: descriptors by kind, and growth that a fault does not hide."""

import os
import sys
from pathlib import Path

import pytest

from tests.soak.gauge import Held, by_minute, descriptors, least, more

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
def test_a_descriptor_left_open_is_named_by_its_kind(tmp_path: Path) -> None:
    before = descriptors()
    pipe = os.pipe()
    file = (tmp_path / "left.bin").open("wb")
    grown = more(before, descriptors())
    assert grown["pipe:[]"] == 2
    assert sum(grown.values()) == 3
    file.close()
    for end in pipe:
        os.close(end)
    assert more(before, descriptors()) == {}


def test_what_is_held_for_ever_is_what_the_quietest_moment_has() -> None:
    counts = ({"socket:[]": 9}, {"socket:[]": 4, "pipe:[]": 2}, {"socket:[]": 5, "pipe:[]": 3})
    samples = [(20.0 * n, Held(100.0 + n, 9, 1, 0, kinds)) for n, kinds in enumerate(counts)]
    assert least(samples, "kinds") == {"pipe:[]": 0, "socket:[]": 4}
    assert by_minute([*samples, (61.0, Held(300.0, 0, 0, 0))]) == [101.0, 300.0]
