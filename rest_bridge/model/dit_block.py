"""One block of the A2V-DiT, and the sizes of the whole network.

Self-attention's keys and values come from outside (`dit`), so that streaming and training share
the block. Shape letters: B batch, T latent frames, P tokens a latent frame, N = T P tokens,
H heads, D width.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from rest_bridge.errors import ConfigError
from rest_bridge.model.layers import FeedForward, RmsNorm

CHOICES: Final = {
    "context": ("clean", "last", "level"),
    "sink_place": ("timeless", "slot", "running"),
    "first_chunk": ("masked", "reference", "zeros"),
    "order": ("self-audio", "audio-self"),
}
"""What the paper leaves open (REST.md, sections 2 and 8); the first of each is the default."""


@dataclass(frozen=True, slots=True)
class DitConfig:
    """Size of the DiT; the defaults are the nano package.

    Attributes:
        latent_shape: channels, rows, columns of a latent frame.
        patch: rows and columns that one token covers.
        width, num_blocks, num_heads, feed_forward: of the transformer.
        audio_width: of an audio token.
        num_conditions: columns of a condition row.
        window: latent frames of the Context-Cache.
        context: noise level of the cached keys and values: "clean" (B: a commit pass at t = 0),
            "last" (A: those of the last denoising step), "level" (C: one cache a denoising step).
        sink_place: the reference's place in time: "timeless" (scored without rotation), "slot" (a
            fixed slot before the window), "running" (where the stream began: ever farther).
        first_chunk: what stands for context that does not exist yet: "masked" (nothing),
            "reference" (the reference, repeated), "zeros" (keys and values of zero, unmasked).
        order: of a block's attentions.

    Raises:
        ConfigError: a choice does not exist.
    """

    latent_shape: tuple[int, int, int] = (16, 4, 4)
    patch: int = 4
    width: int = 192
    num_blocks: int = 6
    num_heads: int = 6
    feed_forward: int = 576
    audio_width: int = 96
    num_conditions: int = 25
    window: int = 6
    context: str = "clean"
    sink_place: str = "timeless"
    first_chunk: str = "masked"
    order: str = "self-audio"

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"model.{name} = {getattr(self, name)!r} does not exist; choose one of "
                    f"{', '.join(allowed)}."
                )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "DitConfig":
        """Build from the plain values of a checkpoint or manifest."""
        return cls(**{**values, "latent_shape": tuple(values["latent_shape"])})

    @property
    def tokens_per_latent(self) -> int:
        """P."""
        return (self.latent_shape[1] // self.patch) * (self.latent_shape[2] // self.patch)

    @property
    def latent_size(self) -> int:
        """Numbers in a latent frame."""
        channels, rows, columns = self.latent_shape
        return channels * rows * columns

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.width // self.num_heads

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return asdict(self)


class DitBlock(nn.Module):
    """Self-attention, frame-level audio cross-attention, feed-forward; AdaLN-modulated."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        width = config.width
        self.num_heads = config.num_heads
        self.audio_first = config.order == "audio-self"
        self.table = nn.Parameter(torch.zeros(6, width))
        with torch.no_grad():
            self.table[2], self.table[5] = 1.0, 1.0  # gates open; branches start small instead
        self.norm = RmsNorm(width, learned=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.query_norm, self.key_norm = RmsNorm(width), RmsNorm(width)
        self.leave_self = nn.Linear(width, width)
        self.audio_norm = RmsNorm(width)
        self.audio_query = nn.Linear(width, width)
        self.audio_key_value = nn.Linear(config.audio_width, 2 * width)
        self.audio_query_norm, self.audio_key_norm = RmsNorm(width), RmsNorm(width)
        self.leave_audio = nn.Linear(width, width)
        self.feed_forward = FeedForward(width, config.feed_forward)
        for layer in (self.leave_self, self.leave_audio, self.feed_forward.leave):
            nn.init.normal_(layer.weight, std=0.3 * width**-0.5 / config.num_blocks**0.5)
            nn.init.zeros_(layer.bias)

    def modulate(self, shared: Tensor) -> tuple[Tensor, ...]:
        """Add this block's table to the shared modulation [B, N, 6, D]: six of [B, N, D].

        Taken apart once: each selection would fill a tensor of zeros on the way back.
        """
        return (shared + self.table).unbind(-2)

    def project(
        self, x: Tensor, audio: Tensor, modulation: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Begin the block: tokens [B, N, D] and un-rotated queries, keys, values [B, H, N, D / H].

        Args:
            x: [B, N, D].
            audio: [B, N / P, 2, audio_width], the tokens of each latent frame.
            modulation: from `modulate`.
        """
        if self.audio_first:
            x = x + self._hear(x, audio)
        shift, scale = modulation[:2]
        q, k, v = self.qkv(self.norm(x) * (1 + scale) + shift).chunk(3, -1)
        return x, self._heads(self.query_norm(q)), self._heads(self.key_norm(k)), self._heads(v)

    def finish(
        self, x: Tensor, attended: Tensor, audio: Tensor, modulation: tuple[Tensor, ...]
    ) -> Tensor:
        """Add self-attention, audio and feed-forward to the tokens.

        Args:
            x: [B, N, D], from `project`.
            attended: [B, H, N, D / H].
            audio: as for `project`.
            modulation: from `modulate`.
        """
        gate_self, shift, scale, gate = modulation[2:]
        x = x + gate_self * self.leave_self(attended.transpose(1, 2).flatten(2))
        if not self.audio_first:
            x = x + self._hear(x, audio)
        return x + gate * self.feed_forward(self.norm(x) * (1 + scale) + shift)

    def _hear(self, x: Tensor, audio: Tensor) -> Tensor:
        """Frame-level cross-attention: a frame's tokens see its own two audio tokens."""
        num_frames = audio.shape[1]
        query = self.audio_query_norm(self.audio_query(self.audio_norm(x)))
        query = query.unflatten(-1, (self.num_heads, -1)).unflatten(1, (num_frames, -1))
        keys, values = self.audio_key_value(audio).chunk(2, -1)
        keys = self.audio_key_norm(keys).unflatten(-1, (self.num_heads, -1))
        values = values.unflatten(-1, (self.num_heads, -1))
        # query [B, T, P, H, d], keys [B, T, 2, H, d] -> scores [B, T, H, P, 2]
        scores = query.transpose(2, 3) @ keys.permute(0, 1, 3, 4, 2)
        weights = (scores * query.shape[-1] ** -0.5).softmax(-1)
        heard = (weights @ values.transpose(2, 3)).transpose(2, 3)
        return self.leave_audio(heard.flatten(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
