"""Frames between the model's frames: drawn through the flow between theirs, as sharp as those."""

from pathlib import Path

import numpy as np
import pytest

from rest_bridge.generator.decoder import FaceDecoder
from rest_bridge.generator.latent import LatentSpace
from rest_bridge.generator.retime import Retimer, frame_rows, latents_of_rows
from rest_bridge.inference.package import ModelPackage
from rest_bridge.rig import RIG_INDEX
from tests.support.portraits import built_in_avatar

SIZE = 256


@pytest.fixture(scope="module")
def package(package_path: Path) -> ModelPackage:
    return ModelPackage.load(package_path, verify=False)


@pytest.fixture(scope="module")
def decoder(package: ModelPackage) -> FaceDecoder:
    return FaceDecoder(package, built_in_avatar("maya", package), SIZE)


@pytest.fixture(scope="module")
def latents(package: ModelPackage) -> np.ndarray:
    rig = np.zeros((4, 58), np.float32)
    rig[:, RIG_INDEX["headYaw"]] = 0, 2, 4, 6
    rig[:, RIG_INDEX["jawOpen"]] = 0.0, 0.2, 0.4, 0.5
    rig[:, RIG_INDEX["eyeBlinkLeft"]] = 0.0, 0.0, 0.5, 0.9
    return LatentSpace(package).from_rig(rig)


def _between(decoder, latents, below, above, share, wanted=None):
    known = np.repeat(latents, 2, 0)
    second = [False, True] * len(latents)
    return list(decoder.decode_between(known, second, below, above, share, wanted))


def test_at_the_models_frames_the_pictures_are_the_models(decoder, latents) -> None:
    own = list(decoder.decode(latents))
    drawn = _between(decoder, latents, [0, 1, 2], [1, 2, 3], [0.0, 0.0, 1.0])
    for one, other in zip([own[0], own[1], own[3]], drawn, strict=True):
        assert np.array_equal(one, other)


def test_a_picture_between_is_nearer_to_both_than_they_are_to_each_other(decoder, latents) -> None:
    first, last = (picture.astype(float) for picture in list(decoder.decode(latents))[:2])
    (middle,) = _between(decoder, latents, [0], [1], [0.5])
    apart = np.abs(first - last).mean()
    assert np.abs(middle - first).mean() < 0.8 * apart
    assert np.abs(middle - last).mean() < 0.8 * apart


def test_a_picture_between_is_as_sharp_as_its_neighbours(decoder, latents) -> None:
    def sharpness(picture: np.ndarray) -> float:
        return float(np.abs(np.diff(picture[..., :3].astype(float), axis=1)).mean())

    own = list(decoder.decode(latents))
    drawn = _between(decoder, latents, [0, 1, 2], [1, 2, 3], [0.5, 0.5, 0.5])
    for place, picture in enumerate(drawn):
        neighbours = min(sharpness(own[place]), sharpness(own[place + 1]))
        # Two pictures laid over each other softly would lose a tenth and more.
        assert sharpness(picture) > 0.97 * neighbours


def test_what_is_not_wanted_is_not_drawn(decoder, latents) -> None:
    drawn = _between(decoder, latents, [0, 0], [1, 1], [0.2, 0.6], [False, True])
    assert drawn[0] is None
    assert drawn[1] is not None


def test_what_moves_is_found_once_for_each_of_the_models_frames(decoder, latents) -> None:
    calls = []
    found = decoder._motion
    decoder._moved.clear()
    decoder._motion = lambda *args: (calls.append(1), found(*args))[1]
    try:
        _between(
            decoder, latents, [0] * 5 + [1] * 5, [1] * 5 + [2] * 5, [0.1, 0.3, 0.5, 0.7, 0.9] * 2
        )
    finally:
        del decoder._motion
    assert len(calls) == 3


@pytest.mark.parametrize("fps", [24, 30, 50, 60])
def test_places_and_mixtures_agree_for_any_chunking(fps: int) -> None:
    rng = np.random.default_rng(0)
    rig = rng.standard_normal((24, 5)).astype(np.float32)
    retimer = Retimer(fps)
    whole, _ = retimer.step(rig, retimer.initial_state())
    state, parts = retimer.initial_state(), []
    for first in range(0, 24, 2):
        places, state = retimer.place(rig[first : first + 2], state)
        parts.append(places.mixed())
        assert (places.share >= 0).all()
        assert (places.share <= 1).all()
    np.testing.assert_allclose(np.concatenate(parts), whole[: sum(map(len, parts))], atol=1e-6)


def test_rows_keep_rig_latent_and_place() -> None:
    rng = np.random.default_rng(0)
    rig = rng.standard_normal((6, 58)).astype(np.float32)
    latents = rng.standard_normal((3, 16, 4, 4)).astype(np.float32)
    rows = frame_rows(rig, latents)
    known, second = latents_of_rows(rows[1:], 58)
    np.testing.assert_array_equal(rows[:, :58], rig)
    np.testing.assert_array_equal(known, np.repeat(latents, 2, 0)[1:])
    assert second == [True, False, True, False, True]
