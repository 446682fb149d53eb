"""Training of the nearest talker's share: the runtime does the same, scenes say what is left."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from rest_bridge.features.foreground import BEGIN, BLOCK_FRAMES, Foreground  # noqa: E402
from rest_bridge.training import foreground as training  # noqa: E402
from rest_bridge.training.foreground_scenes import Stage, Voice  # noqa: E402
from rest_bridge.training.sampled_bands import some_song  # noqa: E402
from rest_bridge.training.sung import sung  # noqa: E402
from rest_bridge.types import FloatArray  # noqa: E402

torch.set_num_threads(1)
RATE = 16_000


def syllables(seconds: float, seed: int) -> FloatArray:
    """Buzzes that come and go as syllables do; no voice, but with loud and soft parts."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * k * (100 + 20 * seed) * t) / k for k in range(1, 20))
    gate = np.sin(2 * np.pi * 3 * t + rng.uniform(0, 6)) > -0.3
    sound = wave * gate
    return (sound / sound[gate].std()).astype(np.float32)


@pytest.fixture(scope="module")
def stage() -> Stage:
    noise = np.random.default_rng(0).standard_normal(8 * RATE).astype(np.float32)
    voices = [Voice(kind, syllables(7, k)) for k, kind in enumerate(("read", "read", "espeak"))]
    return Stage(voices, [noise], [noise])


def test_the_runtime_computes_what_was_trained(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = training.Network(16).eval()
    path = tmp_path / "weights.npz"
    np.savez(path, **network.weights())
    network.take(path)  # rounded to halves, as the runtime reads them
    rng = np.random.default_rng(0)
    heard = rng.normal(-5, 2, (1, 5 * BLOCK_FRAMES, 80)).astype(np.float32).clip(-10)
    means = training.running_means(heard, np.full((1, 80), BEGIN, np.float32))
    with torch.no_grad():
        logits, near, _ = network(
            torch.from_numpy(heard), torch.from_numpy(means), torch.zeros(1, 1, 16)
        )
        wanted = training.left_of(torch.from_numpy(heard), logits)[0].numpy()
    with np.load(path) as archive:
        weights = {name: archive[name].astype(np.float32) for name in archive.files}
    runtime = Foreground(training.POWER_FLOOR, weights)
    state, left, told = runtime.initial_state(), [], []
    for first in range(0, heard.shape[1], BLOCK_FRAMES):
        part, found, state = runtime.step(heard[0, first : first + BLOCK_FRAMES], state)
        left.append(part)
        told.append(found)
    np.testing.assert_allclose(np.concatenate(left), wanted, atol=1e-4)
    np.testing.assert_allclose(np.concatenate(told), near[0].numpy(), atol=1e-4)


def test_what_is_left_is_part_of_what_is_heard(stage: Stage) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        scene = stage.scene(rng)
        assert len(scene.heard) == len(scene.near) == 6 * RATE
        assert len(scene.speaks) == len(scene.weight) == 300
        assert np.isfinite(scene.heard).all()
        other = scene.heard - scene.near
        if scene.speaks.any() and other.std() > 0.05 * scene.heard.std():
            assert scene.near[np.repeat(scene.speaks > 0, 320)].std() > 0.6 * other.std()


def test_a_crowd_without_anybody_near_leaves_the_room_alone(stage: Stage) -> None:
    rng = np.random.default_rng(2)
    alone = [scene for scene in (stage.scene(rng) for _ in range(20)) if not scene.speaks.any()]
    assert alone
    for scene in alone:
        assert scene.near.std() < 0.02 * scene.heard.std()


def test_training_writes_weights_that_the_runtime_reads(stage: Stage, tmp_path: Path) -> None:
    out = tmp_path / "weights.npz"
    training.train(stage, minutes=0.001, seed=0, out=out, width=12)
    with np.load(out) as archive:
        weights = {name: archive[name].astype(np.float32) for name in archive.files}
    runtime = Foreground(training.POWER_FLOOR, weights)
    left, near, _ = runtime.step(np.full((8, 80), -6, np.float32), runtime.initial_state())
    assert left.shape == (8, 80)
    assert near.shape == (4,)


def test_a_sung_voice_lasts_longer_and_holds_its_notes() -> None:
    voice = syllables(3, 1)
    found = sung(voice, np.random.default_rng(0))
    assert 1.3 < len(found) / len(voice) < 4.5
    assert found.std() == pytest.approx(voice.std(), rel=0.2)
    assert np.isfinite(found).all()


def test_every_band_plays_something() -> None:
    import random

    for seed in range(200):
        song = some_song(random.Random(seed))
        assert (
            song.tune is not None or song.chords is not None or song.bass is not None or song.drums
        )
