"""Small layers shared by SpeechAE and the A2V-DiT.

Shape letters: B batch, T frames, N tokens, D width. All are plain functions of their inputs; memory
of the past is passed in and returned.
"""

import math

import torch
from torch import Tensor, nn


class RmsNorm(nn.Module):
    """Root-mean-square normalisation over the last axis."""

    def __init__(self, width: int, *, learned: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width)) if learned else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [..., D]."""
        y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)
        return y if self.weight is None else y * self.weight


class CausalConv(nn.Module):
    """1-D convolution over [B, T, D] that looks back only; a matrix product of shifted copies.

    The left context is an explicit state of `context` frames: zeros at the start, the input's tail
    afterwards, so that streaming in chunks (multiples of `stride`) equals one long call.
    """

    def __init__(
        self, width_in: int, width_out: int, *, kernel: int, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.dilation = kernel, stride, dilation
        self.context = (kernel - 1) * dilation + 1 - stride
        self.width_in = width_in
        self.linear = nn.Linear(kernel * width_in, width_out)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve.

        Args:
            x: [B, T, width_in], T a multiple of the stride.
            state: [B, context, width_in].

        Returns:
            y: [B, T / stride, width_out].
            state: [B, context, width_in] for the next call.
        """
        num_out = x.shape[1] // self.stride
        x = torch.cat([state, x], 1)
        span = (num_out - 1) * self.stride + 1
        taps = [
            x[:, j * self.dilation : j * self.dilation + span : self.stride]
            for j in range(self.kernel)
        ]
        return self.linear(torch.cat(taps, -1)), x[:, x.shape[1] - self.context :]


class FeedForward(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Transform [..., D]."""
        return self.leave(nn.functional.gelu(self.enter(x), approximate="tanh"))


class TimeEmbedding(nn.Module):
    """Flow time t in [0, 1] -> vector, by sinusoids and a small network."""

    def __init__(self, width: int, *, num_frequencies: int = 64) -> None:
        super().__init__()
        self.num_frequencies = num_frequencies
        self.network = nn.Sequential(
            nn.Linear(2 * num_frequencies, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, t: Tensor) -> Tensor:
        """Embed [...] -> [..., D]."""
        steps = torch.arange(self.num_frequencies, dtype=torch.float32, device=t.device)
        frequencies = 2 * math.pi * torch.exp(math.log(100.0) / self.num_frequencies * steps)
        angles = t[..., None] * frequencies
        return self.network(torch.cat([angles.cos(), angles.sin()], -1))
