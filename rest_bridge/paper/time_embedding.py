"""How noisy a latent is, as a vector: sinusoids and a small network, as in LTX-Video."""

import math

import torch
from torch import Tensor, nn

_FREQUENCIES = 128


class TimeEmbedding(nn.Module):
    """Time (0..1000) -> vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(2 * _FREQUENCIES, width), nn.Linear(width, width)

    def forward(self, time: Tensor, dtype: torch.dtype) -> Tensor:
        """Embed [...] -> [..., width]."""
        steps = torch.arange(_FREQUENCIES, dtype=torch.float32, device=time.device)
        angles = time[..., None].float() * torch.exp(-math.log(10_000) * steps / _FREQUENCIES)
        waves = torch.cat([angles.cos(), angles.sin()], -1).to(dtype)
        return self.leave(nn.functional.silu(self.enter(waves)))
