"""The DiT of the paper's size: LTX-Video's transformer with audio attention and streaming caches.

28 blocks of width 2048. Self-attention over all tokens (q and k normalised over the whole width,
3-D rotary places), attention to the text, attention of each latent frame to its own two audio
tokens (zero at the start, so that published weights begin as LTX-Video), feed-forward; one
modulation for all blocks with a table in each. Weights by `weights.load_dit`.

Streaming (REST, arXiv:2512.11229): keys and values of the reference (ID-Sink) and of the chunk
before (Context-Cache) stand before those of the chunk. Places are fixed slots, reference 0, context
1-3, chunk 4-6, so keys are rotated once, when they are cached.
Shape letters: B batch, N tokens, T latent frames, P tokens a latent frame, H heads, D width.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rest_bridge.paper.time_embedding import TimeEmbedding

_FRAMES, _PIXELS = 20.0, 2048.0
"""What the published model's places are divided by: 20 seconds' units and 2048 pixels."""


@dataclass(frozen=True, slots=True)
class DitSizes:
    """Sizes of the transformer; the defaults are the paper's.

    Attributes:
        channels: of the latent.
        num_blocks: blocks.
        num_heads: heads.
        head_width: of a head; the width is their product.
        text_width: of the text's embeddings.
        audio_width: of an audio token; 0 leaves the attention to audio out.
        rows, columns: tokens of a latent frame.
        chunk: latent frames of a chunk.
    """

    channels: int = 128
    num_blocks: int = 28
    num_heads: int = 32
    head_width: int = 64
    text_width: int = 4096
    audio_width: int = 2048
    rows: int = 16
    columns: int = 16
    chunk: int = 3

    @property
    def width(self) -> int:
        """D."""
        return self.num_heads * self.head_width

    @property
    def tokens(self) -> int:
        """P."""
        return self.rows * self.columns

    @property
    def queries(self) -> int:
        """Tokens of a chunk: 768."""
        return self.chunk * self.tokens

    @property
    def keys(self) -> int:
        """Tokens that a chunk sees: reference, chunk before, chunk: 1792."""
        return (1 + 2 * self.chunk) * self.tokens

    def pass_operations(self, batch: int = 1) -> float:
        """Return floating point operations of one pass of a chunk."""
        width = self.width
        linear = (4 + 2 + 8 + (2 if self.audio_width else 0)) * width**2
        attention = 2 * 2 * self.keys * width + 2 * 2 * 128 * width
        per_token = self.num_blocks * (2 * linear + attention)
        return float(batch * self.queries * per_token)


class Places(NamedTuple):
    """Cosines and sines of tokens' places, float32 [N, D]."""

    cos: Tensor
    sin: Tensor


def places_of(coordinates: Tensor, width: int) -> Places:
    """Return the rotation of each token.

    Args:
        coordinates: float [N, 3], frame (in 1/25 s times the model's scale), row and column in
            pixels, already divided by 20, 2048, 2048.
        width: D.
    """
    steps = torch.linspace(0.0, 1.0, width // 6, device=coordinates.device)
    frequencies = 10_000.0**steps * math.pi / 2
    angles = frequencies * (coordinates[..., None] * 2 - 1)  # [N, 3, D / 6]
    angles = angles.transpose(-1, -2).flatten(-2).repeat_interleave(2, -1)
    rest = width % 6
    cos, sin = F.pad(angles.cos(), (rest, 0), value=1.0), F.pad(angles.sin(), (rest, 0))
    return Places(cos, sin)


def grid(
    first: int, count: int, rows: int, columns: int, scale: tuple[float, float, float]
) -> Tensor:
    """Return coordinates float32 [count rows columns, 3] of latent frames from `first` on."""
    axes = [
        torch.arange(first, first + count, dtype=torch.float32) * scale[0] / _FRAMES,
        torch.arange(rows, dtype=torch.float32) * scale[1] / _PIXELS,
        torch.arange(columns, dtype=torch.float32) * scale[2] / _PIXELS,
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 2)


def rotate(x: Tensor, places: Places) -> Tensor:
    """Rotate neighbouring pairs of [B, N, D]; in float32."""
    first, second = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([-second, first], -1).flatten(-2)
    return (x.float() * places.cos + turned * places.sin).to(x.dtype)


class Attention(nn.Module):
    """Heads with normalised queries and keys."""

    def __init__(self, width: int, num_heads: int, other_width: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(other_width, 2 * width)
        self.query_norm = nn.RMSNorm(width, eps=1e-5)
        self.key_norm = nn.RMSNorm(width, eps=1e-5)
        self.leave = nn.Linear(width, width)

    def known(self, other: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values [B, H, M, D / H] of what is attended to, to keep them."""
        key, value = self.key_value(other).chunk(2, -1)
        return self.heads(self.key_norm(key)), self.heads(value)

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        """Attend [B, N, D] to keys and values."""
        query = self.heads(self.query_norm(self.query(x)))
        return self.merged(F.scaled_dot_product_attention(query, keys, values, attn_mask=bias))

    def merged(self, attended: Tensor) -> Tensor:
        """[B, H, N, D / H] -> [B, N, D], through the last map."""
        return self.leave(attended.transpose(1, 2).flatten(2))

    def heads(self, x: Tensor) -> Tensor:
        """[B, N, D] -> [B, H, N, D / H]."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class SelfAttention(nn.Module):
    """Self-attention with one product for queries, keys and values."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.enter = nn.Linear(width, 3 * width)
        self.query_norm = nn.RMSNorm(width, eps=1e-5)
        self.key_norm = nn.RMSNorm(width, eps=1e-5)
        self.leave = nn.Linear(width, width)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return normalised, un-rotated queries and keys, and values: [B, N, D]."""
        query, key, value = self.enter(x).chunk(3, -1)
        return self.query_norm(query), self.key_norm(key), value

    def heads(self, x: Tensor) -> Tensor:
        """[B, N, D] -> [B, H, N, D / H]."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class Known(NamedTuple):
    """Keys and values that a block attends to: [B, H, M, D / H]."""

    keys: Tensor
    values: Tensor


class Block(nn.Module):
    """Self-attention, text, audio, feed-forward."""

    def __init__(self, sizes: DitSizes) -> None:
        super().__init__()
        width, heads = sizes.width, sizes.num_heads
        self.attention = SelfAttention(width, heads)
        self.text = Attention(width, heads, width)
        self.audio = Attention(width, heads, sizes.audio_width) if sizes.audio_width else None
        if self.audio is not None:
            nn.init.zeros_(self.audio.leave.weight)
            nn.init.zeros_(self.audio.leave.bias)
        self.enter, self.leave = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.table = nn.Parameter(torch.randn(6, width) / width**0.5)

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        places: Places,
        text: Known,
        *,
        text_bias: Tensor | None = None,
        before: Known | None = None,
        audio: Tensor | None = None,
    ) -> tuple[Tensor, Known]:
        """Transform [B, N, D].

        Args:
            x: tokens.
            modulation: [B, 1 or N, 6, D], shared by all blocks.
            places: of these tokens.
            text: keys and values of the text in this block.
            text_bias: added to its scores.
            before: rotated keys and values of reference and context.
            audio: [B, T, 2, audio_width].

        Returns:
            Tokens, and their own rotated keys and values.
        """
        shift, scale, gate, shift_2, scale_2, gate_2 = (modulation + self.table).unbind(-2)
        attention = self.attention
        query, key, value = attention.project(_norm(x) * (1 + scale) + shift)
        own = Known(attention.heads(rotate(key, places)), attention.heads(value))
        keys, values = own
        if before is not None:
            keys = torch.cat([before.keys, keys], 2)
            values = torch.cat([before.values, values], 2)
        seen = F.scaled_dot_product_attention(attention.heads(rotate(query, places)), keys, values)
        x = x + gate * attention.leave(seen.transpose(1, 2).flatten(2))
        x = x + self.text(x, *text, text_bias)
        if self.audio is not None and audio is not None:
            x = x + self._hear(self.audio, x, audio)
        y = self.leave(F.gelu(self.enter(_norm(x) * (1 + scale_2) + shift_2), approximate="tanh"))
        return x + gate_2 * y, own

    def _hear(self, attention: Attention, x: Tensor, audio: Tensor) -> Tensor:
        """Let the tokens of a latent frame see its own audio tokens only."""
        frames = audio.shape[1]
        y = _norm(x).unflatten(1, (frames, -1)).flatten(0, 1)
        heard = attention(y, *attention.known(audio.flatten(0, 1)))
        return heard.unflatten(0, (-1, frames)).flatten(1, 2)


def _norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], eps=1e-6)


class LtxDit(nn.Module):
    """The whole transformer."""

    def __init__(self, sizes: DitSizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes or DitSizes()
        width = self.sizes.width
        self.enter = nn.Linear(self.sizes.channels, width)
        self.time = TimeEmbedding(width)
        self.modulation = nn.Linear(width, 6 * width)
        self.table = nn.Parameter(torch.randn(2, width) / width**0.5)
        self.text = nn.Sequential(
            nn.Linear(self.sizes.text_width, width), nn.GELU(approximate="tanh"),
            nn.Linear(width, width),
        )  # fmt: skip
        self.blocks = nn.ModuleList([Block(self.sizes) for _ in range(self.sizes.num_blocks)])
        self.leave = nn.Linear(width, self.sizes.channels)

    def know_text(self, text: Tensor) -> list[Known]:
        """Return every block's keys and values of the text [B, M, text_width]: once a prompt."""
        projected = self.text(text)
        return [Known(*block.text.known(projected)) for block in self.blocks]

    def know_time(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return modulation [B, 1 or N, 6, D] and final code [B, 1 or N, D] of times [B, 1 or N].

        Args:
            time: 0 (data) to 1000 (noise).
        """
        code = self.time(time, self.enter.weight.dtype)
        return self.modulation(F.silu(code)).unflatten(-1, (6, -1)), code

    def forward(
        self,
        tokens: Tensor,
        known_time: tuple[Tensor, Tensor],
        places: Places,
        text: list[Known],
        *,
        text_bias: Tensor | None = None,
        before: list[Known] | None = None,
        audio: Tensor | None = None,
    ) -> tuple[Tensor, list[Known]]:
        """Predict velocities of [B, N, channels]; the rest as `Block.forward`, for each block."""
        modulation, code = known_time
        x = self.enter(tokens)
        own: list[Known] = []
        for number, block in enumerate(self.blocks):
            x, mine = block(
                x, modulation, places, text[number], text_bias=text_bias,
                before=None if before is None else before[number], audio=audio,
            )  # fmt: skip
            own.append(mine)
        shift, scale = (self.table + code[..., None, :]).unbind(-2)
        x = F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift
        return self.leave(x), own
