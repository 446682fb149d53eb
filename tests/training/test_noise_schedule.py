"""Chunk-wise asynchronous noise: one time a chunk, growing inside its own share of [0, 1]."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from rest_bridge.training.noise_schedule import (  # noqa: E402
    asynchronous_times,
    fixed_chunks,
    random_chunks,
)

CHUNK = fixed_chunks(12, 3)  # K = 4, as in the paper


def draw(**options: float) -> torch.Tensor:
    chance = torch.Generator().manual_seed(0)
    return asynchronous_times(4000, CHUNK, chance, **options)


def test_asynchronous_times_grow_inside_their_interval() -> None:
    t = draw(synchronous=0.0).reshape(-1, 4, 3)
    assert (t == t[..., :1]).all()  # one time a chunk
    for index in range(4):
        own = t[:, index, 0]
        assert (own > index / 4).all()
        assert (own < (index + 1) / 4).all()
        # logit-normal of mean 0: symmetric around the middle, most mass there
        assert own.mean() == pytest.approx((index + 0.5) / 4, abs=0.005)
        assert ((own - (index + 0.5) / 4).abs() < 0.0625).float().mean() > 0.6


def test_synchronous_clips_have_one_time_over_the_whole_range() -> None:
    t = draw(synchronous=1.0)
    assert (t == t[:, :1]).all()
    assert t.min() < 0.1
    assert t.max() > 0.9


def test_half_of_the_clips_are_synchronous() -> None:
    t = draw(synchronous=0.5)
    assert (t == t[:, :1]).all(1).float().mean() == pytest.approx(0.5, abs=0.03)


def test_full_noise_is_exactly_one() -> None:
    assert (draw(full_noise=0.3) == 1).float().mean() == pytest.approx(0.3, abs=0.03)


def test_random_chunks_cover_the_clip_in_order() -> None:
    chance = torch.Generator().manual_seed(0)
    for _ in range(50):
        chunk = random_chunks(17, chance)
        assert len(chunk) == 17
        assert ((chunk[1:] - chunk[:-1] == 0) | (chunk[1:] - chunk[:-1] == 1)).all()
        assert chunk.bincount().max() <= 4
