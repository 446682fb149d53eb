from pathlib import Path

import numpy as np
import pytest
import torch

from rest_bridge.errors import ConfigError
from rest_bridge.training.evaluation import sync_expert, sync_inputs, sync_protocol, syncnet


def _walk(seed: int, frames: int = 80, width: int = 8) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(frames, width)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize("late", [-4, 0, 3])
def test_offset_is_positive_where_the_picture_is_late(late: int) -> None:
    heard = _walk(0, 120)
    seen = np.roll(heard, late, axis=0)
    score = sync_protocol.sync_score(seen[20:100], heard[20:100])
    assert score.offset_ms == 40 * late
    assert score.distance == pytest.approx(0, abs=1e-5)


def test_a_constant_offset_lowers_neither_score() -> None:
    """Which is why the offset must be reported."""
    heard = _walk(0, 120)
    straight = sync_protocol.sync_score(heard[20:100], heard[20:100])
    late = sync_protocol.sync_score(np.roll(heard, 5, 0)[20:100], heard[20:100])
    assert late.confidence == pytest.approx(straight.confidence, rel=0.05)


def test_unrelated_sound_has_no_confidence() -> None:
    together = sync_protocol.sync_score(_walk(0), _walk(0))
    apart = sync_protocol.sync_score(_walk(0), _walk(1))
    assert apart.confidence < 0.15 * together.confidence
    assert apart.distance > 1


def test_too_short_a_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        sync_protocol.sync_score(_walk(0, 30), _walk(0, 30))


def test_a_click_lies_in_the_mel_row_of_its_time() -> None:
    voice = np.zeros(48_000, np.float32)
    voice[24_000 : 24_000 + 240] = np.sin(np.arange(240) * 0.4)
    mels = sync_inputs.log_mels(voice)
    assert mels.shape == (100, sync_expert.MEL_BINS)
    assert abs(int(mels.mean(1).argmax()) - 50) <= 1


def test_mouths_are_cut_around_the_mouth() -> None:
    frames = [np.zeros((100, 100, 3), np.uint8) for _ in range(20)]
    for frame in frames:
        frame[58:63, 48:53] = 255
    landmarks = np.zeros((20, 66, 2), np.float32)
    landmarks[:, 36:42], landmarks[:, 42:48] = (30, 30), (70, 30)
    landmarks[:, 48:66] = (50, 60)
    centres, side = sync_inputs.crop_places(landmarks)
    crops = sync_inputs.mouth_crops(frames, centres, side)
    assert side == pytest.approx(sync_inputs.CROP_SIDE * 40)
    row, column = np.unravel_index(int(crops[10].argmax()), crops[10].shape)
    assert abs(int(row) - 24) <= 3
    assert abs(int(column) - 24) <= 3


def test_sound_and_picture_windows_cover_the_same_time() -> None:
    expert = sync_expert.SyncExpert().eval()
    mouths = np.zeros((30, 48, 48), np.float32)
    seen, heard = sync_expert.embed(expert, mouths, np.zeros((120, 40), np.float32))
    assert seen.shape == heard.shape == (26, sync_expert.WIDTH)
    assert np.linalg.norm(seen, axis=1) == pytest.approx(np.ones(26), abs=1e-4)


def test_the_loss_falls_when_pairs_agree() -> None:
    sound = torch.nn.functional.normalize(
        torch.randn(16, 64, generator=torch.Generator().manual_seed(0)), dim=1
    )
    scale = torch.tensor(2.5)
    agreed = sync_expert.contrastive_loss(sound, sound, scale)
    mixed = sync_expert.contrastive_loss(sound, sound.roll(1, 0), scale)
    assert agreed < mixed


def test_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    torch.manual_seed(0)
    expert = sync_expert.SyncExpert().eval()
    sync_expert.save_expert(expert, tmp_path / "expert.npz")
    read = sync_expert.load_expert(tmp_path / "expert.npz")
    mels = torch.randn(2, 20, 40)
    assert torch.allclose(expert.hear(mels), read.hear(mels), atol=5e-3)


def test_missing_or_foreign_weights_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sync_training"):
        sync_expert.load_expert(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ConfigError, match="another sync expert"):
        sync_expert.load_expert(tmp_path / "other.npz")


def test_syncnet_takes_what_its_front_ends_give() -> None:
    net = syncnet.SyncNet().eval()
    cepstra = syncnet.mfcc(np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32))
    assert cepstra.shape == (99, 13)
    with torch.no_grad():
        heard = net.hear(torch.from_numpy(cepstra[:20].T.copy())[None, None])
        seen = net.see(torch.zeros(1, 3, 5, 224, 224))
    assert heard.shape == seen.shape == (1, 1024)


def test_syncnet_accepts_its_own_state_dict_and_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "syncnet_v2.model"
    torch.save(syncnet.SyncNet().state_dict(), path)
    assert len(syncnet.PublishedSyncNet(path).identity) == 16
    torch.save({"x": torch.zeros(1)}, path)
    with pytest.raises(ConfigError, match="syncnet_v2"):
        syncnet.PublishedSyncNet(path)
    path.write_bytes(b"no weights")
    with pytest.raises(ConfigError, match="--syncnet"):
        syncnet.PublishedSyncNet(path)


def test_louder_sound_shifts_only_the_energy_of_mfcc() -> None:
    voice = np.random.default_rng(0).normal(0, 0.05, 16_000).astype(np.float32)
    quiet, loud = syncnet.mfcc(voice), syncnet.mfcc(4 * voice)
    assert np.abs(loud[:, 1:] - quiet[:, 1:]).max() < 0.15
    assert loud[:, 0] - quiet[:, 0] == pytest.approx(np.full(99, np.log(16)), abs=0.01)
