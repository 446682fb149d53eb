"""Our own judge of sound against lips: five mouth frames and 0.2 s of log-mel in one space.

A small two-tower network in the manner of SyncNet (Chung and Zisserman, 2016), trained by us
(`sync_training`), so its "Sync-C-own" and "Sync-D-own" compare with nobody's published figures; the
row of the real video, judged alike, is the measure. Shape letters: B windows, F frames, D = 64.
"""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rest_bridge.errors import ConfigError
from rest_bridge.types import FloatArray

WEIGHTS: Final = Path(__file__).resolve().parent / "weights" / "sync_expert.npz"
WINDOW_FRAMES: Final = 5
MEL_PER_FRAME: Final = 4
MEL_BINS: Final = 40
CROP_PX: Final = 48
WIDTH: Final = 64


class SyncExpert(nn.Module):
    """Two towers onto the unit sphere."""

    def __init__(self) -> None:
        super().__init__()
        self.mouth = nn.Sequential(
            _block(WINDOW_FRAMES, 24, 5, (2, 2)), _block(24, 48, 3, (2, 2)),
            _block(48, 64, 3, (2, 2)), _block(64, 64, 3, (2, 2)),
            nn.Flatten(), nn.Linear(64 * 9, WIDTH),
        )  # fmt: skip
        self.sound = nn.Sequential(
            _block(1, 24, 3, (1, 2)), _block(24, 48, 3, (2, 2)),
            _block(48, 64, 3, (2, 2)), _block(64, 64, 3, (1, 1)),
            nn.Flatten(), nn.Linear(64 * 5 * 5, WIDTH),
        )  # fmt: skip
        self.log_scale = nn.Parameter(torch.tensor(2.5))

    def see(self, mouths: Float[Tensor, "B 5 48 48"]) -> Float[Tensor, "B 64"]:
        """Embed five frames of a mouth, each of zero mean and unit deviation over its clip."""
        return F.normalize(self.mouth(mouths), dim=-1)

    def hear(self, mels: Float[Tensor, "B 20 40"]) -> Float[Tensor, "B 64"]:
        """Embed 0.2 s of log-mel, each bin of zero mean and unit deviation over its clip."""
        return F.normalize(self.sound(mels[:, None]), dim=-1)


def _block(channels_in: int, channels_out: int, kernel: int, stride: tuple[int, int]) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def contrastive_loss(
    seen: Float[Tensor, "B 64"], heard: Float[Tensor, "B 64"], log_scale: Tensor
) -> Tensor:
    """Return the symmetric InfoNCE loss: each window's sound against all others' in the batch."""
    logits = log_scale.exp() * seen @ heard.T
    truth = torch.arange(len(seen))
    return 0.5 * (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth))


def save_expert(expert: SyncExpert, path: Path) -> None:
    """Write the weights as half-precision arrays, without pickle."""
    arrays = {
        name: value.numpy().astype(np.float16 if value.is_floating_point() else np.int64)
        for name, value in expert.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)  # pyright: ignore[reportArgumentType]


def load_expert(path: Path = WEIGHTS) -> SyncExpert:
    """Read the weights.

    Raises:
        ConfigError: the file is missing or of another network.
    """
    if not path.is_file():
        raise ConfigError(
            "Our own sync expert is not there; train it with python -m "
            f"rest_bridge.training.evaluation.sync_training, or leave sync out: {path}"
        )
    expert = SyncExpert()
    with np.load(path, allow_pickle=False) as archive:
        state = {name: torch.from_numpy(archive[name]) for name in archive.files}
    own = expert.state_dict()
    if state.keys() != own.keys() or any(state[n].shape != own[n].shape for n in own):
        raise ConfigError(f"These weights belong to another sync expert; train it again: {path}")
    expert.load_state_dict({name: value.to(own[name].dtype) for name, value in state.items()})
    return expert.eval()


def windows(sequence: npt.NDArray[np.floating], length: int, step: int) -> FloatArray:
    """Cut overlapping windows: [N, ...] -> float32 [W, length, ...], one every `step` rows."""
    count = max(0, (len(sequence) - length) // step + 1)
    rows = np.arange(count)[:, None] * step + np.arange(length)
    return np.ascontiguousarray(sequence[rows], np.float32)


@torch.no_grad()
def embed(
    expert: SyncExpert, mouths: FloatArray, mels: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Embed a clip.

    Args:
        expert: trained.
        mouths: float32 [F, 48, 48], from `sync_inputs.mouth_crops`.
        mels: float32 [4 F, 40], from `sync_inputs.log_mels`.

    Returns:
        seen and heard: float32 [F - 4, 64] each, window f around frame f + 2.
    """
    frames = min(len(mouths), len(mels) // MEL_PER_FRAME)
    seen = windows(mouths[:frames], WINDOW_FRAMES, 1)
    heard = windows(mels[: frames * MEL_PER_FRAME], WINDOW_FRAMES * MEL_PER_FRAME, MEL_PER_FRAME)
    return (
        expert.see(torch.from_numpy(seen)).numpy(),
        expert.hear(torch.from_numpy(heard)).numpy(),
    )
