"""The native source in the real OBS: pictures with alpha, behaviour, disasters."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("simpleobsws", reason="not installed: rest-bridge[obs]")

from tests.support.face_daemon import FaceDaemon, chart
from tests.support.obs import Obs

pytestmark = pytest.mark.device


@pytest.fixture(scope="module")
def obs(plugin: Path, network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Obs]:
    with Obs(tmp_path_factory.mktemp("obs"), plugin) as running:
        yield running


@pytest.fixture(autouse=True)
def _clean_scene(obs: Obs) -> Iterator[None]:
    yield
    for item in obs.ask("GetInputList")["inputs"]:
        obs.ask("RemoveInput", inputName=item["inputName"])


def test_the_source_shows_the_daemons_frames_pixel_by_pixel_with_their_alpha(obs: Obs) -> None:
    pattern = chart()
    with FaceDaemon(lambda _: pattern):
        obs.add_source()
        obs.wait_for_line("connected to face daemon for tests")
        time.sleep(0.3)
        shot = obs.screenshot("face")
    np.save("/tmp/shot.npy", shot)
    opaque = pattern[..., 3] == 255
    assert np.array_equal(shot[opaque], pattern[opaque])
