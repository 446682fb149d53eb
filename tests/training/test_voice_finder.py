"""What the voice finder learns from: who is near, who is in a crowd; and how a network grows."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rest_bridge.training import voice_finder as finder  # noqa: E402
from rest_bridge.training import voice_scenes as scenes  # noqa: E402


def voice(seed: int, seconds: float = 3.0) -> np.ndarray:
    """Return something that comes and goes like syllables."""
    t = np.arange(int(seconds * 16_000)) / 16_000
    rng = np.random.default_rng(seed)
    tone = np.sign(np.sin(2 * np.pi * rng.uniform(90, 220) * t))
    return (tone * np.clip(np.sin(2 * np.pi * 3 * t), 0, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def clips() -> scenes.Clips:
    rng = np.random.default_rng(0)
    kinds = {"read": [voice(seed) for seed in range(6)]}
    noise = rng.standard_normal(6 * 16_000).astype(np.float32)
    return scenes.Clips(
        {"read": [scenes.talker(samples, rng, plain=True) for samples in kinds["read"]]},
        [scenes.no_voice(noise)],
        [scenes.crowd(kinds, rng) for _ in range(4)],
    )


def test_a_crowd_is_as_long_as_a_stream_and_holds_two_to_eight(clips: scenes.Clips) -> None:
    for crowd in clips.crowds:
        assert 2 <= crowd.count <= 8
        assert len(crowd.power) > scenes.STEPS


def test_nobody_is_near_where_only_a_crowd_or_noise_is_heard(clips: scenes.Clips) -> None:
    nobody = scenes.Clips({"read": [scenes.Clip(clips.crowds[0].power, np.zeros(600, bool))]},
                          clips.others, clips.crowds)  # fmt: skip
    for seed in range(30):
        power, truth, weight = scenes.scene(nobody, np.random.default_rng(seed))
        assert power.shape == (scenes.STEPS, 80)
        assert truth.max() == 0.0
        assert weight.max() <= 1.0


def test_a_talker_is_near_in_a_crowd_and_counts_more(clips: scenes.Clips) -> None:
    found = [scenes.scene(clips, np.random.default_rng(seed)) for seed in range(40)]
    near = [truth.mean() for _, truth, _ in found if truth.any()]
    assert 0.4 < len(near) / len(found) < 0.9
    assert max(float(weight.max()) for _, _, weight in found) > 1.0
    for _, truth, weight in found:
        starts = np.flatnonzero(np.diff(truth, prepend=0) > 0)
        assert (weight[starts] == 0).all()  # nobody can know so soon


def test_a_network_grows_without_forgetting(tmp_path: Path, clips: scenes.Clips) -> None:
    torch.manual_seed(0)
    small, large = finder.Network(12).eval(), finder.Network(20).eval()
    np.savez(tmp_path / "small.npz", allow_pickle=False, **small.weights())
    large.take(tmp_path / "small.npz")
    heard = torch.from_numpy(clips.voices["read"][0].power)[None]
    with torch.no_grad():
        before, after = small(heard), large(heard)
    assert float((before - after).abs().max()) < 0.1
    assert finder.train(clips, minutes=1e-4, width=12, start=tmp_path / "small.npz") is not None
