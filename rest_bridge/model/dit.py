"""Streaming A2V-DiT: motion latents from audio tokens by rectified flow, with ID-Context Cache.

REST (arXiv:2512.11229) at nano size. Place in the flow: SpeechAE tokens + conditions + state ->
velocity of a latent chunk. It knows nothing of pictures or of the rig.

Differences from the paper: AdaLN carries conditions beside t; the network predicts the clean
latent and the velocity follows from it (predicting noise through a narrow network wastes its
width: the latent's data lies in 116 of 256 dimensions); the attention sink is scored without
rotation, so it has no distance in time.

Shape letters: B batch, T latent frames of a chunk, W window (frames of the Context-Cache), P tokens
a latent frame, N = T P tokens, H heads, L blocks, D width, C conditions.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rest_bridge.model.attention import attend
from rest_bridge.model.layers import FeedForward, RmsNorm, TimeEmbedding

LEAST_T = 0.05
"""Velocity is (x_t - x_0) / t; below this t the division is limited."""


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
    """

    latent_shape: tuple[int, int, int] = (16, 4, 4)
    patch: int = 2
    width: int = 192
    num_blocks: int = 6
    num_heads: int = 6
    feed_forward: int = 576
    audio_width: int = 96
    num_conditions: int = 21
    window: int = 6

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


class Cache(NamedTuple):
    """ID-Sink and Context-Cache: all that the DiT remembers.

    Attributes:
        sink_keys, sink_values: [B, L, H, P, D], of the reference, computed once.
        keys, values: [B, L, H, W P, D], un-rotated, oldest first.
        position: int64 [W], latent index of each remembered frame; -1 where nothing is written.
        sink_known: bool [B], False where the reference was dropped (training).
    """

    sink_keys: Tensor
    sink_values: Tensor
    keys: Tensor
    values: Tensor
    position: Tensor
    sink_known: Tensor


class DitBlock(nn.Module):
    """Self-attention, frame-level audio cross-attention, feed-forward; AdaLN-modulated."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        width = config.width
        self.num_heads = config.num_heads
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

    def project(self, x: Tensor, modulation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return un-rotated queries, keys and values [B, H, N, D / H] of tokens [B, N, D]."""
        shift, scale = modulation[..., 0, :], modulation[..., 1, :]
        q, k, v = self.qkv(self.norm(x) * (1 + scale) + shift).chunk(3, -1)
        return self._heads(self.query_norm(q)), self._heads(self.key_norm(k)), self._heads(v)

    def finish(self, x: Tensor, attended: Tensor, audio: Tensor, modulation: Tensor) -> Tensor:
        """Add self-attention, audio and feed-forward to the tokens.

        Args:
            x: [B, N, D].
            attended: [B, H, N, D / H].
            audio: [B, N / P, 2, audio_width], the tokens of each latent frame.
            modulation: [B, N, 6, D].
        """
        gate_self, shift, scale, gate = (modulation[..., i, :] for i in (2, 3, 4, 5))
        x = x + gate_self * self.leave_self(attended.transpose(1, 2).flatten(2))
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


class StreamingDit(nn.Module):
    """The whole network; `forward` is one streamed chunk, `forward_training` a whole clip."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.latent_shape[0] * config.patch**2
        width = config.width
        self.enter = nn.Linear(channels, width)
        self.place = nn.Parameter(0.02 * torch.randn(config.tokens_per_latent, width))
        self.reference_mark = nn.Parameter(0.02 * torch.randn(width))
        self.time = TimeEmbedding(width)
        self.condition = nn.Sequential(
            nn.Linear(config.num_conditions, width), nn.SiLU(), nn.Linear(width, width)
        )
        # AdaLN-single (arXiv:2310.00426): one map for all blocks, a small table in each.
        self.modulation = nn.Linear(width, 6 * width)
        self.final_modulation = nn.Linear(width, 2 * width)
        for layer in (self.modulation, self.final_modulation):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        self.null_audio = nn.Parameter(torch.zeros(2, config.audio_width))
        self.blocks = nn.ModuleList([DitBlock(config) for _ in range(config.num_blocks)])
        self.norm = RmsNorm(width, learned=False)
        self.leave = nn.Linear(width, channels)
        # Lids, gaze, slow pose and smile follow their plan almost linearly: a straight way from
        # the conditions to the latent leaves the transformer what the voice adds to them, and
        # takes the tremble out of the head.
        self.obey = nn.Linear(config.num_conditions, config.latent_size, bias=False)
        for layer in (self.leave, self.obey):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.leave.bias)

    # --- streaming ----------------------------------------------------------------------------

    def prefill(self, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Write the identity: keys and values of the reference at t = 0 in every block.

        Args:
            reference: [B, 16, 4, 4].

        Returns:
            sink_keys, sink_values: [B, L, H, P, D / H].
        """
        x, modulation, audio = self._reference_tokens(reference)
        keys, values = [], []
        for block in self.blocks:
            own = modulation + block.table
            q, k, v = block.project(x, own)
            keys.append(k)
            values.append(v)
            weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
            x = block.finish(x, weights @ v, audio, own)
        return torch.stack(keys, 1), torch.stack(values, 1)

    def forward(
        self,
        latents: Tensor,
        t: Tensor,
        audio: Tensor,
        conditions: Tensor,
        cache: Cache,
        position: Tensor,
    ) -> tuple[Tensor, Cache]:
        """Run one chunk: the velocity, and the cache as it is after this chunk.

        Args:
            latents: [B, T, 16, 4, 4], at flow time t.
            t: [B, T], flow time of each latent frame; 0 in the commit pass.
            audio: [B, T, 2, audio_width].
            conditions: [B, T, C].
            cache: the state.
            position: int64 [1], latent index of the chunk's first frame.

        Returns:
            velocity: [B, T, 16, 4, 4], noise - x_0.
            cache: to keep if this was the commit pass (t = 0 on finished latents).
        """
        config = self.config
        num_frames, per_frame = latents.shape[1], config.tokens_per_latent
        x = self._tokens(latents)
        modulation, final = self._modulate(t, conditions)
        own_index = torch.arange(num_frames, device=latents.device)
        # Distances fit float32 whatever the age of the stream: the difference is taken in int64.
        distance = (cache.position - position).to(torch.float32)
        query_position = own_index.to(torch.float32).repeat_interleave(per_frame)
        key_position = torch.cat([distance.repeat_interleave(per_frame), query_position])
        written = (cache.position >= 0).repeat_interleave(per_frame)
        seen = torch.cat([written, torch.ones_like(query_position, dtype=torch.bool)])
        sink = cache.sink_known[:, None].expand(-1, per_frame)
        mask = torch.cat([sink, seen[None].expand(len(sink), -1)], 1)[:, None, None]
        keys, values = [], []
        for index, block in enumerate(self.blocks):
            own = modulation + block.table
            q, k, v = block.project(x, own)
            keys.append(torch.cat([cache.keys[:, index], k], 2))
            values.append(torch.cat([cache.values[:, index], v], 2))
            attended = attend(
                q, keys[-1], values[-1], query_position, key_position,
                sink_keys=cache.sink_keys[:, index], sink_values=cache.sink_values[:, index],
                mask=mask,
            )  # fmt: skip
            x = block.finish(x, attended, audio, own)
        clean = self._latents(x, final, conditions)
        scale = t.clamp(min=LEAST_T)[:, :, None, None, None]
        kept = config.window * per_frame
        next_cache = cache._replace(
            keys=torch.stack(keys, 1)[:, :, :, -kept:],
            values=torch.stack(values, 1)[:, :, :, -kept:],
            position=torch.cat([cache.position, position + own_index])[-config.window :],
        )
        return (latents - clean) / scale, next_cache

    def empty_cache(self, reference: Tensor) -> Cache:
        """Return the cache before the first chunk: the reference prefilled, nothing else."""
        config, batch = self.config, len(reference)
        sink_keys, sink_values = self.prefill(reference)
        shape = (batch, config.num_blocks, config.num_heads,
                 config.window * config.tokens_per_latent, config.head_width)  # fmt: skip
        return Cache(
            sink_keys, sink_values, torch.zeros(shape), torch.zeros(shape),
            torch.full((config.window,), -1, dtype=torch.int64),
            torch.ones(batch, dtype=torch.bool),
        )  # fmt: skip

    # --- training -----------------------------------------------------------------------------

    def forward_training(
        self,
        reference: Tensor,
        context: Tensor,
        noisy: Tensor,
        t: Tensor,
        audio: Tensor,
        conditions: Tensor,
        *,
        chunk: Tensor,
        sink_known: Tensor,
        context_known: Tensor,
    ) -> Tensor:
        """Predict x_0 of a whole clip in one pass, each chunk as if it were streamed.

        The sequence is [reference | context copy at t = 0 | noisy copy]; masks let each copy see
        exactly what it sees when chunks are streamed one by one.

        Args:
            reference: [B, 16, 4, 4].
            context: [B, T, 16, 4, 4], finished latents (or the network's own).
            noisy: [B, T, 16, 4, 4], at flow time t.
            t: [B, T].
            audio: [B, T, 2, audio_width].
            conditions: [B, T, C].
            chunk: int64 [T], number of the chunk of each frame, not decreasing.
            sink_known: bool [B], False drops the reference.
            context_known: bool [B], False drops the whole Context-Cache.

        Returns:
            [B, T, 16, 4, 4], predicted x_0.
        """
        batch, num_frames = noisy.shape[:2]
        per_frame = self.config.tokens_per_latent
        reference_x, reference_modulation, reference_audio = self._reference_tokens(reference)
        clean_modulation, _ = self._modulate(torch.zeros_like(t), conditions)
        noisy_modulation, final = self._modulate(t, conditions)
        x = torch.cat([reference_x, self._tokens(context), self._tokens(noisy)], 1)
        modulation = torch.cat([reference_modulation, clean_modulation, noisy_modulation], 1)
        audio = torch.cat([reference_audio, audio, audio], 1)
        mask = self._training_mask(chunk, batch, sink_known, context_known)
        index = torch.arange(num_frames, dtype=torch.float32, device=noisy.device)
        position = torch.cat([index.new_zeros(1), index, index]).repeat_interleave(per_frame)
        for block in self.blocks:
            own = modulation + block.table
            q, k, v = block.project(x, own)
            attended = attend(
                q, k[:, :, per_frame:], v[:, :, per_frame:], position, position[per_frame:],
                sink_keys=k[:, :, :per_frame], sink_values=v[:, :, :per_frame], mask=mask,
            )  # fmt: skip
            x = block.finish(x, attended, audio, own)
        return self._latents(x[:, per_frame * (1 + num_frames) :], final, conditions)

    def _training_mask(
        self, chunk: Tensor, batch: int, sink_known: Tensor, context_known: Tensor
    ) -> Tensor:
        """Return bool [B, 1, N, N] over frames [reference | context | noisy], by tokens."""
        num_frames = len(chunk)
        index = torch.arange(num_frames, device=chunk.device)
        start = torch.searchsorted(chunk, chunk)  # first frame of each frame's chunk
        age = start[:, None] - index[None]
        remembered = (age > 0) & (age <= self.config.window)
        same = chunk[:, None] == chunk[None]
        frames = 1 + 2 * num_frames
        mask = torch.zeros(batch, frames, frames, dtype=torch.bool, device=chunk.device)
        past = remembered[None] & context_known[:, None, None]
        clean, noisy = slice(1, 1 + num_frames), slice(1 + num_frames, None)
        mask[:, 1:, 0] = sink_known[:, None]
        mask[:, 0, 0] = True
        mask[:, clean, clean] = past | same
        mask[:, noisy, clean] = past
        mask[:, noisy, noisy] = same
        per_frame = self.config.tokens_per_latent
        return mask.repeat_interleave(per_frame, 1).repeat_interleave(per_frame, 2)[:, None]

    # --- pieces -------------------------------------------------------------------------------

    def _tokens(self, latents: Tensor) -> Tensor:
        """[B, T, 16, 4, 4] -> [B, T P, D]."""
        patch = self.config.patch
        batch, frames, channels, rows, columns = latents.shape
        x = latents.reshape(
            batch, frames, channels, rows // patch, patch, columns // patch, patch
        ).permute(0, 1, 3, 5, 2, 4, 6)  # fmt: skip
        x = x.reshape(batch, frames, self.config.tokens_per_latent, channels * patch * patch)
        return (self.enter(x) + self.place).flatten(1, 2)

    def _latents(self, x: Tensor, final: Tensor, conditions: Tensor) -> Tensor:
        """[B, T P, D] -> [B, T, 16, 4, 4], with what the conditions ask for outright."""
        patch = self.config.patch
        channels, rows, columns = self.config.latent_shape
        x = self.norm(x) * (1 + final[..., 1, :]) + final[..., 0, :]
        y = self.leave(x).reshape(
            x.shape[0], -1, rows // patch, columns // patch, channels, patch, patch
        )
        y = y.permute(0, 1, 4, 2, 5, 3, 6).reshape(x.shape[0], -1, channels, rows, columns)
        return y + self.obey(conditions).unflatten(-1, (channels, rows, columns))

    def _modulate(self, t: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Return modulation [B, T P, 6, D] and final modulation [B, T P, 2, D]."""
        code = nn.functional.silu(self.time(t) + self.condition(conditions))
        blocks = self.modulation(code).unflatten(-1, (6, self.config.width))
        final = self.final_modulation(code).unflatten(-1, (2, self.config.width))
        per_frame = self.config.tokens_per_latent
        return blocks.repeat_interleave(per_frame, 1), final.repeat_interleave(per_frame, 1)

    def _reference_tokens(self, reference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens, modulation and (null) audio of the reference, a latent frame at t = 0."""
        batch = len(reference)
        x = self._tokens(reference[:, None]) + self.reference_mark
        nothing = reference.new_zeros(batch, 1, self.config.num_conditions)
        modulation, _ = self._modulate(reference.new_zeros(batch, 1), nothing)
        return x, modulation, self.null_audio.expand(batch, 1, -1, -1)
